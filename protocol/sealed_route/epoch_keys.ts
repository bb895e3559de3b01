/**
 * The keys under which a relay seals tickets: one for each hour, made of the relay's own key and the number of the hour, so
 * that nothing has to be kept or told. The hour before still opens, and the next one too: clocks of relays that share a key
 * differ a little.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import type { Aead, WireGuardCrypto } from "../wireguard/crypto.ts";

export const EPOCH_MS = 3_600_000;
/** As many epochs as two bits tell apart. */
const SLOTS = 4;
const PURPOSE = "culvert sealed route epoch v1";

export interface EpochKey {
  readonly epoch: number;
  readonly aead: Aead;
}

/** What a key is good for besides, made of it and of a purpose that no other use has. */
export function subkey(key: Uint8Array, purpose: string): Bytes {
  return hmac(sha256, key, new TextEncoder().encode(purpose)) as Bytes;
}

export function epochOf(wallMs: number): number {
  return Math.floor(wallMs / EPOCH_MS);
}

export class EpochKeys implements Disposable {
  readonly #relayKey: Bytes;
  readonly #suite: Pick<WireGuardCrypto, "aead">;
  readonly #slots: (EpochKey | undefined)[] = new Array(SLOTS).fill(undefined);

  constructor(relayKey: Bytes, suite: Pick<WireGuardCrypto, "aead">) {
    if (relayKey.length !== KEY_BYTES) {
      throw new RangeError(`Cannot seal routes: the relay's key must be ${KEY_BYTES} bytes, got ${relayKey.length}`);
    }
    this.#relayKey = relayKey.slice();
    this.#suite = suite;
  }

  current(wallMs: number): EpochKey {
    return this.#keyOf(epochOf(wallMs));
  }

  /** The key of the epoch whose number ends in these two bits; undefined when that is none of those that open now. */
  find(lastBits: number, wallMs: number): EpochKey | undefined {
    const now = epochOf(wallMs);
    const ahead = (lastBits - now) & (SLOTS - 1);
    if (ahead === 2) return undefined;
    return this.#keyOf(ahead === 3 ? now - 1 : now + ahead);
  }

  /** Wipes all of them. */
  [Symbol.dispose](): void {
    this.#relayKey.fill(0);
    for (const key of this.#slots) key?.aead[Symbol.dispose]();
    this.#slots.fill(undefined);
  }

  #keyOf(epoch: number): EpochKey {
    const slot = epoch & (SLOTS - 1);
    const known = this.#slots[slot];
    if (known?.epoch === epoch) return known;
    known?.aead[Symbol.dispose]();
    const made = { epoch, aead: this.#suite.aead(subkey(this.#relayKey, `${PURPOSE} ${epoch}`)) };
    this.#slots[slot] = made;
    return made;
  }
}
