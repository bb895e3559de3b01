/**
 * What a supernode may tell a peer to do. Every command has an id under which it is applied once, a sequence number
 * that says where it stands in the order of that supernode's commands to that peer, and a deadline after which nobody
 * begins it any more. Design §5.
 *
 *   SETUP_EXIT    exit    serve this client's session; or one that it serves for longer
 *   ROTATE_PEER   client  the session goes on under a new id at another exit; the old one is let go of afterwards
 *   RELAY_SETUP   relay   carry WireGuard packets of this client to that exit
 *   RELAY_UPDATE  any     the way to the supernode changes: another address, or it is about to go away
 *   DISCONNECT    any     let go of the session; without a session id, of everything
 *
 * Not here: when they are sent (`command_queue.ts`), how often they are applied (`applied_commands.ts`).
 */

import { z } from "zod";
import {
  cidrSchema,
  endpointSchema,
  keySchema,
  megabitsSchema,
  millisecondsSchema,
  nameSchema,
  peerIdSchema,
  peerKeysSchema,
  remarkSchema,
  sequenceSchema,
  timeSchema,
  tokenSchema,
  urlSchema,
} from "../fields.ts";
import { packetGrantSchema, packetOfferSchema, packetSetupSchema } from "./packets.ts";

const MAX_ALLOWED_IPS = 16;
const MAX_SUPERNODES = 8;

/** A session as its client is told of it: whom to speak to, under which id, until when. */
export const sessionOfferSchema = z.object({
  sessionId: tokenSchema,
  exit: peerKeysSchema,
  region: nameSchema,
  expiresAtMs: timeSchema,
  latencyMs: millisecondsSchema.optional(),
  bandwidthMbps: megabitsSchema.optional(),
  /** It carries packets; otherwise streams. */
  packets: packetOfferSchema.optional(),
});
export type SessionOffer = z.infer<typeof sessionOfferSchema>;

/** A supernode that a peer may connect to. */
export const supernodeAddressSchema = z.object({ url: urlSchema, supernodeId: peerIdSchema });
export type SupernodeAddress = z.infer<typeof supernodeAddressSchema>;

/** What shows that a WireGuard key is its owner's; in closed networks with the owner's certificate. */
export const keyProofSchema = peerKeysSchema.pick({ publicKey: true, wireguardSignature: true, certificate: true });
export type KeyProof = z.infer<typeof keyProofSchema>;

export const setupExitSchema = z.object({
  clientPeerId: peerIdSchema,
  clientWireguardKey: keySchema,
  /** Without it an exit has only its supernode's word for the two above: one in a closed network insists on it. */
  clientProof: keyProofSchema.optional(),
  /** The addresses the client would like to have, or to keep, in its tunnel. */
  allowedIps: z.array(cidrSchema).max(MAX_ALLOWED_IPS).optional(),
  /** The session carries packets; otherwise streams. */
  packets: packetSetupSchema.optional(),
  expiresAtMs: timeSchema,
  /** It is served already: only the time of its end is new, and if that fails it goes on as it was. */
  renews: z.boolean().optional(),
});
export type SetupExit = z.infer<typeof setupExitSchema>;

export const rotatePeerSchema = z.object({
  reason: z.enum(["exit_failed", "exit_left", "exit_drains", "better_exit", "asked"]),
  /** What takes the place of the session that the command names. */
  next: sessionOfferSchema,
  /** How long streams on the old session may go on. */
  drainMs: millisecondsSchema,
});
export type RotatePeer = z.infer<typeof rotatePeerSchema>;

export const relaySetupSchema = z.object({
  clientPeerId: peerIdSchema,
  clientWireguardKey: keySchema,
  exitPeerId: peerIdSchema,
  exitWireguardKey: keySchema,
  relayAddress: cidrSchema,
  expiresAtMs: timeSchema,
});
export type RelaySetup = z.infer<typeof relaySetupSchema>;

export const relayUpdateSchema = z.object({
  reason: z.enum(["drain", "moved"]),
  /** Where to go, best first. Empty: stay, but expect the stream to end. */
  supernodes: z.array(supernodeAddressSchema).max(MAX_SUPERNODES),
  /** How long the present stream will still be there. */
  leaveWithinMs: millisecondsSchema,
});
export type RelayUpdate = z.infer<typeof relayUpdateSchema>;

export const disconnectSchema = z.object({
  reason: z.enum([
    "client_left",
    "exit_failed",
    "expired",
    "replaced",
    "setup_failed",
    "revoked",
    "admin",
    "shutdown",
  ]),
  remark: remarkSchema.optional(),
});
export type Disconnect = z.infer<typeof disconnectSchema>;

/** What every command has around its payload. */
const envelope = {
  type: z.literal("command"),
  commandId: tokenSchema,
  sequence: sequenceSchema.min(1),
  issuedAtMs: timeSchema,
  deadlineAtMs: timeSchema,
};

export const commandSchema = z.discriminatedUnion("kind", [
  z.object({ ...envelope, kind: z.literal("SETUP_EXIT"), sessionId: tokenSchema, payload: setupExitSchema }),
  z.object({ ...envelope, kind: z.literal("ROTATE_PEER"), sessionId: tokenSchema, payload: rotatePeerSchema }),
  z.object({ ...envelope, kind: z.literal("RELAY_SETUP"), sessionId: tokenSchema, payload: relaySetupSchema }),
  z.object({
    ...envelope,
    kind: z.literal("RELAY_UPDATE"),
    sessionId: tokenSchema.optional(),
    payload: relayUpdateSchema,
  }),
  z.object({
    ...envelope,
    kind: z.literal("DISCONNECT"),
    sessionId: tokenSchema.optional(),
    payload: disconnectSchema,
  }),
]);
export type Command = z.infer<typeof commandSchema>;
export type CommandKind = Command["kind"];

export const COMMAND_KINDS = ["SETUP_EXIT", "ROTATE_PEER", "RELAY_SETUP", "RELAY_UPDATE", "DISCONNECT"] as const;

/** What is ordered: the queue adds the sequence number and the times. */
export type CommandOrder = Command extends infer C
  ? C extends Command ? Omit<C, "type" | "sequence" | "issuedAtMs" | "deadlineAtMs"> & { readonly timeoutMs: number }
  : never
  : never;

/**
 *   applied      done, now or earlier
 *   failed       not done, and what had been begun is undone
 *   expired      not begun, since the deadline had passed
 *   unsupported  not begun; this peer does not do such things
 *   forgotten    not begun, since it stands before commands long finished; nobody knows its outcome
 *   busy         not begun, ask again
 */
export const commandStatusSchema = z.enum(["applied", "failed", "expired", "unsupported", "forgotten", "busy"]);
export type CommandStatus = z.infer<typeof commandStatusSchema>;

export const commandResultSchema = z.object({
  type: z.literal("command.result"),
  commandId: tokenSchema,
  status: commandStatusSchema,
  /** Stable, for programs, such as "policy" or "no_capacity". */
  code: z.string().regex(/^[a-z][a-z0-9_]{0,31}$/).optional(),
  remark: remarkSchema.optional(),
  /** Where the exit's WireGuard may be reached by anybody, if it may. */
  endpoint: endpointSchema.optional(),
  /** What a client whose packets the exit carries gets of it. */
  packets: packetGrantSchema.optional(),
});
export type CommandResult = z.infer<typeof commandResultSchema>;
