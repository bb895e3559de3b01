/**
 * What WireGuard asks of cryptography, as a parameter: `portableWireGuardCrypto` runs anywhere, `native/crypto.ts` is
 * libcrypto by FFI, a good ten times faster per packet. Both pass `fixtures/crypto_contract.ts`.
 *
 *   aead              the packets of one key: sealed and opened in place in a slab, nothing allocated
 *   seal, open        the small sealed fields of handshakes and cookies
 *   x25519…           key agreement
 *
 * BLAKE2s is not a parameter: ours (`protocol/blake2s.ts`) is faster than a call of libcrypto on inputs this short.
 * Specs: RFC 8439 (ChaCha20-Poly1305), RFC 7748 (X25519), draft-irtf-cfrg-xchacha-03 (`longNonceLock`).
 */

import { chacha20poly1305, hchacha } from "@noble/ciphers/chacha.js";
import { type Bytes, KEY_BYTES, portablePrimitives } from "../primitives.ts";
import type { Slab } from "../slab.ts";
import { TAG_BYTES } from "./constants.ts";
import type { Key } from "./settings.ts";

export const NONCE_BYTES = 12;
export const LONG_NONCE_BYTES = 24;

/** One direction of one keypair. Disposing wipes the key; using it afterwards throws. */
export interface Aead extends Disposable {
  /**
   * Seals `length` bytes at `offset` in place and writes the tag behind them. Under one key no counter twice. The
   * slab must hold all of it, otherwise it throws and writes nothing. The `headerBytes` right before `offset` stay as
   * they are and are authenticated along with it; none by default.
   */
  seal(slab: Slab, offset: number, length: number, counter: number, headerBytes?: number): void;
  /**
   * Opens in place what `seal` made; `length` counts the tag. False when it, or its header, is not authentic: the bytes
   * are then worthless, and nothing else has changed.
   */
  open(slab: Slab, offset: number, length: number, counter: number, headerBytes?: number): boolean;
}

/** Under what a small field is sealed. */
export interface Lock {
  readonly key: Bytes;
  /** 12 bytes. */
  readonly nonce: Bytes;
  /** What is authenticated with it. */
  readonly associated: Bytes;
}

/** What an implementation owes: keys and nonces are ours, and a wrong length of one throws. */
export interface WireGuardCrypto {
  aead(key: Key): Aead;
  /** The sealed bytes, and the tag behind them. */
  seal(lock: Lock, plain: Bytes): Bytes;
  /** What was sealed; undefined when it is not authentic. */
  open(lock: Lock, sealed: Bytes): Bytes | undefined;
  x25519PublicKey(privateKey: Key): Key;
  /** The shared secret; undefined when the public key is of small order and the secret would be all zero. */
  x25519(privateKey: Key, publicKey: Bytes): Key | undefined;
}

/** A lock whose nonce has 24 bytes, which may be drawn at random: XChaCha20-Poly1305 as a lock for `seal` and `open`. */
export function longNonceLock(lock: Lock): Lock {
  const subkey = new Uint32Array(KEY_BYTES / 4);
  hchacha(CHACHA_CONSTANTS, wordsOf(lock.key, 0, KEY_BYTES), wordsOf(lock.nonce, 0, 16), subkey);
  const nonce = new Uint8Array(NONCE_BYTES);
  nonce.set(lock.nonce.subarray(16, LONG_NONCE_BYTES), 4);
  return { key: new Uint8Array(subkey.buffer), nonce, associated: lock.associated };
}

/** "expand 32-byte k", RFC 8439 §2.3. */
const CHACHA_CONSTANTS = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);

function wordsOf(bytes: Bytes, from: number, length: number): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes.subarray(from, from + length)).buffer);
}

/** Throws for a length that only a mistake of ours can give. */
export function assertLength(what: string, bytes: Bytes, length: number): void {
  if (bytes.length === length) return;
  throw new RangeError(`Cannot use a ${what}: it must be ${length} bytes, got ${bytes.length}`);
}

/** Throws when bytes with their header and tag would not lie in the slab. `sealedLength` counts the tag. */
export function assertInSlab(slab: Slab, offset: number, sealedLength: number, headerBytes: number): void {
  const isInside = headerBytes >= 0 && offset >= headerBytes && sealedLength >= TAG_BYTES &&
    offset + sealedLength <= slab.size;
  if (isInside) return;
  throw new RangeError(
    `Cannot use ${sealedLength} bytes at ${offset} with a header of ${headerBytes}: the slab has ${slab.size}`,
  );
}

/** Crypto in plain JavaScript, for every runtime. */
export const portableWireGuardCrypto: WireGuardCrypto = {
  aead: (key) => new PortableAead(key),
  seal: ({ key, nonce, associated }, plain) => chacha20poly1305(key, nonce, associated).encrypt(plain) as Bytes,
  open({ key, nonce, associated }, sealed) {
    if (sealed.length < TAG_BYTES) return undefined;
    const cipher = chacha20poly1305(key, nonce, associated);
    try {
      return cipher.decrypt(sealed) as Bytes;
    } catch {
      return undefined;
    }
  },
  x25519PublicKey: (privateKey) => portablePrimitives.x25519PublicKey(privateKey),
  x25519: (privateKey, publicKey) => portablePrimitives.x25519(privateKey, publicKey),
};

class PortableAead implements Aead {
  #key: Bytes | undefined;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  readonly #nonceView = new DataView(this.#nonce.buffer);

  constructor(key: Key) {
    assertLength("key", key, KEY_BYTES);
    this.#key = key.slice();
  }

  seal(slab: Slab, offset: number, length: number, counter: number, headerBytes = 0): void {
    assertInSlab(slab, offset, length + TAG_BYTES, headerBytes);
    const plain = slab.bytes.subarray(offset, offset + length);
    const cipher = this.#cipher(counter, slab.bytes.subarray(offset - headerBytes, offset));
    cipher.encrypt(plain, slab.bytes.subarray(offset, offset + length + TAG_BYTES));
  }

  open(slab: Slab, offset: number, length: number, counter: number, headerBytes = 0): boolean {
    if (length < TAG_BYTES) return false;
    assertInSlab(slab, offset, length, headerBytes);
    const sealed = slab.bytes.subarray(offset, offset + length);
    const cipher = this.#cipher(counter, slab.bytes.subarray(offset - headerBytes, offset));
    try {
      cipher.decrypt(sealed, slab.bytes.subarray(offset, offset + length - TAG_BYTES));
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }

  #cipher(counter: number, header: Uint8Array): ReturnType<typeof chacha20poly1305> {
    if (!this.#key) throw new TypeError("Cannot seal or open: the key has been wiped");
    this.#nonceView.setUint32(4, counter >>> 0, true);
    this.#nonceView.setUint32(8, Math.floor(counter / 2 ** 32), true);
    return chacha20poly1305(this.#key, this.#nonce, header);
  }
}
