/**
 * What peers and a tracker say to each other in JSON. A tracker passes cards on and never sees what peers send each other;
 * `docs/tracker.md` has the whole.
 *
 *   POST /api/peers/register     signed (`http_signature.ts`)      a card is listed from now on; the answer has a token
 *   POST /api/peers/heartbeat    Bearer token, body or none        it stays listed
 *   POST /api/peers/unregister   Bearer token                      it is listed no longer
 *   POST /api/peers/report       Bearer token                      how another peer has served this one
 *   GET  /api/peers/list, /api/peers/ID, /api/peers/events, /api/relay/status
 *
 * Lists are ordered by peer id, so that the last id of a page is where the next begins, at whichever process is asked.
 */

import { z } from "zod";
import {
  countSchema,
  ipSchema,
  megabitsSchema,
  millisecondsSchema,
  nameSchema,
  peerIdSchema,
  secretSchema,
  shareSchema,
  timeSchema,
  versionSchema,
} from "../fields.ts";
import { peerCardSchema } from "../peers/card.ts";

/** Peers in one answer, at most and unless asked otherwise. */
export const MAX_LISTED = 50;

/** So often there is something in a stream of events, or a comment. */
export const KEEP_ALIVE_MS = 15_000;

/** How often to send heartbeats, which the tracker decides. */
export const intervalSchema = z.int().min(1000).max(86_400_000);

/** What changes all the time; what is left out stays as it was. */
export const heartbeatSchema = z.object({
  /** How busy the peer is. */
  load: shareSchema.optional(),
  /** Bytes that it still wants from others. */
  left: countSchema.optional(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const heartbeatAnswerSchema = z.object({ intervalMs: intervalSchema });
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

/** A peer as a tracker lists it. */
export const listedPeerSchema = z.object({
  card: peerCardSchema,
  /** Where the tracker has seen it come from: what an address without a host means. */
  observedAddress: ipSchema.optional(),
  seenAtMs: timeSchema,
  ...heartbeatSchema.shape,
  /** How well it has served others, in their words; there once three have said something. */
  reliability: shareSchema.optional(),
  bandwidthMbps: megabitsSchema.optional(),
});
export type ListedPeer = z.infer<typeof listedPeerSchema>;

export const registerSchema = z.object({
  /** The signer's own. */
  card: peerCardSchema,
  /** Where the tracker lets in only those who have it. */
  joinToken: z.string().min(1).max(256).optional(),
  /** How many others to name, picked at random; 50 unless given. */
  numwant: z.int().min(0).max(MAX_LISTED).optional(),
  ...heartbeatSchema.shape,
});
export type Register = z.infer<typeof registerSchema>;

export const registerAnswerSchema = z.object({
  /** Shows whose the heartbeats are. */
  token: secretSchema,
  intervalMs: intervalSchema,
  /** Without a heartbeat for so long it is listed no longer. */
  ttlMs: intervalSchema,
  observedAddress: ipSchema.optional(),
  peers: z.array(listedPeerSchema).max(MAX_LISTED),
});
export type RegisterAnswer = z.infer<typeof registerAnswerSchema>;

/** Which peers: all that have both, where both are given. */
export const peerFilterSchema = z.object({
  capability: nameSchema.optional(),
  region: nameSchema.optional(),
});
export type PeerFilter = z.infer<typeof peerFilterSchema>;

export const peerQuerySchema = peerFilterSchema.extend({
  limit: z.coerce.number().int().min(1).max(MAX_LISTED).optional(),
  /** Those whose ids come after this one. */
  after: peerIdSchema.optional(),
});
export type PeerQuery = z.infer<typeof peerQuerySchema>;

export const peerPageSchema = z.object({
  peers: z.array(listedPeerSchema).max(MAX_LISTED),
  /** There may be more after this; a page that has it can be short. */
  next: peerIdSchema.optional(),
});
export type PeerPage = z.infer<typeof peerPageSchema>;

/** `failed`: it did not answer, or stopped. `lied`: what it sent was not what its hashes say. */
export const outcomeSchema = z.enum(["ok", "failed", "lied"]);
export type Outcome = z.infer<typeof outcomeSchema>;

export const reportSchema = z.object({
  about: peerIdSchema,
  outcome: outcomeSchema,
  /** How much came from it, and in which time. */
  bytes: countSchema,
  ms: millisecondsSchema,
});
export type Report = z.infer<typeof reportSchema>;

/** An answer that says no more than that it was done. */
export const doneSchema = z.object({});

export const relayStatusSchema = z.object({
  status: z.literal("ok"),
  version: versionSchema,
  peers: countSchema,
  /** Of them, those with the capability `relay`. */
  relays: countSchema,
  uptimeMs: countSchema,
  intervalMs: intervalSchema,
  ttlMs: intervalSchema,
  /** Whether it lets in only those with a token to join. */
  closed: z.boolean(),
});
export type RelayStatus = z.infer<typeof relayStatusSchema>;

/** Data of the events `joined` and `changed`, by the name of the event; of `left` it is `peerLeftSchema`. */
export const peerThereSchema = z.object({ peer: listedPeerSchema });
export const peerLeftSchema = z.object({ peerId: peerIdSchema });

export type PeerEvent =
  | { readonly type: "joined" | "changed"; readonly peer: ListedPeer }
  | { readonly type: "left"; readonly peerId: string };
