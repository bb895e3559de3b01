/**
 * A session is one client's use of one exit, from the request to the end. The client's supernode owns the record.
 *
 *   requested ── chosen ──→ setting_up ── ready ──→ active ── rotate ──→ rotating ── end ──→ ended
 *       ↑                       │                     ↑                     │
 *       └─────── refused ───────┘                     └─────── stay ────────┘
 *
 * Any of them may be ended; nothing leaves `ended`. Rotating is make before break: the session that takes its place has
 * an id of its own, `nextSessionId`, and this one goes on until that is ready. `candidates` are the exits still to be
 * tried, best first; those that were tried in vain are in `failed`.
 *
 * Not here: which exit is better (`control/selection.ts`), where records are kept (`kv/sessions.ts`).
 */

import { z } from "zod";
import { keyProofSchema } from "./control/commands.ts";
import { exitWishSchema } from "./control/messages.ts";
import { packetGrantSchema, packetOfferSchema, packetSetupSchema } from "./control/packets.ts";
import { type ExitCandidate, exitCandidateSchema } from "./directory.ts";
import { countSchema, endpointSchema, keySchema, peerIdSchema, timeSchema, tokenSchema } from "./fields.ts";

/** Two KiB each at most: with these the record stays far below the 64 KiB of a value in KV. */
export const MAX_SESSION_CANDIDATES = 8;
export const MAX_SESSION_FAILED = 32;

export const SESSION_STATES = ["requested", "setting_up", "active", "rotating", "ended"] as const;
export const sessionStateSchema = z.enum(SESSION_STATES);
export type SessionState = z.infer<typeof sessionStateSchema>;

export const sessionEndSchema = z.enum([
  "client_left",
  "exit_failed",
  "exit_left",
  "no_exit",
  "rotated",
  "expired",
  "revoked",
  "admin",
  "shutdown",
]);
export type SessionEnd = z.infer<typeof sessionEndSchema>;

/** An address and port, with a number for the interface where the address has a zone. */
const placeSchema = z.string().max(64).regex(/^[0-9A-Za-z.:%\[\]]+$/);

/** A supernode's part in a session that carries packets. */
export const sessionPacketsSchema = z.object({
  /** The UDP port here that is the session's own; of a tunnel that ends here the port at which the exit finds it. */
  relayPort: z.int().min(1).max(65_535),
  /** The port of the other supernode of the session, if it has one: the exit's, or, where the exit is here, the client's. */
  farRelay: endpointSchema.optional(),
  /** The exit's answer. */
  grant: packetGrantSchema.optional(),
  /** What the client was told, where its tunnel ends here. Otherwise that is the grant. */
  offer: packetOfferSchema.optional(),
});
export type SessionPackets = z.infer<typeof sessionPacketsSchema>;

export const sessionRecordSchema = z.object({
  sessionId: tokenSchema,
  state: sessionStateSchema,
  clientPeerId: peerIdSchema,
  clientWireguardKey: keySchema,
  clientProof: keyProofSchema.optional(),
  clientSupernodeId: peerIdSchema,
  wish: exitWishSchema,
  /** There from `setting_up` on. */
  exit: exitCandidateSchema.optional(),
  /** Of a session that carries packets: what was opened and agreed for it. */
  packets: sessionPacketsSchema.optional(),
  /** Nobody is connected for it (a stock WireGuard app): it does not end because its client is away. */
  isStatic: z.boolean().optional(),
  /** The SETUP_EXIT that is under way or was answered. */
  setupCommandId: tokenSchema.optional(),
  candidates: z.array(exitCandidateSchema).max(MAX_SESSION_CANDIDATES),
  failed: z.array(peerIdSchema).max(MAX_SESSION_FAILED),
  /** The session it takes the place of. */
  previousSessionId: tokenSchema.optional(),
  /** The session that takes its place. */
  nextSessionId: tokenSchema.optional(),
  endReason: sessionEndSchema.optional(),
  createdAtMs: timeSchema,
  updatedAtMs: timeSchema,
  expiresAtMs: timeSchema,
  /** Goes up with every change, so that a late writer can be told from a new one. */
  revision: countSchema,
});
export type SessionRecord = z.infer<typeof sessionRecordSchema>;

/** Where handshakes have shown the sides of a session to be, so that a relay can go on after a restart. */
export const relayAddressesSchema = z.object({
  sessionId: tokenSchema,
  clientAt: placeSchema.optional(),
  exitAt: placeSchema.optional(),
  expiresAtMs: timeSchema,
});
export type RelayAddresses = z.infer<typeof relayAddressesSchema>;

/** A session as its exit keeps it: whose streams it takes, and until when. */
export const servedSessionSchema = z.object({
  sessionId: tokenSchema,
  /** Whose session it is; earlier versions did not store it. */
  clientPeerId: peerIdSchema.optional(),
  /** The client's X25519 key. */
  clientKey: keySchema,
  expiresAtMs: timeSchema,
  /** The supernode that ordered it. */
  supernodeId: peerIdSchema.optional(),
  /** It carries packets: what was ordered, and what was granted. */
  packets: packetSetupSchema.extend({ grant: packetGrantSchema }).optional(),
});
export type ServedSessionRecord = z.infer<typeof servedSessionSchema>;

export interface SessionRequest {
  readonly sessionId: string;
  readonly clientPeerId: string;
  readonly clientWireguardKey: string;
  readonly clientProof?: SessionRecord["clientProof"];
  readonly clientSupernodeId: string;
  readonly wish: SessionRecord["wish"];
  /** Best first; what is beyond the bound is left out. */
  readonly candidates: readonly ExitCandidate[];
  readonly previousSessionId?: string | undefined;
  readonly isStatic?: boolean | undefined;
  readonly expiresAtMs: number;
}

export type SessionEvent =
  /** The exit is taken from the candidates and has been told. */
  | {
    readonly kind: "chosen";
    readonly exitPeerId: string;
    readonly setupCommandId: string;
    readonly packets?: SessionPackets | undefined;
  }
  | { readonly kind: "ready"; readonly packets?: SessionPackets | undefined }
  /** The exit cannot or will not, or has not answered. */
  | { readonly kind: "refused" }
  | { readonly kind: "rotate"; readonly nextSessionId: string }
  /** The exit came back, or nothing better was found. */
  | { readonly kind: "stay" }
  | { readonly kind: "candidates"; readonly candidates: readonly ExitCandidate[] }
  | { readonly kind: "renew"; readonly expiresAtMs: number }
  /** The exit is to be told again, under another command, or has been, and its answer or a port is another now. */
  | { readonly kind: "set_up_again"; readonly setupCommandId?: string; readonly packets?: SessionPackets | undefined }
  | { readonly kind: "end"; readonly reason: SessionEnd };

/** A session that has just been asked for. */
export function openSession(request: SessionRequest, wallMs: number): SessionRecord {
  const { sessionId, clientPeerId, clientWireguardKey, clientProof, clientSupernodeId, wish } = request;
  const { previousSessionId, isStatic } = request;
  return {
    sessionId,
    state: "requested",
    clientPeerId,
    clientWireguardKey,
    ...(clientProof !== undefined && { clientProof }),
    clientSupernodeId,
    wish,
    candidates: request.candidates.slice(0, MAX_SESSION_CANDIDATES),
    failed: [],
    ...(isStatic !== undefined && { isStatic }),
    ...(previousSessionId !== undefined && { previousSessionId }),
    createdAtMs: wallMs,
    updatedAtMs: wallMs,
    expiresAtMs: request.expiresAtMs,
    revision: 0,
  };
}

/** The session after the event, or undefined if it cannot happen in the state it is in. The old record stays as it is. */
export function advanceSession(session: SessionRecord, event: SessionEvent, wallMs: number): SessionRecord | undefined {
  if (session.state === "ended") return undefined;
  const change = changeOf(session, event);
  return change && { ...session, ...change, updatedAtMs: wallMs, revision: session.revision + 1 };
}

/** Whether the exit is to serve it at present. */
export function isServed(session: SessionRecord, wallMs: number): boolean {
  return (session.state === "active" || session.state === "rotating") && wallMs < session.expiresAtMs;
}

function changeOf(session: SessionRecord, event: SessionEvent): Partial<SessionRecord> | undefined {
  const { state } = session;
  switch (event.kind) {
    case "chosen": {
      const exit = session.candidates.find((candidate) => candidate.exit.peerId === event.exitPeerId);
      if (state !== "requested" || !exit) return undefined;
      const candidates = session.candidates.filter((candidate) => candidate !== exit);
      const { setupCommandId, packets } = event;
      return { state: "setting_up", exit, candidates, setupCommandId, ...(packets && { packets }) };
    }
    case "ready":
      if (state !== "setting_up") return undefined;
      return { state: "active", ...(event.packets && { packets: event.packets }) };
    case "refused":
      if (state !== "setting_up") return undefined;
      return {
        state: "requested",
        failed: [...session.failed, session.exit!.exit.peerId].slice(-MAX_SESSION_FAILED),
        ...(session.packets && { packets: undefined }),
      };
    case "rotate":
      return state === "active" ? { state: "rotating", nextSessionId: event.nextSessionId } : undefined;
    case "stay":
      return state === "rotating" ? { state: "active", nextSessionId: undefined } : undefined;
    case "candidates":
      return { candidates: event.candidates.slice(0, MAX_SESSION_CANDIDATES) };
    case "renew":
      return event.expiresAtMs >= session.expiresAtMs ? { expiresAtMs: event.expiresAtMs } : undefined;
    case "set_up_again": {
      const { setupCommandId, packets } = event;
      if (state !== "active" && state !== "rotating") return undefined;
      return { ...(setupCommandId !== undefined && { setupCommandId }), ...(packets && { packets }) };
    }
    case "end":
      return { state: "ended", endReason: event.reason, candidates: [] };
  }
}
