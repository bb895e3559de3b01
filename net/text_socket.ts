/**
 * Text messages over a WebSocket of our own (RFC 6455): what a control stream speaks.
 *
 *   send(text) → queue (bounded) → one write loop → peer           peer → frames → onText(text)
 *
 * Messages longer than the bound, and binary ones, end it. What is queued for a peer that does not read is bounded: one
 * more message ends the connection. Between messages it holds one small buffer. Pings are answered.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
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

export interface TextSocketOptions {
  readonly clock: Clock;
  /** Makes the masking keys of a client; a server has none. */
  readonly random?: Random;
  /** Bytes already read from the stream. */
  readonly first?: Uint8Array;
  /** Default 64 KiB. */
  readonly maxMessageBytes?: number;
  /** What may wait to be written. Default 256 KiB. */
  readonly maxQueuedBytes?: number;
}

export interface TextSocketHandlers {
  onText(text: string): void;
  /** It has ended, by failure or by either side. Called once, last of all. */
  onClose(reason: string): void;
}

const READ_BYTES = 4096;
/** How long what was sent before the goodbye may take. */
const END_MS = 2000;
const CLOSE_NORMAL = 1000;
const NOTHING = new Uint8Array(0);

export class TextSocket implements Disposable {
  readonly #stream: Stream;
  readonly #handlers: TextSocketHandlers;
  readonly #random: Random | undefined;
  readonly #maxMessageBytes: number;
  readonly #maxQueuedBytes: number;
  readonly #reader: WebsocketFrameReader;
  /** The message that is coming in: the first so many bytes. */
  #message: Uint8Array<ArrayBuffer> = NOTHING;
  #messageBytes = 0;
  readonly #clock: Clock;
  #endTimer: Timer | undefined;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing = false;
  /** No more is taken: it closes when what is queued has been written. */
  #ending = false;
  #closed = false;
  #reason = "closed";

  /** Takes the stream over and begins to read. */
  constructor(stream: Stream, handlers: TextSocketHandlers, options: TextSocketOptions) {
    this.#stream = stream;
    this.#handlers = handlers;
    this.#random = options.random;
    this.#clock = options.clock;
    this.#maxMessageBytes = options.maxMessageBytes ?? 64 * 1024;
    this.#maxQueuedBytes = options.maxQueuedBytes ?? 256 * 1024;
    this.#reader = new WebsocketFrameReader(options.random ? "client" : "server", {
      onData: (bytes) => this.#collect(bytes),
      onMessageEnd: () => this.#deliver(),
      onPing: (payload) => this.#push(WebSocketOpcode.PONG, payload),
      onClose: () => this.end("closed by the peer"),
    }, "text");
    this.#readAll(options.first);
  }

  /** Queues a message; nothing happens once it is closing. */
  send(text: string): void {
    this.#push(WebSocketOpcode.TEXT, new TextEncoder().encode(text));
  }

  /** Says goodbye after what was sent before, then closes. */
  end(reason = "closed", code = CLOSE_NORMAL): void {
    if (this.#ending || this.#closed) return;
    this.#reason = reason;
    this.#push(WebSocketOpcode.CLOSE, Uint8Array.of(code >>> 8, code & 0xff));
    this.#ending = true;
    if (this.#writing) this.#endTimer = this.#clock.after(END_MS, () => this.close());
  }

  /** Ends it at once. */
  close(reason?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    if (reason !== undefined) this.#reason = reason;
    this.#endTimer?.cancel();
    closeQuietly(this.#stream);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #collect(bytes: Uint8Array): void {
    if (this.#closed) return;
    const length = this.#messageBytes + bytes.length;
    if (length > this.#maxMessageBytes) return this.close("a message is too long");
    if (length > this.#message.length) {
      const larger = new Uint8Array(Math.max(length, Math.min(2 * this.#message.length, this.#maxMessageBytes)));
      larger.set(this.#message.subarray(0, this.#messageBytes));
      this.#message = larger;
    }
    this.#message.set(bytes, this.#messageBytes);
    this.#messageBytes = length;
  }

  #deliver(): void {
    const text = textOf(this.#message.subarray(0, this.#messageBytes));
    this.#message = NOTHING;
    this.#messageBytes = 0;
    if (this.#closed || this.#ending) return;
    if (text === undefined) this.close("a message is not UTF-8");
    else this.#handlers.onText(text);
  }

  #push(opcode: number, payload: Uint8Array): void {
    if (this.#closed || this.#ending) return;
    const frame = this.#frame(opcode, payload);
    if (this.#queuedBytes + frame.length > this.#maxQueuedBytes) return this.close("the peer does not read");
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    if (!this.#writing) this.#writeAll();
  }

  #frame(opcode: number, payload: Uint8Array): Uint8Array {
    const key = this.#random?.fill(new Uint8Array(4));
    const headerBytes = websocketHeaderBytes(payload.length, key !== undefined);
    const frame = new Uint8Array(headerBytes + payload.length);
    writeWebsocketHeader(frame, 0, opcode, payload.length, key);
    frame.set(payload, headerBytes);
    if (key) applyMask(frame.subarray(headerBytes), key);
    return frame;
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    try {
      for (let frame = this.#queue.shift(); frame && !this.#closed; frame = this.#queue.shift()) {
        await writeAll(this.#stream, frame);
        this.#queuedBytes -= frame.length;
      }
      if (this.#ending) this.close();
    } catch (error) {
      this.close(messageOf(error));
    } finally {
      this.#writing = false;
    }
  }

  async #readAll(first: Uint8Array | undefined): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      await undefined; // so that whoever made this has it in hand before the first message
      if (first?.length) this.#receive(first);
      while (!this.#closed) {
        const count = await this.#stream.read(buffer);
        if (count === null) this.close("the peer has gone");
        else this.#receive(buffer.subarray(0, count));
      }
    } catch (error) {
      this.close(messageOf(error));
    }
    this.#handlers.onClose(this.#reason);
  }

  #receive(bytes: Uint8Array): void {
    const fault = this.#reader.read(bytes);
    if (fault) throw new CulvertError("protocol", `The peer broke the WebSocket protocol: ${fault}`);
  }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
