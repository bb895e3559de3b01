/**
 * The four messages of WireGuard as bytes. Numbers are little endian. Whitepaper §5.4.
 *
 *   initiation 148:  type 4 | sender 4 | ephemeral 32 | static 32+16 | timestamp 12+16 | mac1 16 | mac2 16
 *   response    92:  type 4 | sender 4 | receiver 4 | ephemeral 32 | empty 0+16 | mac1 16 | mac2 16
 *   cookie      64:  type 4 | receiver 4 | nonce 24 | cookie 16+16
 *   transport  ≥32:  type 4 | receiver 4 | counter 8 | packet n+16
 *
 * The type is one byte and three zeros, compared as one number. Nothing here allocates. Not here: what is inside the
 * sealed fields (`handshake.ts`), and the macs (`cookie.ts`).
 */

import {
  COOKIE_REPLY_BYTES,
  COOKIE_REPLY_TYPE,
  INITIATION_BYTES,
  INITIATION_TYPE,
  KEEPALIVE_BYTES,
  RESPONSE_BYTES,
  RESPONSE_TYPE,
  TRANSPORT_TYPE,
} from "./constants.ts";

export const MAC_BYTES = 16;
/** mac1 and mac2, the end of an initiation and of a response. */
export const MACS_BYTES = 2 * MAC_BYTES;

/** Offsets in an initiation. */
export const INITIATION = { sender: 4, ephemeral: 8, static: 40, timestamp: 88, macs: 116 } as const;
/** Offsets in a response. */
export const RESPONSE = { sender: 4, receiver: 8, ephemeral: 12, empty: 44, macs: 60 } as const;
/** Offsets in a cookie reply. */
export const COOKIE_REPLY = { receiver: 4, nonce: 8, cookie: 32 } as const;
/** Offsets in a transport message. */
export const TRANSPORT = { receiver: 4, counter: 8, packet: 16 } as const;

export type MessageType =
  | typeof INITIATION_TYPE
  | typeof RESPONSE_TYPE
  | typeof COOKIE_REPLY_TYPE
  | typeof TRANSPORT_TYPE;

/** The type of the message at `offset`; 0 when it is none of them or its length is not right for its type. */
export function messageType(view: DataView, offset: number, length: number): MessageType | 0 {
  if (length < KEEPALIVE_BYTES) return 0;
  switch (view.getUint32(offset, true)) {
    case TRANSPORT_TYPE:
      return TRANSPORT_TYPE;
    case INITIATION_TYPE:
      return length === INITIATION_BYTES ? INITIATION_TYPE : 0;
    case RESPONSE_TYPE:
      return length === RESPONSE_BYTES ? RESPONSE_TYPE : 0;
    case COOKIE_REPLY_TYPE:
      return length === COOKIE_REPLY_BYTES ? COOKIE_REPLY_TYPE : 0;
    default:
      return 0;
  }
}

/** The index a message is addressed to; an initiation has none. `type` is what `messageType` gave. */
export function receiverOf(view: DataView, offset: number, type: MessageType): number {
  return view.getUint32(offset + (type === RESPONSE_TYPE ? RESPONSE.receiver : TRANSPORT.receiver), true);
}

/** The index that the sender of an initiation or response wants answers addressed to. */
export function senderOf(view: DataView, offset: number): number {
  return view.getUint32(offset + INITIATION.sender, true);
}

/** The counter of a transport message. Above 2^53 not exact, but then above every limit too. */
export function counterOf(view: DataView, offset: number): number {
  const at = offset + TRANSPORT.counter;
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** Writes what precedes the sealed packet. */
export function writeTransportHeader(view: DataView, offset: number, receiver: number, counter: number): void {
  view.setUint32(offset, TRANSPORT_TYPE, true);
  view.setUint32(offset + TRANSPORT.receiver, receiver, true);
  view.setUint32(offset + TRANSPORT.counter, counter >>> 0, true);
  view.setUint32(offset + TRANSPORT.counter + 4, Math.floor(counter / 2 ** 32), true);
}
