/**
 * What client, relays and central say to each other about a fragment session, one binary message at a time. Everything
 * is big endian; `rest` is sealed between client and central, and no relay can read it.
 *
 *   client → upstream      kind u8 (1 open, 2 data) | central id[16] | alias[16] | rest
 *   upstream → client      0xE0 | central id[16] | alias[16] | code u8              why something was not passed on
 *   upstream → central     kind u8 (1, 2) | alias[16] | rest
 *   central → upstream     0xE1 | alias[16] | code u8                               why something was not taken
 *   central → downstream   kind u8 (2 data, 3 opened) | alias[16] | rest
 *   downstream → central   0xE2 | alias[16] | dropped bytes u32                     its mailbox was full
 *                          0xE3 | alias[16] | 1 or 0                                a listener came, or went
 *   client → downstream    claim[32]                                                by WebSocket, its first message
 *                          claim[32] | acknowledged u32                             by poll
 *   downstream → client    kind u8 (2, 3) | rest
 *     by poll              number u32 | (length u32 | kind u8 | rest)*              given again until it is acknowledged
 *
 *   rest of data           (length u16 | fragment)*     of opening: see `opening.ts`
 *
 * Between relays and central each message travels inside a hop seal (`hop_seal.ts`). The parsers give views into what
 * they were given, undefined for what is no such message, and never throw.
 */

/** The most that one message has, whoever sends it: a WebSocket message or the body of a POST. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
export const ALIAS_BYTES = 16;
/** A peer id's raw bytes. */
export const CENTRAL_ID_BYTES = 16;
export const CLAIM_BYTES = 32;
/** Before the rest of what a client sends to an upstream. */
export const CLIENT_HEAD_BYTES = 1 + CENTRAL_ID_BYTES + ALIAS_BYTES;
/** Before the rest of what goes between relays and central. */
export const HOP_HEAD_BYTES = 1 + ALIAS_BYTES;
/** Before the rest of what a client gets. */
export const DELIVERY_HEAD_BYTES = 1;
/** No fragment is shorter: a header and a tag. */
export const MIN_FRAGMENT_BYTES = 24;

/** What a message that carries a session is. */
export const MessageKind = { OPEN: 1, DATA: 2, OPENED: 3 } as const;
export type MessageKind = typeof MessageKind[keyof typeof MessageKind];

const UPSTREAM_REFUSAL = 0xe0;
const CENTRAL_REFUSAL = 0xe1;
const DROPPED = 0xe2;
const LISTENER = 0xe3;

/** Why an upstream does not pass something on. The order is the wire's, from 1: append, never move. */
export const UPSTREAM_REFUSALS = ["no_such_central", "central_down", "busy", "refused_by_central", "too_much"] as const;
export type UpstreamRefusal = typeof UPSTREAM_REFUSALS[number];

/** Why a central does not take something. The order is the wire's, from 1: append, never move. */
export const CENTRAL_REFUSALS = ["unknown_alias", "busy", "draining"] as const;
export type CentralRefusal = typeof CENTRAL_REFUSALS[number];

/** A name of a session as a key for maps. */
export function aliasKey(alias: Uint8Array): string {
  return alias.toHex();
}

/** From a client to an upstream. */
export interface ClientMessage {
  readonly kind: typeof MessageKind.OPEN | typeof MessageKind.DATA;
  readonly centralId: Uint8Array;
  readonly alias: Uint8Array;
  readonly rest: Uint8Array;
}

/** Writes the head of a client's message at the start of `into`; the rest goes behind it. */
export function writeClientHead(into: Uint8Array, message: Omit<ClientMessage, "rest">): void {
  into[0] = message.kind;
  into.set(message.centralId, 1);
  into.set(message.alias, 1 + CENTRAL_ID_BYTES);
}

export function parseClientMessage(bytes: Uint8Array): ClientMessage | undefined {
  const kind = bytes[0];
  if (kind !== MessageKind.OPEN && kind !== MessageKind.DATA) return undefined;
  if (bytes.length <= CLIENT_HEAD_BYTES || bytes.length > MAX_MESSAGE_BYTES) return undefined;
  return {
    kind,
    centralId: bytes.subarray(1, 1 + CENTRAL_ID_BYTES),
    alias: bytes.subarray(1 + CENTRAL_ID_BYTES, CLIENT_HEAD_BYTES),
    rest: bytes.subarray(CLIENT_HEAD_BYTES),
  };
}

export interface UpstreamRefusalMessage {
  readonly centralId: Uint8Array;
  readonly alias: Uint8Array;
  readonly code: UpstreamRefusal;
}

export function encodeUpstreamRefusal({ centralId, alias, code }: UpstreamRefusalMessage): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CLIENT_HEAD_BYTES + 1);
  bytes[0] = UPSTREAM_REFUSAL;
  bytes.set(centralId, 1);
  bytes.set(alias, 1 + CENTRAL_ID_BYTES);
  bytes[CLIENT_HEAD_BYTES] = UPSTREAM_REFUSALS.indexOf(code) + 1;
  return bytes;
}

export function parseUpstreamRefusal(bytes: Uint8Array): UpstreamRefusalMessage | undefined {
  if (bytes.length !== CLIENT_HEAD_BYTES + 1 || bytes[0] !== UPSTREAM_REFUSAL) return undefined;
  const code = UPSTREAM_REFUSALS[bytes[CLIENT_HEAD_BYTES]! - 1];
  if (code === undefined) return undefined;
  return {
    centralId: bytes.subarray(1, 1 + CENTRAL_ID_BYTES),
    alias: bytes.subarray(1 + CENTRAL_ID_BYTES, CLIENT_HEAD_BYTES),
    code,
  };
}

/** Between a relay and central, either way. */
export interface HopMessage {
  readonly kind: MessageKind;
  readonly alias: Uint8Array;
  readonly rest: Uint8Array;
}

/** Writes the head of a hop's message at the start of `into`; the rest goes behind it. */
export function writeHopHead(into: Uint8Array, kind: MessageKind, alias: Uint8Array): void {
  into[0] = kind;
  into.set(alias, 1);
}

/** What an upstream passes on to central. */
export function parseToCentral(bytes: Uint8Array): HopMessage | undefined {
  return parseHopMessage(bytes, MessageKind.OPEN);
}

/** What central has a downstream deliver. */
export function parseToDownstream(bytes: Uint8Array): HopMessage | undefined {
  return parseHopMessage(bytes, MessageKind.OPENED);
}

/** Data, or the one other kind that goes this way. */
function parseHopMessage(bytes: Uint8Array, other: MessageKind): HopMessage | undefined {
  const kind = bytes[0];
  if (kind !== MessageKind.DATA && kind !== other) return undefined;
  if (bytes.length <= HOP_HEAD_BYTES || bytes.length > MAX_MESSAGE_BYTES) return undefined;
  return { kind, alias: bytes.subarray(1, HOP_HEAD_BYTES), rest: bytes.subarray(HOP_HEAD_BYTES) };
}

/** What central answers an upstream. */
export interface CentralRefusalMessage {
  readonly alias: Uint8Array;
  readonly code: CentralRefusal;
}

export function encodeCentralRefusal({ alias, code }: CentralRefusalMessage): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HOP_HEAD_BYTES + 1);
  bytes[0] = CENTRAL_REFUSAL;
  bytes.set(alias, 1);
  bytes[HOP_HEAD_BYTES] = CENTRAL_REFUSALS.indexOf(code) + 1;
  return bytes;
}

export function parseCentralRefusal(bytes: Uint8Array): CentralRefusalMessage | undefined {
  if (bytes.length !== HOP_HEAD_BYTES + 1 || bytes[0] !== CENTRAL_REFUSAL) return undefined;
  const code = CENTRAL_REFUSALS[bytes[HOP_HEAD_BYTES]! - 1];
  return code && { alias: bytes.subarray(1, HOP_HEAD_BYTES), code };
}

/** What a downstream tells central of a mailbox. */
export type DownstreamNotice =
  | { readonly type: "dropped"; readonly alias: Uint8Array; readonly droppedBytes: number }
  | { readonly type: "listener"; readonly alias: Uint8Array; readonly isListening: boolean };

export function encodeDownstreamNotice(notice: DownstreamNotice): Uint8Array<ArrayBuffer> {
  const isDropped = notice.type === "dropped";
  const bytes = new Uint8Array(HOP_HEAD_BYTES + (isDropped ? 4 : 1));
  bytes[0] = isDropped ? DROPPED : LISTENER;
  bytes.set(notice.alias, 1);
  if (isDropped) writeUint32(bytes, HOP_HEAD_BYTES, Math.min(notice.droppedBytes, 0xffffffff));
  else bytes[HOP_HEAD_BYTES] = notice.isListening ? 1 : 0;
  return bytes;
}

export function parseDownstreamNotice(bytes: Uint8Array): DownstreamNotice | undefined {
  const alias = bytes.subarray(1, HOP_HEAD_BYTES);
  if (bytes[0] === DROPPED && bytes.length === HOP_HEAD_BYTES + 4) {
    return { type: "dropped", alias, droppedBytes: readUint32(bytes, HOP_HEAD_BYTES) };
  }
  if (bytes[0] !== LISTENER || bytes.length !== HOP_HEAD_BYTES + 1) return undefined;
  const flag = bytes[HOP_HEAD_BYTES]!;
  return flag > 1 ? undefined : { type: "listener", alias, isListening: flag === 1 };
}

/** What a client asks a downstream for by poll; by WebSocket it is the claim alone. */
export interface Poll {
  readonly claim: Uint8Array;
  /** The number of the last answer that came, 0 before the first. */
  readonly acknowledged: number;
}

export function encodePoll({ claim, acknowledged }: Poll): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CLAIM_BYTES + 4);
  bytes.set(claim);
  writeUint32(bytes, CLAIM_BYTES, acknowledged);
  return bytes;
}

export function parsePoll(bytes: Uint8Array): Poll | undefined {
  if (bytes.length !== CLAIM_BYTES + 4) return undefined;
  return { claim: bytes.subarray(0, CLAIM_BYTES), acknowledged: readUint32(bytes, CLAIM_BYTES) };
}

/** What a downstream gives a client. */
export interface Delivery {
  readonly kind: typeof MessageKind.DATA | typeof MessageKind.OPENED;
  readonly rest: Uint8Array;
}

export function parseDelivery(bytes: Uint8Array): Delivery | undefined {
  const kind = bytes[0];
  if (kind !== MessageKind.DATA && kind !== MessageKind.OPENED) return undefined;
  if (bytes.length <= DELIVERY_HEAD_BYTES || bytes.length > MAX_MESSAGE_BYTES) return undefined;
  return { kind, rest: bytes.subarray(DELIVERY_HEAD_BYTES) };
}

/** The answer to a poll. */
export interface PollAnswer {
  /** To be acknowledged with the next poll. */
  readonly number: number;
  /** Deliveries, each as a WebSocket would carry it. */
  readonly messages: readonly Uint8Array[];
}

export function encodePollAnswer({ number, messages }: PollAnswer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(messages.reduce((sum, message) => sum + 4 + message.length, 4));
  writeUint32(bytes, 0, number);
  let at = 4;
  for (const message of messages) {
    writeUint32(bytes, at, message.length);
    bytes.set(message, at + 4);
    at += 4 + message.length;
  }
  return bytes;
}

/** Undefined unless the messages fill it to the end. */
export function parsePollAnswer(bytes: Uint8Array): PollAnswer | undefined {
  if (bytes.length < 4) return undefined;
  const messages: Uint8Array[] = [];
  for (let at = 4; at < bytes.length;) {
    if (bytes.length - at < 4) return undefined;
    const length = readUint32(bytes, at);
    at += 4;
    if (length === 0 || length > bytes.length - at) return undefined;
    messages.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { number: readUint32(bytes, 0), messages };
}

/** Calls `onFragment` with each fragment of a data message's rest; false when what is left at some point is none. */
export function readFragments(rest: Uint8Array, onFragment: (fragment: Uint8Array) => void): boolean {
  let at = 0;
  while (at + 2 <= rest.length) {
    const start = at + 2;
    const end = start + (rest[at]! << 8 | rest[at + 1]!);
    if (end - start < MIN_FRAGMENT_BYTES || end > rest.length) return false;
    onFragment(rest.subarray(start, end));
    at = end;
  }
  return at === rest.length;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}
