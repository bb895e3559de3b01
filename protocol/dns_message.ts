/**
 * As much of a DNS message as a forwarder has to know: which question it asks, and whether an answer is to that question.
 * Everything else is passed on as it came. RFC 1035 §4.1.
 *
 *   id 2 · flags 2 (QR, opcode 4, AA, TC, RD, RA, Z 3, rcode 4) · counts 4 × 2 · question: name, type 2, class 2 · …
 */

import type { Bytes } from "./primitives.ts";

export const DNS_HEADER_BYTES = 12;
/** What a length before a message can say, over TCP. */
export const MAX_DNS_MESSAGE_BYTES = 65_535;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;

const QR = 0x8000;
const OPCODE = 0x7800;
const RD = 0x0100;
const RA = 0x0080;
const SERVFAIL = 2;

/** A message that asks one thing. */
export interface DnsQuestion {
  readonly id: number;
  /** Name, type and class as they stand in the message. */
  readonly question: Bytes;
}

/** The question of a standard query; undefined for anything else. */
export function readDnsQuestion(message: Uint8Array): DnsQuestion | undefined {
  return readQuestion(message, 0);
}

/** Whether it answers that question, under that id. Names may come back with other capitals (RFC 4343). */
export function isDnsAnswer(message: Uint8Array, { id, question }: DnsQuestion): boolean {
  const answer = readQuestion(message, QR);
  if (!answer || answer.id !== id || answer.question.length !== question.length) return false;
  return answer.question.every((byte, at) => lowerCase(byte) === lowerCase(question[at]!));
}

/** A copy with another id. */
export function withDnsId(message: Uint8Array, id: number): Bytes {
  const copy = new Uint8Array(message);
  new DataView(copy.buffer).setUint16(0, id);
  return copy;
}

/** "It could not be found out": SERVFAIL. */
export function dnsFailure(query: Uint8Array, { id, question }: DnsQuestion): Bytes {
  const failure = new Uint8Array(DNS_HEADER_BYTES + question.length);
  const header = new DataView(failure.buffer);
  const wanted = new DataView(query.buffer, query.byteOffset).getUint16(2) & RD;
  header.setUint16(0, id);
  header.setUint16(2, QR | wanted | RA | SERVFAIL);
  header.setUint16(4, 1);
  failure.set(question, DNS_HEADER_BYTES);
  return failure;
}

function readQuestion(message: Uint8Array, direction: number): DnsQuestion | undefined {
  if (message.length < DNS_HEADER_BYTES || message.length > MAX_DNS_MESSAGE_BYTES) return undefined;
  const header = new DataView(message.buffer, message.byteOffset, message.length);
  if ((header.getUint16(2) & (QR | OPCODE)) !== direction || header.getUint16(4) !== 1) return undefined;
  const end = endOfQuestion(message);
  return end === undefined
    ? undefined
    : { id: header.getUint16(0), question: message.slice(DNS_HEADER_BYTES, end) as Bytes };
}

/** Names in questions are written out: there is nothing before them to point to. */
function endOfQuestion(message: Uint8Array): number | undefined {
  let at = DNS_HEADER_BYTES;
  for (let length = message[at]; length !== 0; length = message[at]) {
    if (length === undefined || length > MAX_LABEL_BYTES) return undefined;
    at += 1 + length;
    if (at - DNS_HEADER_BYTES >= MAX_NAME_BYTES) return undefined;
  }
  const end = at + 1 + 4;
  return end <= message.length ? end : undefined;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
