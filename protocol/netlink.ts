/**
 * Netlink, the language in which Linux is told about links, routes and WireGuard devices: messages and attributes.
 *
 *   message    length u32, type u16, flags u16, sequence u32, port id u32, then a fixed header of the family, then
 *   attributes length u16, type u16, value; each begins at a multiple of four, the length leaves the padding out
 *
 * Numbers are in the machine's byte order, which is little-endian on every machine we run on. The writer fills in
 * sequence and port id as 0; the socket numbers what it sends. The reader trusts no length: what does not fit ends the
 * list it stands in. What the types mean is said by `rtnetlink/`, `genetlink.ts` and `wireguard/netlink.ts`.
 * RFC 3549 §2; linux/netlink.h.
 */

import type { Bytes } from "./primitives.ts";

export const NETLINK_HEADER_BYTES = 16;
export const ATTRIBUTE_HEADER_BYTES = 4;

/** Message types that mean the same in every family. */
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
/** What was listed changed meanwhile; the list may be wrong. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** In an answer: our request is quoted by its header only. */
const NLM_F_CAPPED = 0x100;
/** In an answer: attributes follow that say more. */
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Marks an attribute that holds attributes; older families do without. */
export const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

export const AF_INET = 2;
export const AF_INET6 = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function align(length: number): number {
  return ((length + 3) & ~3) >>> 0;
}

/** What an attribute with a value of so many bytes takes up. */
export function attributeBytes(valueBytes: number): number {
  return ATTRIBUTE_HEADER_BYTES + align(valueBytes);
}

/** Writes one message; its memory grows as needed. */
export class NetlinkWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = NETLINK_HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags, true);
  }

  /** How long the message is by now. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of a family's own header. */
  raw(...bytes: readonly number[]): this {
    this.#bytes.set(bytes, this.#take(bytes.length));
    return this;
  }

  /** A 32-bit word of a family's own header. */
  rawU32(value: number): this {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#header(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#header(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#header(type, 2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** Text with the zero byte that ends it. */
  text(type: number, value: string): this {
    return this.bytes(type, encoder.encode(value + "\0"));
  }

  /** Opens an attribute that holds attributes; `end` takes what this gives. */
  begin(type: number): number {
    return this.#header(type, 0) - ATTRIBUTE_HEADER_BYTES;
  }

  end(begin: number): this {
    this.#view.setUint16(begin, this.#length - begin, true);
    return this;
  }

  /** The whole message. */
  finish(): Bytes {
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }

  /** Where the value of a new attribute goes. */
  #header(type: number, valueBytes: number): number {
    const at = this.#take(attributeBytes(valueBytes));
    this.#view.setUint16(at, ATTRIBUTE_HEADER_BYTES + valueBytes, true);
    this.#view.setUint16(at + 2, type, true);
    return at + ATTRIBUTE_HEADER_BYTES;
  }

  /** Makes room for so many zero bytes and says where they are. */
  #take(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** One message as it came; `payload` is a part of what was read. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Bytes;
}

/** The messages that a read from the socket gave, up to the first that does not fit. */
export function readNetlinkMessages(bytes: Bytes): NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + NETLINK_HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < NETLINK_HEADER_BYTES || length > bytes.length - at) break;
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      portId: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + NETLINK_HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** How a request ended. */
export interface NetlinkVerdict {
  /** 0 when it was done, otherwise the error's number. */
  readonly errno: number;
  /** What the kernel says about it, if it does. */
  readonly text?: string;
}

/** Reads an NLMSG_ERROR (which acknowledgements are, too) or NLMSG_DONE; undefined if it is cut short or another. */
export function readVerdict({ type, flags, payload }: NetlinkMessage): NetlinkVerdict | undefined {
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) return undefined;
  // The end of a list says how it went only since Linux 4.14.
  if (payload.length < 4) return type === NLMSG_DONE ? { errno: 0 } : undefined;
  const view = viewOf(payload);
  const errno = Math.abs(view.getInt32(0, true));
  if (!(flags & NLM_F_ACK_TLVS)) return { errno };
  let textAt = 4;
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + NETLINK_HEADER_BYTES) return { errno };
    textAt += flags & NLM_F_CAPPED ? NETLINK_HEADER_BYTES : align(view.getUint32(4, true));
  }
  const text = new Attributes(payload, textAt).text(NLMSGERR_ATTR_MSG);
  return text === undefined ? { errno } : { errno, text };
}

/**
 * Attributes by their type. Each reader gives undefined when it is absent or of another size; of several with one type
 * the last counts. They are looked for where they lie: there are a dozen at most, and a table of them would cost more.
 */
export class Attributes {
  readonly #bytes: Bytes;
  readonly #view: DataView;
  readonly #start: number;

  /** Those that lie in `bytes` from `offset` on. */
  constructor(bytes: Bytes, offset = 0) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#start = offset;
  }

  /** How many bytes the attribute has that lies here; -1 where none does. */
  #lengthAt(at: number): number {
    const left = this.#bytes.length - at;
    if (left < ATTRIBUTE_HEADER_BYTES) return -1;
    const length = this.#view.getUint16(at, true);
    return length < ATTRIBUTE_HEADER_BYTES || length > left ? -1 : length;
  }

  bytes(type: number, length?: number): Bytes | undefined {
    let found = -1;
    for (let at = this.#start, next; (next = this.#lengthAt(at)) >= 0; at += align(next)) {
      if ((this.#view.getUint16(at + 2, true) & NLA_TYPE_MASK) === type) found = at;
    }
    if (found < 0) return undefined;
    const value = this.#bytes.subarray(found + ATTRIBUTE_HEADER_BYTES, found + this.#view.getUint16(found, true));
    return length === undefined || value.length === length ? value : undefined;
  }

  u8(type: number): number | undefined {
    return this.bytes(type, 1)?.[0];
  }

  u16(type: number): number | undefined {
    const value = this.bytes(type, 2);
    return value && viewOf(value).getUint16(0, true);
  }

  u32(type: number): number | undefined {
    const value = this.bytes(type, 4);
    return value && viewOf(value).getUint32(0, true);
  }

  /** A count, as a number: exact below 2^53. */
  u64(type: number): number | undefined {
    const value = this.bytes(type, 8);
    return value && Number(viewOf(value).getBigUint64(0, true));
  }

  /** Text up to its zero byte, or all of it. */
  text(type: number): string | undefined {
    const value = this.bytes(type);
    if (!value) return undefined;
    const end = value.indexOf(0);
    return decoder.decode(end < 0 ? value : value.subarray(0, end));
  }

  /** The attributes inside one; none when it is absent. */
  nested(type: number): Attributes {
    return new Attributes(this.bytes(type) ?? new Uint8Array(0));
  }

  /** The elements of a list of attributes; what types they carry says nothing. */
  list(type: number): Attributes[] {
    return this.nested(type).#elements();
  }

  #elements(): Attributes[] {
    const elements: Attributes[] = [];
    for (let at = this.#start, length; (length = this.#lengthAt(at)) >= 0; at += align(length)) {
      elements.push(new Attributes(this.#bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length)));
    }
    return elements;
  }
}

function viewOf(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The number of an address's family. */
export function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}
