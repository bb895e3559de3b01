/**
 * The cells of a circuit: all that goes over its links once it stands, each CELL_BYTES long whatever it holds.
 *
 *   cell on the link from hop i−1 to hop i    sealed for hop i [S_i] | random bytes to the end        S_i = 2048 − 17(i−1)
 *   opened by hop i                           inner [S_i − 17] | flag u8, and 16 bytes of tag are gone
 *     flag 0: passed on to hop i+1, the inner bytes being what is sealed for it (S_i − 17 = S_{i+1})
 *     flag 1: for this hop:  command u8 | length u16 BE | body[length] | zeros
 *   on the way back the same in reverse: each hop puts the flag behind what it got (0) or made (1), and seals it
 *
 *   1 EXTEND     to the last hop      hop id[16] | kind u8 | first message of the handshake[49]
 *   2 EXTENDED   from the last hop    status u8 | second message[48], that only with status 0
 *   3 DATA       to and from the gateway: bytes of the link that the circuit is
 *   4 PADDING    to and from any hop; nothing is done with it
 *   5 END        from a hop, before it ends the circuit: code u8
 *
 * Keys and counters are in `layer.ts`. The random bytes at the end are nobody's: each hop puts its own there, so a cell
 * has no byte in common with what it was on the link before.
 */

import { bad, done, type Parsed } from "../parse.ts";
import type { Bytes } from "../primitives.ts";
import type { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import { FIRST_NK_BYTES, SECOND_NK_BYTES } from "./handshake.ts";

export const CELL_BYTES = 2048;
/** Ten relays and a gateway. */
export const MAX_HOPS = 11;
/** What a cell loses with each hop: the flag and the tag. */
export const LAYER_BYTES = 1 + TAG_BYTES;
export const CELL_HEADER_BYTES = 3;

export const CellCommand = { EXTEND: 1, EXTENDED: 2, DATA: 3, PADDING: 4, END: 5 } as const;
export type CellCommand = typeof CellCommand[keyof typeof CellCommand];

/** Why a hop could not be added, in CREATED and EXTENDED. */
export const CircuitStatus = {
  OK: 0,
  /** As many circuits as the hop takes, or as it takes of this link. */
  BUSY: 1,
  /** It knows no relay or gateway of that id. */
  UNKNOWN_HOP: 2,
  /** It knows it, and cannot reach it. */
  UNREACHABLE: 3,
  /** The handshake was not made for it, or it may not be at this position. */
  REFUSED: 4,
  DRAINING: 5,
} as const;
export type CircuitStatus = typeof CircuitStatus[keyof typeof CircuitStatus];

/** Why a hop ends a circuit. */
export const CircuitEnd = {
  DONE: 0,
  /** A cell was changed, lost, doubled or moved, or broke the rules. */
  BROKEN: 1,
  /** The link to the next hop was lost, or the next hop ended the circuit. */
  LOST: 2,
  /** The hop's limits. */
  LIMIT: 3,
  DRAINING: 4,
  IDLE: 5,
} as const;

export const HOP_ID_BYTES = 16;
const EXTEND_BYTES = HOP_ID_BYTES + 1 + FIRST_NK_BYTES;
const EXTENDED_BYTES = 1 + SECOND_NK_BYTES;

export type HopKind = "relay" | "gateway";

/** Bytes of a cell that are sealed for the hop at `position`, counted from 1. */
export function sealedBytesAt(position: number): number {
  return CELL_BYTES - LAYER_BYTES * (position - 1);
}

/** The longest body of a cell for the hop at `position`. */
export function bodyBytesAt(position: number): number {
  return sealedBytesAt(position) - LAYER_BYTES - CELL_HEADER_BYTES;
}

/** Writes what stands before a body, and the zeros behind it up to the end of what is sealed. */
export function writeCellHeader(
  slab: Slab,
  at: number,
  { command, length, position }: { command: number; length: number; position: number },
): void {
  const { bytes } = slab;
  bytes[at] = command;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  const room = bodyBytesAt(position);
  if (length < room) bytes.fill(0, at + CELL_HEADER_BYTES + length, at + CELL_HEADER_BYTES + room);
}

/** The length of the body of an opened cell, or −1 when there is no room for so much. */
export function bodyLength(slab: Slab, at: number, position: number): number {
  const length = (slab.bytes[at + 1]! << 8) | slab.bytes[at + 2]!;
  return length <= bodyBytesAt(position) ? length : -1;
}

/**
 * Takes `count` bytes at the slab's start apart into bodies of DATA cells for the hop at `position`; gives how many
 * cells that makes. What is to be sealed is then in place.
 */
export function spreadIntoCells(slab: Slab, count: number, position: number): number {
  const room = bodyBytesAt(position);
  const cells = Math.ceil(count / room);
  if (cells * CELL_BYTES > slab.size) {
    throw new RangeError(`Cannot make cells: ${count} bytes need ${cells} cells, and the slab has ${slab.size} bytes`);
  }
  // From the last: a cell lies further back than what goes into it.
  for (let cell = cells - 1; cell >= 0; cell--) {
    const from = cell * room;
    const length = Math.min(room, count - from);
    const at = cell * CELL_BYTES;
    slab.bytes.copyWithin(at + CELL_HEADER_BYTES, from, from + length);
    writeCellHeader(slab, at, { command: CellCommand.DATA, length, position });
  }
  return cells;
}

export interface ExtendRequest {
  readonly hopId: Bytes;
  readonly kind: HopKind;
  /** To be sent on in a CREATE. */
  readonly first: Bytes;
}

export function encodeExtend({ hopId, kind, first }: ExtendRequest): Bytes {
  const body = new Uint8Array(EXTEND_BYTES);
  body.set(hopId);
  body[HOP_ID_BYTES] = kind === "relay" ? 1 : 2;
  body.set(first, HOP_ID_BYTES + 1);
  return body;
}

/** Reads the body of an EXTEND. */
export function parseExtend(body: Uint8Array): ExtendRequest | undefined {
  const kind = ([undefined, "relay", "gateway"] as const)[body[HOP_ID_BYTES] ?? 0];
  if (body.length !== EXTEND_BYTES || !kind) return undefined;
  return {
    hopId: new Uint8Array(body.subarray(0, HOP_ID_BYTES)),
    kind,
    first: new Uint8Array(body.subarray(HOP_ID_BYTES + 1)),
  };
}

/** What became of a wish for a hop: in CREATED from the hop itself, in EXTENDED from the one before. */
export interface HopAnswer {
  readonly status: number;
  /** There with status 0. */
  readonly second?: Bytes;
}

export function encodeExtended({ status, second }: HopAnswer): Bytes {
  const body = new Uint8Array(status === CircuitStatus.OK ? EXTENDED_BYTES : 1);
  body[0] = status;
  if (status === CircuitStatus.OK) body.set(second!, 1);
  return body;
}

/** Reads the body of an EXTENDED. */
export function parseExtended(body: Uint8Array): HopAnswer | undefined {
  const status = body[0];
  if (status === undefined) return undefined;
  if (status !== CircuitStatus.OK) return { status };
  return body.length === EXTENDED_BYTES ? { status, second: new Uint8Array(body.subarray(1)) } : undefined;
}

// What is said on a new stream before the first cell.
//
//   CREATE    version 1 u8 | 0 u8      | length u16 BE | first message of the handshake
//   CREATED   version 1 u8 | status u8 | length u16 BE | second message, that only with status 0

const VERSION = 1;
export const CREATE_HEADER_BYTES = 4;
export const CREATE_BYTES = CREATE_HEADER_BYTES + FIRST_NK_BYTES;
export const CREATED_BYTES = CREATE_HEADER_BYTES + SECOND_NK_BYTES;

export function encodeCreate(first: Bytes): Bytes {
  return greeting(0, first);
}

/** Reads a CREATE; gives the first message of the handshake. */
export function parseCreate(bytes: Uint8Array): Parsed<Bytes> {
  const read = parseGreeting(bytes);
  if (read.status !== "done") return read;
  const { mark, message } = read.value;
  if (mark !== 0 || message.length !== FIRST_NK_BYTES) return bad("not a CREATE of this version");
  return done(message, read.length);
}

export function encodeCreated({ status, second }: HopAnswer): Bytes {
  return greeting(status, second ?? new Uint8Array(0));
}

export function parseCreated(bytes: Uint8Array): Parsed<HopAnswer> {
  const read = parseGreeting(bytes);
  if (read.status !== "done") return read;
  const { mark: status, message } = read.value;
  if (message.length !== (status === CircuitStatus.OK ? SECOND_NK_BYTES : 0)) return bad("a CREATED of a wrong length");
  return done(status === CircuitStatus.OK ? { status, second: message } : { status }, read.length);
}

function greeting(mark: number, message: Bytes): Bytes {
  const bytes = new Uint8Array(CREATE_HEADER_BYTES + message.length);
  bytes.set([VERSION, mark, message.length >>> 8, message.length & 0xff]);
  bytes.set(message, CREATE_HEADER_BYTES);
  return bytes;
}

function parseGreeting(bytes: Uint8Array): Parsed<{ mark: number; message: Bytes }> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return bad("not a greeting of this version");
  if (bytes.length < CREATE_HEADER_BYTES) return { status: "more" };
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length > FIRST_NK_BYTES) return bad("a greeting that is too long");
  const end = CREATE_HEADER_BYTES + length;
  if (bytes.length < end) return { status: "more" };
  return done({ mark: bytes[1]!, message: new Uint8Array(bytes.subarray(CREATE_HEADER_BYTES, end)) }, end);
}
