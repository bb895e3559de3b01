/**
 * Keys from passphrases, as kcptun, paqet and GFK make them: the same for all who know the phrase, and with salts that
 * everybody knows, so a short phrase is soon found by trying. Takes up to a tenth of a second, once at the start.
 */

import { pbkdf2Async } from "@noble/hashes/pbkdf2.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Bytes } from "../primitives.ts";
import { DERIVED_KEY_BYTES } from "./crypt.ts";

const encoder = new TextEncoder();

/** kcptun: PBKDF2-HMAC-SHA1. */
export function kcptunKey(passphrase: string): Promise<Bytes> {
  return pbkdf2Async(sha1, passphrase, "kcp-go", { c: 4096, dkLen: DERIVED_KEY_BYTES }) as Promise<Bytes>;
}

/** paqet: PBKDF2-HMAC-SHA256. */
export function paqetKey(passphrase: string): Promise<Bytes> {
  return pbkdf2Async(sha256, passphrase, "paqet", { c: 100_000, dkLen: DERIVED_KEY_BYTES }) as Promise<Bytes>;
}

/** GFK's carrier: SHA-256 of a prefix and the phrase. */
export function gfkKey(passphrase: string): Promise<Bytes> {
  return Promise.resolve(sha256(encoder.encode(`gfk-carrier-v1:${passphrase}`)) as Bytes);
}

/** What `xor` lays over every datagram: PBKDF2-HMAC-SHA1 of the derived key, as long as kcp-go's longest datagram. */
export function xorPad(key: Bytes): Promise<Bytes> {
  return pbkdf2Async(sha1, key, "sH3CIVoF#rWLtJo6", { c: 32, dkLen: XOR_PAD_BYTES }) as Promise<Bytes>;
}

export const XOR_PAD_BYTES = 1500;
