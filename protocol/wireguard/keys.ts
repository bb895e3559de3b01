/**
 * Keys as people and programs write them: base64 in files and on the screen, hexadecimal in the UAPI.
 */

import { decodeBase64 } from "../encoding.ts";
import { KEY_BYTES } from "../primitives.ts";
import type { Key } from "./settings.ts";

const HEX_KEY = /^[0-9A-Fa-f]{64}$/;

/** 44 characters, the last one `=`. */
export function keyToBase64(key: Key): string {
  return key.toBase64();
}

export function keyFromBase64(text: string): Key | undefined {
  const key = decodeBase64(text);
  return key?.length === KEY_BYTES ? key : undefined;
}

/** 64 characters in lower case. Also the text to find a peer by in a `Map`. */
export function keyToHex(key: Key): string {
  return key.toHex();
}

export function keyFromHex(text: string): Key | undefined {
  return HEX_KEY.test(text) ? Uint8Array.fromHex(text) : undefined;
}

/** How files and the UAPI say "no key". */
export function isZeroKey(key: Key): boolean {
  return key.every((byte) => byte === 0);
}

/** For public keys: it takes longer the more of them is the same. */
export function equalKeys(one: Key, other: Key): boolean {
  return one.every((byte, at) => byte === other[at]);
}
