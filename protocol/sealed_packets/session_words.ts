/**
 * What the two sides of a session of sealed packets say beside its packets.
 *
 *   in a hello      kind u8 (0 begin, 1 go on) │ client's index u32 │ the server's index that the session began with u32
 *   in an answer    kind u8 (0 begun, 1 goes on, 2 gone) │ server's index u32
 *   a short body    kind u8 (1 here, 2 closed, 3 revoked) │ 0 to 22 random bytes
 *
 * Little endian. A body of 24 bytes or more is a datagram of what the session carries; KCP has none shorter. "Here" says no
 * more than that: after a hello it tells the server that the client has the keys. Indices are signed words, as `Keypair` has
 * them.
 */

import type { Bytes } from "../primitives.ts";
import { type Random, randomInt } from "../random.ts";
import type { Slab } from "../slab.ts";

/** What the hellos of sessions are for. */
export const SESSION_PURPOSE = "packets";
/** A body of fewer bytes is a word. */
export const LEAST_BODY_BYTES = 24;

export const HelloKind = { BEGIN: 0, GO_ON: 1 } as const;
export const AnswerKind = { BEGUN: 0, GOES_ON: 1, GONE: 2 } as const;
export const Word = { HERE: 1, CLOSED: 2, REVOKED: 3 } as const;
export type Word = typeof Word[keyof typeof Word];

const HELLO_BYTES = 9;
const ANSWER_BYTES = 5;

export interface HelloWords {
  readonly kind: number;
  readonly index: number;
  /** The server's index that the session which goes on began with. */
  readonly ofServer: number;
}

export interface AnswerWords {
  readonly kind: number;
  readonly index: number;
}

export function encodeHelloWords({ kind, index, ofServer }: HelloWords): Bytes {
  const bytes = new Uint8Array(HELLO_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = kind;
  view.setInt32(1, index, true);
  view.setInt32(5, ofServer, true);
  return bytes;
}

/** More bytes may follow; they are of a later version. */
export function decodeHelloWords(bytes: Uint8Array): HelloWords | undefined {
  if (bytes.length < HELLO_BYTES || bytes[0]! > HelloKind.GO_ON) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { kind: bytes[0]!, index: view.getInt32(1, true), ofServer: view.getInt32(5, true) };
}

export function encodeAnswerWords({ kind, index }: AnswerWords): Bytes {
  const bytes = new Uint8Array(ANSWER_BYTES);
  bytes[0] = kind;
  new DataView(bytes.buffer).setInt32(1, index, true);
  return bytes;
}

export function decodeAnswerWords(bytes: Uint8Array): AnswerWords | undefined {
  if (bytes.length < ANSWER_BYTES || bytes[0]! > AnswerKind.GONE) return undefined;
  return { kind: bytes[0]!, index: new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getInt32(1, true) };
}

/** Writes a word at `at`, and bytes that make it as long as any other; gives how many. */
export function writeWord(slab: Slab, at: number, word: Word, random: Random): number {
  const padding = randomInt(random, LEAST_BODY_BYTES - 1);
  random.fill(slab.bytes.subarray(at, at + 1 + padding));
  slab.bytes[at] = word;
  return 1 + padding;
}

/** A random index that means nothing yet. */
export function drawIndex(random: Random, isTaken: (index: number) => boolean): number {
  const word = new DataView(new ArrayBuffer(4));
  for (;;) {
    random.fill(new Uint8Array(word.buffer));
    const index = word.getInt32(0);
    if (!isTaken(index)) return index;
  }
}
