/**
 * Secrets that we make up: 128 random bits in base32, so that they can be typed and need no slow hash. What is kept is
 * their SHA-256.
 */

import { equalInConstantTime } from "../../../protocol/constant_time.ts";
import { decodeBase64Url, encodeBase32, encodeBase64Url } from "../../../protocol/encoding.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import type { Random } from "../../../protocol/random.ts";

const SECRET_BYTES = 16;
/** 60 of these bits are used. */
const USER_ID_BYTES = 8;
const USER_ID_CHARACTERS = 12;
const ID_BYTES = 10;
const NO_HASH = new Uint8Array(32);

export function makeSecret(random: Random): string {
  return encodeBase32(random.fill(new Uint8Array(SECRET_BYTES)));
}

export function makeUserId(random: Random): string {
  return encodeBase32(random.fill(new Uint8Array(USER_ID_BYTES))).slice(0, USER_ID_CHARACTERS);
}

/** Of a key, a family: unlikely ever to be made twice. */
export function makeAccessId(random: Random): string {
  return encodeBase32(random.fill(new Uint8Array(ID_BYTES)));
}

export function hashSecret(secret: string, primitives: Primitives): string {
  return encodeBase64Url(primitives.sha256(new TextEncoder().encode(secret)));
}

/** Whether the secret has this hash. Takes as long when there is none to compare with. */
export function fitsHash(secret: string, hash: string | undefined, primitives: Primitives): boolean {
  const given = primitives.sha256(new TextEncoder().encode(secret));
  const expected = hash === undefined ? undefined : decodeBase64Url(hash);
  const isEqual = equalInConstantTime(given, expected ?? NO_HASH);
  return isEqual && expected !== undefined;
}
