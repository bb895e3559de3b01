/**
 * What goes over the administrators' API of a supernode, beside what all such APIs have in common (`roles/admin_api/schema.ts`):
 * the bodies it takes, and what it answers. `admin_api.ts` checks the first, `culvert admin` reads the second, so that neither has
 * to believe the other. docs/admin.md lists the requests.
 */

import { z } from "zod";
import {
  commandResultSchema,
  disconnectSchema,
  relaySetupSchema,
  relayUpdateSchema,
  rotatePeerSchema,
  sessionOfferSchema,
  setupExitSchema,
} from "../../protocol/control/commands.ts";
import { CONTROL_ROLES, exitWishSchema, telemetrySchema } from "../../protocol/control/messages.ts";
import { carriesSchema, relayModeSchema } from "../../protocol/control/packets.ts";
import {
  countSchema,
  endpointSchema,
  nameSchema,
  peerIdSchema,
  peerKeysSchema,
  tokenSchema,
  versionSchema,
} from "../../protocol/fields.ts";
import { sessionRecordSchema } from "../../protocol/session.ts";
import { blockSchema } from "../../protocol/stored_records.ts";
import { pageAnswer } from "../admin_api/schema.ts";

/** For how long a session may be granted that nobody renews. */
export const MAX_STATIC_DAYS = 366;

const longestMs = z.int().max(3_600_000);
const timeoutMs = longestMs.min(100).default(30_000);

export const orderSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("SETUP_EXIT"), sessionId: tokenSchema, payload: setupExitSchema, timeoutMs }),
  z.object({ kind: z.literal("ROTATE_PEER"), sessionId: tokenSchema, payload: rotatePeerSchema, timeoutMs }),
  z.object({ kind: z.literal("RELAY_SETUP"), sessionId: tokenSchema, payload: relaySetupSchema, timeoutMs }),
  z.object({
    kind: z.literal("RELAY_UPDATE"),
    sessionId: tokenSchema.optional(),
    payload: relayUpdateSchema,
    timeoutMs,
  }),
  z.object({ kind: z.literal("DISCONNECT"), sessionId: tokenSchema.optional(), payload: disconnectSchema, timeoutMs }),
]);

export const commandBody = z.object({
  peerId: peerIdSchema,
  command: orderSchema,
  /** Keep it for a peer that is not connected; otherwise that is refused. */
  queue: z.boolean().default(false),
});

export const drainBody = z.object({ leaveWithinMs: longestMs.min(0).default(60_000) });

/** A session for a client that nobody hears of: a stock WireGuard app. */
export const staticSessionBody = z.object({
  /** The app's, as any peer has them: its identity has signed its WireGuard key. */
  keys: peerKeysSchema,
  wish: exitWishSchema.pick({ region: true, relay: true, addresses: true, exclude: true }).default({}),
  /** This exit and no other. */
  exitPeerId: peerIdSchema.optional(),
  days: z.number().min(1 / 24).max(MAX_STATIC_DAYS).default(30),
});

export const statusAnswer = z.object({
  supernodeId: peerIdSchema,
  /** Of a closed network. */
  networkId: peerIdSchema.optional(),
  region: nameSchema,
  version: versionSchema,
  upMs: countSchema,
  draining: z.boolean(),
  streams: countSchema,
  exits: countSchema,
  sessions: countSchema,
  links: countSchema,
  blocks: countSchema,
  maxStreams: countSchema.optional(),
  /** Bytes over the data links, since it started. */
  traffic: z.object({ rxBytes: countSchema, txBytes: countSchema }).optional(),
  /** Of one processor, over the last seconds; of all roles in the process. */
  cpuPct: z.number().min(0).optional(),
});
export type StatusAnswer = z.infer<typeof statusAnswer>;

export const streamView = z.object({
  peerId: peerIdSchema,
  role: z.enum(CONTROL_ROLES),
  region: nameSchema,
  version: versionSchema.optional(),
  connectedMs: countSchema,
  /** Since something was heard of it. */
  silentMs: countSchema,
  rttMs: z.number().optional(),
  telemetry: telemetrySchema.optional(),
});
export type StreamView = z.infer<typeof streamView>;

export const peerView = z.object({
  peerId: peerIdSchema,
  /** Away: not connected here, but part of a session. */
  state: z.enum(["connected", "away", "revoked"]),
  role: z.enum(CONTROL_ROLES).optional(),
  region: nameSchema.optional(),
  version: versionSchema.optional(),
  sessions: countSchema,
  telemetry: telemetrySchema.optional(),
  revoked: blockSchema.pick({ by: true, reason: true, sinceMs: true }).optional(),
});
export type PeerView = z.infer<typeof peerView>;

export const sessionView = sessionRecordSchema.pick({
  sessionId: true,
  state: true,
  clientPeerId: true,
  clientSupernodeId: true,
  wish: true,
  previousSessionId: true,
  nextSessionId: true,
  createdAtMs: true,
  expiresAtMs: true,
}).extend({
  exitPeerId: peerIdSchema.optional(),
  exitSupernodeId: peerIdSchema.optional(),
  exitRegion: nameSchema.optional(),
  carries: carriesSchema,
  /** Nobody is connected for it. */
  isStatic: z.boolean().optional(),
  /** Of one that carries packets: how, its UDP port here, that of the other supernode, and what its client is given. */
  relay: relayModeSchema.optional(),
  relayPort: z.int().optional(),
  farRelay: endpointSchema.optional(),
  addresses: z.array(z.string()).optional(),
});
export type SessionView = z.infer<typeof sessionView>;

/** Whose data links are open. */
export const linkView = z.object({
  kind: z.enum(["peer", "supernode"]),
  peerId: peerIdSchema,
  links: countSchema,
  rttMs: z.number().optional(),
});
export type LinkView = z.infer<typeof linkView>;

export const streamsAnswer = z.object({ ...pageAnswer, streams: z.array(streamView) });
export const peersAnswer = z.object({ ...pageAnswer, peers: z.array(peerView) });
export const sessionsAnswer = z.object({ ...pageAnswer, sessions: z.array(sessionView) });
export const linksAnswer = z.object({ ...pageAnswer, links: z.array(linkView) });
export const outcomeAnswer = z.object({
  commandId: tokenSchema,
  ok: z.boolean(),
  /** Why it failed. */
  reason: z.string().max(64).optional(),
  result: commandResultSchema.optional(),
});

export const drainAnswer = z.object({ streams: countSchema });
export const offerAnswer = z.object({ offer: sessionOfferSchema });
