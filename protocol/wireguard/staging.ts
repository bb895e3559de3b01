/**
 * Packets of one peer that wait for a handshake: copies, the oldest given up when another comes. Exists only while
 * something waits.
 */

import type { Bytes } from "../primitives.ts";
import { STAGED_PACKETS } from "./constants.ts";

export class StagedPackets {
  readonly #packets: Bytes[] = [];

  get size(): number {
    return this.#packets.length;
  }

  /** Keeps a copy of a packet; false if the oldest had to go for it. */
  add(bytes: Uint8Array<ArrayBuffer>, offset: number, length: number): boolean {
    this.#packets.push(bytes.slice(offset, offset + length));
    if (this.#packets.length <= STAGED_PACKETS) return true;
    this.#packets.shift();
    return false;
  }

  /** All of them, oldest first; nothing is left. */
  take(): Bytes[] {
    return this.#packets.splice(0);
  }
}
