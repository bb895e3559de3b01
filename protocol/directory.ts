/**
 * What base knows and tells: which supernodes and relays there are, where, and how loaded; and what supernodes ask each
 * other for. Everything here travels as JSON over HTTPS under a message signature (`http_signature.ts`), which says who
 * is speaking; the records carry the time at which they stop counting, to be checked by whoever reads them.
 *
 *   SupernodeRegistration   supernode → base        once, and when something lasting changes
 *   HeartbeatBatch          supernode → base        what changes all the time
 *   ExitRegionRequest       supernode → base        which supernodes have exits there?      ExitRegionResponse
 *   ExitPeerRequest         supernode → supernode   which exits of yours would do?          ExitPeerResponse
 *   ExitSetupRequest        supernode → supernode   have that exit serve this session    ExitSetupResponse
 *   ExitEndRequest          supernode → supernode   have it let go of the session
 *   ExitNotice              supernode → supernode   your sessions at that exit are in trouble, or over
 *   SessionCheck            supernode → supernode   which of these sessions do you not know?     SessionCheckResponse
 *   RelayRegistration       relay → base            once and again before it expires
 */

import { z } from "zod";
import { commandResultSchema, disconnectSchema, setupExitSchema } from "./control/commands.ts";
import { exitWishSchema, MAX_SESSIONS } from "./control/messages.ts";
import {
  certificateSchema,
  countSchema,
  endpointSchema,
  keySchema,
  megabitsSchema,
  millisecondsSchema,
  nameSchema,
  peerIdSchema,
  peerKeysSchema,
  secretSchema,
  shareSchema,
  timeSchema,
  tokenSchema,
  urlSchema,
  versionSchema,
} from "./fields.ts";

export const MAX_HEARTBEATS_PER_BATCH = 500;
export const MAX_CANDIDATES = 32;
/** Of a supernode whose exits are in more regions, those with the fewest exits are not found by others. */
export const MAX_EXIT_REGIONS = 16;
/** A supernode is gone when base has not heard of it for so long: three heartbeats. */
export const SUPERNODE_EXPIRY_MS = 30_000;
export const SUPERNODE_HEARTBEAT_MS = 10_000;
/** A relay registers again before this has passed. */
export const RELAY_EXPIRY_MS = 60_000;
/** Of a relay with more gateways than this, the others are not found. */
export const MAX_RELAY_GATEWAYS = 16;
/** Relays and their gateways on one page of a list. */
export const MAX_RELAY_PAGE = 256;

/** What of a supernode changes all the time. */
export const supernodeStatusSchema = z.object({
  load: shareSchema,
  streams: countSchema,
  exits: countSchema,
  /** Where they are, each region once. Left out: all in the supernode's own. */
  exitRegions: z.array(nameSchema).max(MAX_EXIT_REGIONS).optional(),
  draining: z.boolean(),
});
export type SupernodeStatus = z.infer<typeof supernodeStatusSchema>;

export const supernodeRegistrationSchema = z.object({
  supernodeId: peerIdSchema,
  publicKey: keySchema,
  region: nameSchema,
  /** Its public address, such as `https://sn1.example:443`; `/control` and `/relay` are below it. */
  url: urlSchema,
  /** Where other supernodes make their requests, if not there. */
  peeringUrl: urlSchema.optional(),
  maxStreams: countSchema,
  version: versionSchema,
  certificate: certificateSchema.optional(),
  status: supernodeStatusSchema,
});
export type SupernodeRegistration = z.infer<typeof supernodeRegistrationSchema>;

export const supernodeRecordSchema = supernodeRegistrationSchema.extend({
  registeredAtMs: timeSchema,
  heartbeatAtMs: timeSchema,
  expiresAtMs: timeSchema,
});
export type SupernodeRecord = z.infer<typeof supernodeRecordSchema>;

export const supernodeHeartbeatSchema = supernodeStatusSchema.extend({ supernodeId: peerIdSchema });
export type SupernodeHeartbeat = z.infer<typeof supernodeHeartbeatSchema>;

export const heartbeatBatchSchema = z.object({
  heartbeats: z.array(supernodeHeartbeatSchema).min(1).max(MAX_HEARTBEATS_PER_BATCH),
});
export type HeartbeatBatch = z.infer<typeof heartbeatBatchSchema>;

/** Those that base does not know (any more) have to register again. */
export const heartbeatResponseSchema = z.object({
  unknown: z.array(peerIdSchema).max(MAX_HEARTBEATS_PER_BATCH),
  nextWithinMs: millisecondsSchema,
});
export type HeartbeatResponse = z.infer<typeof heartbeatResponseSchema>;

/** Those that take sessions (with exits, and not draining), those that take peers (not draining), or all that live. */
export const supernodeSelectionSchema = z.enum(["with_exits", "open", "all"]);
export type SupernodeSelection = z.infer<typeof supernodeSelectionSchema>;

export const exitRegionRequestSchema = z.object({
  /** Where the exits are, or the supernodes when they are not asked for their exits. Left out: anywhere. */
  region: nameSchema.optional(),
  count: z.int().min(1).max(MAX_CANDIDATES).optional(),
  /** Left out: with exits. */
  which: supernodeSelectionSchema.optional(),
  /** None but these. */
  only: z.array(peerIdSchema).max(MAX_CANDIDATES).optional(),
  /** Supernodes that are not wanted, the asker itself among them. */
  exclude: z.array(peerIdSchema).max(MAX_CANDIDATES).optional(),
});
export type ExitRegionRequest = z.infer<typeof exitRegionRequestSchema>;

/** Live supernodes, best first. */
export const exitRegionResponseSchema = z.object({ supernodes: z.array(supernodeRecordSchema).max(MAX_CANDIDATES) });
export type ExitRegionResponse = z.infer<typeof exitRegionResponseSchema>;

/** An exit that would do, and how well: what `control/selection.ts` ranks. */
export const exitCandidateSchema = z.object({
  exit: peerKeysSchema,
  supernodeId: peerIdSchema,
  region: nameSchema,
  /** From its supernode; who asks adds the way to there. */
  latencyMs: millisecondsSchema.optional(),
  /** What it could still carry. */
  bandwidthMbps: megabitsSchema.optional(),
  /** The share of late probes of its data path that came back. */
  health: shareSchema,
  load: shareSchema,
  /** It carries packets too. */
  carriesPackets: z.boolean().optional(),
});
export type ExitCandidate = z.infer<typeof exitCandidateSchema>;

export const exitPeerRequestSchema = z.object({
  requestId: tokenSchema,
  clientPeerId: peerIdSchema,
  wish: exitWishSchema,
  count: z.int().min(1).max(MAX_CANDIDATES).optional(),
});
export type ExitPeerRequest = z.infer<typeof exitPeerRequestSchema>;

export const exitPeerResponseSchema = z.object({
  candidates: z.array(exitCandidateSchema).max(MAX_CANDIDATES),
  /** Good once, for one data link of the asking supernode. */
  relayToken: secretSchema.optional(),
});
export type ExitPeerResponse = z.infer<typeof exitPeerResponseSchema>;

/** What SETUP_EXIT carries, and whom it is for. The command id makes asking twice the same as asking once. */
export const exitSetupRequestSchema = setupExitSchema.extend({
  sessionId: tokenSchema,
  commandId: tokenSchema,
  exitPeerId: peerIdSchema,
  timeoutMs: millisecondsSchema,
});
export type ExitSetupRequest = z.infer<typeof exitSetupRequestSchema>;

/** What the exit said, or what became of asking it. */
export const exitSetupResponseSchema = commandResultSchema.pick({
  code: true,
  remark: true,
  endpoint: true,
  packets: true,
}).extend({
  /** Of a session that carries packets: the port that the supernode asked has opened for it. */
  relay: endpointSchema.optional(),
  status: z.enum([...commandResultSchema.shape.status.options, "unanswered", "no_such_exit"]),
  relayToken: secretSchema.optional(),
});
export type ExitSetupResponse = z.infer<typeof exitSetupResponseSchema>;

export const exitEndRequestSchema = disconnectSchema.extend({ sessionId: tokenSchema });
export type ExitEndRequest = z.infer<typeof exitEndRequestSchema>;

export const exitNoticeSchema = z.object({
  exitPeerId: peerIdSchema,
  /** `ended`: it is over, and nothing need be moved. `supernode_drains`: the exit goes to another supernode. */
  reason: z.enum(["exit_failed", "exit_left", "exit_drains", "supernode_drains", "revoked", "ended"]),
  sessionIds: z.array(tokenSchema).min(1).max(MAX_SESSIONS),
});
export type ExitNotice = z.infer<typeof exitNoticeSchema>;

/** Sessions in which the other has a part, as the asker believes. */
export const sessionCheckSchema = z.object({
  sessionIds: z.array(tokenSchema).max(MAX_SESSIONS),
  /** There are no others, so that the one asked may end what is not among them. */
  isAll: z.boolean().optional(),
});
export type SessionCheck = z.infer<typeof sessionCheckSchema>;

/** Those that it does not know, so that the asker may end them as well. */
export const sessionCheckResponseSchema = z.object({ unknown: z.array(tokenSchema).max(MAX_SESSIONS) });
export type SessionCheckResponse = z.infer<typeof sessionCheckResponseSchema>;

export const RELAY_KINDS = ["upstream", "central", "downstream", "relay"] as const;
export const relayKindSchema = z.enum(RELAY_KINDS);
export type RelayKind = z.infer<typeof relayKindSchema>;

/** An identity, and the X25519 key that what is meant for it is sealed to, signed as a WireGuard key is. */
const sealingFields = {
  publicKey: keySchema,
  sealingKey: keySchema,
  sealingKeySignature: peerKeysSchema.shape.wireguardSignature,
  certificate: certificateSchema.optional(),
};

/** A gateway as the relays tell of it that it keeps a link to: its keys, and no address. */
export const relayGatewaySchema = z.object({ gatewayId: peerIdSchema, ...sealingFields });
export type RelayGateway = z.infer<typeof relayGatewaySchema>;

export const relayRegistrationSchema = z.object({
  relayId: peerIdSchema,
  kind: relayKindSchema,
  ...sealingFields,
  region: nameSchema,
  url: urlSchema,
  load: shareSchema,
  bandwidthMbps: megabitsSchema.optional(),
  version: versionSchema,
  /** Of a relay of circuits: the gateways that can be reached through it now. */
  gateways: z.array(relayGatewaySchema).max(MAX_RELAY_GATEWAYS).optional(),
});
export type RelayRegistration = z.infer<typeof relayRegistrationSchema>;

export const relayRecordSchema = relayRegistrationSchema.extend({
  registeredAtMs: timeSchema,
  expiresAtMs: timeSchema,
});
export type RelayRecord = z.infer<typeof relayRecordSchema>;

/** How far a list has come. Only base reads it. */
export const relayCursorSchema = z.string().regex(
  /^[0-9.e+-]{1,24}_[0-9.e+-]{1,24}_[a-z]{1,16}_[a-z2-7]{26}$/,
  "a cursor from `next`",
);

export const relayQuerySchema = z.object({
  kind: relayKindSchema.optional(),
  region: nameSchema.optional(),
  count: z.int().min(1).max(MAX_RELAY_PAGE).optional(),
  /** `next` of the page before. */
  after: relayCursorSchema.optional(),
});
export type RelayQuery = z.infer<typeof relayQuerySchema>;

export const relayListSchema = z.object({
  relays: z.array(relayRecordSchema).max(MAX_RELAY_PAGE),
  /** There is more after this. */
  next: relayCursorSchema.optional(),
});
export type RelayList = z.infer<typeof relayListSchema>;

/** Whether a supernode says that it has exits there. */
export function hasExitsIn({ region, status }: Pick<SupernodeRecord, "region" | "status">, wanted: string): boolean {
  return status.exits > 0 && (status.exitRegions?.includes(wanted) ?? region === wanted);
}

/** Whether a record still counts. */
export function isLive(record: { readonly expiresAtMs: number }, wallMs: number): boolean {
  return wallMs < record.expiresAtMs;
}
