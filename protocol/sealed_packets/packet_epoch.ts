/**
 * The keys of one hello, in use: seals and opens packets in place.
 *
 *   packet   masked (index u32 │ counter u32, both LE) │ sealed body │ tag 16
 *
 * The index is the receiver's name for the epoch, told in the hello. The counter is the nonce of ChaCha20-Poly1305 (RFC
 * 8439) and counts from 0; each is taken once (`replay.ts`). Both are proven by the tag, since only with them can it be
 * right. An epoch ends long before its counter does: see `MOST_PACKETS`.
 */

import type { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import type { Aead, WireGuardCrypto } from "../wireguard/crypto.ts";
import { ReplayWindow } from "../wireguard/replay.ts";
import type { HelloKeys } from "./hello.ts";
import type { PacketMask } from "./packet_mask.ts";

export const PACKET_HEAD_BYTES = 8;
export const PACKET_TAIL_BYTES = TAG_BYTES;
/** No shorter datagram is a packet. */
export const LEAST_PACKET_BYTES = PACKET_HEAD_BYTES + PACKET_TAIL_BYTES;
/** After so many, new keys are due. */
export const DUE_PACKETS = 2 ** 30;
/** What an epoch can seal. */
export const MOST_PACKETS = 2 ** 32 - 1;

export interface EpochParts {
  readonly crypto: WireGuardCrypto;
  readonly mask: PacketMask;
  readonly keys: HelloKeys;
  /** What it is called in packets that come here, and in those that leave; signed words. */
  readonly localIndex: number;
  readonly remoteIndex: number;
}

export class PacketEpoch implements Disposable {
  readonly localIndex: number;
  readonly #remoteIndex: number;
  readonly #mask: PacketMask;
  readonly #send: Aead;
  readonly #receive: Aead;
  readonly #window = new ReplayWindow();
  /** Packets sealed. */
  sealedCount = 0;
  /** The highest counter that has come. */
  newestCounter = -1;
  /** The packet opened last has it. */
  isNewest = false;
  isDisposed = false;

  constructor({ crypto: suite, mask, keys, localIndex, remoteIndex }: EpochParts) {
    this.localIndex = localIndex;
    this.#remoteIndex = remoteIndex;
    this.#mask = mask;
    this.#send = suite.aead(keys.send);
    this.#receive = suite.aead(keys.receive);
    keys.send.fill(0);
    keys.receive.fill(0);
  }

  /** One of the two sides has counted far enough. */
  get isDue(): boolean {
    return this.sealedCount > DUE_PACKETS || this.newestCounter > DUE_PACKETS;
  }

  /** Seals the packet at [start, end), whose body is in its place. One too many for the keys is wiped instead. */
  seal(slab: Slab, start: number, end: number): void {
    if (this.sealedCount >= MOST_PACKETS) return void slab.bytes.fill(0, start, end);
    const counter = this.sealedCount++;
    const bodyAt = start + PACKET_HEAD_BYTES;
    const tagAt = end - PACKET_TAIL_BYTES;
    this.#send.seal(slab, bodyAt, tagAt - bodyAt, counter);
    this.#mask.choose(slab, tagAt);
    slab.view.setInt32(start, this.#remoteIndex ^ this.#mask.first, true);
    slab.view.setInt32(start + 4, counter ^ this.#mask.second, true);
  }

  /** Opens the packet at [start, end) whose counter has been read (`readCounter`). False: it is not genuine, or old. */
  open(slab: Slab, start: number, end: number, counter: number): boolean {
    const bodyAt = start + PACKET_HEAD_BYTES;
    if (!this.#receive.open(slab, bodyAt, end - bodyAt, counter) || !this.#window.accept(counter)) return false;
    this.isNewest = counter > this.newestCounter;
    if (this.isNewest) this.newestCounter = counter;
    return true;
  }

  /** Wipes the keys. */
  [Symbol.dispose](): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.#send[Symbol.dispose]();
    this.#receive[Symbol.dispose]();
  }
}

/** Reads the masked head of a packet of at least `LEAST_PACKET_BYTES`: gives the index, and has `readCounter` know the rest. */
export function readIndex(mask: PacketMask, slab: Slab, start: number, end: number): number {
  mask.choose(slab, end - PACKET_TAIL_BYTES);
  return slab.view.getInt32(start, true) ^ mask.first;
}

/** The counter of the packet whose index was read just now. */
export function readCounter(mask: PacketMask, slab: Slab, start: number): number {
  return (slab.view.getInt32(start + 4, true) ^ mask.second) >>> 0;
}
