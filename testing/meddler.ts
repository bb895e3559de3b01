/**
 * Somebody between two programs who sees every byte and does what he likes with it: a TCP relay on real sockets that
 * understands HTTP's upgrade to WebSocket (RFC 6455), and hands each binary message to whoever meddles.
 *
 *   client ⇄ meddler ⇄ server        in plain, so that what he sees is what the server sees
 *
 * What comes before an upgrade, and connections without one, pass unchanged. He answers pings himself, since those are
 * between neighbours. A direction is read only after what came before was written, so that a slow reader is felt.
 */

import { ByteLog } from "./byte_log.ts";
import { type Stream, type Target, writeAll } from "../protocol/stream.ts";
import {
  MAX_WEBSOCKET_HEADER_BYTES,
  WebsocketFrameReader,
  websocketHeaderBytes,
  WebSocketOpcode,
  writeWebsocketHeader,
} from "../protocol/websocket.ts";

export type Direction = "to_server" | "to_client";

/** Gives the messages that go on in this one's place, in their order: none drops it. May keep what it was given. */
export type Meddle = (message: Uint8Array<ArrayBuffer>, direction: Direction) => readonly Uint8Array[];

const HONEST: Meddle = (message) => [message];
const CHUNK_BYTES = 256 * 1024;
/** A client masks what it sends; with this key that changes nothing. */
const NO_MASK = new Uint8Array(4);

export class Meddler implements AsyncDisposable {
  /** Where to connect instead of the server. */
  readonly address: Target;
  /**
   * What was seen so far: heads of requests, messages unmasked, and whatever else. Not what the server says of itself in
   * its heads.
   */
  seen = new ByteLog();
  meddle: Meddle = HONEST;
  /** Whether what is seen is kept. */
  isRecording = true;
  readonly #to: Target;
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Disposable>();
  readonly #tasks = new Set<Promise<void>>();
  /** Settles once it speaks again. */
  #silence: PromiseWithResolvers<void> | undefined;

  private constructor(listener: Deno.TcpListener, to: Target) {
    const { hostname, port } = listener.addr as Deno.NetAddr;
    this.address = { host: hostname, port };
    this.#listener = listener;
    this.#to = to;
    this.#spawn(this.#serve());
  }

  /** Starts on a free port of 127.0.0.1. */
  static start(to: Target): Meddler {
    return new Meddler(Deno.listen({ hostname: "127.0.0.1", port: 0 }), to);
  }

  /** Reads and forwards nothing any more, and closes nothing: as a machine that has lost its power. */
  fallSilent(): void {
    this.#silence ??= Promise.withResolvers();
  }

  speakAgain(): void {
    this.#silence?.resolve();
    this.#silence = undefined;
  }

  /** Cuts every connection there is now. */
  cut(): void {
    for (const conn of this.#open) this.#drop(conn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener[Symbol.dispose]();
    this.speakAgain();
    this.cut();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #serve(): Promise<void> {
    for await (const near of this.#listener) this.#spawn(this.#relay(near));
  }

  async #relay(near: Deno.TcpConn): Promise<void> {
    this.#open.add(near);
    await this.#silence?.promise;
    const far = await Deno.connect({ hostname: this.#to.host, port: this.#to.port }).catch(() => undefined);
    if (!far) return this.#drop(near);
    this.#open.add(far);
    near.setNoDelay();
    far.setNoDelay();
    await Promise.all([this.#carry(near, far, "to_server"), this.#carry(far, near, "to_client")]);
    this.#drop(near);
    this.#drop(far);
  }

  async #carry(from: Deno.TcpConn, to: Deno.TcpConn, direction: Direction): Promise<void> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    const half = new Half(direction, this);
    try {
      for (;;) {
        const count = await from.read(buffer);
        await this.#silence?.promise;
        if (count === null) return await to.closeWrite();
        const { onward, back } = half.take(buffer.subarray(0, count));
        for (const each of back) await writeAll(from as Stream, each);
        for (const each of onward) await writeAll(to as Stream, each);
      }
    } catch {
      this.#drop(from);
      this.#drop(to);
    }
  }

  #drop(conn: Disposable): void {
    if (this.#open.delete(conn)) conn[Symbol.dispose]();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

/** What goes on and what goes back to the sender because of some bytes. */
interface Consequences {
  readonly onward: readonly Uint8Array[];
  readonly back: readonly Uint8Array[];
}

/** One direction of a connection: an HTTP head, then whatever it was the head of. */
class Half {
  readonly #direction: Direction;
  readonly #meddler: Meddler;
  #head = "";
  #isHead = true;
  #pieces: Uint8Array[] = [];
  #onward: Uint8Array[] = [];
  #back: Uint8Array[] = [];
  readonly #frames: WebsocketFrameReader;
  #hasUpgraded = false;

  constructor(direction: Direction, meddler: Meddler) {
    this.#direction = direction;
    this.#meddler = meddler;
    this.#frames = new WebsocketFrameReader(direction === "to_server" ? "server" : "client", {
      onData: (piece, last) => this.#onPiece(piece, last),
      onPing: (payload) => this.#back.push(this.#frameOf(WebSocketOpcode.PONG, payload, this.#isToClient)),
      onClose: (code) => this.#onClose(code),
    });
  }

  take(bytes: Uint8Array): Consequences {
    [this.#onward, this.#back] = [[], []];
    const rest = this.#isHead ? this.#takeHead(bytes) : bytes;
    if (rest.length > 0 && this.#hasUpgraded) {
      const fault = this.#frames.read(rest);
      if (fault) throw new Error(`Cannot read a frame ${this.#direction}: ${fault}`);
    } else if (rest.length > 0) {
      this.#record(rest);
      this.#onward.push(rest.slice());
    }
    return { onward: this.#onward, back: this.#back };
  }

  get #isToClient(): boolean {
    return this.#direction === "to_client";
  }

  /** Gives what lies behind the head. */
  #takeHead(bytes: Uint8Array): Uint8Array {
    const before = this.#head.length;
    this.#head += String.fromCharCode(...bytes.subarray(0, 16_384));
    const end = this.#head.indexOf("\r\n\r\n");
    const length = end < 0 ? bytes.length : end + 4 - before;
    this.#onward.push(bytes.slice(0, length));
    if (end < 0) return bytes.subarray(bytes.length);
    this.#isHead = false;
    if (!this.#isToClient) this.#recordHead(this.#head.slice(0, end));
    this.#hasUpgraded = /^upgrade: *websocket/im.test(this.#head) &&
      (!this.#isToClient || this.#head.startsWith("HTTP/1.1 101"));
    return bytes.subarray(length);
  }

  #onPiece(piece: Uint8Array, last: boolean): void {
    this.#pieces.push(piece.slice());
    if (!last) return;
    const message = concat(this.#pieces);
    this.#pieces = [];
    this.#record(message);
    for (const each of this.#meddler.meddle(message, this.#direction)) {
      this.#onward.push(this.#frameOf(WebSocketOpcode.BINARY, each, !this.#isToClient));
    }
  }

  #onClose(code: number): void {
    const payload = code === 1005 ? new Uint8Array() : Uint8Array.of(code >> 8, code & 0xff);
    this.#onward.push(this.#frameOf(WebSocketOpcode.CLOSE, payload, !this.#isToClient));
  }

  #frameOf(opcode: number, payload: Uint8Array, isMasked: boolean): Uint8Array {
    const headerBytes = websocketHeaderBytes(payload.length, isMasked);
    const frame = new Uint8Array(MAX_WEBSOCKET_HEADER_BYTES + payload.length);
    writeWebsocketHeader(frame, 0, opcode, payload.length, isMasked ? NO_MASK : undefined);
    frame.set(payload, headerBytes);
    return frame.subarray(0, headerBytes + payload.length);
  }

  /** Names and values apart, so that nothing begins in the one and ends in the other. */
  #recordHead(head: string): void {
    for (const part of head.split(/\r\n|: /)) this.#record(new TextEncoder().encode(part));
  }

  #record(bytes: Uint8Array): void {
    if (this.#meddler.isRecording) this.#meddler.seen.add(bytes);
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
