/**
 * Snappy's framing format over a stream, as kcptun has it in each direction by itself.
 *
 *   ff 06 00 00 "sNaPpY" | chunk…      chunk: type u8 | length u24 | for 00, 01: masked CRC32C u32 of the text | bytes
 *   00 compressed   01 as it is   80 to fe passed over   02 to 7f: what it means is not known, and it may not be passed over
 *
 * A chunk holds at most 64 KiB of text. Nothing is kept of a chunk but what has come of it while it is not whole, and of
 * one that was made what has not been taken yet. Spec: google/snappy, framing_format.txt.
 */

import { Slab } from "../slab.ts";
import type { Crc32 } from "./checked_seal.ts";
import { CASTAGNOLI_POLYNOMIAL, makeCrc32 } from "./crc32.ts";
import {
  compressSnappy,
  decompressSnappy,
  MAX_SNAPPY_BLOCK_BYTES,
  MAX_SNAPPY_COMPRESSED_BYTES,
  SnappyTable,
} from "./snappy_block.ts";

const ChunkType = { compressed: 0x00, plain: 0x01, skippable: 0x80, identifier: 0xff } as const;
const IDENTIFIER: readonly number[] = [0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59];
const CHUNK_HEAD_BYTES = 4;
const CHECKSUM_BYTES = 4;
const MAX_CHUNK_BYTES = CHECKSUM_BYTES + MAX_SNAPPY_COMPRESSED_BYTES;
/** How much is compressed at once: enough to find repetitions in, and little to keep those waiting who come after. */
const MOST_TEXT_BYTES = 32 * 1024;

/** Memory that chunks are made and read in, never beyond one call: one for any number of streams of a thread. */
export class SnappyScratch {
  readonly text = new Slab(MAX_SNAPPY_BLOCK_BYTES);
  readonly chunks = new Slab(IDENTIFIER.length + CHUNK_HEAD_BYTES + MAX_CHUNK_BYTES);
  readonly table = new SnappyTable();
  readonly crc32c: Crc32 = makeCrc32(CASTAGNOLI_POLYNOMIAL);
}

/** Where text comes from: puts what is next at the start of `into`, and gives how many bytes, 0 for none now. */
export interface TextSource {
  fill(into: Uint8Array): number;
}

/** The sending direction: pulls text and is pulled for chunks. */
export class SnappyWriter {
  readonly #scratch: SnappyScratch;
  readonly #source: TextSource;
  /** What has been made and not been taken. */
  #made: Uint8Array | undefined;
  #taken = 0;
  #isBegun = false;

  constructor(scratch: SnappyScratch, source: TextSource) {
    this.#scratch = scratch;
    this.#source = source;
  }

  /** Bytes are waiting to be taken. */
  get isHolding(): boolean {
    return this.#made !== undefined;
  }

  /** Fills the start of `into` with what is to be sent; gives how many bytes, 0 for none now. */
  fill(into: Uint8Array): number {
    let filled = 0;
    while (filled < into.length) {
      const made = this.#made ??= this.#make();
      if (!made) break;
      const end = Math.min(made.length, this.#taken + into.length - filled);
      into.set(made.subarray(this.#taken, end), filled);
      filled += end - this.#taken;
      this.#taken = end;
      if (end < made.length) break;
      this.#made = undefined;
      this.#taken = 0;
    }
    return filled;
  }

  /** One chunk, with the identifier before the first. */
  #make(): Uint8Array | undefined {
    const { text, chunks, table, crc32c } = this.#scratch;
    const length = this.#source.fill(text.bytes.subarray(0, MOST_TEXT_BYTES));
    if (length === 0) return undefined;
    const start = IDENTIFIER.length;
    const body = start + CHUNK_HEAD_BYTES + CHECKSUM_BYTES;
    let end = compressSnappy(text, length, chunks, body, table);
    const isSmaller = end - body < length - (length >> 3);
    if (!isSmaller) {
      chunks.bytes.set(text.bytes.subarray(0, length), body);
      end = body + length;
    }
    const type = isSmaller ? ChunkType.compressed : ChunkType.plain;
    chunks.view.setUint32(start, (end - start - CHUNK_HEAD_BYTES) * 256 + type, true);
    chunks.view.setUint32(start + CHUNK_HEAD_BYTES, masked(crc32c(text, 0, length)), true);
    if (this.#isBegun) return chunks.bytes.slice(start, end);
    this.#isBegun = true;
    chunks.bytes.set(IDENTIFIER);
    return chunks.bytes.slice(0, end);
  }
}

export type SnappyFault = "no_identifier" | "unknown_chunk" | "bad_length" | "bad_block" | "bad_checksum";

/** The receiving direction: bytes in any pieces, text out. After a fault it takes nothing more. */
export class SnappyReader {
  readonly #scratch: SnappyScratch;
  readonly #onText: (bytes: Uint8Array) => void;
  #fault: SnappyFault | undefined;
  #isBegun = false;
  /** Of a head that has not come whole. */
  readonly #head = new Uint8Array(CHUNK_HEAD_BYTES);
  #headLength = 0;
  #type: number = ChunkType.identifier;
  /** Of the chunk in hand: what has not been looked at yet. */
  #left = 0;
  /** A chunk that comes in pieces. */
  #body: Uint8Array | undefined;
  #bodyLength = 0;

  /** `onText` is given views that are good until it returns, of at most 64 KiB. */
  constructor(scratch: SnappyScratch, onText: (bytes: Uint8Array) => void) {
    this.#scratch = scratch;
    this.#onText = onText;
  }

  /** Why it takes nothing more; undefined while it does. */
  get fault(): SnappyFault | undefined {
    return this.#fault;
  }

  /** False once there is a fault. */
  receive(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length && !this.#fault;) {
      if (this.#left === 0) {
        at = this.#takeHead(bytes, at);
      } else if (this.#isPassedOver) {
        const passed = Math.min(this.#left, bytes.length - at);
        this.#left -= passed;
        at += passed;
      } else {
        at = this.#takeBody(bytes, at);
      }
    }
    return !this.#fault;
  }

  get #isPassedOver(): boolean {
    return this.#type >= ChunkType.skippable && this.#type < ChunkType.identifier;
  }

  #takeHead(bytes: Uint8Array, start: number): number {
    let at = start;
    while (this.#headLength < CHUNK_HEAD_BYTES && at < bytes.length) this.#head[this.#headLength++] = bytes[at++]!;
    if (this.#headLength < CHUNK_HEAD_BYTES) return at;
    this.#headLength = 0;
    const [type, low, middle, high] = this.#head as unknown as [number, number, number, number];
    this.#type = type;
    this.#left = low | middle << 8 | high << 16;
    this.#fault = this.#faultOfHead();
    return at;
  }

  #faultOfHead(): SnappyFault | undefined {
    if (!this.#isBegun && this.#type !== ChunkType.identifier) return "no_identifier";
    this.#isBegun = true;
    if (this.#isPassedOver) return undefined;
    if (this.#type === ChunkType.identifier) {
      return this.#left === IDENTIFIER.length - CHUNK_HEAD_BYTES ? undefined : "bad_length";
    }
    if (this.#type > ChunkType.plain) return "unknown_chunk";
    const most = CHECKSUM_BYTES +
      (this.#type === ChunkType.plain ? MAX_SNAPPY_BLOCK_BYTES : MAX_SNAPPY_COMPRESSED_BYTES);
    return this.#left >= CHECKSUM_BYTES && this.#left <= most ? undefined : "bad_length";
  }

  /** A chunk that is here in one piece is read where it lies; another is gathered first. */
  #takeBody(bytes: Uint8Array, at: number): number {
    if (!this.#body && bytes.length - at >= this.#left) {
      const end = at + this.#left;
      this.#left = 0;
      this.#fault = this.#read(bytes, at, end);
      return end;
    }
    const body = this.#body ??= new Uint8Array(this.#left);
    const end = Math.min(bytes.length, at + this.#left);
    body.set(bytes.subarray(at, end), this.#bodyLength);
    this.#bodyLength += end - at;
    this.#left -= end - at;
    if (this.#left === 0) {
      this.#body = undefined;
      this.#bodyLength = 0;
      this.#fault = this.#read(body, 0, body.length);
    }
    return end;
  }

  #read(bytes: Uint8Array, start: number, end: number): SnappyFault | undefined {
    if (this.#type === ChunkType.identifier) {
      const isKnown = IDENTIFIER.slice(CHUNK_HEAD_BYTES).every((byte, at) => bytes[start + at] === byte);
      return isKnown ? undefined : "no_identifier";
    }
    const { text, crc32c } = this.#scratch;
    const from = start + CHECKSUM_BYTES;
    const length = this.#type === ChunkType.plain
      ? copyText(bytes, from, end, text.bytes)
      : decompressSnappy(bytes, from, end, text.bytes);
    if (length === undefined) return "bad_block";
    const checksum = (bytes[start]! | bytes[start + 1]! << 8 | bytes[start + 2]! << 16 | bytes[start + 3]! << 24) >>> 0;
    if (masked(crc32c(text, 0, length)) !== checksum) return "bad_checksum";
    if (length > 0) this.#onText(text.bytes.subarray(0, length));
    return undefined;
  }
}

function copyText(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  into.set(bytes.subarray(start, end));
  return end - start;
}

/** So that a checksum of text that holds checksums is still a good one. */
function masked(checksum: number): number {
  return (checksum >>> 15 | checksum << 17) + 0xa282ead8 >>> 0;
}
