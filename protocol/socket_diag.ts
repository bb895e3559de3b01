/**
 * sock_diag, by which the kernel lists its sockets over netlink.
 *
 *   request  family u8, protocol u8, extensions u8, unused u8, states u32, then a socket's id (zeros: any)
 *   answer   family u8, state u8, timer u8, retransmits u8, id, expires u32, queues 2 × u32, uid u32, inode u32; attributes
 *   id       ports 2 × u16 and addresses 2 × 16 bytes in network order (local, remote), interface u32, cookie u64
 *
 * sock_diag(7); linux/inet_diag.h, linux/tcp.h.
 */

import type { BoundSocket, Connection } from "./bound_socket.ts";
import {
  AF_INET,
  AF_INET6,
  Attributes,
  type NetlinkMessage,
  NetlinkWriter,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from "./netlink.ts";
import type { Bytes } from "./primitives.ts";

const SOCK_DIAG_BY_FAMILY = 20;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/** States of TCP; a UDP socket that talks to nobody in particular is in TCP's state "closed". */
const ESTABLISHED = 1;
const FIN_WAIT1 = 4;
const FIN_WAIT2 = 5;
const CLOSED = 7;
const CLOSE_WAIT = 8;
const LISTEN = 10;
const waitingStates = { tcp: 1 << LISTEN, udp: 1 << CLOSED } as const;
/** Streams that are closed in one direction still carry the other. */
const CONNECTED_STATES = 1 << ESTABLISHED | 1 << FIN_WAIT1 | 1 << FIN_WAIT2 | 1 << CLOSE_WAIT;

const ID_WORDS = 12;
const MESSAGE_BYTES = 72;
const LOCAL_PORT_AT = 4;
const LOCAL_ADDRESS_AT = 8;
const COOKIE_AT = 44;
const UID_AT = 64;
const INODE_AT = 68;

const INET_DIAG_INFO = 2;
const INET_DIAG_SKV6ONLY = 11;
/** Extensions are asked for by a bit each. */
const WITH_INFO = 1 << (INET_DIAG_INFO - 1);
const INET_DIAG_REQ_BYTECODE = 1;
const JUMP = 1;
const SOURCE_AT_LEAST = 2;
const SOURCE_AT_MOST = 3;
const COMPARE_BYTES = 8;
const JUMP_BYTES = 4;
const BLOCK_BYTES = 2 * COMPARE_BYTES + JUMP_BYTES;
/** A jump over more blocks would not fit its 16 bits. */
const MAX_FILTERED_PORTS = 1_000;
/** In `struct tcp_info`, which grows at its end. */
const BYTES_ACKED_AT = 120;
const BYTES_RECEIVED_AT = 128;

export type SocketKind = BoundSocket["kind"];

/** Sockets that wait for others: those that listen, or are bound. */
export function encodeListBound(kind: SocketKind, family: 4 | 6): Bytes {
  return encodeList(kind, family, { states: waitingStates[kind], extensions: 0 });
}

/**
 * Connections whose end here has one of these ports, with what has gone over them. The kernel leaves the others out,
 * unless no port is named, or more than it can compare.
 */
export function encodeListConnections(family: 4 | 6, localPorts: ReadonlySet<number>): Bytes {
  const isFiltered = localPorts.size > 0 && localPorts.size <= MAX_FILTERED_PORTS;
  const filter = isFiltered ? portFilter([...localPorts]) : undefined;
  return encodeList("tcp", family, { states: CONNECTED_STATES, extensions: WITH_INFO, filter });
}

/**
 * The kernel's little programs over sockets: each operation says by how many bytes to go on when it holds and when not; who
 * arrives at the end is taken, who goes beyond it is not. A block for each port:
 *
 *   source port ≥ port ─ no ─▶ next block      (8 bytes each: code, yes u8, no u16, then the port where another `no` would be)
 *   source port ≤ port ─ no ─▶ next block
 *   jump to the end                            (4 bytes; the last block does without, and its "next block" is beyond the end)
 */
function portFilter(ports: readonly number[]): Bytes {
  const program = new Uint8Array(ports.length * BLOCK_BYTES - JUMP_BYTES);
  const view = new DataView(program.buffer);
  const put = (at: number, code: number, { yes, no }: { readonly yes: number; readonly no: number }) => {
    view.setUint8(at, code);
    view.setUint8(at + 1, yes);
    view.setUint16(at + 2, no, true);
  };
  for (const [index, port] of ports.entries()) {
    const at = index * BLOCK_BYTES;
    put(at, SOURCE_AT_LEAST, { yes: COMPARE_BYTES, no: BLOCK_BYTES });
    view.setUint16(at + 6, port, true);
    put(at + COMPARE_BYTES, SOURCE_AT_MOST, { yes: COMPARE_BYTES, no: BLOCK_BYTES - COMPARE_BYTES });
    view.setUint16(at + COMPARE_BYTES + 6, port, true);
    const jumpAt = at + 2 * COMPARE_BYTES;
    if (jumpAt < program.length) put(jumpAt, JUMP, { yes: JUMP_BYTES, no: program.length - jumpAt });
  }
  return program;
}

interface AskedList {
  readonly states: number;
  readonly extensions: number;
  readonly filter?: Bytes | undefined;
}

function encodeList(kind: SocketKind, family: 4 | 6, asked: AskedList): Bytes {
  const writer = new NetlinkWriter(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP)
    .raw(family === 4 ? AF_INET : AF_INET6, kind === "tcp" ? IPPROTO_TCP : IPPROTO_UDP, asked.extensions, 0)
    .rawU32(asked.states);
  for (let word = 0; word < ID_WORDS; word++) writer.rawU32(0);
  if (asked.filter) writer.bytes(INET_DIAG_REQ_BYTECODE, asked.filter);
  return writer.finish();
}

/** The waiting socket that an answer to `encodeListBound` tells of; undefined for any other message. */
export function readBoundSocket(kind: SocketKind, { type, payload }: NetlinkMessage): BoundSocket | undefined {
  if (type !== SOCK_DIAG_BY_FAMILY || payload.length < MESSAGE_BYTES) return undefined;
  const addressBytes = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 16 : 0;
  if (addressBytes === 0) return undefined;
  const view = viewOf(payload);
  const isV6Only = new Attributes(payload, MESSAGE_BYTES).u8(INET_DIAG_SKV6ONLY) === 1;
  return {
    kind,
    address: payload.slice(LOCAL_ADDRESS_AT, LOCAL_ADDRESS_AT + addressBytes),
    port: view.getUint16(LOCAL_PORT_AT),
    uid: view.getUint32(UID_AT, true),
    inode: view.getUint32(INODE_AT, true),
    ...isV6Only && { isV6Only },
  };
}

/**
 * The connection that an answer to `encodeListConnections` tells of, if its end here has one of these ports and a process
 * holds it: one that nobody has accepted yet, or that was closed and lingers, is nobody's.
 */
export function readConnection(
  { type, payload }: NetlinkMessage,
  localPorts: ReadonlySet<number>,
): Connection | undefined {
  if (type !== SOCK_DIAG_BY_FAMILY || payload.length < MESSAGE_BYTES) return undefined;
  const view = viewOf(payload);
  const localPort = view.getUint16(LOCAL_PORT_AT);
  if (!localPorts.has(localPort) || view.getUint32(INODE_AT, true) === 0) return undefined;
  const id = view.getUint32(COOKIE_AT, true) + view.getUint32(COOKIE_AT + 4, true) * 2 ** 32;
  const info = new Attributes(payload, MESSAGE_BYTES).bytes(INET_DIAG_INFO);
  if (!info || info.length < BYTES_RECEIVED_AT + 8) return { id, localPort };
  const counts = viewOf(info);
  return { id, localPort, inBytes: countAt(counts, BYTES_RECEIVED_AT), outBytes: countAt(counts, BYTES_ACKED_AT) };
}

/** Exact below 2^53, without a bigint. */
function countAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function viewOf(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
