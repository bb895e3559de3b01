/**
 * The frames of smux (github.com/xtaci/smux, v1 and v2), and the three we add between two ends of our own.
 *
 *   version u8 | command u8 | length u16 LE | stream id u32 LE | payload[length]
 *
 *   0 SYN   opens a stream                        payload empty
 *   1 FIN   the sender has written its last byte  payload empty
 *   2 PSH   data
 *   3 NOP   keepalive, stream id 0                payload empty
 *   4 UPD   v2 only: consumed u32 LE | window u32 LE: the sender of the frame has consumed so many bytes of the stream
 *           and will hold up to `window` beyond them
 *  16 RST   ours: reason u8, see MuxResetReason
 *  17 PING  ours: token u32 LE, stream id 0       answered at once by
 *  18 PONG  ours: the token, stream id 0
 *
 * The client's stream ids are 3, 5, 7…; the server's 2, 4, 6…. Ours are sent only when both ends are known to understand
 * them: smux drops a session at a command it does not know.
 */

export const MUX_HEADER_BYTES = 8;
/** The largest payload the length field can name. */
export const MUX_MAX_PAYLOAD_BYTES = 65535;
/** What a v2 sender may have in flight before the first UPD of its peer. */
export const MUX_INITIAL_WINDOW_BYTES = 262144;
/** The payload of an UPD frame. */
export const MUX_UPDATE_BYTES = 8;

/** What a frame is, as its second byte. */
export const MuxCommand = {
  SYN: 0,
  FIN: 1,
  PSH: 2,
  NOP: 3,
  UPD: 4,
  RST: 16,
  PING: 17,
  PONG: 18,
} as const;

/** What an RST frame means. */
export const MuxResetReason = {
  /** The sender has closed its end: what it wrote before FIN stands, what is written to it is read by nobody. */
  CLOSED: 0,
  /** The stream has failed: what was written may be incomplete. */
  CUT: 1,
  /** The sender has too many streams and never opened this one. */
  BUSY: 2,
  /** The sender's memory for the session is used up, and this stream held most of it. */
  OVERFLOW: 3,
} as const;

/** The stream id a side opens after `id`: odd ones for the client, even ones for the server, around and around. */
export function followingStreamId(role: "client" | "server", id: number): number {
  return id + 2 > 0xffffffff ? firstStreamId(role) : id + 2;
}

/** The stream id a side opens first. */
export function firstStreamId(role: "client" | "server"): number {
  return role === "client" ? 3 : 2;
}

/** Writes a frame header at `at`; gives the position after it. */
export function writeMuxHeader(
  into: Uint8Array,
  at: number,
  version: number,
  command: number,
  length: number,
  streamId: number,
): number {
  into[at] = version;
  into[at + 1] = command;
  into[at + 2] = length;
  into[at + 3] = length >>> 8;
  return writeUint32(into, at + 4, streamId);
}

/** Writes a u32 LE at `at`; gives the position after it. */
export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
  return at + 4;
}

/** Reads a u32 LE. The caller has checked that four bytes are there. */
export function readUint32(from: Uint8Array, at: number): number {
  return (from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16) | (from[at + 3]! << 24)) >>> 0;
}
