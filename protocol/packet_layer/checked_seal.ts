/**
 * The seal of kcp-go's older crypts: a nonce and a checksum before the body, and a cipher over all of it.
 *
 *   nonce 16 | CRC32 of the body, u32 little endian | body
 *
 * The nonce is there so that no two datagrams look alike; the cipher begins every one from the same state.
 */

import type { PacketSeal } from "../packet_seal.ts";
import type { Slab } from "../slab.ts";
import type { Nonces } from "./nonces.ts";

/** A cipher over whole datagrams, in place, each of them by itself. */
export interface PacketCipher extends Disposable {
  /** The longest datagram it takes. */
  readonly mostBytes: number;
  hide(slab: Slab, start: number, end: number): void;
  reveal(slab: Slab, start: number, end: number): void;
}

/** CRC-32 of ISO 3309 (that of zip files) over [start, end), as an unsigned number. */
export type Crc32 = (slab: Slab, start: number, end: number) => number;

export interface CheckedSealParts {
  /** None: the datagram goes as it is, nonce and checksum and all. */
  readonly cipher?: PacketCipher | undefined;
  readonly nonces: Nonces;
  readonly crc32: Crc32;
}

export const CHECKED_NONCE_BYTES = 16;
export const CHECKED_HEAD_BYTES = CHECKED_NONCE_BYTES + 4;

export class CheckedSeal implements PacketSeal, Disposable {
  readonly headBytes: number = CHECKED_HEAD_BYTES;
  readonly tailBytes: number = 0;
  readonly #cipher: PacketCipher | undefined;
  readonly #nonces: Nonces;
  readonly #crc32: Crc32;

  constructor({ cipher, nonces, crc32 }: CheckedSealParts) {
    this.#cipher = cipher;
    this.#nonces = nonces;
    this.#crc32 = crc32;
  }

  seal(slab: Slab, start: number, end: number): void {
    if (this.#cipher && end - start > this.#cipher.mostBytes) throw tooLong(end - start, this.#cipher.mostBytes);
    this.#nonces.write(slab, start, CHECKED_NONCE_BYTES);
    const checksum = this.#crc32(slab, start + CHECKED_HEAD_BYTES, end);
    slab.view.setUint32(start + CHECKED_NONCE_BYTES, checksum, true);
    this.#cipher?.hide(slab, start, end);
  }

  open(slab: Slab, start: number, end: number): boolean {
    if (end - start < CHECKED_HEAD_BYTES) return false;
    if (this.#cipher) {
      if (end - start > this.#cipher.mostBytes) return false;
      this.#cipher.reveal(slab, start, end);
    }
    const checksum = slab.view.getUint32(start + CHECKED_NONCE_BYTES, true);
    return this.#crc32(slab, start + CHECKED_HEAD_BYTES, end) === checksum;
  }

  [Symbol.dispose](): void {
    this.#cipher?.[Symbol.dispose]();
  }
}

/** `null`: nothing at all. */
export const bareSeal: PacketSeal & Disposable = {
  headBytes: 0,
  tailBytes: 0,
  seal() {},
  open: () => true,
  [Symbol.dispose]() {},
};

function tooLong(bytes: number, mostBytes: number): RangeError {
  return new RangeError(`Cannot seal a datagram: it must be at most ${mostBytes} bytes, got ${bytes}`);
}
