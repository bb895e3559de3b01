/**
 * How a ticket is got: a question in which whoever has a client's secret names where it is to lead, and an answer of the same
 * length. Both are the payload of a datagram (`datagram.ts`), which may have come through other relays.
 *
 *   question:  client's id 8 │ nonce 12 │ sealed: time 6 │ place 18 │ zero 60 │ tag 16                 120 bytes
 *   answer:    nonce 12      │ sealed: status 1 │ lifetime 3 │ time 6 │ place 18 │ ticket 64 │ tag 16      120 bytes
 *
 * ChaCha20-Poly1305 under the keys of `access.ts`, with nonces of chance. With the question its datagram's label is
 * authenticated, with the answer the label and the question's nonce, so that it answers that question and no other. Times
 * are milliseconds since 1970, little endian as the lifetime in seconds; a place is an address (IPv4 as a mapped one) and a
 * port. The question's place is where the ticket is to lead, the answer's where the relay saw who asked.
 */

import type { Bytes } from "../primitives.ts";
import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import { NONCE_BYTES, type WireGuardCrypto } from "../wireguard/crypto.ts";
import { CLIENT_ID_BYTES, type ClientKeys } from "./access.ts";
import { LABEL_BYTES, TICKET_BYTES } from "./datagram.ts";
import { putAddress, type RoutePlace, takeAddress } from "./ticket.ts";

export type RouteCrypto = Pick<WireGuardCrypto, "seal" | "open">;

export const QUESTION_BYTES = 120;
const QUESTION_PLAIN_BYTES = QUESTION_BYTES - CLIENT_ID_BYTES - NONCE_BYTES - TAG_BYTES;
const ANSWER_PLAIN_BYTES = QUESTION_BYTES - NONCE_BYTES - TAG_BYTES;
const TIME_BYTES = 6;
const PLACE_BYTES = 18;
const STATUS_BYTES = 4;
const SEEN_AT = STATUS_BYTES + TIME_BYTES;
const TICKET_AT = SEEN_AT + PLACE_BYTES;

export const RouteStatus = {
  granted: 0,
  /** The relay's policy does not lead there. */
  closed: 1,
  /** Too many questions; ask again later. */
  busy: 2,
  /** The question's time is not the relay's. */
  clock: 3,
} as const;
export type RouteStatus = (typeof RouteStatus)[keyof typeof RouteStatus];

export interface RouteQuestion {
  readonly to: RoutePlace;
  readonly wallMs: number;
}

export interface RouteAnswer {
  readonly status: RouteStatus;
  readonly lifetimeMs: number;
  /** The relay's clock. */
  readonly wallMs: number;
  /** Where the relay saw who asked. */
  readonly seen: RoutePlace;
  /** Of meaning only if it was granted. */
  readonly ticket: Bytes;
}

/** What of a question the answer is bound to. */
export interface AskedQuestion {
  readonly label: Uint8Array;
  readonly nonce: Uint8Array;
}

/** The question's payload, and the nonce to read its answer with. */
export function encodeQuestion(
  { to, wallMs }: RouteQuestion,
  label: Uint8Array,
  { keys, suite, random }: { readonly keys: ClientKeys; readonly suite: RouteCrypto; readonly random: Random },
): { readonly payload: Bytes; readonly nonce: Bytes } {
  const plain = new Slab(QUESTION_PLAIN_BYTES);
  putTime(plain.view, 0, wallMs);
  putPlace(plain, TIME_BYTES, to);
  const nonce = random.fill(new Uint8Array(NONCE_BYTES));
  const payload = new Uint8Array(QUESTION_BYTES);
  payload.set(keys.id);
  payload.set(nonce, CLIENT_ID_BYTES);
  payload.set(
    suite.seal({ key: keys.question, nonce, associated: label.slice() }, plain.bytes),
    CLIENT_ID_BYTES + NONCE_BYTES,
  );
  return { payload, nonce };
}

/** What a question asks for, if it is one of the client with these keys. */
export function readQuestion(
  payload: Uint8Array,
  label: Uint8Array,
  { keys, suite }: { readonly keys: ClientKeys; readonly suite: RouteCrypto },
): (RouteQuestion & { readonly nonce: Bytes }) | undefined {
  if (payload.length !== QUESTION_BYTES) return undefined;
  const nonce = payload.slice(CLIENT_ID_BYTES, CLIENT_ID_BYTES + NONCE_BYTES) as Bytes;
  const sealed = payload.slice(CLIENT_ID_BYTES + NONCE_BYTES) as Bytes;
  const plain = suite.open({ key: keys.question, nonce, associated: label.slice() }, sealed);
  if (plain?.length !== QUESTION_PLAIN_BYTES) return undefined;
  return { nonce, wallMs: takeTime(plain, 0), to: takePlace(plain, TIME_BYTES) };
}

export function encodeAnswer(
  answer: RouteAnswer,
  asked: AskedQuestion,
  { keys, suite, random }: { readonly keys: ClientKeys; readonly suite: RouteCrypto; readonly random: Random },
): Bytes {
  const plain = new Slab(ANSWER_PLAIN_BYTES);
  plain.view.setUint32(0, Math.floor(answer.lifetimeMs / 1000) * 256 + answer.status, true);
  putTime(plain.view, STATUS_BYTES, answer.wallMs);
  putPlace(plain, SEEN_AT, answer.seen);
  plain.bytes.set(answer.ticket.subarray(0, TICKET_BYTES), TICKET_AT);
  const nonce = random.fill(new Uint8Array(NONCE_BYTES));
  const payload = new Uint8Array(QUESTION_BYTES);
  payload.set(nonce);
  payload.set(suite.seal({ key: keys.answer, nonce, associated: boundTo(asked) }, plain.bytes), NONCE_BYTES);
  return payload;
}

/** What the answer to that question says; undefined when it is not its answer. */
export function readAnswer(
  payload: Uint8Array,
  asked: AskedQuestion,
  { keys, suite }: { readonly keys: ClientKeys; readonly suite: RouteCrypto },
): RouteAnswer | undefined {
  if (payload.length !== QUESTION_BYTES) return undefined;
  const nonce = payload.slice(0, NONCE_BYTES) as Bytes;
  const sealed = payload.slice(NONCE_BYTES) as Bytes;
  const plain = suite.open({ key: keys.answer, nonce, associated: boundTo(asked) }, sealed);
  if (plain?.length !== ANSWER_PLAIN_BYTES || plain[0]! > RouteStatus.clock) return undefined;
  return {
    status: plain[0] as RouteStatus,
    lifetimeMs: (plain[1]! | plain[2]! << 8 | plain[3]! << 16) * 1000,
    wallMs: takeTime(plain, STATUS_BYTES),
    seen: takePlace(plain, SEEN_AT),
    ticket: plain.slice(TICKET_AT, TICKET_AT + TICKET_BYTES),
  };
}

function boundTo({ label, nonce }: AskedQuestion): Bytes {
  const bytes = new Uint8Array(LABEL_BYTES + NONCE_BYTES);
  bytes.set(label);
  bytes.set(nonce, LABEL_BYTES);
  return bytes;
}

function putTime(view: DataView, at: number, wallMs: number): void {
  view.setUint32(at, wallMs % 2 ** 32, true);
  view.setUint16(at + 4, Math.floor(wallMs / 2 ** 32), true);
}

function takeTime(bytes: Uint8Array, at: number): number {
  let time = 0;
  for (let byte = TIME_BYTES - 1; byte >= 0; byte--) time = time * 256 + bytes[at + byte]!;
  return time;
}

function putPlace({ bytes, view }: Slab, at: number, { address, port }: RoutePlace): void {
  putAddress(bytes, at, address);
  view.setUint16(at + 16, port);
}

function takePlace(bytes: Uint8Array, at: number): RoutePlace {
  return { address: takeAddress(bytes, at), port: bytes[at + 16]! << 8 | bytes[at + 17]! };
}
