/**
 * One layer of a circuit's cells: what the owner and one hop share. Each direction has its key and its counter, which is
 * the nonce and which nobody sends: both count the cells that have passed. So a cell that was changed, lost, doubled,
 * moved or sent again does not open, and neither does anything after it.
 */

import type { Bytes } from "../primitives.ts";
import type { SealKeys } from "../sealed_handshake.ts";
import type { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import type { Aead, WireGuardCrypto } from "../wireguard/crypto.ts";
import { LAYER_BYTES, sealedBytesAt } from "./cell.ts";

/** For the next hop or, on the way back, from beyond. */
export const PASSED = 0;
/** For, or from, the hop of this layer. */
export const OWN = 1;
/** What `open` gives for a cell that is not authentic, or has another flag. */
export const FALSE = -1;

/** Disposing wipes the keys. */
export class Layer implements Disposable {
  readonly #sealing: Aead;
  readonly #opening: Aead;
  #sealed = 0;
  #opened = 0;
  /** What is sealed of a cell, and what is in it besides the flag. */
  readonly sealedBytes: number;
  readonly innerBytes: number;

  /** Takes over the keys. */
  constructor(suite: WireGuardCrypto, keys: SealKeys, position: number) {
    this.#sealing = takeKey(suite, keys.send);
    this.#opening = takeKey(suite, keys.receive);
    this.sealedBytes = sealedBytesAt(position);
    this.innerBytes = this.sealedBytes - LAYER_BYTES;
  }

  /** Seals the inner bytes at `at`, in place. */
  seal(slab: Slab, at: number, flag: typeof PASSED | typeof OWN): void {
    slab.bytes[at + this.innerBytes] = flag;
    this.#sealing.seal(slab, at, this.sealedBytes - TAG_BYTES, this.#sealed++);
  }

  /** Opens the cell at `at`, in place; gives its flag, or FALSE. */
  open(slab: Slab, at: number): number {
    if (!this.#opening.open(slab, at, this.sealedBytes, this.#opened)) return FALSE;
    this.#opened++;
    const flag = slab.bytes[at + this.innerBytes]!;
    return flag === PASSED || flag === OWN ? flag : FALSE;
  }

  [Symbol.dispose](): void {
    this.#sealing[Symbol.dispose]();
    this.#opening[Symbol.dispose]();
  }
}

function takeKey(suite: WireGuardCrypto, key: Bytes): Aead {
  const aead = suite.aead(key);
  key.fill(0);
  return aead;
}
