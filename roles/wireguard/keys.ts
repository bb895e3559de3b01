/**
 * `genkey`, `genpsk` and `pubkey`, as of `wg`: keys in base64, one a line, so that one program's end is another's begin.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { KEY_BYTES } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { keyFromBase64, keyToBase64 } from "../../protocol/wireguard/keys.ts";

/** A new private key: random, with the bits set that RFC 7748 §5 sets anyway, as `wg genkey` does. */
export function generatePrivateKey(random: Random): string {
  const key = random.fill(new Uint8Array(KEY_BYTES));
  key[0] = key[0]! & 0b1111_1000;
  key[31] = key[31]! & 0b0111_1111 | 0b0100_0000;
  return keyToBase64(key);
}

export function generatePresharedKey(random: Random): string {
  return keyToBase64(random.fill(new Uint8Array(KEY_BYTES)));
}

/** The public key of a private one. The message of its refusal never holds what may be the key. */
export function publicKeyOf(privateKeyText: string, primitives: Pick<Primitives, "x25519PublicKey">): string {
  const key = keyFromBase64(privateKeyText.trim());
  if (key) return keyToBase64(primitives.x25519PublicKey(key));
  throw new CulvertError("bad_key", "Cannot derive the public key: standard input must be a key of 32 bytes in base64");
}
