/**
 * The crypts of kcp-go that are spoken here, by the names its programs give them.
 *
 *   aes, aes-128, aes-192, salsa20, xor, none    nonce 16 | CRC32 4 | body      whole datagram hidden (`checked_seal.ts`)
 *   aes-128-gcm                                  nonce 12 | body | tag 16       (`gcm_seal.ts`)
 *   null                                         body
 *
 * None of them keeps out who records and plays again, and all but the last but one can be changed on the way: they are for
 * talking to others. The key is shared by all, made from a passphrase (`packet_keys.ts`), and cut to what the crypt takes.
 */

import { CulvertError } from "../errors.ts";
import type { Bytes } from "../primitives.ts";

export const cryptNames = ["aes", "aes-128", "aes-192", "salsa20", "xor", "none", "null", "aes-128-gcm"] as const;

export type CryptName = typeof cryptNames[number];

/** Of the key that is derived; a crypt takes the beginning of it. */
export const DERIVED_KEY_BYTES = 32;

const keyBytes: Readonly<Record<CryptName, number>> = {
  "aes": 32,
  "aes-128": 16,
  "aes-192": 24,
  "salsa20": 32,
  "xor": 32,
  "none": 0,
  "null": 0,
  "aes-128-gcm": 16,
};

/** The part of a derived key that a crypt uses. */
export function cryptKey(crypt: CryptName, key: Bytes): Bytes {
  if (key.length !== DERIVED_KEY_BYTES) {
    throw new CulvertError(
      "bad_option",
      `Cannot seal packets: the derived key must be ${DERIVED_KEY_BYTES} bytes, got ${key.length}`,
    );
  }
  return key.slice(0, keyBytes[crypt]);
}

export function isCryptName(name: string): name is CryptName {
  return (cryptNames as readonly string[]).includes(name);
}
