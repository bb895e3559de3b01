/**
 * The settings of `culvert peer`.
 */

import { z } from "zod";
import { endpointSchema, nameSchema } from "../../protocol/fields.ts";
import { type MeetingPlace, peerLabelSchema } from "../../protocol/peers/card.ts";
import { byteSize, directoryPath, filePath, listenAddress } from "../fields.ts";
import { parseSupernode } from "../peer/settings.ts";
import { networkFlags } from "./open_network.ts";

const RELAY_RULE = "a relay's URL with its peer id, such as https://PEERID@relay.example/";

const relayUrl = z.string().meta({ placeholder: "url" }).transform((text, context): MeetingPlace => {
  const place = parseSupernode(text);
  if (place) return { relayId: place.supernodeId, url: place.url };
  context.issues.push({ code: "custom", message: RELAY_RULE, input: text });
  return z.NEVER;
});

const rate = () => byteSize(undefined, { minBytes: 1024 }).optional().meta({ placeholder: "bytes/s" });

export const peerConfig = z.object({
  folder: directoryPath().describe("The folder to share; nothing outside of it is ever served.")
    .meta({ positional: true, placeholder: "folder", completes: "directory" }),
  ...networkFlags,
  label: peerLabelSchema.optional().describe("What others see beside the peer id.")
    .meta({ placeholder: "name", defaultText: "the machine's name" }),
  region: nameSchema.optional().describe("Where this is, such as eu-west, for those who look nearby.")
    .meta({ placeholder: "name" }),
  joinTokenFile: filePath().optional().describe("For trackers that let in only those who have what is in this file."),
  open: z.boolean().default(false)
    .describe("Let in everybody who finds this peer; otherwise only those allowed or invited."),
  allowFile: filePath().optional()
    .describe("Peer ids that may come in, one a line, with `upload` behind those who may put files here; followed."),
  denyFile: filePath().optional().describe("Peer ids that may not, whoever has invited them; followed."),
  upload: z.boolean().default(false)
    .describe("Take files: from the page here, and from those who were allowed to."),
  maxUpload: byteSize("4GiB").describe("The largest file that is taken."),
  hidden: z.boolean().default(false).describe("Share files whose names begin with a dot as well."),
  readOnly: z.boolean().default(false).describe("Never write to the folder, not even an index.md where there is none."),
  port: z.number().int().min(0).max(65_535).default(0).meta({ placeholder: "port", defaultText: "the system's choice" })
    .describe("Of the page and the API, which are on 127.0.0.1 and for this machine alone."),
  listen: listenAddress("[::]:0").describe("Where other peers knock; port 0 is the system's choice."),
  direct: z.boolean().default(true).describe("Listen for other peers; with --no-direct only relays lead here."),
  advertise: z.array(endpointSchema.meta({ placeholder: "host:port" })).max(8).default([])
    .describe("Where --listen is reached from outside.").meta({
      defaultText: "its own, and where trackers see it",
    }),
  relay: z.array(relayUrl).max(4).default([]).describe("A relay to be reached by as well.")
    .meta({ defaultText: "two that the trackers know" }),
  relays: z.boolean().default(true).describe("Use relays that trackers know; with --no-relays only those of --relay."),
  limitRate: rate().describe("Bytes a second that are sent in all."),
  guestRate: rate().describe("Bytes a second that are sent to each guest."),
});

export type PeerSettings = z.output<typeof peerConfig>;
