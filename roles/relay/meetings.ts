/**
 * What `culvert relay --tracker` adds: peers that cannot reach each other meet here, and trackers tell them so.
 *
 *   trackers ◀─ card with the capability `relay` and our URL ─ here ◀─ links ─ peers (`net/peers/meeting_relay.ts`)
 */

import { z } from "zod";
import { MeetingRelay } from "../../net/peers/meeting_relay.ts";
import { TrackerClient } from "../../net/tracker_client.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { makeCard, peerLabelSchema } from "../../protocol/peers/card.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Fetch } from "../../net/signed_http.ts";
import { filePath, pathUrl } from "../fields.ts";
import { readJoinToken } from "../join_token.ts";
import type { RoleContext } from "../role.ts";

export const meetingFlags = {
  tracker: z.array(pathUrl(undefined, { schemes: ["https", "http"] })).max(8).default([])
    .describe("A tracker that tells peers that they may meet here.").meta({
      defaultText: "no peers meet here",
    }),
  joinTokenFile: filePath().optional().describe("Trackers let in only those who have what is in this file."),
  label: peerLabelSchema.default("relay").describe("How trackers are to call it.").meta({ placeholder: "name" }),
  meetingBandwidth: z.number().positive().max(1_000_000).optional()
    .describe("What all peers that meet here may carry together, in Mbit/s, each way counted.")
    .meta({ placeholder: "mbps", defaultText: "no limit" }),
  meetingPeerBandwidth: z.number().positive().max(1_000_000).optional()
    .describe("What one peer may have carried for it, in Mbit/s, each way counted.")
    .meta({ placeholder: "mbps", defaultText: "no limit" }),
};

export interface MeetingSettings extends z.output<z.ZodObject<typeof meetingFlags>> {
  readonly region: string;
  readonly maxLinks: number;
  readonly maxLinksPerAddress: number;
  readonly block: readonly string[];
}

export interface MeetingParts {
  readonly identity: Identity;
  readonly primitives: Primitives;
  /** A closed network, and our certificate in it. */
  readonly network?: ClosedNetwork | undefined;
  readonly certificate?: (() => string) | undefined;
  /** Reaches trackers; the host's own when left out. */
  readonly fetch?: Fetch | undefined;
}

const BYTES_PER_MEGABIT = 1e6 / 8;

/** Where peers meet, not listed anywhere yet. */
export function openMeetings(
  settings: MeetingSettings,
  { identity, primitives, network }: MeetingParts,
  { clock, random, metrics }: RoleContext,
): MeetingRelay {
  const blocked = new Set(settings.block);
  const { maxLinks, maxLinksPerAddress, meetingBandwidth, meetingPeerBandwidth } = settings;
  return new MeetingRelay({
    ...{ relayId: identity.peerId, network, clock, random, primitives, metrics },
    limits: {
      ...{ maxLinks, maxLinksPerAddress, isBlocked: (peerId) => blocked.has(peerId) },
      ...(meetingBandwidth !== undefined && { bytesPerSecond: meetingBandwidth * BYTES_PER_MEGABIT }),
      ...(meetingPeerBandwidth !== undefined && { bytesPerSecondPerPeer: meetingPeerBandwidth * BYTES_PER_MEGABIT }),
    },
  });
}

/** Lists it at the trackers until disposed; `url` is where peers reach it. */
export async function listMeetings(
  settings: MeetingSettings,
  { identity, primitives, certificate, fetch, url, relay }: MeetingParts & {
    readonly url: string;
    readonly relay: MeetingRelay;
  },
  context: RoleContext,
): Promise<AsyncDisposable> {
  const { clock, random, log, signal } = context;
  const joinToken = await readJoinToken(settings.joinTokenFile, "start relay");
  const trackers = new TrackerClient({
    ...{ trackers: settings.tracker, signer: identity, clock, random, primitives, log, joinToken, fetch },
    describe: () =>
      makeCard(identity, {
        ...{ label: settings.label, region: settings.region, addresses: [], relays: [], capabilities: ["relay"], url },
        issuedAtMs: clock.wallNow(),
        certificate: certificate?.(),
      }),
    // Whoever is told that it is full goes elsewhere.
    state: () => ({ load: signal.aborted ? 1 : relay.load }),
  });
  context.check("trackers", () => {
    const states = trackers.trackers;
    return states.some(({ isListed }) => isListed) ? undefined : states[0]?.problem ?? "No tracker has answered yet";
  });
  return trackers;
}
