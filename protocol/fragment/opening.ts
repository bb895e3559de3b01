/**
 * How a client and a central begin a fragment session: Noise IK, whose initiator has the central's key from the
 * directory. Relays carry both messages and can read neither.
 *
 *   OPEN     ephemeral[32] | sealed static[48] | sealed payload       `OpenRequest` in JSON, then spaces to 512 bytes' multiple
 *   OPENED   ephemeral[32] | sealed payload                           `OpenReply`, the same way
 *
 * In an open network the client's static key is drawn for the session and says nothing about it. In a closed one it is
 * the WireGuard key of its identity, and the request shows the certificate for it. An opening is good for a minute
 * either way of the central's clock, once: `checkOpening` remembers the ephemeral keys it has seen.
 *
 * From the two ephemeral keys come those of both directions, so that what was carried stays sealed when static keys are
 * learnt later; those of the legs follow (`leg_seal.ts`).
 */

import { z } from "zod";
import type { ClosedNetwork, NonceMemory } from "../control/auth.ts";
import { refusalOfPeerKeys } from "../control/peer_keys.ts";
import { decodeBase64Url, encodeBase64, encodeBase64Url } from "../encoding.ts";
import {
  millisecondsSchema,
  peerIdSchema,
  type PeerKeys,
  peerKeysSchema,
  remarkSchema,
  timeSchema,
} from "../fields.ts";
import type { SymmetricState } from "../noise.ts";
import {
  drawKeyPair,
  type NoiseKeyPair,
  readFirst,
  readFirstPayload,
  readSecond,
  startIk,
  writeFirst,
  writeSecond,
} from "../noise_ik.ts";
import { type Bytes, KEY_BYTES, type Primitives } from "../primitives.ts";
import type { SealTools } from "../sealed_handshake.ts";
import { FRAGMENTS_DOMAIN, signedBytes } from "../signing.ts";
import { concat } from "../tunnel_frame.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";
import { SECRET_BYTES } from "./aliases.ts";

/** How far the clocks of client and central may be apart. */
export const OPENING_SKEW_MS = 60_000;
/** How long an ephemeral key is remembered: longer than its opening may pass. */
const EPHEMERAL_KEPT_MS = 2 * OPENING_SKEW_MS;
/** Legs of one direction at once. */
export const MAX_LEGS = 16;
export const MAX_LEG_NUMBER = 0xffff;
/** Of one block. */
export const MAX_SHARDS = 32;
/** As often may a block go over the legs in all: whoever asks for more has others send much for little. */
export const MAX_SHARDS_PER_DATA = 4;
const PADDED_TO_BYTES = 512;
/** A certificate and the longest lists of legs come to 6 KiB. */
const MAX_PAYLOAD_BYTES = 8192;
const SEALED_KEY_BYTES = KEY_BYTES + TAG_BYTES;
const FIRST_HEAD_BYTES = KEY_BYTES + SEALED_KEY_BYTES;
/** The longest OPEN, and longer than any OPENED. */
export const MAX_OPENING_BYTES = FIRST_HEAD_BYTES + MAX_PAYLOAD_BYTES + TAG_BYTES;

export const legPlaceSchema = z.object({ leg: z.int().min(0).max(MAX_LEG_NUMBER), relayId: peerIdSchema });

/** Each leg once, and each relay. */
export const legPlacesSchema = z.array(legPlaceSchema).min(1).max(MAX_LEGS).refine(
  (places) =>
    new Set(places.map(({ leg }) => leg)).size === places.length &&
    new Set(places.map(({ relayId }) => relayId)).size === places.length,
  "each leg and each relay once",
);

export const codingSchema = z.object({
  dataShards: z.int().min(1).max(MAX_SHARDS),
  totalShards: z.int().min(1).max(MAX_SHARDS),
}).refine(({ dataShards, totalShards }) => dataShards <= totalShards, "no fewer shards in all than of data")
  .refine(
    ({ dataShards, totalShards }) => totalShards <= MAX_SHARDS_PER_DATA * dataShards,
    `at most ${MAX_SHARDS_PER_DATA} shards in all for each of data`,
  );

/** What a client asks a central for. */
export const openRequestSchema = z.object({
  sentAtMs: timeSchema,
  /** 32 bytes in base64url: what the names at the relays follow from (`aliases.ts`). */
  secret: z.string().regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/),
  up: legPlacesSchema,
  /** The answer comes by the first. */
  down: legPlacesSchema,
  coding: codingSchema,
  /** In a closed network: who the client is. */
  member: peerKeysSchema.optional(),
}).refine(
  ({ up, down }) => new Set([...up, ...down].map(({ leg }) => leg)).size === up.length + down.length,
  "each leg's number once, whichever way it leads",
);
export type OpenRequest = z.infer<typeof openRequestSchema>;

/** Why a central does not open a session. */
export const OPENING_REFUSALS = ["busy", "draining", "unauthorized", "clock", "no_relay", "unsupported"] as const;
export type OpeningRefusal = typeof OPENING_REFUSALS[number];

/** What a central answers. */
export const openReplySchema = z.discriminatedUnion("ok", [
  z.object({
    ok: z.literal(true),
    limits: z.object({
      /** Without a sign of the other side for so long, either ends the session. */
      idleTimeoutMs: millisecondsSchema,
      /** Streams open at once. */
      maxStreams: z.int().min(1),
    }),
  }),
  z.object({
    ok: z.literal(false),
    code: z.enum(OPENING_REFUSALS),
    message: remarkSchema,
    retryAfterMs: millisecondsSchema.optional(),
  }),
]);
export type OpenReply = z.infer<typeof openReplySchema>;

/** The keys of a session's two directions. */
export interface DirectionKeys {
  /** From client to central. */
  readonly up: Bytes;
  readonly down: Bytes;
}

/** A secret as a request has it, and back; undefined for what is none. */
export function encodeSecret(secret: Bytes): string {
  return encodeBase64Url(secret);
}

export function decodeSecret(text: string): Bytes | undefined {
  const secret = decodeBase64Url(text);
  return secret?.length === SECRET_BYTES ? secret : undefined;
}

function prologueOf(centralId: string): Bytes {
  return signedBytes(FRAGMENTS_DOMAIN, [centralId]);
}

export interface OpeningOptions {
  /** In a closed network the identity's; otherwise drawn for this session. */
  readonly local: NoiseKeyPair;
  readonly central: { readonly id: string; readonly sealingKey: Bytes };
  readonly request: OpenRequest;
}

/** The client's side of one attempt. Disposing wipes what it knows. */
export class OpeningInitiator implements Disposable {
  readonly #tools: SealTools;
  readonly #local: NoiseKeyPair;
  readonly #ephemeral: NoiseKeyPair & Disposable;
  readonly #state: SymmetricState;
  /** OPEN; undefined when the central's key is none that anyone can have. */
  readonly first: Bytes | undefined;

  constructor(tools: SealTools, { local, central, request }: OpeningOptions) {
    const { crypto: suite, random } = tools;
    this.#tools = tools;
    this.#local = local;
    this.#ephemeral = drawKeyPair(suite, random);
    this.#state = startIk(suite, prologueOf(central.id), central.sealingKey);
    this.first = this.#write(central.sealingKey, encodePadded(request));
  }

  /** What the central says to OPENED; undefined, and another may still come, when it is not the central's. */
  finish(second: Uint8Array): { readonly reply: OpenReply; readonly keys: DirectionKeys } | undefined {
    if (second.length < KEY_BYTES + TAG_BYTES || second.length > MAX_OPENING_BYTES) return undefined;
    using state = this.#state.clone(); // anyone at the relay can send something false before the true one
    const read = readSecond(this.#tools.crypto, state, {
      local: this.#local,
      ephemeralPrivate: this.#ephemeral.privateKey,
      message: { ephemeral: ownBytes(second, 0, KEY_BYTES), sealedPayload: ownBytes(second, KEY_BYTES) },
    });
    const reply = read && openReplySchema.safeParse(decodePadded(read.payload));
    if (!reply?.success) return undefined;
    return { reply: reply.data, keys: { up: read!.keys.first, down: read!.keys.second } };
  }

  #write(sealingKey: Bytes, payload: Bytes): Bytes | undefined {
    const suite = this.#tools.crypto;
    const shared = suite.x25519(this.#local.privateKey, sealingKey);
    if (!shared) return undefined;
    const written = writeFirst(suite, this.#state, {
      local: this.#local,
      ephemeral: this.#ephemeral,
      remote: { publicKey: sealingKey, shared },
      payload,
    });
    shared.fill(0);
    return written && concat([written.ephemeral, written.sealedStatic, written.sealedPayload]);
  }

  [Symbol.dispose](): void {
    this.#ephemeral[Symbol.dispose]();
    this.#state[Symbol.dispose]();
  }
}

/** An opening as the central has read it. Disposing wipes what is left of it. */
export class ReceivedOpening implements Disposable {
  readonly request: OpenRequest;
  /** The client's static key. */
  readonly remoteKey: Bytes;
  readonly ephemeral: Bytes;
  readonly #tools: SealTools;
  readonly #state: SymmetricState;

  private constructor(tools: SealTools, state: SymmetricState, read: Pick<ReceivedOpening, OpeningFields>) {
    this.#tools = tools;
    this.#state = state;
    this.request = read.request;
    this.remoteKey = read.remoteKey;
    this.ephemeral = read.ephemeral;
  }

  /** Undefined for what is no OPEN for this central. */
  static read(
    tools: SealTools,
    central: { readonly id: string; readonly local: NoiseKeyPair },
    first: Uint8Array,
  ): ReceivedOpening | undefined {
    if (first.length < FIRST_HEAD_BYTES + TAG_BYTES || first.length > MAX_OPENING_BYTES) return undefined;
    const { crypto: suite } = tools;
    const state = startIk(suite, prologueOf(central.id), central.local.publicKey);
    const ephemeral = ownBytes(first, 0, KEY_BYTES);
    const read = readRequest(suite, state, { local: central.local, ephemeral, first });
    if (read) return new ReceivedOpening(tools, state, { ...read, ephemeral });
    state[Symbol.dispose]();
    return undefined;
  }

  /** OPENED, and the keys; undefined when the client's keys are none that anyone can have. To be called once. */
  answer(reply: OpenReply): { readonly second: Bytes; readonly keys: DirectionKeys } | undefined {
    const { crypto: suite, random } = this.#tools;
    using ephemeral = drawKeyPair(suite, random);
    const written = writeSecond(suite, this.#state, {
      ephemeral,
      remoteEphemeral: this.ephemeral,
      remoteStatic: this.remoteKey,
      payload: encodePadded(reply),
    });
    if (!written) return undefined;
    const { message, keys } = written;
    return { second: concat([message.ephemeral, message.sealedPayload]), keys: { up: keys.first, down: keys.second } };
  }

  [Symbol.dispose](): void {
    this.#state[Symbol.dispose]();
  }
}

type OpeningFields = "request" | "remoteKey" | "ephemeral";

function readRequest(
  suite: SealTools["crypto"],
  state: SymmetricState,
  { local, ephemeral, first }: { local: NoiseKeyPair; ephemeral: Bytes; first: Uint8Array },
): { request: OpenRequest; remoteKey: Bytes } | undefined {
  const sealedStatic = ownBytes(first, KEY_BYTES, FIRST_HEAD_BYTES);
  const remoteKey = readFirst(suite, state, { local, message: { ephemeral, sealedStatic } });
  const shared = remoteKey && suite.x25519(local.privateKey, remoteKey);
  if (!shared) return undefined;
  const payload = readFirstPayload(state, shared, ownBytes(first, FIRST_HEAD_BYTES));
  shared.fill(0);
  const request = payload && openRequestSchema.safeParse(decodePadded(payload));
  return request?.success ? { request: request.data, remoteKey } : undefined;
}

export interface OpeningCheck {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** The ephemeral keys seen; `Nonces` is one. */
  readonly seen: NonceMemory;
  readonly primitives: Primitives;
  /** Left out in an open network. */
  readonly network?: ClosedNetwork | undefined;
}

/** Why an opening is not to be taken; `replayed` is not even answered. Remembers it when there is no reason. */
export function checkOpening(
  { request, remoteKey, ephemeral }: Pick<ReceivedOpening, OpeningFields>,
  { wallMs, seen, primitives, network }: OpeningCheck,
): OpeningRefusal | "replayed" | undefined {
  const untilMs = request.sentAtMs + EPHEMERAL_KEPT_MS;
  if (Math.abs(wallMs - request.sentAtMs) > OPENING_SKEW_MS || untilMs < seen.forgottenBeforeMs) return "clock";
  if (network && !isMember(request.member, remoteKey, { wallMs, primitives, network })) return "unauthorized";
  const isNew = seen.remember(encodeBase64(ephemeral), untilMs, wallMs);
  if (isNew === undefined) return "busy";
  return isNew ? undefined : "replayed";
}

/** The certificate is for an identity, and that has signed the key which the client has shown that it holds. */
function isMember(
  member: PeerKeys | undefined,
  remoteKey: Bytes,
  check: { readonly wallMs: number; readonly primitives: Primitives; readonly network: ClosedNetwork },
): boolean {
  return member !== undefined && member.wireguardKey === encodeBase64(remoteKey) &&
    refusalOfPeerKeys(member, { ...check, role: "client" }) === undefined;
}

/** JSON with as many spaces behind it as hide its length. */
function encodePadded(value: OpenRequest | OpenReply): Bytes {
  const text = new TextEncoder().encode(JSON.stringify(value));
  const padded = new Uint8Array(Math.ceil(text.length / PADDED_TO_BYTES) * PADDED_TO_BYTES).fill(0x20);
  padded.set(text);
  return padded;
}

function decodePadded(payload: Bytes): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
}

function ownBytes(bytes: Uint8Array, start: number, end?: number): Bytes {
  return new Uint8Array(bytes.subarray(start, end));
}
