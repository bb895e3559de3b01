/**
 * Whole binary messages over a WebSocket (RFC 6455) on any Stream: what relays of fragments speak, at either end.
 *
 *   bytes → frames → onMessage, whole          send → framed and masked in place → one write for what has gathered
 *
 * A message is copied once on its way out and, unless it came in one piece, once on its way in. What is sent while a
 * write is under way gathers behind it, up to `maxQueuedBytes`; `isWritable` says when to hold back, and what is sent
 * all the same is dropped once the queue is full: made for carriers above which losses are repaired. A quiet socket
 * holds a few KiB; a busy one borrows its buffers. Closing says goodbye behind what was sent.
 *
 * Not here: the handshakes (`websocket.ts`), and what the messages mean.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Random } from "../protocol/random.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import {
  applyMask,
  WebsocketFrameReader,
  websocketHeaderBytes,
  WebSocketOpcode,
  writeWebsocketHeader,
} from "../protocol/websocket.ts";
import type { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import type { ReadTurns } from "./read_turns.ts";

const QUIET_READ_BYTES = 4096;
const QUIET_WRITE_BYTES = 1024;
/** Of a buffer of one's own, when there is no shared one: small frames go together. */
const OWN_WRITE_BYTES = 16 * 1024;
/** RFC 6455 §7.4.1. */
const CLOSE_POLICY = 1008;
/** No status in the close frame. RFC 6455 §7.4.1. */
const NO_STATUS = 1005;

export interface MessageSocketHandlers {
  /** A message has come. A view, valid only during the call; it may be changed. */
  onMessage(message: Uint8Array): void;
  /** The socket has ended, by failure or by either side, with the status of the peer's goodbye if it said one. Last. */
  onClose(error?: unknown, code?: number): void;
}

export interface MessageSocketOptions {
  readonly clock: Pick<Clock, "after">;
  /** Large buffers, shared with other sockets. */
  readonly pool: BufferPool;
  /** Shared with other sockets, so that few of them read much at once. */
  readonly turns?: ReadTurns | undefined;
  /** Bytes already read from the stream. */
  readonly first?: Uint8Array;
  /** Makes the masking keys of a client; a server has none. */
  readonly random?: Random | undefined;
  /** A longer one ends the socket. Default 256 KiB. */
  readonly maxMessageBytes?: number;
  /** From here on `isWritable` is false. Default 128 KiB. */
  readonly fullBytes?: number;
  /** What would queue more is dropped. Default 512 KiB. */
  readonly maxQueuedBytes?: number;
  /** How long the rest of a message may take; who dawdles is let go. Default 30 s. */
  readonly messageMs?: number;
  /** How long to wait for the peer's goodbye. Default 2 s. */
  readonly lingerMs?: number;
}

/** Frames that are written at once. */
interface Run {
  readonly buffer: Uint8Array<ArrayBuffer>;
  bytes: number;
}

export class MessageSocket implements Disposable {
  /** There is room again, after `isWritable` was false. */
  onWritable: () => void = () => {};
  readonly #stream: Stream;
  readonly #options: MessageSocketOptions;
  readonly #pool: BufferPool;
  readonly #fullBytes: number;
  readonly #maxQueuedBytes: number;
  readonly #maxMessageBytes: number;
  readonly #reader: WebsocketFrameReader;
  readonly #key: Uint8Array<ArrayBuffer> | undefined;
  #handlers: MessageSocketHandlers | undefined;
  /** The beginning of a message whose end has not come. */
  #held: Uint8Array<ArrayBuffer> | undefined;
  #heldBytes = 0;
  /** Holds one of which little has come. */
  #beginning: Uint8Array<ArrayBuffer> | undefined;
  /** Frames that wait behind the write under way, or for the end of this turn. */
  readonly #queue: Run[] = [];
  readonly #quiet = new Uint8Array(QUIET_WRITE_BYTES);
  #isQuietFree = true;
  readonly #borrowed = new Set<Uint8Array>();
  #queuedBytes = 0;
  #isWriting = false;
  #wasFull = false;
  #state: "open" | "closing" | "closed" = "open";
  #code: number | undefined;
  #linger: Timer | undefined;
  /** Looks whether the message that is held has come to its end. */
  #patience: Timer | undefined;
  #heldCount = 0;
  #error: unknown;

  constructor(stream: Stream, options: MessageSocketOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#pool = options.pool;
    this.#fullBytes = options.fullBytes ?? 128 * 1024;
    this.#maxQueuedBytes = options.maxQueuedBytes ?? 512 * 1024;
    this.#maxMessageBytes = options.maxMessageBytes ?? 256 * 1024;
    this.#key = options.random && new Uint8Array(4);
    this.#reader = new WebsocketFrameReader(options.random ? "client" : "server", {
      onData: (bytes, last) => this.#take(bytes, last),
      onPing: (payload) => void (this.#state === "open" && this.#enqueue(WebSocketOpcode.PONG, payload)),
      onClose: (code) => {
        this.#code ??= code;
        this.close(code === NO_STATUS ? 1000 : code);
      },
    });
  }

  /** Begins to read. */
  start(handlers: MessageSocketHandlers): void {
    this.#handlers = handlers;
    this.#readAll().catch((error) => this.#fail(error)).finally(() => {
      this.#end();
      handlers.onClose(this.#error, this.#code);
    });
  }

  /** False while enough is queued; `onWritable` follows. */
  get isWritable(): boolean {
    if (this.#state === "open" && this.#queuedBytes < this.#fullBytes) return true;
    this.#wasFull = true;
    return false;
  }

  /** What waits to be written. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Sends a message made of a head and a body; false when it was dropped, for want of room or because it closes. */
  send(head: Uint8Array, body?: Uint8Array): boolean {
    return this.#state === "open" && this.#enqueue(WebSocketOpcode.BINARY, head, body);
  }

  /** Says goodbye behind what was sent, with a status code (RFC 6455 §7.4), and closes. Disposing closes at once. */
  close(code = 1000, reason = ""): void {
    if (this.#state !== "open") return;
    const text = new TextEncoder().encode(reason).subarray(0, 120);
    const isQueued = this.#enqueue(WebSocketOpcode.CLOSE, Uint8Array.of(code >>> 8, code), text);
    this.#state = "closing";
    if (!isQueued) return this.#end();
    this.#linger = this.#options.clock.after(this.#options.lingerMs ?? 2000, () => this.#end());
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  #fail(error: unknown): void {
    if (this.#state === "open") this.#error ??= error;
    this.#end();
  }

  #end(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#linger?.cancel();
    this.#patience?.cancel();
    this.#dropHeld();
    this.#queuedBytes = 0;
    closeQuietly(this.#stream);
  }

  async #readAll(): Promise<void> {
    const { first } = this.#options;
    if (first?.length) this.#receive(first);
    const quiet = new Uint8Array(QUIET_READ_BYTES);
    while (this.#state !== "closed") {
      const count = await this.#stream.read(quiet);
      if (count === null) return;
      this.#receive(quiet.subarray(0, count));
      if (count === quiet.length && !await this.#readMuch()) return;
    }
  }

  /** Reads with a large buffer, if there is one, what there is; false at the end. */
  async #readMuch(): Promise<boolean> {
    const turn = await this.#options.turns?.enter();
    const buffer = this.#pool.take();
    try {
      while (buffer && this.#state !== "closed") {
        const count = await this.#stream.read(buffer);
        if (count === null) return false;
        turn?.touch();
        this.#receive(buffer.subarray(0, count));
        // All there was: whoever waits holds no large buffer, however busy it has been.
        if (count < buffer.length) break;
      }
      return true;
    } finally {
      turn?.leave();
      if (buffer) this.#pool.give(buffer);
    }
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    const fault = this.#reader.read(bytes);
    if (fault) this.#breakOff(fault === "unsupported_data" ? 1003 : 1002, `broke the WebSocket protocol: ${fault}`);
  }

  #take(bytes: Uint8Array, last: boolean): void {
    if (this.#state !== "open") return;
    if (this.#heldBytes + bytes.length + this.#reader.payloadLeft > this.#maxMessageBytes) {
      return this.#breakOff(1009, "sent a message that is too large");
    }
    if (last && this.#heldBytes === 0) return this.#handlers!.onMessage(bytes);
    this.#hold(bytes);
    if (!last) return;
    this.#heldCount++;
    const held = this.#held!;
    const message = held.subarray(0, this.#heldBytes);
    this.#held = undefined;
    this.#heldBytes = 0;
    this.#handlers!.onMessage(message);
    this.#giveBack(held);
  }

  /** One timer for a run of messages, or it would cost more than they do. */
  #watchHeld(): void {
    const count = this.#heldCount;
    this.#patience = this.#options.clock.after(this.#options.messageMs ?? 30_000, () => {
      this.#patience = undefined;
      if (!this.#held || this.#state !== "open") return;
      if (count === this.#heldCount) this.#breakOff(CLOSE_POLICY, "took too long over a message");
      else this.#watchHeld();
    });
  }

  #hold(bytes: Uint8Array): void {
    if (!this.#patience) this.#watchHeld();
    const wanted = this.#heldBytes + bytes.length;
    if (!this.#held || wanted > this.#held.length) {
      // A mere beginning is held in little; then there is room for all of the frame.
      const isBeginning = !this.#held && wanted <= QUIET_READ_BYTES;
      const whole = wanted + this.#reader.payloadLeft;
      const larger = isBeginning ? this.#beginning ??= new Uint8Array(QUIET_READ_BYTES) : this.#borrow(whole, whole);
      if (this.#held) {
        larger.set(this.#held.subarray(0, this.#heldBytes));
        this.#giveBack(this.#held);
      }
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = wanted;
  }

  #dropHeld(): void {
    if (this.#held) this.#giveBack(this.#held);
    this.#held = undefined;
    this.#heldBytes = 0;
  }

  #breakOff(code: number, what: string): void {
    this.#error ??= new CulvertError("protocol", `The peer ${what}`);
    this.#dropHeld();
    this.close(code, what);
  }

  #enqueue(opcode: number, head: Uint8Array, body?: Uint8Array): boolean {
    const payloadBytes = head.length + (body?.length ?? 0);
    const headerBytes = websocketHeaderBytes(payloadBytes, this.#key !== undefined);
    const frameBytes = headerBytes + payloadBytes;
    if (this.#queuedBytes > 0 && this.#queuedBytes + frameBytes > this.#maxQueuedBytes) return false;
    const run = this.#runFor(frameBytes);
    const { buffer, bytes: from } = run;
    const start = from + headerBytes;
    buffer.set(head, start);
    if (body) buffer.set(body, start + head.length);
    if (this.#key) {
      this.#options.random!.fill(this.#key);
      applyMask(buffer.subarray(start, from + frameBytes), this.#key);
    }
    writeWebsocketHeader(buffer, from, opcode, payloadBytes, this.#key);
    run.bytes += frameBytes;
    this.#queuedBytes += frameBytes;
    if (!this.#isWriting) {
      this.#isWriting = true;
      // Not at once: what else is sent in this turn shares the write.
      queueMicrotask(() => this.#writeAll().catch((error) => this.#fail(error)));
    }
    return true;
  }

  /** Where a frame of so many bytes goes: nothing that waits is copied to make room for it. */
  #runFor(bytes: number): Run {
    const last = this.#queue.at(-1);
    if (last && last.bytes + bytes <= last.buffer.length) return last;
    const isQuiet = this.#isQuietFree && bytes <= QUIET_WRITE_BYTES;
    if (isQuiet) this.#isQuietFree = false;
    const buffer = isQuiet ? this.#quiet : this.#borrow(bytes, Math.max(bytes, OWN_WRITE_BYTES));
    const run = { buffer, bytes: 0 };
    this.#queue.push(run);
    return run;
  }

  /** One of at least so many bytes: a large one that others use too, or one of its own. */
  #borrow(bytes: number, ownBytes: number): Uint8Array<ArrayBuffer> {
    const borrowed = this.#pool.take();
    if (borrowed && borrowed.length >= bytes) {
      this.#borrowed.add(borrowed);
      return borrowed;
    }
    if (borrowed) this.#pool.give(borrowed);
    return new Uint8Array(ownBytes);
  }

  #giveBack(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer === this.#quiet) this.#isQuietFree = true;
    else if (this.#borrowed.delete(buffer)) this.#pool.give(buffer);
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#queue.length > 0 && this.#state !== "closed") {
        const { buffer, bytes } = this.#queue.shift()!;
        this.#queuedBytes -= bytes;
        await writeAll(this.#stream, buffer.subarray(0, bytes)).finally(() => this.#giveBack(buffer));
        this.#tellWritable();
      }
    } finally {
      this.#isWriting = false;
      if (this.#state === "closed") { for (const { buffer } of this.#queue.splice(0)) this.#giveBack(buffer); }
    }
    if (this.#state === "closing") await this.#stream.closeWrite();
  }

  #tellWritable(): void {
    if (!this.#wasFull || this.#state !== "open" || this.#queuedBytes >= this.#fullBytes) return;
    this.#wasFull = false;
    this.onWritable();
  }
}
