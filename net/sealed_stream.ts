/**
 * A Stream sealed end to end over one that others relay: the handshake of both sides, and the whole of what
 * `sealed_halves.ts` does for each direction. An end is only an end when the far side has sealed it: a stream that stops short of
 * that, or was tampered with, fails with `reset` or `tampered`.
 */

import type { Clock } from "../protocol/clock.ts";
import { DialError } from "../protocol/errors.ts";
import type { Bytes } from "../protocol/primitives.ts";
import {
  answerFirst,
  CONFIRMATION,
  FIRST_BYTES,
  type InitiatorOptions,
  type ResponderOptions,
  SealInitiator,
  type SealKeys,
  type SealTools,
  SECOND_BYTES,
} from "../protocol/sealed_handshake.ts";
import { RecordOpener, RecordSealer } from "../protocol/sealed_stream.ts";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { closedError, cut, SealedReader, SealedWriter } from "./sealed_halves.ts";
import type { SlabPool } from "./slab_pool.ts";

/** How long a closed stream may take to say that it has ended before it is cut instead. */
const CLOSE_MS = 1000;

export interface SealParts extends SealTools {
  readonly clock: Clock;
  readonly slabs: SlabPool;
}

/** What goes before the handshake in clear, so that it costs no round trip of its own. */
export interface Preface {
  /** Sent with our first message. */
  readonly send: Uint8Array;
  /** Reads what the far side sends before its first message. */
  receive?(stream: Stream): Promise<void>;
}

interface Conditions {
  readonly preface?: Preface;
  /** Aborting it gives the handshake up. */
  readonly signal?: AbortSignal;
}

export type SealOptions =
  & SealParts
  & Conditions
  & (({ readonly role: "initiator" } & InitiatorOptions) | ({ readonly role: "responder" } & ResponderOptions));

/**
 * Shakes hands and gives the sealed stream, which owns the other from then on. A responder's settles only when the
 * initiator has shown that it is there. When it rejects, the stream has been cut.
 */
export async function sealStream(stream: Stream, options: SealOptions): Promise<SealedStream> {
  const { signal } = options;
  const onAbort = () => cut(stream);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    const sealed = options.role === "initiator" ? await initiate(stream, options) : await respond(stream, options);
    if (signal?.aborted) sealed.abort();
    signal?.throwIfAborted();
    return sealed;
  } catch (error) {
    cut(stream);
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

async function initiate(
  stream: Stream,
  options: SealParts & Conditions & InitiatorOptions,
): Promise<SealedStream> {
  using initiator = new SealInitiator(options, options);
  const notThem = () => new DialError("unauthorized", "Cannot seal the stream: the far end is not who it should be");
  if (!initiator.first) throw notThem();
  await writeAll(stream, join(options.preface?.send, initiator.first));
  await options.preface?.receive?.(stream);
  const keys = initiator.finish(await readMessage(stream, SECOND_BYTES));
  if (!keys) throw notThem();
  const sealed = new SealedStream(stream, keys, options);
  try {
    await writeAll(sealed, CONFIRMATION);
    return sealed;
  } catch (error) {
    sealed.abort();
    throw error;
  }
}

async function respond(stream: Stream, options: SealParts & Conditions & ResponderOptions): Promise<SealedStream> {
  await options.preface?.receive?.(stream);
  const answer = answerFirst(options, options, await readMessage(stream, FIRST_BYTES));
  if (!answer) {
    throw new DialError("unauthorized", "Cannot seal the stream: its first message is not from a peer expected");
  }
  await writeAll(stream, join(options.preface?.send, answer.second));
  const sealed = new SealedStream(stream, answer.keys, options);
  try {
    const confirmation = new Uint8Array(CONFIRMATION.length);
    if (await readFull(sealed, confirmation) && confirmation[0] === CONFIRMATION[0]) return sealed;
    throw new DialError("unauthorized", "Cannot seal the stream: the far end has not confirmed that it is there");
  } catch (error) {
    sealed.abort();
    throw error;
  }
}

async function readMessage(stream: Stream, length: number): Promise<Bytes> {
  const message = new Uint8Array(length);
  if (await readFull(stream, message)) return message;
  throw new DialError("path_down", "Cannot seal the stream: it ended during the handshake");
}

function join(preface: Uint8Array | undefined, message: Bytes): Uint8Array {
  if (!preface) return message;
  const both = new Uint8Array(preface.length + message.length);
  both.set(preface);
  both.set(message, preface.length);
  return both;
}

/** See `Stream` for what its methods promise. */
export class SealedStream implements Stream {
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #reader: SealedReader;
  readonly #writer: SealedWriter;
  #closed = false;

  /** Takes over the stream and the keys. */
  constructor(stream: Stream, keys: SealKeys, { crypto, clock, slabs }: Pick<SealParts, "crypto" | "clock" | "slabs">) {
    this.#stream = stream;
    this.#clock = clock;
    this.#reader = new SealedReader(stream, slabs, new RecordOpener(crypto, keys.receive));
    this.#writer = new SealedWriter(stream, slabs, new RecordSealer(crypto, keys.send));
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#closed ? Promise.reject(closedError()) : this.#reader.read(into);
  }

  write(from: Uint8Array): Promise<number> {
    return this.#closed ? Promise.reject(closedError()) : this.#writer.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#closed ? Promise.resolve() : this.#writer.end();
  }

  close(): void {
    if (this.#closed) return;
    // In the middle of a write the end cannot be said any more.
    if (this.#writer.busy) return this.abort();
    this.#closed = true;
    this.#reader.close();
    this.#closeAfterEnd();
  }

  abort(): void {
    this.#closed = true;
    this.#reader.close();
    this.#writer.close();
    cut(this.#stream);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #closeAfterEnd(): Promise<void> {
    const timer = this.#clock.after(CLOSE_MS, () => cut(this.#stream));
    await this.#writer.end();
    timer.cancel();
    this.#writer.close();
    closeQuietly(this.#stream);
  }
}
