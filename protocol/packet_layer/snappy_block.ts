/**
 * Snappy's block format: quick compression by copies of what came before. What it makes is read by any Snappy; what others
 * make is read by it, and nothing else is.
 *
 *   length as a varint | (tag, literal bytes | tag, offset)…
 *   tag, low two bits  0: literal, length-1 above (60 to 63: in 1 to 4 bytes more)
 *                      1: copy of 4 to 11, offset of 11 bits     2: of 1 to 64, offset u16     3: the same, offset u32
 *
 * A block here is at most 64 KiB, which is what the framing format has. Spec: google/snappy, format_description.txt.
 */

import type { Slab } from "../slab.ts";

export const MAX_SNAPPY_BLOCK_BYTES = 64 * 1024;
/** What a block can grow to: a literal's tag every now and then. */
export const MAX_SNAPPY_COMPRESSED_BYTES = 32 + MAX_SNAPPY_BLOCK_BYTES + Math.floor(MAX_SNAPPY_BLOCK_BYTES / 6);

const TABLE_BITS = 14;
const HASH_FACTOR = 0x1e35a7bd;
/** So near the end no copy is looked for, which spares every look-up a check. */
const TAIL_BYTES = 15;
/** After so many look-ups in vain, one byte more is passed over each time. */
const PATIENCE_BITS = 5;

const LITERAL = 0;
const COPY1 = 1;
const COPY2 = 2;
const COPY4 = 3;

/** What a compressor works in; one for any number of streams of a thread. */
export class SnappyTable {
  /** Where bytes of a hash were last seen. */
  readonly places = new Uint16Array(1 << TABLE_BITS);
}

/**
 * Compresses the first `length` bytes of `from`, at most 64 KiB, into `into` at `at`, where there must be room for
 * `MAX_SNAPPY_COMPRESSED_BYTES`. Gives where it ends.
 */
export function compressSnappy(from: Slab, length: number, into: Slab, at: number, table: SnappyTable): number {
  if (length > MAX_SNAPPY_BLOCK_BYTES) {
    throw new RangeError(`Cannot compress: a block must be at most ${MAX_SNAPPY_BLOCK_BYTES} bytes, got ${length}`);
  }
  const { view } = from;
  const { places } = table;
  let to = writeVarint(into.bytes, at, length);
  let written = 0;
  places.fill(0);
  const last = length - TAIL_BYTES;
  let tries = 1 << PATIENCE_BITS;
  for (let place = 1; place < last;) {
    const word = view.getUint32(place, true);
    const hash = Math.imul(word, HASH_FACTOR) >>> 32 - TABLE_BITS;
    const candidate = places[hash]!;
    places[hash] = place;
    if (view.getUint32(candidate, true) !== word) {
      place += tries++ >> PATIENCE_BITS;
      continue;
    }
    tries = 1 << PATIENCE_BITS;
    const copied = matchLength(from.bytes, candidate, place, length);
    if (place > written) to = writeLiteral(from.bytes, written, place, into.bytes, to);
    to = writeCopy(into.bytes, to, place - candidate, copied);
    place += copied;
    written = place;
  }
  return written < length ? writeLiteral(from.bytes, written, length, into.bytes, to) : to;
}

/**
 * Decompresses the block at [start, end) to the beginning of `into`, which has room for 64 KiB. Gives the length; undefined
 * when it is no block, or a longer one. Never reads or writes beyond.
 */
export function decompressSnappy(from: Uint8Array, start: number, end: number, into: Uint8Array): number | undefined {
  let at = start;
  let length = 0;
  for (let shift = 0;; shift += 7) {
    if (at >= end || shift > 14) return undefined;
    const byte = from[at++]!;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (length > MAX_SNAPPY_BLOCK_BYTES) return undefined;
  let to = 0;
  while (at < end) {
    const tag = from[at++]!;
    const extra = extraBytes(tag);
    if (at + extra > end) return undefined;
    const count = (tag & 3) === LITERAL ? literalLength(tag, from, at) : copyLength(tag);
    if (to + count > length) return undefined;
    if ((tag & 3) === LITERAL) {
      at += extra;
      if (at + count > end) return undefined;
      into.set(from.subarray(at, at + count), to);
      at += count;
    } else {
      const offset = copyOffset(tag, from, at);
      at += extra;
      if (offset === 0 || offset > to) return undefined;
      copyWithin(into, to, offset, count);
    }
    to += count;
  }
  return to === length ? length : undefined;
}

/** Bytes of an element between its tag and its literal. */
function extraBytes(tag: number): number {
  switch (tag & 3) {
    case LITERAL:
      return Math.max(0, (tag >> 2) - 59);
    case COPY1:
      return 1;
    case COPY2:
      return 2;
    default:
      return 4;
  }
}

function literalLength(tag: number, from: Uint8Array, at: number): number {
  const short = tag >> 2;
  if (short < 60) return short + 1;
  let length = 0;
  for (let byte = short - 60; byte >= 0; byte--) length = length * 256 + from[at + byte]!;
  return length + 1;
}

function copyLength(tag: number): number {
  return (tag & 3) === COPY1 ? (tag >> 2 & 7) + 4 : (tag >> 2) + 1;
}

function copyOffset(tag: number, from: Uint8Array, at: number): number {
  switch (tag & 3) {
    case COPY1:
      return (tag >> 5) << 8 | from[at]!;
    case COPY2:
      return from[at]! | from[at + 1]! << 8;
    case COPY4:
      return (from[at]! | from[at + 1]! << 8 | from[at + 2]! << 16 | from[at + 3]! << 24) >>> 0;
    default:
      return 0;
  }
}

/** A copy may reach into itself, and then repeats what it has written. */
function copyWithin(into: Uint8Array, to: number, offset: number, count: number): void {
  if (offset >= count) {
    into.copyWithin(to, to - offset, to - offset + count);
    return;
  }
  for (let byte = to; byte < to + count; byte++) into[byte] = into[byte - offset]!;
}

function matchLength(bytes: Uint8Array, candidate: number, place: number, end: number): number {
  let at = place + 4;
  for (let before = candidate + 4; at < end && bytes[at] === bytes[before]; at++, before++);
  return at - place;
}

function writeVarint(into: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  for (; rest >= 0x80; rest >>>= 7) into[to++] = rest & 0x7f | 0x80;
  into[to++] = rest;
  return to;
}

function writeLiteral(from: Uint8Array, start: number, end: number, into: Uint8Array, at: number): number {
  const last = end - start - 1;
  let to = at;
  if (last < 60) {
    into[to++] = last << 2 | LITERAL;
  } else if (last < 256) {
    into[to++] = 60 << 2 | LITERAL;
    into[to++] = last;
  } else {
    into[to++] = 61 << 2 | LITERAL;
    into[to++] = last & 255;
    into[to++] = last >> 8;
  }
  into.set(from.subarray(start, end), to);
  return to + end - start;
}

/** In pieces of 64, with no piece shorter than four left over, so that the last may be of the short kind. */
function writeCopy(into: Uint8Array, at: number, offset: number, length: number): number {
  let to = at;
  let rest = length;
  for (; rest >= 68; rest -= 64) to = writeCopy2(into, to, offset, 64);
  if (rest > 64) {
    to = writeCopy2(into, to, offset, 60);
    rest -= 60;
  }
  if (rest >= 12 || offset >= 2048) return writeCopy2(into, to, offset, rest);
  into[to++] = offset >> 8 << 5 | rest - 4 << 2 | COPY1;
  into[to++] = offset & 255;
  return to;
}

function writeCopy2(into: Uint8Array, at: number, offset: number, length: number): number {
  into[at] = length - 1 << 2 | COPY2;
  into[at + 1] = offset & 255;
  into[at + 2] = offset >> 8;
  return at + 3;
}
