/**
 * The first mac of initiations and responses: keyed with a hash of the public key they are meant for, so that who receives
 * one, or carries it for others, sees whether its sender knows for whom it is. Whitepaper §5.4.4.
 *
 *   mac1 = keyed BLAKE2s(BLAKE2s("mac1----" ‖ receiver's public key), everything before mac1), 16 bytes
 *
 * It proves no more than that: public keys are no secrets. Checking one makes no garbage.
 */

import { Blake2s } from "../blake2s.ts";
import type { Bytes } from "../primitives.ts";
import { MAC_BYTES, MACS_BYTES } from "./messages.ts";
import type { Key } from "./settings.ts";

const MAC1_LABEL = "mac1----";

/** What the messages for the owner of a public key are keyed with. */
export function mac1Key(publicKey: Key, hasher?: Blake2s): Bytes {
  return labelledKey(MAC1_LABEL, publicKey, hasher);
}

/** Whoever makes thousands hands in a hasher, which is larger than what it gives. */
export function labelledKey(label: string, publicKey: Key, hasher: Blake2s = new Blake2s()): Bytes {
  return hasher.hash(new TextEncoder().encode(label), publicKey);
}

/** Checks the macs of any number of receivers, one after another. */
export class Mac1Checker implements Disposable {
  readonly #hasher = new Blake2s();
  readonly #mac = new Uint8Array(MAC_BYTES);

  /** `mac1Key`, without a hasher of its own. */
  keyFor(publicKey: Key): Bytes {
    return mac1Key(publicKey, this.#hasher);
  }

  /** Whether the handshake message in packet[offset, offset+length) is meant for the one whose `mac1Key` this is. */
  fits(key: Bytes, packet: Uint8Array, offset: number, length: number): boolean {
    const end = offset + length - MACS_BYTES;
    this.#hasher.start(MAC_BYTES, key).update(packet, offset, end).finish(this.#mac);
    return equalMac(this.#mac, packet, end);
  }

  [Symbol.dispose](): void {
    this.#hasher[Symbol.dispose]();
  }
}

/** Looks at all bytes, so that the time taken says nothing. */
export function equalMac(mac: Bytes, packet: Uint8Array, at: number): boolean {
  let difference = 0;
  for (let byte = 0; byte < MAC_BYTES; byte++) difference |= mac[byte]! ^ packet[at + byte]!;
  return difference === 0;
}
