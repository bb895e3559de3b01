/**
 * Cryptography's place holder: a million handshakes in a simulated day are about who says what when, and real signatures
 * would take most of the time. A signature is a hash of the message and the public key. Nobody in the simulation forges
 * one, so none has to be hard to forge; that is what the tests of auth are for.
 */

import { type Bytes, ED25519_SIGNATURE_BYTES, KEY_BYTES, type Primitives } from "../../protocol/primitives.ts";

/** 32 bytes that depend on all of the parts and on their order. */
function hash(...parts: readonly Uint8Array[]): Bytes {
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x93c467e3];
  for (const part of parts) {
    a ^= part.length;
    for (let at = 0; at < part.length; at++) {
      const byte = part[at]!;
      a = Math.imul(a ^ byte, 0x85ebca6b);
      b = Math.imul((b + byte) ^ (a >>> 15), 0xc2b2ae35);
    }
    c = Math.imul(c ^ a, 0x27d4eb2f);
    d = Math.imul(d ^ b, 0x165667b1);
  }
  const words = new Uint32Array(KEY_BYTES / 4);
  for (let at = 0; at < words.length; at++) {
    a = Math.imul(a ^ (d >>> 13) ^ at, 0x85ebca6b);
    b = Math.imul(b ^ (a >>> 16), 0xc2b2ae35);
    c = Math.imul(c ^ (b >>> 13), 0x27d4eb2f);
    d = Math.imul(d ^ (c >>> 15), 0x165667b1);
    words[at] = a ^ b ^ c ^ d;
  }
  return new Uint8Array(words.buffer);
}

const IDENTITY = new Uint8Array([1]);
const WIREGUARD = new Uint8Array([2]);

function signature(message: Uint8Array, publicKey: Uint8Array): Bytes {
  const bytes = new Uint8Array(ED25519_SIGNATURE_BYTES);
  const digest = hash(publicKey, message);
  bytes.set(digest);
  bytes.set(publicKey.subarray(0, KEY_BYTES), KEY_BYTES);
  return bytes;
}

export const cheapPrimitives: Primitives = {
  sha256: (data) => hash(data),
  ed25519PublicKey: (secretKey) => hash(IDENTITY, secretKey),
  ed25519Sign: (message, secretKey) => signature(message, hash(IDENTITY, secretKey)),
  ed25519Verify(given, message, publicKey) {
    const expected = signature(message, publicKey);
    return given.length === expected.length && expected.every((byte, at) => byte === given[at]);
  },
  x25519PublicKey: (secretKey) => hash(WIREGUARD, secretKey),
  x25519: (secretKey, publicKey) => hash(hash(WIREGUARD, secretKey), publicKey),
};
