/**
 * The cryptographic primitives that the protocols are built on, as a parameter: `portablePrimitives` runs anywhere,
 * `net/host_primitives.ts` is the faster one of a host with OpenSSL, and both pass the same contract suite.
 *
 * Synchronous on purpose. A state machine that has to await in the middle of a message is no longer one step, and it
 * would buy nothing: in one run of Deno 2.9.6 on a busy 2-core x86-64 machine, an Ed25519 verification of 300 bytes took
 *
 *   WebCrypto 94 µs (and a turn of the event loop)   node:crypto 70 µs with the key's import   @noble/curves 466 µs
 *
 * Not here: AEAD ciphers, which live with the packets they seal.
 * Specs: FIPS 180-4 (SHA-256), RFC 8032 (Ed25519), RFC 7748 (X25519).
 */

import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** Bytes in memory of their own, which nobody shares. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Length of an Ed25519 or X25519 key of either kind. */
export const KEY_BYTES = 32;
/** Length of an Ed25519 signature. */
export const ED25519_SIGNATURE_BYTES = 64;

/**
 * What an implementation owes: secret keys are 32 bytes of ours, and a wrong length of one throws. Everything else may
 * come from a stranger and never throws.
 */
export interface Primitives {
  /** The SHA-256 of data. */
  sha256(data: Uint8Array): Bytes;
  /** The public key of an Ed25519 seed. */
  ed25519PublicKey(secretKey: Uint8Array): Bytes;
  /** An Ed25519 signature (RFC 8032). */
  ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Bytes;
  /**
   * RFC 8032 §5.1.7, strict: false for S ≥ L, for a public key or R that is not the canonical encoding of a point, and
   * for a public key of small order, under which one signature fits many messages. Whether the equation is multiplied
   * by the cofactor is left open, as in the RFC: only the signer can make a signature on which the two forms differ.
   */
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  /** The public key of an X25519 key. */
  x25519PublicKey(secretKey: Uint8Array): Bytes;
  /** The shared secret, or undefined when the public key is of small order and the secret would be all zero. */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined;
}

/** Primitives in plain JavaScript, for every runtime. */
export const portablePrimitives: Primitives = {
  sha256: (data) => sha256(data) as Bytes,
  ed25519PublicKey: (secretKey) => ed25519.getPublicKey(secretKey) as Bytes,
  ed25519Sign: (message, secretKey) => ed25519.sign(message, secretKey) as Bytes,
  ed25519Verify(signature, message, publicKey) {
    if (signature.length !== ED25519_SIGNATURE_BYTES || publicKey.length !== KEY_BYTES) return false;
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  },
  x25519PublicKey: (secretKey) => x25519.getPublicKey(secretKey) as Bytes,
  x25519(secretKey, publicKey) {
    if (secretKey.length !== KEY_BYTES) throw new RangeError(`Cannot agree on a key: ${wrongLength(secretKey)}`);
    if (publicKey.length !== KEY_BYTES) return undefined;
    try {
      return x25519.getSharedSecret(secretKey, publicKey) as Bytes;
    } catch {
      return undefined;
    }
  },
};

function wrongLength(secretKey: Uint8Array): string {
  return `the secret key must be ${KEY_BYTES} bytes, got ${secretKey.length}`;
}
