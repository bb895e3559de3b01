/**
 * `culvert peer open`: a URL of this machine behind which is another peer's file server, for a browser, a player or curl.
 */

import { z } from "zod";
import { PeerBridge } from "../../net/peers/bridge.ts";
import { pathTarget } from "../../net/transfers/remote_files.ts";
import { aborted } from "../../protocol/abort.ts";
import { defineRole, type Role } from "../role.ts";
import { networkFlags, openNetwork } from "./open_network.ts";
import { sharedPath, whoField } from "./peer_fields.ts";

/** With `--once`. */
const UNUSED_MS = 60_000;

const config = z.object({
  who: whoField().describe("A ticket, or whose files they are."),
  path: sharedPath().optional().describe("What the URL leads to; that of the ticket, or all, unless given."),
  once: z.boolean().default(false).describe("End once nobody has used it for a minute."),
  ...networkFlags,
});

export const openRole: Role<typeof config> = defineRole({
  name: "peer-open",
  summary: "A URL of this machine that leads to a peer's files, for a browser or a player.",
  config,
  examples: [
    "culvert peer open alice",
    "culvert peer open alice films/holiday.mkv --once",
    "culvert peer open CULVERT:AEAB…",
  ],
  async run(config, context) {
    const { clock, random, log, signal } = context;
    await using network = await openNetwork(config, { action: "start peer-open" }, context);
    const { card, invitation, observedAddress, path: ofTicket } = await network.find(config.who, signal);
    // Known to work before anybody is told of it.
    await using connection = await network.peers.connect(card, { invitation, observedAddress, signal });
    await using bridge = new PeerBridge({
      ...{ network: network.peers, card, invitation, observedAddress, clock, random, log },
      idleTimeoutMs: config.once ? UNUSED_MS : undefined,
    });
    const path = config.path ?? ofTicket ?? "";
    const url = path === "" ? bridge.url : `${bridge.url}content/${pathTarget(path)}`;
    context.ready({ addresses: { url }, words: { url: "open" }, note: `${connection.way}, by ${connection.via}` });
    await Promise.race([aborted(signal), bridge.ended]);
  },
});
