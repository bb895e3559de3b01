/**
 * The messages in which Linux is told about packet filters (nf_tables): a header of their own, and numbers that, unlike
 * elsewhere in netlink, are in network byte order.
 *
 *   struct nfgenmsg: family u8, version u8, resource id u16 (big-endian); then attributes
 *
 * The type's high byte is the subsystem's number, its low byte the command. Everything here is in the family `inet`,
 * which sees IPv4 and IPv6; as NAT it needs Linux 5.2. linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
 */

import {
  type Attributes,
  NETLINK_HEADER_BYTES,
  NetlinkWriter,
  NLA_F_NESTED,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from "../netlink.ts";
import type { Bytes } from "../primitives.ts";

const SUBSYSTEM = 10;
export const NFPROTO_INET = 1;
export const NFGEN_HEADER_BYTES = 4;

/** The commands used here. */
export const Command = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  newRule: 6,
  getRule: 7,
  newSet: 9,
  newElements: 12,
  getElements: 13,
  delElements: 14,
} as const;

/** Names of tables, chains and sets, and what `nft` can still take when people type them. */
const NAME = /^[A-Za-z][A-Za-z0-9_]*$/;
const MAX_NAME_LENGTH = 200;
/** All that is kept with a table or rule for people, its own header and final zero included, is one length byte. */
export const MAX_COMMENT_BYTES = 128;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

export function typeOf(command: number): number {
  return SUBSYSTEM << 8 | command;
}

export function isNftName(name: string): boolean {
  return NAME.test(name) && name.length <= MAX_NAME_LENGTH;
}

/** A netlink message to nf_tables, with the numbers as it wants them. */
export class NftWriter extends NetlinkWriter {
  constructor(command: number, flags: number) {
    super(typeOf(command), NLM_F_REQUEST | flags);
    this.raw(NFPROTO_INET, 0, 0, 0);
  }

  be32(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return this.bytes(type, bytes);
  }

  be64(type: number, value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
    return this.bytes(type, bytes);
  }

  /** An attribute that holds those that `write` adds. */
  nested(type: number, write: (writer: this) => void): this {
    const begin = this.begin(type | NLA_F_NESTED);
    write(this);
    return this.end(begin);
  }
}

/** Asks for everything of a kind, as far as the attributes that `filter` writes leave it in. */
export function encodeDump(command: number, filter: (writer: NftWriter) => void = () => {}): Bytes {
  const writer = new NftWriter(command, NLM_F_DUMP);
  filter(writer);
  return writer.finish();
}

export function readBe32(attributes: Attributes, type: number): number | undefined {
  const value = attributes.bytes(type, 4);
  return value && new DataView(value.buffer, value.byteOffset).getUint32(0);
}

/** A count, as a number: exact below 2^53. */
export function readBe64(attributes: Attributes, type: number): number | undefined {
  const value = attributes.bytes(type, 8);
  return value && Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0));
}

/**
 * What the kernel keeps for whoever made a thing: a row of type u8, length u8, value. `nft` writes a comment as type 0
 * in those of tables and rules, and shows it.
 */
export function encodeComment(comment: string): Bytes {
  const text = textEncoder.encode(comment + "\0");
  const data = new Uint8Array(2 + text.length);
  data[1] = text.length;
  data.set(text, 2);
  return data;
}

export function isComment(comment: string): boolean {
  // A quotation mark would end it in what `nft` lists.
  return !/[\p{Cc}"]/u.test(comment) && textEncoder.encode(comment).length < MAX_COMMENT_BYTES;
}

export function readComment(data: Bytes): string | undefined {
  for (let at = 0; at + 2 <= data.length;) {
    const end = at + 2 + data[at + 1]!;
    if (end > data.length) return undefined;
    if (data[at] === 0) return textDecoder.decode(data.subarray(at + 2, end)).replace(/\0.*$/s, "");
    at = end;
  }
  return undefined;
}

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

/** What begins or ends the messages that are to be carried out all together or not at all. */
export function encodeBatchMark(mark: "begin" | "end"): Bytes {
  return new NetlinkWriter(mark === "begin" ? NFNL_MSG_BATCH_BEGIN : NFNL_MSG_BATCH_END, NLM_F_REQUEST)
    .raw(0, 0, 0, SUBSYSTEM)
    .finish();
}

/** Lets the kernel acknowledge a finished message. */
export function withFlags(message: Bytes, flags: number): Bytes {
  const view = new DataView(message.buffer, message.byteOffset, NETLINK_HEADER_BYTES);
  view.setUint16(6, view.getUint16(6, true) | flags, true);
  return message;
}
