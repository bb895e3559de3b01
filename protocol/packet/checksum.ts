/**
 * The Internet checksum of IP, TCP and UDP, RFC 1071: sums of 16-bit words in ones' complement. RFC 1071 §2 (B) says that
 * the sum comes out right in either byte order, so everything here adds little-endian words, as vectors load them, and
 * numbers that have a meaning (lengths, protocol numbers) are swapped before they are added.
 *
 * A sum is not folded while it grows: add sums as plain numbers, then `fold` once. The fast sum over bytes is
 * `PacketSlab.sum`; `sumBytes` is its twin for the slow road, and what the tests compare it with.
 */

import type { Slab } from "../slab.ts";

/** Up to 2^31 folded to 16 bits. A sum is 0 only if every word was. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** What the field holds (as a little-endian number) when everything else sums to `sum`. */
export function complement(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** A number of 16 bits as it counts in a sum. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

/** A number of 32 bits as it counts in a sum. */
export function swapWords(value: number): number {
  return swap16(value >>> 16) + swap16(value & 0xffff);
}

/** The sum of any bytes, a word at a time. An odd last byte counts as the first of its word. */
export function sumBytes(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  const end = at + length;
  for (let next = at; next < end; next += 2) {
    sum = fold(sum + bytes[next]! + (next + 1 < end ? bytes[next + 1]! << 8 : 0));
  }
  return sum;
}

/** The sum of an IPv4 header without options: 0xffff if its checksum is right. */
export function ipv4HeaderSum(slab: Slab, at: number): number {
  const { view } = slab;
  let sum = 0;
  for (let next = at; next < at + 20; next += 4) {
    const word = view.getUint32(next, true);
    sum += (word & 0xffff) + (word >>> 16);
  }
  return fold(sum);
}
