/**
 * Bytes as text: base32 for what people read aloud, base64 for key files, base64url for one-line tokens. The decoders
 * take exactly what the encoders give: one text per value, so that a text can be compared or remembered in place of
 * its bytes. Alphabets and padding: RFC 4648 §4, §5, §6.
 */

import type { Bytes } from "./primitives.ts";

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** Base32, lower case, no padding. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let pending = 0;
  let pendingBits = 0;
  for (const byte of bytes) {
    pending = pending << 8 | byte;
    pendingBits += 8;
    while (pendingBits >= 5) {
      pendingBits -= 5;
      text += BASE32[pending >>> pendingBits & 31];
    }
    pending &= (1 << pendingBits) - 1;
  }
  return pendingBits === 0 ? text : text + BASE32[pending << 5 - pendingBits & 31];
}

/** The bytes of unpadded base32, or undefined for anything that `encodeBase32` does not give. */
export function decodeBase32(text: string): Bytes | undefined {
  const bytes = new Uint8Array(text.length * 5 >>> 3);
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (const character of text) {
    const value = BASE32.indexOf(character);
    if (value < 0) return undefined;
    pending = pending << 5 | value;
    pendingBits += 5;
    if (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[at++] = pending >>> pendingBits;
    }
    pending &= (1 << pendingBits) - 1;
  }
  return pendingBits >= 5 || pending !== 0 ? undefined : bytes;
}

/** Base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

/** The bytes of padded base64, or undefined for anything that `encodeBase64` does not give. */
export function decodeBase64(text: string): Bytes | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? decodeStrictly(text) : undefined;
}

/** Base64url without padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The bytes of unpadded base64url, or undefined for anything that `encodeBase64Url` does not give. */
export function decodeBase64Url(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  return decodeStrictly(text.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat(-text.length & 3));
}

/**
 * By `atob`, which every host has: it is lenient about padding and stray bits, so the way back must give the same text.
 * `Uint8Array.fromBase64` is not in Node 20, and there a stand-in for all its options would be every other package's too.
 */
function decodeStrictly(text: string): Bytes | undefined {
  if (text.length % 4 !== 0) return undefined;
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return encodeBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
