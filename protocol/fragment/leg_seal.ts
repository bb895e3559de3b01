/**
 * How the fragments of one leg in one direction are sealed: each by itself, under a key of that leg and relay alone, so
 * that what one relay saw opens nowhere else and two relays see nothing in common.
 *
 *   fragment   version u8 = 1 | 0 u8 | number u48 BE | sealed body | tag[16]        of 512, 2048, 8192 or 32768 bytes
 *   key        HMAC-BLAKE2s(direction's key, "culvert leg v1" ‖ leg u16 BE ‖ relay id)
 *
 * The header is authenticated along with the body. The number counts the leg's fragments from 0 and is the nonce; each is
 * taken once, and may come late by as much as the window of a WireGuard key. The body is padded with zeros to the size
 * class, before it is sealed; a byte of 0 in it is no frame, so whoever reads it stops there.
 */

import { Blake2s } from "../blake2s.ts";
import { CulvertError } from "../errors.ts";
import { hmac } from "../noise.ts";
import type { Bytes } from "../primitives.ts";
import type { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import type { Aead, WireGuardCrypto } from "../wireguard/crypto.ts";
import { ReplayWindow } from "../wireguard/replay.ts";

const VERSION = 1;
export const FRAGMENT_HEADER_BYTES = 8;
/** What a fragment has beside its body. */
export const FRAGMENT_OVERHEAD_BYTES = FRAGMENT_HEADER_BYTES + TAG_BYTES;
/** The lengths a fragment may have. */
export const FRAGMENT_SIZES: readonly number[] = [512, 2048, 8192, 32768];
export const MAX_FRAGMENT_BYTES = 32768;
export const MAX_BODY_BYTES = MAX_FRAGMENT_BYTES - FRAGMENT_OVERHEAD_BYTES;
const END_OF_NUMBERS = 2 ** 48;

/** What `LegOpener.open` says of a fragment that is false, or was taken before. */
export const REFUSED = -1;

/** Where a leg leads. */
export interface LegPlace {
  readonly leg: number;
  readonly relayId: string;
}

/** The key of one leg, from that of its direction. */
export function legKey(directionKey: Bytes, { leg, relayId }: LegPlace): Bytes {
  const encoder = new TextEncoder();
  const number = Uint8Array.of(leg >>> 8, leg);
  return hmac(new Blake2s(), directionKey, encoder.encode("culvert leg v1"), number, encoder.encode(relayId));
}

/** How long the fragment is that takes a body of so many bytes; undefined when none does. */
export function fragmentBytesFor(bodyBytes: number): number | undefined {
  return FRAGMENT_SIZES.find((size) => bodyBytes <= size - FRAGMENT_OVERHEAD_BYTES);
}

/** Seals what goes out on one leg. Disposing wipes the key. */
export class LegSealer implements Disposable {
  readonly #aead: Aead;
  #number = 0;

  constructor(suite: WireGuardCrypto, key: Bytes) {
    this.#aead = suite.aead(key);
  }

  /** The number of the next fragment, and how many there have been. */
  get nextNumber(): number {
    return this.#number;
  }

  /**
   * Makes a fragment at `offset` of the body that lies `FRAGMENT_HEADER_BYTES` behind it, in place, and gives its length.
   * What is behind the body, up to the size class, is overwritten.
   */
  seal(slab: Slab, offset: number, bodyBytes: number): number {
    const length = fragmentBytesFor(bodyBytes);
    if (length === undefined || offset + length > slab.size) {
      throw new RangeError(`Cannot seal: a body must fit a fragment and its slab, got ${bodyBytes} bytes at ${offset}`);
    }
    if (this.#number >= END_OF_NUMBERS) {
      throw new CulvertError("exhausted", "Cannot seal: the leg's numbers are used up");
    }
    const { bytes, view } = slab;
    const body = offset + FRAGMENT_HEADER_BYTES;
    const end = offset + length - TAG_BYTES;
    bytes.fill(0, body + bodyBytes, end);
    view.setUint16(offset, VERSION << 8);
    view.setUint16(offset + 2, this.#number / 2 ** 32);
    view.setUint32(offset + 4, this.#number);
    this.#aead.seal(slab, body, end - body, this.#number, FRAGMENT_HEADER_BYTES);
    this.#number++;
    return length;
  }

  [Symbol.dispose](): void {
    this.#aead[Symbol.dispose]();
  }
}

/** Opens what comes in on one leg. Disposing wipes the key. */
export class LegOpener implements Disposable {
  readonly #aead: Aead;
  readonly #seen = new ReplayWindow();
  #lastNumber = -1;

  constructor(suite: WireGuardCrypto, key: Bytes) {
    this.#aead = suite.aead(key);
  }

  /** The number of the fragment that was opened last, -1 before the first. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /**
   * Opens the fragment at `offset` in place; the body lies `FRAGMENT_HEADER_BYTES` behind it, padding and all, and its
   * length is given, or `REFUSED`. What was refused has changed nothing, but its bytes are worthless.
   */
  open(slab: Slab, offset: number, length: number): number {
    if (!FRAGMENT_SIZES.includes(length) || offset < 0 || offset + length > slab.size) return REFUSED;
    const { view } = slab;
    if (view.getUint16(offset) !== VERSION << 8) return REFUSED;
    const number = view.getUint16(offset + 2) * 2 ** 32 + view.getUint32(offset + 4);
    const body = offset + FRAGMENT_HEADER_BYTES;
    const sealedBytes = length - FRAGMENT_HEADER_BYTES;
    if (!this.#aead.open(slab, body, sealedBytes, number, FRAGMENT_HEADER_BYTES)) return REFUSED;
    if (!this.#seen.accept(number)) return REFUSED;
    this.#lastNumber = number;
    return sealedBytes - TAG_BYTES;
  }

  [Symbol.dispose](): void {
    this.#aead[Symbol.dispose]();
  }
}
