/**
 * The token that a tracker gives a peer which has registered, to show with its heartbeats: the peer's id and 16 random bytes.
 * A store keeps only its mark, so that who reads it can send nobody's heartbeats. A process remembers the secret of whoever has
 * shown it, since to make a mark takes longer than all else that is done for a heartbeat.
 *
 *   token = peerId (26) ‖ base64url(secret) (22)        mark = SHA-256(token)[0..16]
 */

import { encodeBase64Url } from "../encoding.ts";
import type { Bytes, Primitives } from "../primitives.ts";
import type { Random } from "../random.ts";

export const MARK_BYTES = 16;
const SECRET_BYTES = 16;
/** Characters of a token that are its secret. */
export const SECRET_LENGTH = 22;
const ID_LENGTH = 26;
const TOKEN = /^[a-z2-7]{25}[aeimquy4][A-Za-z0-9_-]{21}[AQgw]$/;

export function makeToken(peerId: string, random: Random): string {
  return peerId + encodeBase64Url(random.fill(new Uint8Array(SECRET_BYTES)));
}

/** Whose it says it is; undefined for what is no token. */
export function peerOfToken(token: string): string | undefined {
  return TOKEN.test(token) ? token.slice(0, ID_LENGTH) : undefined;
}

export function markOf(token: string, primitives: Pick<Primitives, "sha256">): Bytes {
  return primitives.sha256(new TextEncoder().encode(token)).slice(0, MARK_BYTES);
}
