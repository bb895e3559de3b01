/**
 * Text messages over a WebSocket (RFC 6455) on any Stream: the carrier of control streams, at either end.
 *
 *   bytes → frames → UTF-8 → onText          send → frame → one write at a time
 *
 * Made for many thousands that are quiet: one waits with half a KiB, and everything larger is there only while a message
 * is longer than that. A message is at most `maxMessageBytes`; what waits to be written at most `maxQueuedBytes`, and a
 * peer that reads too slowly for that loses the socket. Closing says goodbye: what was sent goes first, then the close
 * frame, and what still comes is read and dropped for a moment, or the peer's kernel would drop our last words.
 *
 * Not here: the handshakes (`websocket.ts`), and what the texts mean.
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
import { closeQuietly } from "./close.ts";
import { TextAssembler } from "./text_assembler.ts";

const encoder = new TextEncoder();
const QUIET_READ_BYTES = 512;
const BUSY_READ_BYTES = 8 * 1024;

export interface TextSocketHandlers {
  onText(text: string): void;
  /** A binary message has begun, of which nothing is kept. */
  onBinary(): void;
  /** A message has begun that is longer than it may be; nothing of it is kept, and the socket closes. */
  onTooLarge?(): void;
  /** The socket has ended, by failure or by either side. Called once, last of all. */
  onClose(error?: unknown): void;
}

/** What a control stream needs of its carrier; `TextSocket` is one. */
export interface TextChannel extends Disposable {
  /** May be changed at any time. */
  maxMessageBytes: number;
  /** Begins to read. */
  start(handlers: TextSocketHandlers): void;
  /** Sends a message, or does nothing once the channel closes. */
  send(text: string): void;
  /** Says goodbye, with a status code (RFC 6455 §7.4), and closes. Disposing closes at once. */
  close(code?: number, reason?: string): void;
}

export interface TextSocketOptions {
  /** Bytes already read from the stream. */
  readonly first?: Uint8Array;
  /** Makes the masking keys of a client; a server has none. */
  readonly random?: Random;
  /** Default 64 KiB. */
  readonly maxMessageBytes?: number;
  /** Default 256 KiB. */
  readonly maxQueuedBytes?: number;
  /** How long to wait for the peer's goodbye. Default 2 s. */
  readonly lingerMs?: number;
  readonly clock: Pick<Clock, "after">;
}

export class TextSocket implements TextChannel {
  /** May be changed at any time. */
  maxMessageBytes: number;
  readonly #stream: Stream;
  readonly #options: TextSocketOptions;
  readonly #reader: WebsocketFrameReader;
  #handlers: TextSocketHandlers | undefined;
  readonly #incoming = new TextAssembler();
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing = false;
  #state: "open" | "closing" | "closed" = "open";
  #linger: Timer | undefined;
  #error: unknown;

  constructor(stream: Stream, options: TextSocketOptions) {
    this.#stream = stream;
    this.#options = options;
    this.maxMessageBytes = options.maxMessageBytes ?? 64 * 1024;
    this.#reader = new WebsocketFrameReader(options.random ? "client" : "server", {
      onData: () => this.#state === "open" && this.#handlers!.onBinary(),
      onText: (bytes, last) => this.#take(bytes, last),
      onPing: (payload) => this.#state === "open" && this.#enqueue(WebSocketOpcode.PONG, payload),
      onClose: () => this.close(1000),
    });
  }

  /** Begins to read. */
  start(handlers: TextSocketHandlers): void {
    this.#handlers = handlers;
    this.#readAll().catch((error) => this.#fail(error)).finally(() => {
      this.#end();
      handlers.onClose(this.#error);
    });
  }

  /** Sends a message, or does nothing once the socket closes. */
  send(text: string): void {
    if (this.#state === "open") this.#enqueue(WebSocketOpcode.TEXT, encoder.encode(text));
  }

  /** Says goodbye, with a status code (RFC 6455 §7.4), and closes. */
  close(code = 1000, reason = ""): void {
    if (this.#state !== "open") return;
    const payload = new Uint8Array([code >>> 8, code & 0xff, ...encoder.encode(reason).subarray(0, 120)]);
    this.#enqueue(WebSocketOpcode.CLOSE, payload);
    this.#state = "closing";
    this.#linger = this.#options.clock.after(this.#options.lingerMs ?? 2000, () => this.#end());
  }

  /** Closes at once. */
  [Symbol.dispose](): void {
    this.#end();
  }

  #fail(error: unknown): void {
    if (this.#state === "open") this.#error = error;
    this.#end();
  }

  #end(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#linger?.cancel();
    this.#queue = [];
    this.#incoming.drop();
    closeQuietly(this.#stream);
  }

  async #readAll(): Promise<void> {
    const { first } = this.#options;
    if (first?.length) this.#receive(first);
    let buffer = new Uint8Array(QUIET_READ_BYTES);
    while (this.#state !== "closed") {
      const count = await this.#stream.read(buffer);
      if (count === null) return;
      this.#receive(buffer.subarray(0, count));
      const wanted = this.#incoming.isHolding || count === buffer.length ? BUSY_READ_BYTES : QUIET_READ_BYTES;
      if (buffer.length !== wanted) buffer = new Uint8Array(wanted);
    }
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state === "closing") return;
    const fault = this.#reader.read(bytes);
    if (!fault) return;
    const error = new CulvertError("protocol", `The peer broke the WebSocket protocol: ${fault}`);
    this.#breakOff(fault === "unsupported_data" ? 1003 : 1002, error);
  }

  #take(bytes: Uint8Array, last: boolean): void {
    if (this.#state !== "open") return;
    const fault = this.#incoming.take(bytes, last, this.maxMessageBytes, (text) => this.#handlers!.onText(text));
    if (fault === "too_large") {
      this.#handlers!.onTooLarge?.();
      this.#breakOff(1009, new CulvertError("too_large", "The peer sent a message that is too large"));
    } else if (fault) {
      this.#breakOff(1007, new CulvertError("protocol", "The peer sent text that is not UTF-8"));
    }
  }

  #breakOff(code: number, error: CulvertError): void {
    this.#error ??= error;
    this.#incoming.drop();
    this.close(code, error.message);
  }

  #enqueue(opcode: number, payload: Uint8Array): void {
    const frame = this.#frame(opcode, payload);
    this.#queuedBytes += frame.length;
    if (this.#queuedBytes > (this.#options.maxQueuedBytes ?? 256 * 1024)) {
      return this.#fail(new CulvertError("too_slow", "The peer does not read what it is sent"));
    }
    this.#queue.push(frame);
    if (this.#writing) return;
    this.#writing = true;
    this.#writeAll().catch((error) => this.#fail(error));
  }

  async #writeAll(): Promise<void> {
    for (let frame = this.#queue.shift(); frame; frame = this.#queue.shift()) {
      await writeAll(this.#stream, frame);
      this.#queuedBytes -= frame.length;
    }
    this.#writing = false;
    if (this.#state === "closing") await this.#stream.closeWrite();
  }

  #frame(opcode: number, payload: Uint8Array): Uint8Array {
    const { random } = this.#options;
    const start = websocketHeaderBytes(payload.length, random !== undefined);
    const frame = new Uint8Array(start + payload.length);
    frame.set(payload, start);
    const key = random?.fill(new Uint8Array(4));
    writeWebsocketHeader(frame, 0, opcode, payload.length, key);
    if (key) applyMask(frame.subarray(start), key);
    return frame;
  }
}
