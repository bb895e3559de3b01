/**
 * The symmetric state of the Noise protocol framework (revision 34, §5.1, §5.2) for ChaChaPoly and BLAKE2s: what both
 * sides of a handshake keep while they mix keys and messages into it, and what the session's keys come out of.
 *
 *   mixKey(secret) mixes a secret in, mixHash(bytes) what was said; encryptAndHash and decryptAndHash seal under both
 *
 * Which tokens come in which order is the handshake pattern's business (`noise_ik.ts`).
 */

import { Blake2s, BLAKE2S_BLOCK_BYTES, BLAKE2S_BYTES } from "./blake2s.ts";
import type { Bytes } from "./primitives.ts";

/** ChaCha20-Poly1305: with the tag behind it; undefined when it is not authentic. */
export interface NoiseCipher {
  seal(lock: NoiseLock, plain: Bytes): Bytes;
  open(lock: NoiseLock, sealed: Bytes): Bytes | undefined;
}

export interface NoiseLock {
  readonly key: Bytes;
  /** 12 bytes: four zeros and a 64-bit little-endian counter. */
  readonly nonce: Bytes;
  readonly associated: Bytes;
}

/** The keys of a session: the first for what the initiator sends, the second for what it receives. */
export interface SplitKeys {
  readonly first: Bytes;
  readonly second: Bytes;
}

const EMPTY = new Uint8Array(0);
const NONCE_BYTES = 12;

export class SymmetricState implements Disposable {
  readonly #cipher: NoiseCipher;
  /** Made when first needed: a state that only waits for an answer has none. */
  #lazyHasher: Blake2s | undefined;
  readonly #chainingKey: Bytes;
  readonly #hash: Bytes;
  /** Whether the handshake has a preshared key in it, which changes what ephemeral keys do (§9.2). */
  readonly hasPresharedKey: boolean;
  #key: Bytes | undefined;
  #nonce = 0;

  private constructor(cipher: NoiseCipher, chainingKey: Bytes, hash: Bytes, hasPresharedKey: boolean) {
    this.#cipher = cipher;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
    this.hasPresharedKey = hasPresharedKey;
  }

  /** §5.2 InitializeSymmetric. */
  static start(
    cipher: NoiseCipher,
    protocolName: string,
    options: { readonly hasPresharedKey?: boolean } = {},
  ): SymmetricState {
    const name = new TextEncoder().encode(protocolName);
    const hash = new Uint8Array(BLAKE2S_BYTES);
    if (name.length <= BLAKE2S_BYTES) hash.set(name);
    else new Blake2s().start(BLAKE2S_BYTES).update(name).finish(hash);
    return new SymmetricState(cipher, hash.slice(), hash, options.hasPresharedKey ?? false);
  }

  /** Another state that knows the same, so that a message which proves false leaves this one as it was. */
  clone(): SymmetricState {
    const copy = new SymmetricState(this.#cipher, this.#chainingKey.slice(), this.#hash.slice(), this.hasPresharedKey);
    copy.#key = this.#key?.slice();
    copy.#nonce = this.#nonce;
    return copy;
  }

  /** The hash of everything said so far. */
  get handshakeHash(): Bytes {
    return this.#hash.slice();
  }

  mixHash(data: Bytes): void {
    this.#hasher.start(BLAKE2S_BYTES).update(this.#hash).update(data).finish(this.#hash);
  }

  mixKey(secret: Bytes): void {
    const [chainingKey, key] = hkdf(this.#hasher, this.#chainingKey, { secret, outputs: 2 });
    this.#advance(chainingKey!, key);
  }

  /** The token `e`. Where a preshared key takes part it is mixed into the chain too; nothing is sealed before the next. */
  mixEphemeral(publicKey: Bytes): void {
    this.mixHash(publicKey);
    if (!this.hasPresharedKey) return;
    const [chainingKey] = hkdf(this.#hasher, this.#chainingKey, { secret: publicKey, outputs: 1 });
    this.#advance(chainingKey!, undefined);
  }

  mixKeyAndHash(secret: Bytes): void {
    const [chainingKey, mixed, key] = hkdf(this.#hasher, this.#chainingKey, { secret, outputs: 3 });
    this.mixHash(mixed!);
    this.#advance(chainingKey!, key);
  }

  encryptAndHash(plain: Bytes): Bytes {
    const sealed = this.#key ? this.#cipher.seal(this.#lock(this.#key), plain) : new Uint8Array(plain);
    this.mixHash(sealed);
    this.#nonce++;
    return sealed;
  }

  /** What was sealed; undefined, and nothing has changed, when it is not authentic. */
  decryptAndHash(sealed: Bytes): Bytes | undefined {
    const plain = this.#key ? this.#cipher.open(this.#lock(this.#key), sealed) : new Uint8Array(sealed);
    if (!plain) return undefined;
    this.mixHash(sealed);
    this.#nonce++;
    return plain;
  }

  split(): SplitKeys {
    const [first, second] = hkdf(this.#hasher, this.#chainingKey, { secret: EMPTY, outputs: 2 });
    return { first: first!, second: second! };
  }

  /** Wipes what it knows. */
  [Symbol.dispose](): void {
    this.#lazyHasher?.[Symbol.dispose]();
    this.#chainingKey.fill(0);
    this.#hash.fill(0);
    this.#key?.fill(0);
    this.#key = undefined;
  }

  get #hasher(): Blake2s {
    return this.#lazyHasher ??= new Blake2s();
  }

  #advance(chainingKey: Bytes, key: Bytes | undefined): void {
    this.#chainingKey.set(chainingKey);
    chainingKey.fill(0);
    this.#key?.fill(0);
    this.#key = key;
    this.#nonce = 0;
  }

  #lock(key: Bytes): NoiseLock {
    const nonce = new Uint8Array(NONCE_BYTES);
    nonce[4] = this.#nonce; // a handshake seals a handful of fields under one key
    return { key, nonce, associated: this.#hash };
  }
}

/** §4.3 HKDF: one to three outputs of 32 bytes from a chaining key and a secret. */
export function hkdf(
  hasher: Blake2s,
  chainingKey: Bytes,
  { secret, outputs }: { readonly secret: Bytes; readonly outputs: 1 | 2 | 3 },
): Bytes[] {
  const temporaryKey = hmac(hasher, chainingKey, secret);
  const made: Bytes[] = [];
  for (let number = 1; number <= outputs; number++) {
    made.push(hmac(hasher, temporaryKey, made.at(-1) ?? EMPTY, Uint8Array.of(number)));
  }
  temporaryKey.fill(0);
  return made;
}

/** RFC 2104 with BLAKE2s, over the parts one after another; a key of at most 64 bytes. */
export function hmac(hasher: Blake2s, key: Bytes, ...parts: readonly Uint8Array[]): Bytes {
  const pad = new Uint8Array(BLAKE2S_BLOCK_BYTES).fill(0x36);
  for (let at = 0; at < key.length; at++) pad[at]! ^= key[at]!;
  hasher.start(BLAKE2S_BYTES).update(pad);
  for (const part of parts) hasher.update(part);
  const digest = new Uint8Array(BLAKE2S_BYTES);
  hasher.finish(digest);
  for (let at = 0; at < pad.length; at++) pad[at]! ^= 0x36 ^ 0x5c;
  hasher.start(BLAKE2S_BYTES).update(pad).update(digest).finish(digest);
  pad.fill(0);
  return digest;
}
