/**
 * As much of TURN as it takes to send through somebody's relay over UDP: an allocation and a channel to one peer, behind
 * which each datagram carries four bytes. RFC 8656 §7, §12; messages as in RFC 8489 §5. No authentication.
 *
 *   message:      type 2 | length 2 | 0x2112a442 | transaction 12 | attributes (type 2 | length 2 | value, to whole words)
 *   ChannelData:  channel 2 | length 2 | data
 */

import type { DatagramEnd } from "./datagram_pair.ts";

const ALLOCATE = 0x0003;
const CHANNEL_BIND = 0x0009;
/** Of an answer that says yes. */
const SUCCESS = 0x0100;
const MAGIC = 0x2112a442;
const HEADER_BYTES = 20;
const CHANNEL_NUMBER = 0x000c;
const XOR_PEER_ADDRESS = 0x0012;
const REQUESTED_TRANSPORT = 0x0019;
const UDP_PROTOCOL = 17;
const CHANNEL = 0x4000;

/** Asks the server on loopback for a way from this socket to a port of loopback; `channelData` goes that way. */
export function openTurnChannel(socket: DatagramEnd, serverPort: number, peerPort: number): void {
  ask(socket, serverPort, ALLOCATE, attribute(REQUESTED_TRANSPORT, Uint8Array.of(UDP_PROTOCOL, 0, 0, 0)));
  const channel = attribute(CHANNEL_NUMBER, Uint8Array.of(CHANNEL >> 8, CHANNEL & 0xff, 0, 0));
  ask(socket, serverPort, CHANNEL_BIND, [...channel, ...attribute(XOR_PEER_ADDRESS, xorAddress(peerPort))]);
}

/** A datagram for the channel. */
export function channelData(data: Uint8Array): Uint8Array {
  const message = new Uint8Array(4 + data.length), view = new DataView(message.buffer);
  view.setUint16(0, CHANNEL);
  view.setUint16(2, data.length);
  message.set(data, 4);
  return message;
}

function ask(socket: DatagramEnd, port: number, type: number, attributes: readonly number[]): void {
  const message = new Uint8Array(HEADER_BYTES + attributes.length), view = new DataView(message.buffer);
  view.setUint16(0, type);
  view.setUint16(2, attributes.length);
  view.setUint32(4, MAGIC);
  crypto.getRandomValues(message.subarray(8, HEADER_BYTES));
  message.set(attributes, HEADER_BYTES);
  socket.send(port, message);
  const answer = socket.await();
  const answered = (answer[0]! << 8) | answer[1]!;
  if (answered !== (type | SUCCESS)) {
    throw new Error(
      `Cannot use a TURN server: it must agree to 0x${type.toString(16)}, got 0x${answered.toString(16)}`,
    );
  }
}

function attribute(type: number, value: Uint8Array): number[] {
  return [type >> 8, type & 0xff, value.length >> 8, value.length & 0xff, ...value];
}

/** 127.0.0.1 and a port, disguised as the RFC wants it. */
function xorAddress(port: number): Uint8Array {
  const value = new Uint8Array(8), view = new DataView(value.buffer);
  value[1] = 1;
  view.setUint16(2, port ^ (MAGIC >>> 16));
  view.setUint32(4, 0x7f000001 ^ MAGIC);
  return value;
}
