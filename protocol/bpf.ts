/**
 * Programs of classic BPF that say which packets a socket gets (McCanne and Jacobson 1993; linux/filter.h): a small
 * assembler, and the filter for TCP packets of our ports.
 *
 *   [8 bytes an instruction: operation u16, skip when true u8, skip when false u8, operand u32]
 *
 * Offsets count from the network header, whatever the link puts before it. Jumps go to `take` or `drop` only, so a program
 * is a list of checks that all must hold.
 */

import type { IpAddress } from "./ip.ts";
import type { PortSpan } from "./port_span.ts";

const LOAD_32 = 0x20;
const LOAD_16 = 0x28;
const LOAD_8 = 0x30;
const LOAD_16_AT_X = 0x48;
const LOAD_IP_HEADER_LENGTH_INTO_X = 0xb1;
const IS_EQUAL = 0x15;
const IS_ABOVE = 0x25;
const IS_AT_LEAST = 0x35;
const HAS_BITS = 0x45;
const RETURN = 0x06;

/** What Linux counts from the network header (SKF_NET_OFF). */
const NETWORK = 0xfff00000;
/** The whole packet. */
const ALL_BYTES = 0x40000;
export const INSTRUCTION_BYTES = 8;

/** One that only loads, or one after which the packet is dropped when it holds (or does not). */
interface Instruction {
  readonly operation: number;
  readonly operand: number;
  readonly dropsWhen?: boolean;
}

function load(operation: number, offset: number): Instruction {
  return { operation, operand: (NETWORK + offset) >>> 0 };
}

function check(operation: number, operand: number, dropsWhen = false): Instruction {
  return { operation, operand, dropsWhen };
}

/** Packets that pass every check are taken whole. */
export function assembleChecks(instructions: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const program = new Uint8Array((instructions.length + 2) * INSTRUCTION_BYTES), view = new DataView(program.buffer);
  const dropAt = instructions.length + 1;
  instructions.forEach(({ operation, operand, dropsWhen }, index) => {
    const at = index * INSTRUCTION_BYTES, toDrop = dropAt - index - 1;
    view.setUint16(at, operation, true);
    if (dropsWhen !== undefined) program[at + (dropsWhen ? 2 : 3)] = toDrop;
    view.setUint32(at + 4, operand, true);
  });
  view.setUint16((dropAt - 1) * INSTRUCTION_BYTES, RETURN, true);
  view.setUint32((dropAt - 1) * INSTRUCTION_BYTES + 4, ALL_BYTES, true);
  view.setUint16(dropAt * INSTRUCTION_BYTES, RETURN, true);
  return program;
}

export interface TcpFilterOptions {
  readonly isV6: boolean;
  /** Of ours. */
  readonly ports: PortSpan;
  /** Of ours; every one when left out. */
  readonly address?: IpAddress;
  /** Where packets must come from. */
  readonly from?: { readonly address: IpAddress; readonly ports: PortSpan };
}

/** TCP packets that are whole, to our ports, and from there. Those of IPv6 with headers in between are not taken. */
export function tcpFilter({ isV6, ports, address, from }: TcpFilterOptions): Uint8Array<ArrayBuffer> {
  const [sourceAt, destinationAt] = isV6 ? [8, 24] : [12, 16];
  return assembleChecks([
    ...isV6 ? V6_TCP : V4_TCP,
    ...from ? addressIs(from.address, sourceAt) : [],
    ...address && !isAny(address) ? addressIs(address, destinationAt) : [],
    ...isV6 ? [] : [load(LOAD_IP_HEADER_LENGTH_INTO_X, 0)],
    ...portIsIn(ports, isV6, 2),
    ...from ? portIsIn(from.ports, isV6, 0) : [],
  ]);
}

const TCP = 6;
const FRAGMENT_BITS = 0x3fff;
const V4_TCP = [load(LOAD_8, 9), check(IS_EQUAL, TCP), load(LOAD_16, 6), check(HAS_BITS, FRAGMENT_BITS, true)];
const V6_TCP = [load(LOAD_8, 6), check(IS_EQUAL, TCP)];
const V6_HEADER_BYTES = 40;

function addressIs(address: IpAddress, offset: number): Instruction[] {
  const view = new DataView(address.buffer, address.byteOffset, address.length);
  const words = Array.from({ length: address.length / 4 }, (_, index) => index * 4);
  return words.flatMap((at) => [load(LOAD_32, offset + at), check(IS_EQUAL, view.getUint32(at))]);
}

function portIsIn({ first, count }: PortSpan, isV6: boolean, offset: number): Instruction[] {
  const port = isV6 ? load(LOAD_16, V6_HEADER_BYTES + offset) : load(LOAD_16_AT_X, offset);
  if (count === 1) return [port, check(IS_EQUAL, first)];
  return [port, check(IS_AT_LEAST, first), check(IS_ABOVE, first + count - 1, true)];
}

function isAny(address: IpAddress): boolean {
  return address.every((byte) => byte === 0);
}

/** A filter that takes nothing: for the time until the right one stands. */
export function dropAll(): Uint8Array<ArrayBuffer> {
  return assembleChecks([]).slice(INSTRUCTION_BYTES);
}
