/**
 * The ciphers of kcp-go's packets in plain JavaScript, for every runtime; `native/packet_cipher.ts` does AES ten times as
 * fast. Both pass `fixtures/seal_contract.ts`.
 */

import { cfb, gcm } from "@noble/ciphers/aes.js";
import { salsa20 } from "@noble/ciphers/salsa.js";
import type { PacketSeal } from "../packet_seal.ts";
import type { Bytes } from "../primitives.ts";
import type { Slab } from "../slab.ts";
import type { PacketCipher } from "./checked_seal.ts";
import type { Nonces } from "./nonces.ts";

/** What kcp-go's CFB begins every datagram with. */
export function cfbStart(): Bytes {
  return Uint8Array.of(
    0xa7,
    0x73,
    0x4f,
    0x9c,
    0x12,
    0xac,
    0x1b,
    0x01,
    0xa4,
    0x15,
    0xf2,
    0xc1,
    0xfc,
    0x78,
    0xe6,
    0x6b,
  );
}

export class CfbCipher implements PacketCipher {
  readonly mostBytes: number = Infinity;
  readonly #key: Bytes;
  readonly #start = cfbStart();

  constructor(key: Bytes) {
    this.#key = key.slice();
  }

  hide({ bytes }: Slab, start: number, end: number): void {
    bytes.set(cfb(this.#key, this.#start).encrypt(bytes.subarray(start, end)), start);
  }

  reveal({ bytes }: Slab, start: number, end: number): void {
    bytes.set(cfb(this.#key, this.#start).decrypt(bytes.subarray(start, end)), start);
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }
}

/** The first eight bytes stay as they are, and are the nonce for the rest. */
export class Salsa20Cipher implements PacketCipher {
  readonly mostBytes: number = Infinity;
  readonly #key: Bytes;

  constructor(key: Bytes) {
    this.#key = key.slice();
  }

  hide({ bytes }: Slab, start: number, end: number): void {
    const rest = bytes.subarray(start + SALSA_NONCE_BYTES, end);
    salsa20(this.#key, bytes.subarray(start, start + SALSA_NONCE_BYTES), rest, rest);
  }

  reveal(slab: Slab, start: number, end: number): void {
    this.hide(slab, start, end);
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }
}

const SALSA_NONCE_BYTES = 8;
export const GCM_NONCE_BYTES = 12;
export const GCM_TAG_BYTES = 16;

/** nonce 12 | body | tag 16 */
export class GcmSeal implements PacketSeal, Disposable {
  readonly headBytes: number = GCM_NONCE_BYTES;
  readonly tailBytes: number = GCM_TAG_BYTES;
  readonly #key: Bytes;
  readonly #nonces: Nonces;

  constructor(key: Bytes, nonces: Nonces) {
    this.#key = key.slice();
    this.#nonces = nonces;
  }

  seal(slab: Slab, start: number, end: number): void {
    this.#nonces.write(slab, start, GCM_NONCE_BYTES);
    const body = slab.bytes.subarray(start + GCM_NONCE_BYTES, end - GCM_TAG_BYTES);
    slab.bytes.set(this.#cipher(slab, start).encrypt(body), start + GCM_NONCE_BYTES);
  }

  open(slab: Slab, start: number, end: number): boolean {
    if (end - start < GCM_NONCE_BYTES + GCM_TAG_BYTES) return false;
    try {
      const body = this.#cipher(slab, start).decrypt(slab.bytes.subarray(start + GCM_NONCE_BYTES, end));
      slab.bytes.set(body, start + GCM_NONCE_BYTES);
      return true;
    } catch {
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }

  #cipher(slab: Slab, start: number): ReturnType<typeof gcm> {
    return gcm(this.#key, slab.bytes.slice(start, start + GCM_NONCE_BYTES));
  }
}
