/**
 * The AES of kcp-go's packets by libcrypto: full-block CFB, and GCM.
 *
 *   using ciphers = openPacketCiphers();  const cipher = ciphers?.cfb(key)  →  for `CheckedSeal`
 *
 * CFB lays over the text a pad whose every block is the one before it of the ciphertext, encrypted. libcrypto's own CFB
 * goes block by block, 1.8 µs for a full packet. Here the pad is made in one call and laid over by words:
 *
 *   opening   pad = start' | ECB of the ciphertext      all blocks at once          0.3 µs
 *   sealing   pad = start' | CBC of the text            a chain, but in one loop    1.2 µs
 *
 * where start' is the encrypted start, and CBC begins with it: each of its blocks is the text's xor the pad's, which is
 * the ciphertext's, encrypted. Every thread opens its own. Little endian.
 */

import { decodeHex, encodeHex } from "@std/encoding/hex";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import type { PacketCipher } from "../protocol/packet_layer/checked_seal.ts";
import type { Nonces } from "../protocol/packet_layer/nonces.ts";
import { cfbStart, GCM_NONCE_BYTES, GCM_TAG_BYTES } from "../protocol/packet_layer/portable_ciphers.ts";
import { xorInto } from "../protocol/packet_layer/xor_cipher.ts";
import type { PacketSeal } from "../protocol/packet_seal.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { Slab } from "../protocol/slab.ts";
import { failed, fixedMemory, type Libcrypto, type LibcryptoCalls, loadLibcrypto } from "./libcrypto.ts";
import { ControlTags, ParamTags, type Tags } from "./libcrypto_tags.ts";
import { SlabPointers } from "./slab_pointers.ts";

const BLOCK_BYTES = 16;
/** No datagram of kcp-go is longer than 1,500; one on a wider path may be. */
const MOST_BYTES = 16 * 1024;
const SEALING = 1;
const OPENING = 0;

/** AES-256-CFB by `openssl enc`: of `text` under `key` and kcp-go's start. */
const KNOWN = {
  key: "9edba19032fc09503ebdfefeb1cb266424b539e9bdc67c1aa922bff833ac5274",
  text: "a datagram of 37 bytes, for reference",
  hidden: "a1f0bf3a80bb65f2a1a639bc29525ab3924a9c828f9ba1d246fbef5326bf757d06b32438d2",
} as const;

/** Disposing closes the library: what was made by it must be disposed of before. */
export interface PacketCiphers extends Disposable {
  /** AES with a key of 16, 24 or 32 bytes. */
  cfb(key: Bytes): PacketCipher;
  /** AES-128-GCM. */
  gcm(key: Bytes, nonces: Nonces): PacketSeal & Disposable;
}

export interface PacketCiphersOptions {
  /** The libraries to try, in this order. */
  readonly names?: readonly string[];
  /** Makes do with the calls that OpenSSL 1.1 has. */
  readonly onlyOldCalls?: boolean;
  /** Is told why there is no libcrypto. */
  explain?(reason: string): void;
}

/** libcrypto's AES for this thread; undefined where it is not installed or does not do what it should. */
export function openPacketCiphers(options: PacketCiphersOptions = {}): PacketCiphers | undefined {
  const library = loadLibcrypto(options.names);
  if ("reason" in library) {
    options.explain?.(library.reason);
    return undefined;
  }
  try {
    const ciphers = new LibcryptoCiphers(library, options.onlyOldCalls ?? false);
    if (givesKnownAnswers(ciphers)) return ciphers;
    options.explain?.("the library gives wrong answers");
  } catch (error) {
    options.explain?.(messageOf(error));
  }
  library.close();
  return undefined;
}

class LibcryptoCiphers implements PacketCiphers {
  readonly #library: Libcrypto;
  readonly #onlyOldCalls: boolean;

  constructor(library: Libcrypto, onlyOldCalls: boolean) {
    this.#library = library;
    this.#onlyOldCalls = onlyOldCalls;
  }

  cfb(key: Bytes): PacketCipher {
    return new NativeCfb(this.#library.symbols, key);
  }

  gcm(key: Bytes, nonces: Nonces): PacketSeal & Disposable {
    const call = this.#library.symbols;
    const isNew = !this.#onlyOldCalls && call.EVP_CIPHER_CTX_get_params !== null;
    return new NativeGcmSeal(call, key, { nonces, tags: isNew ? new ParamTags(call) : new ControlTags(call) });
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

class NativeCfb implements PacketCipher {
  readonly mostBytes: number = MOST_BYTES;
  readonly #call: LibcryptoCalls;
  #ecb: Deno.PointerValue;
  #cbc: Deno.PointerValue;
  readonly #pointers = new SlabPointers();
  /** Its first block is the encrypted start, and stays. */
  readonly #pad = new Slab(MOST_BYTES + BLOCK_BYTES);
  readonly #start = this.#pointers.at(this.#pad, 0);
  readonly #rest = this.#pointers.at(this.#pad, BLOCK_BYTES);
  readonly #lengthWord = fixedMemory(8);
  readonly #length = Deno.UnsafePointer.of(this.#lengthWord);

  constructor(call: LibcryptoCalls, key: Bytes) {
    this.#call = call;
    const { ecb, cbc } = aesOf(call, key);
    this.#ecb = openContext(call, ecb, key);
    this.#cbc = openContext(call, cbc, key);
    this.#pad.bytes.set(cfbStart());
    if (call.updateAt(this.#ecb, this.#start, this.#length, this.#start, BLOCK_BYTES) !== 1) throw failed("begin");
  }

  hide(slab: Slab, start: number, end: number): void {
    this.#check(slab, start, end);
    if (this.#call.initAt(this.#cbc, null, null, null, this.#start, SEALING) !== 1) throw failed("begin to hide");
    this.#layOver(this.#cbc, slab, start, end);
  }

  reveal(slab: Slab, start: number, end: number): void {
    this.#check(slab, start, end);
    this.#layOver(this.#ecb, slab, start, end);
  }

  /** libcrypto wipes the key when it frees a context. */
  [Symbol.dispose](): void {
    this.#call.EVP_CIPHER_CTX_free(this.#ecb);
    this.#call.EVP_CIPHER_CTX_free(this.#cbc);
    this.#ecb = this.#cbc = null;
    this.#pad.bytes.fill(0);
  }

  #layOver(context: Deno.PointerValue, slab: Slab, start: number, end: number): void {
    const chained = end - start - 1 & ~(BLOCK_BYTES - 1);
    if (chained > 0) {
      const text = this.#pointers.at(slab, start);
      if (this.#call.updateAt(context, this.#rest, this.#length, text, chained) !== 1) throw failed("run a cipher");
    }
    xorInto(slab, start, end, this.#pad);
  }

  #check(slab: Slab, start: number, end: number): void {
    if (this.#ecb === null) throw new TypeError("Cannot use a cipher: its key has been wiped");
    if (start >= 0 && start < end && end <= slab.size && end - start <= MOST_BYTES) return;
    throw new RangeError(`Cannot use a cipher on ${start} to ${end}: the slab has ${slab.size}, at most ${MOST_BYTES}`);
  }
}

interface GcmParts {
  readonly nonces: Nonces;
  readonly tags: Tags;
}

/** nonce 12 | body | tag 16 */
class NativeGcmSeal implements PacketSeal, Disposable {
  readonly headBytes: number = GCM_NONCE_BYTES;
  readonly tailBytes: number = GCM_TAG_BYTES;
  readonly #call: LibcryptoCalls;
  readonly #parts: GcmParts;
  readonly #pointers = new SlabPointers();
  readonly #lengthWord = fixedMemory(8);
  readonly #length = Deno.UnsafePointer.of(this.#lengthWord);
  #context: Deno.PointerValue;

  constructor(call: LibcryptoCalls, key: Bytes, parts: GcmParts) {
    this.#call = call;
    this.#parts = parts;
    this.#context = openContext(call, call.EVP_aes_128_gcm(), key);
  }

  seal(slab: Slab, start: number, end: number): void {
    this.#check(slab, start, end);
    this.#parts.nonces.write(slab, start, GCM_NONCE_BYTES);
    const isSealed = this.#begin(slab, start, SEALING) && this.#run(slab, start, end) &&
      this.#parts.tags.read(this.#context, slab, end - GCM_TAG_BYTES);
    if (!isSealed) throw failed("seal");
  }

  open(slab: Slab, start: number, end: number): boolean {
    if (end - start < GCM_NONCE_BYTES + GCM_TAG_BYTES) return false;
    this.#check(slab, start, end);
    return this.#begin(slab, start, OPENING) &&
      this.#parts.tags.write(this.#context, slab, end - GCM_TAG_BYTES) && this.#run(slab, start, end);
  }

  [Symbol.dispose](): void {
    this.#call.EVP_CIPHER_CTX_free(this.#context);
    this.#context = null;
  }

  #begin(slab: Slab, start: number, direction: number): boolean {
    const nonce = this.#pointers.at(slab, start);
    return this.#call.initAt(this.#context, null, null, null, nonce, direction) === 1;
  }

  #run(slab: Slab, start: number, end: number): boolean {
    const { updateAt, finalAt } = this.#call;
    const length = end - start - GCM_NONCE_BYTES - GCM_TAG_BYTES;
    if (length > 0) {
      const body = this.#pointers.at(slab, start + GCM_NONCE_BYTES);
      if (updateAt(this.#context, body, this.#length, body, length) !== 1) return false;
    }
    return finalAt(this.#context, this.#length, this.#length) === 1;
  }

  #check(slab: Slab, start: number, end: number): void {
    if (this.#context === null) throw new TypeError("Cannot use a seal: its key has been wiped");
    if (start >= 0 && end <= slab.size && end - start >= GCM_NONCE_BYTES + GCM_TAG_BYTES) return;
    throw new RangeError(`Cannot seal or open ${start} to ${end}: the slab has ${slab.size}`);
  }
}

interface AesCiphers {
  readonly ecb: Deno.PointerValue;
  readonly cbc: Deno.PointerValue;
}

function aesOf(call: LibcryptoCalls, { length }: Bytes): AesCiphers {
  if (length === 16) return { ecb: call.EVP_aes_128_ecb(), cbc: call.EVP_aes_128_cbc() };
  if (length === 24) return { ecb: call.EVP_aes_192_ecb(), cbc: call.EVP_aes_192_cbc() };
  if (length === 32) return { ecb: call.EVP_aes_256_ecb(), cbc: call.EVP_aes_256_cbc() };
  throw new CulvertError("bad_option", `Cannot use a key for AES: it must be 16, 24 or 32 bytes, got ${length}`);
}

/** Whole blocks go through a cipher as they come; padding is only ever added at an end, which is not called for. */
function openContext(call: LibcryptoCalls, cipher: Deno.PointerValue, key: Bytes): Deno.PointerValue {
  const context = call.EVP_CIPHER_CTX_new();
  if (call.EVP_CipherInit_ex(context, cipher, null, key, null, SEALING) === 1) return context;
  call.EVP_CIPHER_CTX_free(context);
  throw failed("take a key");
}

function givesKnownAnswers(ciphers: PacketCiphers): boolean {
  using cipher = ciphers.cfb(decodeHex(KNOWN.key));
  const text = new TextEncoder().encode(KNOWN.text);
  const slab = new Slab(64);
  slab.bytes.set(text);
  cipher.hide(slab, 0, text.length);
  const hidden = encodeHex(slab.bytes.subarray(0, text.length));
  cipher.reveal(slab, 0, text.length);
  return hidden === KNOWN.hidden && text.every((byte, at) => slab.bytes[at] === byte);
}
