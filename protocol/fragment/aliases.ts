/**
 * The names a fragment session goes by, a different one at each relay, so that two relays that compare what they saw
 * find nothing in common. All of them follow from a secret that the client draws for the session and tells central.
 *
 *   up alias     SHA-256("culvert up v1" ‖ secret ‖ relay id)[0..16]        at that upstream
 *   down claim   SHA-256("culvert down v1" ‖ secret ‖ relay id)             shown by the client to that downstream
 *   down alias   SHA-256("culvert alias v1" ‖ claim)[0..16]                 used by central there
 *
 * Central posts to a down alias; only whoever knows the claim behind it can listen, and the downstream finds the one from
 * the other. A relay id is its text, of a fixed length, so nothing here is ambiguous.
 */

import { decodeBase32 } from "../encoding.ts";
import { isPeerId } from "../identity.ts";
import type { Bytes, Primitives } from "../primitives.ts";
import { concat } from "../tunnel_frame.ts";
import { ALIAS_BYTES, CENTRAL_ID_BYTES } from "./messages.ts";

export const SECRET_BYTES = 32;

/** By what name an upstream knows the session. */
export function upAlias(secret: Uint8Array, relayId: string, primitives: Hash): Bytes {
  return digest("culvert up v1", [secret, textBytes(relayId)], primitives).slice(0, ALIAS_BYTES);
}

/** What the client shows a downstream. */
export function downClaim(secret: Uint8Array, relayId: string, primitives: Hash): Bytes {
  return digest("culvert down v1", [secret, textBytes(relayId)], primitives);
}

/** By what name a downstream knows the session whose claim this is. */
export function downAlias(claim: Uint8Array, primitives: Hash): Bytes {
  return digest("culvert alias v1", [claim], primitives).slice(0, ALIAS_BYTES);
}

/** The raw bytes of a peer id, as messages carry them; undefined for a text that is none. */
export function peerIdBytes(peerId: string): Bytes | undefined {
  if (!isPeerId(peerId)) return undefined;
  return decodeBase32(peerId)?.slice(0, CENTRAL_ID_BYTES);
}

type Hash = Pick<Primitives, "sha256">;

function digest(domain: string, parts: readonly Uint8Array[], primitives: Hash): Bytes {
  return primitives.sha256(concat([textBytes(domain), ...parts]));
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
