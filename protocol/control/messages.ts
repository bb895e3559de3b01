/**
 * The messages of a control stream: JSON texts of at most 64 KiB, told apart by `type`. Unknown fields are dropped, an
 * unknown type is answered with `error` and counted. Design §5.
 *
 *   peer                                supernode
 *   auth.request ─────────────────────→            first, and within 8 KiB, since nobody has been identified yet
 *                ←────────────────────  auth.response
 *   ping (telemetry) ─────────────────→            every 10 s
 *                ←────────────────────  pong
 *                ←────────────────────  command
 *   command.result ───────────────────→
 *   info.request ─────────────────────→            exit | renew | relay_token | sessions | end_session
 *                ←────────────────────  info.response
 *   error        ←───────────────────→  error
 *
 * Not here: signatures (`auth.ts`), payloads of commands (`commands.ts`), who may say what when (`stream_server.ts`).
 */

import { z } from "zod";
import { CERTIFICATE_REFUSALS } from "../certificate.ts";
import {
  certificateSchema,
  cidrSchema,
  countSchema,
  keySchema,
  megabitsSchema,
  millisecondsSchema,
  nameSchema,
  peerIdSchema,
  peerKeysSchema,
  remarkSchema,
  secretSchema,
  sequenceSchema,
  shareSchema,
  signatureSchema,
  timeSchema,
  tokenSchema,
  versionSchema,
} from "../fields.ts";
import { commandResultSchema, commandSchema, sessionOfferSchema } from "./commands.ts";
import { carriesSchema, packetTelemetrySchema, relayModeSchema } from "./packets.ts";

export const MAX_MESSAGE_BYTES = 64 * 1024;
/** An auth request with the longest certificate is under 4 KiB. */
export const MAX_AUTH_REQUEST_BYTES = 8 * 1024;
/** The most sessions a peer names or is told of at once. */
export const MAX_SESSIONS = 1024;
const MAX_EXCLUDED = 64;

export const CONTROL_ROLES = ["client", "exit"] as const;
export const controlRoleSchema = z.enum(CONTROL_ROLES);
export type ControlRole = z.infer<typeof controlRoleSchema>;

/** The last command of that supernode which the peer has finished. */
export const resumeSchema = z.object({ supernodeId: peerIdSchema, lastSequence: sequenceSchema });
export type Resume = z.infer<typeof resumeSchema>;

export const authRequestSchema = peerKeysSchema.extend({
  type: z.literal("auth.request"),
  role: controlRoleSchema,
  region: nameSchema,
  /** The supernode it is meant for: signed, so that no supernode can pass it on to another as its own. */
  supernodeId: peerIdSchema,
  nonce: tokenSchema,
  timestampMs: timeSchema,
  signature: signatureSchema,
  resume: resumeSchema.optional(),
  version: versionSchema.optional(),
});
export type AuthRequest = z.infer<typeof authRequestSchema>;

/** Why a stream is not let in. Each is a label of `stream_auth_failures_total`. */
export const AUTH_REFUSALS = [
  "malformed", // not a message, or not a well-formed auth request
  "too_large",
  "wrong_first_message",
  "timeout", // no auth request in time
  "rate_limited",
  "busy",
  "draining",
  "wrong_supernode",
  "stale", // the timestamp is more than a minute off
  "wrong_peer_id", // the peer id is not that of the key
  "revoked",
  "bad_signature",
  "bad_binding", // the identity did not sign the WireGuard key
  "no_certificate",
  "bad_certificate",
  "replayed",
  "unavailable", // the supernode cannot check at present
] as const;
export const authRefusalSchema = z.enum(AUTH_REFUSALS);
export type AuthRefusal = z.infer<typeof authRefusalSchema>;

export const authAcceptedSchema = z.object({
  type: z.literal("auth.response"),
  ok: z.literal(true),
  supernodeId: peerIdSchema,
  publicKey: keySchema,
  /** The supernode's over the request's nonce: this answer is to that request. */
  signature: signatureSchema,
  certificate: certificateSchema.optional(),
  region: nameSchema,
  /** Good once, for one data link of this peer. */
  relayToken: secretSchema.optional(),
  serverTimeMs: timeSchema,
  pingEveryMs: millisecondsSchema,
  timeoutMs: millisecondsSchema,
});
export type AuthAccepted = z.infer<typeof authAcceptedSchema>;

export const authRefusedSchema = z.object({
  type: z.literal("auth.response"),
  ok: z.literal(false),
  reason: authRefusalSchema,
  retryAfterMs: millisecondsSchema.optional(),
  /** Told with `bad_certificate`: what is wrong with it. */
  certificate: z.enum(CERTIFICATE_REFUSALS).optional(),
  /** Told with `stale`, so that a peer whose clock is wrong can do something about it. */
  serverTimeMs: timeSchema.optional(),
});
export type AuthRefused = z.infer<typeof authRefusedSchema>;

export const authResponseSchema = z.discriminatedUnion("ok", [authAcceptedSchema, authRefusedSchema]);
export type AuthResponse = z.infer<typeof authResponseSchema>;

/** What a peer says of itself with a ping; whatever it leaves out is unknown. */
export const telemetrySchema = z.object({
  /** Ping to pong, the last one. */
  rttMs: millisecondsSchema.optional(),
  txMbps: megabitsSchema.optional(),
  rxMbps: megabitsSchema.optional(),
  /** What could still be carried. */
  spareMbps: megabitsSchema.optional(),
  load: shareSchema.optional(),
  sessions: countSchema.optional(),
  /** Probes through the egress, not merely of the control stream. */
  dataPath: z.object({
    ok: z.boolean(),
    latencyMs: millisecondsSchema.optional(),
    failures: countSchema.optional(),
  }).optional(),
  wireguard: z.object({
    peers: countSchema,
    rxBytes: countSchema,
    txBytes: countSchema,
    lastHandshakeAgeMs: millisecondsSchema.optional(),
  }).optional(),
  /** It carries packets; left out by one that does not. */
  packets: packetTelemetrySchema.optional(),
  draining: z.boolean().optional(),
});
export type Telemetry = z.infer<typeof telemetrySchema>;

export const pingSchema = z.object({
  type: z.literal("ping"),
  sequence: countSchema,
  telemetry: telemetrySchema.optional(),
});
export type Ping = z.infer<typeof pingSchema>;

export const pongSchema = z.object({ type: z.literal("pong"), sequence: countSchema, serverTimeMs: timeSchema });
export type Pong = z.infer<typeof pongSchema>;

/** What a client wants of an exit: `RequestExitEndpoint(region, minBandwidth, maxLatency)`. */
export const exitWishSchema = z.object({
  /** Left out: anywhere. */
  region: nameSchema.optional(),
  minBandwidthMbps: megabitsSchema.optional(),
  maxLatencyMs: millisecondsSchema.optional(),
  /** Exits that have just failed this client. */
  exclude: z.array(peerIdSchema).max(MAX_EXCLUDED).optional(),
  /** Left out: streams. */
  carries: carriesSchema.optional(),
  /** How packets are relayed. Left out: blindly. */
  relay: relayModeSchema.optional(),
  /** The addresses that the client would like to keep in its tunnel. */
  addresses: z.array(cidrSchema).max(2).optional(),
});
export type ExitWish = z.infer<typeof exitWishSchema>;

const request = { type: z.literal("info.request"), requestId: tokenSchema };

/** Why a peer has let go of a session: without a reason it does not want it any more. */
export const sessionLeftSchema = z.enum(["expired", "policy", "shutdown"]);
export type SessionLeft = z.infer<typeof sessionLeftSchema>;

export const infoRequestSchema = z.discriminatedUnion("what", [
  z.object({
    ...request,
    what: z.literal("exit"),
    wish: exitWishSchema,
    /** Every session that the client has: others were granted to it without its hearing so, and are to end. */
    held: z.array(tokenSchema).max(MAX_SESSIONS).optional(),
  }),
  z.object({ ...request, what: z.literal("relay_token") }),
  /** The session is to last longer. */
  z.object({ ...request, what: z.literal("renew"), sessionId: tokenSchema }),
  /** Those that the supernode knows of; of the ones named, if any are. */
  z.object({ ...request, what: z.literal("sessions"), sessionIds: z.array(tokenSchema).max(MAX_SESSIONS).optional() }),
  z.object({
    ...request,
    what: z.literal("end_session"),
    sessionId: tokenSchema,
    reason: sessionLeftSchema.optional(),
  }),
]);
export type InfoRequest = z.infer<typeof infoRequestSchema>;

export const infoFailureSchema = z.enum([
  "no_exit", // none that fits the wish
  "busy",
  "unknown_session",
  "forbidden",
  "timeout",
  "unavailable",
]);
export type InfoFailure = z.infer<typeof infoFailureSchema>;

const response = { type: z.literal("info.response"), requestId: tokenSchema };

export const infoResponseSchema = z.discriminatedUnion("what", [
  z.object({ ...response, what: z.literal("exit"), session: sessionOfferSchema }),
  z.object({ ...response, what: z.literal("renew"), expiresAtMs: timeSchema }),
  z.object({ ...response, what: z.literal("relay_token"), relayToken: secretSchema }),
  z.object({ ...response, what: z.literal("sessions"), sessionIds: z.array(tokenSchema).max(MAX_SESSIONS) }),
  z.object({ ...response, what: z.literal("end_session") }),
  z.object({
    ...response,
    what: z.literal("failed"),
    reason: infoFailureSchema,
    remark: remarkSchema.optional(),
    retryAfterMs: millisecondsSchema.optional(),
  }),
]);
export type InfoResponse = z.infer<typeof infoResponseSchema>;

export const ERROR_CODES = [
  "malformed",
  "too_large",
  "unknown_type",
  "unexpected", // well-formed, but not now or not from you
  "too_fast",
  "timeout",
  "replaced", // the same identity has opened a newer stream
  "revoked",
  "expired", // the certificate that was shown at the beginning has ended
  "shutdown",
  "internal",
] as const;
export const errorCodeSchema = z.enum(ERROR_CODES);
export type ErrorCode = z.infer<typeof errorCodeSchema>;

export const errorMessageSchema = z.object({
  type: z.literal("error"),
  code: errorCodeSchema,
  remark: remarkSchema.optional(),
  retryAfterMs: millisecondsSchema.optional(),
});
export type ErrorMessage = z.infer<typeof errorMessageSchema>;

export const controlMessageSchema = z.discriminatedUnion("type", [
  authRequestSchema,
  authResponseSchema,
  pingSchema,
  pongSchema,
  commandSchema,
  commandResultSchema,
  infoRequestSchema,
  infoResponseSchema,
  errorMessageSchema,
]);
export type ControlMessage = z.infer<typeof controlMessageSchema>;
export type ControlType = ControlMessage["type"];

export const CONTROL_TYPES: readonly ControlType[] = [
  "auth.request",
  "auth.response",
  "ping",
  "pong",
  "command",
  "command.result",
  "info.request",
  "info.response",
  "error",
];

export type ParseFailure = "too_large" | "malformed" | "unknown_type";

export type ParsedControl =
  | { readonly ok: true; readonly message: ControlMessage }
  | { readonly ok: false; readonly reason: ParseFailure };

/** Reads a message that may come from anyone. Never throws. */
export function parseControl(text: string, maxBytes = MAX_MESSAGE_BYTES): ParsedControl {
  if (isLongerThan(text, maxBytes)) return { ok: false, reason: "too_large" };
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { ok: false, reason: "malformed" };
  const type: unknown = (value as Record<string, unknown>)["type"];
  if (typeof type !== "string") return { ok: false, reason: "malformed" };
  if (!(CONTROL_TYPES as readonly string[]).includes(type)) return { ok: false, reason: "unknown_type" };
  const parsed = controlMessageSchema.safeParse(value);
  return parsed.success ? { ok: true, message: parsed.data } : { ok: false, reason: "malformed" };
}

export function encodeControl(message: ControlMessage): string {
  return JSON.stringify(message);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether the UTF-8 of the text has more than so many bytes, counted only where its length leaves that open. */
function isLongerThan(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  if (text.length * 3 <= maxBytes) return false;
  return new TextEncoder().encode(text).length > maxBytes;
}
