/**
 * WireGuard's cryptography by libcrypto: ChaCha20-Poly1305 and X25519 in the processor's vector instructions, ten times
 * as fast as JavaScript.
 *
 *   using native = openLibcrypto(); const crypto = native ?? portableWireGuardCrypto;
 *
 * A key for packets keeps one cipher context for as long as it lives. Per packet four calls: nonce, text, end, tag. The
 * tag goes through a prepared OSSL_PARAM in which only the address changes (0.04 µs; EVP_CIPHER_CTX_ctrl takes 0.18).
 * What the calls do is checked when the library is opened. EVP_Cipher, which would save one of them, gives no tag.
 *
 * Every thread opens its own. Linux, 64-bit, little endian.
 */

import { decodeHex, encodeHex } from "@std/encoding/hex";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";
import { Slab } from "../protocol/slab.ts";
import { TAG_BYTES } from "../protocol/wireguard/constants.ts";
import {
  type Aead,
  assertInSlab,
  assertLength,
  type Lock,
  NONCE_BYTES,
  type WireGuardCrypto,
} from "../protocol/wireguard/crypto.ts";
import type { Key } from "../protocol/wireguard/settings.ts";
import { failed, fixedMemory, type Libcrypto, type LibcryptoCalls, loadLibcrypto } from "./libcrypto.ts";
import { EVP_PKEY_X25519, KEY_SIZE, type PrivateKeys, RawPrivateKeys, UncheckedPrivateKeys } from "./libcrypto_keys.ts";
import { SlabPointers } from "./slab_pointers.ts";
import { ControlTags, ParamTags, type Tags } from "./libcrypto_tags.ts";

/** No field of a handshake or cookie is longer. */
const FIELD_BYTES = 64;
const SEALING = 1;
const OPENING = 0;

const KNOWN = {
  counter: 2 ** 40 + 5,
  sealed: "bd5902a75df938e7760ac6777c89194607c34f7d26b17505126e8a3a02dea5dc463efbbb",
  scalar: "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
  point: "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
  secret: "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
} as const;

export interface LibcryptoOptions {
  /** The libraries to try, in this order. */
  readonly names?: readonly string[];
  /** Makes do with the calls that OpenSSL 1.1 has. */
  readonly onlyOldCalls?: boolean;
  /** Is told why there is no libcrypto. */
  readonly explain?: (reason: string) => void;
}

/** libcrypto for this thread; undefined where it is not installed or does not do what it should. */
export function openLibcrypto(options: LibcryptoOptions = {}): NativeCrypto | undefined {
  const library = loadLibcrypto(options.names);
  if ("reason" in library) {
    options.explain?.(library.reason);
    return undefined;
  }
  try {
    const native = new NativeCrypto(library, options.onlyOldCalls ?? false);
    if (givesKnownAnswers(native)) return native;
    options.explain?.("the library gives wrong answers");
  } catch (error) {
    // One that is confined to approved algorithms (FIPS) has neither of ours.
    options.explain?.(messageOf(error));
  }
  library.close();
  return undefined;
}

/** Disposing wipes every key it made and closes the library. */
export class NativeCrypto implements WireGuardCrypto, Disposable {
  readonly #library: Libcrypto;
  readonly #call: LibcryptoCalls;
  readonly #cipher: Deno.PointerValue;
  readonly #tags: Tags;
  readonly #privateKeys: PrivateKeys;
  readonly #aeads = new Set<NativeAead>();
  /** For small fields, one after another. */
  readonly #context: Deno.PointerValue;
  readonly #field = new Slab(FIELD_BYTES);
  readonly #length = fixedMemory(8);
  readonly #pointers = new SlabPointers();
  #isOpen = true;

  /** Takes over the library. */
  constructor(library: Libcrypto, onlyOldCalls: boolean) {
    this.#library = library;
    const call = this.#call = library.symbols;
    this.#cipher = call.EVP_chacha20_poly1305();
    this.#context = call.EVP_CIPHER_CTX_new();
    const isNew = !onlyOldCalls && call.EVP_PKEY_fromdata !== null;
    this.#tags = isNew ? new ParamTags(call) : new ControlTags(call);
    this.#privateKeys = isNew ? new UncheckedPrivateKeys(call) : new RawPrivateKeys(call);
  }

  aead(key: Key): Aead {
    this.#assertOpen();
    assertLength("key", key, KEY_BYTES);
    const aead = new NativeAead(this.#call, {
      cipher: this.#cipher,
      tags: this.#tags,
      pointers: this.#pointers,
      key,
      owners: this.#aeads,
    });
    this.#aeads.add(aead);
    return aead;
  }

  seal(lock: Lock, plain: Bytes): Bytes {
    const field = this.#fieldFor(plain, plain.length + TAG_BYTES);
    this.#begin(lock, SEALING);
    const isSealed = this.#run(field, plain.length) && this.#tags.read(this.#context, field, plain.length);
    this.#call.EVP_CIPHER_CTX_reset(this.#context);
    const sealed = field.bytes.slice(0, plain.length + TAG_BYTES);
    field.bytes.fill(0);
    if (!isSealed) throw failed("seal");
    return sealed;
  }

  open(lock: Lock, sealed: Bytes): Bytes | undefined {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const field = this.#fieldFor(sealed, sealed.length);
    this.#begin(lock, OPENING);
    const isAuthentic = this.#tags.write(this.#context, field, length) && this.#run(field, length);
    this.#call.EVP_CIPHER_CTX_reset(this.#context);
    const plain = isAuthentic ? field.bytes.slice(0, length) : undefined;
    field.bytes.fill(0);
    return plain;
  }

  x25519PublicKey(privateKey: Key): Key {
    const basePoint = new Uint8Array(KEY_BYTES);
    basePoint[0] = 9;
    return this.x25519(privateKey, basePoint)!;
  }

  x25519(privateKey: Key, publicKey: Bytes): Key | undefined {
    this.#assertOpen();
    assertLength("private key", privateKey, KEY_BYTES);
    if (publicKey.length !== KEY_BYTES) return undefined;
    const call = this.#call;
    const own = this.#privateKeys.load(privateKey);
    const other = call.EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, null, publicKey, KEY_SIZE);
    const agreement = call.EVP_PKEY_CTX_new(own, null);
    const secret = new Uint8Array(KEY_BYTES);
    // Calls before this one have left lengths of their own in it.
    this.#length.fill(0);
    this.#length[0] = KEY_BYTES;
    const isMade = other !== null && call.EVP_PKEY_derive_init(agreement) === 1 &&
      call.EVP_PKEY_derive_set_peer(agreement, other) === 1 &&
      call.EVP_PKEY_derive(agreement, secret, this.#length) === 1;
    call.EVP_PKEY_CTX_free(agreement);
    call.EVP_PKEY_free(other);
    call.EVP_PKEY_free(own);
    return isMade && secret.some((byte) => byte !== 0) ? secret : undefined;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const aead of this.#aeads) aead[Symbol.dispose]();
    this.#call.EVP_CIPHER_CTX_free(this.#context);
    this.#privateKeys[Symbol.dispose]();
    this.#library.close();
  }

  #begin({ key, nonce, associated }: Lock, direction: number): void {
    this.#assertOpen();
    assertLength("key", key, KEY_BYTES);
    assertLength("nonce", nonce, NONCE_BYTES);
    const call = this.#call;
    const isReady = call.EVP_CipherInit_ex(this.#context, this.#cipher, null, key, nonce, direction) === 1;
    const size = associated.length;
    if (
      isReady &&
      (size === 0 || call.EVP_CipherUpdate(this.#context, null, this.#length, associated, size) === 1)
    ) return;
    throw failed("begin to seal or open");
  }

  /** Memory with the bytes at its beginning; what comes after them does not matter. */
  #fieldFor(bytes: Bytes, size: number): Slab {
    const field = size <= this.#field.size ? this.#field : new Slab(size);
    field.bytes.set(bytes);
    return field;
  }

  #run(field: Slab, length: number): boolean {
    const { EVP_CipherUpdate, EVP_CipherFinal_ex } = this.#call;
    const text = field.bytes;
    return (length === 0 || EVP_CipherUpdate(this.#context, text, this.#length, text, length) === 1) &&
      EVP_CipherFinal_ex(this.#context, this.#length, this.#length) === 1;
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new CulvertError("closed", "Cannot use libcrypto: it has been closed");
  }
}

interface AeadParts {
  readonly cipher: Deno.PointerValue;
  readonly tags: Tags;
  readonly pointers: SlabPointers;
  readonly key: Key;
  /** Where it is to be struck off when it goes. */
  readonly owners: Set<NativeAead>;
}

class NativeAead implements Aead {
  readonly #call: LibcryptoCalls;
  readonly #tags: Tags;
  readonly #owners: Set<NativeAead>;
  #context: Deno.PointerValue;
  readonly #pointers: SlabPointers;
  /** The nonce, and behind it the word where libcrypto writes lengths that are known. */
  readonly #nonce = new Uint32Array(new ArrayBuffer(NONCE_BYTES + 4));
  readonly #noncePointer = Deno.UnsafePointer.of(this.#nonce)!;
  readonly #length = Deno.UnsafePointer.offset(this.#noncePointer, NONCE_BYTES);

  constructor(call: LibcryptoCalls, { cipher, tags, pointers, key, owners }: AeadParts) {
    this.#call = call;
    this.#tags = tags;
    this.#pointers = pointers;
    this.#owners = owners;
    this.#context = call.EVP_CIPHER_CTX_new();
    if (call.EVP_CipherInit_ex(this.#context, cipher, null, key, null, SEALING) === 1) return;
    call.EVP_CIPHER_CTX_free(this.#context);
    throw failed("take a key");
  }

  seal(slab: Slab, offset: number, length: number, counter: number, headerBytes = 0): void {
    assertInSlab(slab, offset, length + TAG_BYTES, headerBytes);
    this.#begin(counter, SEALING);
    if (headerBytes > 0) this.#takeHeader(slab, offset, headerBytes);
    if (!this.#run(slab, offset, length) || !this.#tags.read(this.#context, slab, offset + length)) {
      throw failed("seal");
    }
  }

  open(slab: Slab, offset: number, length: number, counter: number, headerBytes = 0): boolean {
    if (length < TAG_BYTES) return false;
    assertInSlab(slab, offset, length, headerBytes);
    this.#begin(counter, OPENING);
    if (headerBytes > 0) this.#takeHeader(slab, offset, headerBytes);
    const textLength = length - TAG_BYTES;
    return this.#tags.write(this.#context, slab, offset + textLength) && this.#run(slab, offset, textLength);
  }

  /** libcrypto wipes the key when it frees the context. */
  [Symbol.dispose](): void {
    if (this.#context === null) return;
    this.#call.EVP_CIPHER_CTX_free(this.#context);
    this.#context = null;
    this.#owners.delete(this);
  }

  #begin(counter: number, direction: number): void {
    if (this.#context === null) throw new TypeError("Cannot seal or open: the key has been wiped");
    this.#nonce[1] = counter;
    this.#nonce[2] = counter / 2 ** 32;
    if (this.#call.initAt(this.#context, null, null, null, this.#noncePointer, direction) !== 1) {
      throw failed("set a nonce");
    }
  }

  #takeHeader(slab: Slab, offset: number, headerBytes: number): void {
    const header = this.#pointers.at(slab, offset - headerBytes);
    if (this.#call.updateAt(this.#context, null, this.#length, header, headerBytes) !== 1) {
      throw failed("take a header");
    }
  }

  #run(slab: Slab, offset: number, length: number): boolean {
    if (length > 0) {
      const text = this.#pointers.at(slab, offset);
      if (this.#call.updateAt(this.#context, text, this.#length, text, length) !== 1) return false;
    }
    return this.#call.finalAt(this.#context, this.#length, this.#length) === 1;
  }
}

/**
 * Whether the library's calls do here what they are taken for: 20 bytes sealed as `portableWireGuardCrypto` seals them,
 * opened again, refused when changed; and the first agreement of RFC 7748 §5.2.
 */
function givesKnownAnswers(native: NativeCrypto): boolean {
  using aead = native.aead(new Uint8Array(KEY_BYTES).fill(7));
  const slab = new Slab(40);
  for (let at = 0; at < 20; at++) slab.bytes[4 + at] = at;
  aead.seal(slab, 4, 20, KNOWN.counter);
  const sealed = encodeHex(slab.bytes.subarray(4));
  const isOpened = aead.open(slab, 4, 36, KNOWN.counter) && slab.bytes[23] === 19;
  const isChangedOpened = aead.open(slab, 4, 36, KNOWN.counter);
  const secret = native.x25519(decodeHex(KNOWN.scalar), decodeHex(KNOWN.point));
  return sealed === KNOWN.sealed && isOpened && !isChangedOpened &&
    secret !== undefined && encodeHex(secret) === KNOWN.secret;
}
