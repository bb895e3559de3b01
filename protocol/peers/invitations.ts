/**
 * Invitations: whoever has the secret of one may come in and see what it is for, until it has expired, as many as may use it
 * have, or it was revoked.
 *
 *   secret, 16 bytes ─ in the ticket, and in a guest's knock          hash of it ─ all that its maker keeps
 *
 * It is used by a peer, not by a connection: who has used it once may come again, and does not count twice.
 */

import { z } from "zod";
import { encodeBase32, encodeBase64Url } from "../encoding.ts";
import { countSchema, peerIdSchema, timeSchema } from "../fields.ts";
import { MAX_PATH_BYTES } from "../files/listing.ts";
import type { Primitives } from "../primitives.ts";
import type { Random } from "../random.ts";
import { PEER_INVITATION_DOMAIN, signedBytes } from "../signing.ts";
import type { TurnedAway } from "./knock.ts";

const SECRET_BYTES = 16;
/** Of the hash: to tell one from another, by people. */
const ID_BYTES = 5;
/** Who has used it is remembered, so there are not more. */
export const MAX_INVITED_PEERS = 1000;

export const invitationIdSchema = z.string().regex(/^[a-z2-7]{8}$/);

export const invitationSchema = z.object({
  id: invitationIdSchema,
  /** SHA-256, in base64url. */
  hash: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** A folder or a file; "" is all. */
  scope: z.string().max(MAX_PATH_BYTES),
  mayUpload: z.boolean(),
  createdAtMs: timeSchema,
  /** The first millisecond at which it is of no use; without it there is none. */
  expiresAtMs: timeSchema.optional(),
  /** How many may use it. */
  maxPeers: countSchema.min(1).max(MAX_INVITED_PEERS),
  /** Who has. */
  usedBy: z.array(peerIdSchema).max(MAX_INVITED_PEERS),
});
export type Invitation = z.infer<typeof invitationSchema>;

export interface InvitationRequest {
  /** Default: all. */
  readonly scope?: string;
  readonly mayUpload?: boolean;
  /** Default: it does not expire. */
  readonly expiresAtMs?: number | undefined;
  /** Default 1. */
  readonly maxPeers?: number;
}

export interface InvitationTools {
  /** Must be unpredictable. */
  readonly random: Random;
  readonly primitives: Primitives;
  readonly wallNowMs: number;
}

/** A new invitation to be kept, and its secret to be given away. */
export function makeInvitation(
  { scope = "", mayUpload = false, expiresAtMs, maxPeers = 1 }: InvitationRequest,
  { random, primitives, wallNowMs }: InvitationTools,
): { readonly invitation: Invitation; readonly secret: string } {
  const secret = encodeBase64Url(random.fill(new Uint8Array(SECRET_BYTES)));
  const hash = hashBytes(secret, primitives);
  const invitation: Invitation = {
    id: encodeBase32(hash.subarray(0, ID_BYTES)),
    hash: encodeBase64Url(hash),
    scope,
    mayUpload,
    createdAtMs: wallNowMs,
    ...(expiresAtMs !== undefined && { expiresAtMs }),
    maxPeers,
    usedBy: [],
  };
  return { invitation: invitationSchema.parse(invitation), secret };
}

/** By what an invitation is found. */
export function invitationHash(secret: string, primitives: Primitives): string {
  return encodeBase64Url(hashBytes(secret, primitives));
}

/** Why the peer may not use it, or undefined. */
export function refusalOfInvitation(
  invitation: Invitation | undefined,
  peerId: string,
  wallNowMs: number,
): TurnedAway | undefined {
  if (!invitation) return "unknown_invitation";
  if (wallNowMs >= (invitation.expiresAtMs ?? Infinity)) return "expired_invitation";
  const { usedBy, maxPeers } = invitation;
  return usedBy.includes(peerId) || usedBy.length < maxPeers ? undefined : "used_invitation";
}

/** The invitation once that peer has used it; the same if it had before. */
export function usedInvitation(invitation: Invitation, peerId: string): Invitation {
  const { usedBy } = invitation;
  return usedBy.includes(peerId) ? invitation : { ...invitation, usedBy: [...usedBy, peerId] };
}

function hashBytes(secret: string, primitives: Primitives): Uint8Array {
  return primitives.sha256(signedBytes(PEER_INVITATION_DOMAIN, [secret]));
}
