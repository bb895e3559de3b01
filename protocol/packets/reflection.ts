/**
 * "Where do you see me?": a question that a relay port answers, so that both ends of a session learn how their NATs show
 * them. Both are 32 bytes, the answer no longer than the question, so that a relay multiplies no flood; the first byte is
 * none of WireGuard's, so that both share a port. Numbers are big endian.
 *
 *   request:  0xC1 | zero 3            | id 8 | zero 20
 *   answer:   0xC2 | family 1 | port 2 | id 8 | address 16 (IPv4: the first 4, then zeros) | zero 4
 *
 * The family is 4 or 6. The id is drawn by who asks and comes back; who answers is not proven, so an answer is a hint of
 * where to look for oneself and never more.
 */

import { type IpAddress, isV4Mapped } from "../ip.ts";
import type { Bytes } from "../primitives.ts";
import type { Endpoint } from "../wireguard/settings.ts";

export const REFLECTION_BYTES = 32;
export const REFLECTION_ID_BYTES = 8;
export const REFLECTION_REQUEST_TYPE = 0xc1;
export const REFLECTION_ANSWER_TYPE = 0xc2;

const FAMILY_AT = 1;
const PORT_AT = 2;
const ID_AT = 4;
const ADDRESS_AT = ID_AT + REFLECTION_ID_BYTES;

export interface Reflection {
  readonly id: Bytes;
  /** How the answering side saw the one who asked. */
  readonly at: Endpoint;
}

/** The question; `id` is 8 bytes of chance. */
export function encodeReflectionRequest(id: Uint8Array): Bytes {
  if (id.length !== REFLECTION_ID_BYTES) {
    throw new RangeError(`Cannot ask for a reflection: the id must be ${REFLECTION_ID_BYTES} bytes, got ${id.length}`);
  }
  const request = new Uint8Array(REFLECTION_BYTES);
  request[0] = REFLECTION_REQUEST_TYPE;
  request.set(id, ID_AT);
  return request;
}

/** The answer to a question that came from there; undefined when it is not a question. */
export function answerReflection(request: Uint8Array, from: Endpoint): Bytes | undefined {
  if (request.length !== REFLECTION_BYTES || request[0] !== REFLECTION_REQUEST_TYPE) return undefined;
  if (!isZero(request, FAMILY_AT, ID_AT) || !isZero(request, ADDRESS_AT, REFLECTION_BYTES)) return undefined;
  const address = isV4Mapped(from.address) ? from.address.subarray(12) : from.address;
  const answer = new Uint8Array(REFLECTION_BYTES);
  answer[0] = REFLECTION_ANSWER_TYPE;
  answer[FAMILY_AT] = address.length === 4 ? 4 : 6;
  answer[PORT_AT] = from.port >> 8;
  answer[PORT_AT + 1] = from.port;
  answer.set(request.subarray(ID_AT, ADDRESS_AT), ID_AT);
  answer.set(address, ADDRESS_AT);
  return answer;
}

/** What an answer says; undefined when it is none. */
export function readReflection(answer: Uint8Array): Reflection | undefined {
  if (answer.length !== REFLECTION_BYTES || answer[0] !== REFLECTION_ANSWER_TYPE) return undefined;
  const addressBytes = addressBytesOf(answer[FAMILY_AT]!);
  const port = (answer[PORT_AT]! << 8) | answer[PORT_AT + 1]!;
  if (addressBytes === 0 || port === 0 || !isZero(answer, ADDRESS_AT + addressBytes, REFLECTION_BYTES)) {
    return undefined;
  }
  const address: IpAddress = answer.slice(ADDRESS_AT, ADDRESS_AT + addressBytes);
  if (isV4Mapped(address)) return undefined;
  return { id: answer.slice(ID_AT, ADDRESS_AT), at: { address, port } };
}

function addressBytesOf(family: number): 0 | 4 | 16 {
  return family === 4 ? 4 : family === 6 ? 16 : 0;
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}
