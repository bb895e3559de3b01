/**
 * A WebSocket (RFC 6455) over any Stream, as a Link: the handshakes of both sides and the frames between.
 *
 * Each write carries one binary message with as many frames of the mux as fit. Pings are answered. Texts are refused,
 * unless somebody takes them (`texts`): then they go both ways beside the bytes, ahead of whatever bytes wait.
 * What it does not do: extensions, subprotocols.
 */

import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import { encodeRequestHead, parseRequestHead, parseResponseHead, tokensOf, valuesOf } from "../protocol/http_head.ts";
import type { RequestHead, ResponseHead } from "../protocol/http_head.ts";
import type { Parsed } from "../protocol/parse.ts";
import type { Random } from "../protocol/random.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import {
  applyMask,
  websocketAccept,
  WebsocketFrameReader,
  websocketHeaderBytes,
  WebSocketOpcode,
  writeWebsocketHeader,
} from "../protocol/websocket.ts";
import type { BufferPool } from "./buffer_pool.ts";
import { StreamLink } from "./stream_link.ts";
import { TextAssembler } from "./text_assembler.ts";

/** Room before the payload for the longest header, rounded up so that the payload starts on a word. */
const HEADER_ROOM_BYTES = 16;
/** No honest handshake is longer. */
const MAX_HEAD_BYTES = 16 * 1024;

const TEXT_FAULTS = { too_large: "too large", not_utf8: "not UTF-8" } as const;
/** RFC 6455 §7.4.1. */
const CLOSE_NORMAL = 1000;
/** Of texts that wait to be written; a peer that does not read so much is given up. */
const MAX_QUEUED_TEXT_BYTES = 256 * 1024;

/** Takes the texts of a link. */
export interface LinkTexts {
  /** A longer one ends the link, after `onTooLarge`. May be changed at any time. */
  readonly maxBytes: number;
  onText(text: string): void;
  onTooLarge?(): void;
}

export interface WebsocketLinkOptions {
  /** Bytes already read from the stream. */
  readonly first?: Uint8Array;
  /** Makes the masking keys of a client; a server has none. */
  readonly random?: Random;
  /** Without it a text ends the link. */
  readonly texts?: LinkTexts;
  /** Of the buffer that a quiet link reads with. Default 4 KiB. */
  readonly quietBytes?: number;
}

export class WebsocketLink extends StreamLink {
  readonly #random: Random | undefined;
  readonly #reader: WebsocketFrameReader;
  /** A client's, for what it masks with. */
  readonly #key: Uint8Array<ArrayBuffer> | undefined;
  /** The payload of the last ping, while its pong is owed. */
  #pong: Uint8Array | undefined;
  /** The peer has sent its close frame, we are to send ours behind the texts, and it has gone. RFC 6455 §5.5.1. */
  #closing = false;
  #goodbye = false;
  #closeSent = false;
  /** Framed texts that wait, and how much they are. */
  #texts: Uint8Array[] | undefined;
  #textBytes = 0;

  constructor(stream: Stream, pool: BufferPool, options: WebsocketLinkOptions = {}) {
    super(stream, pool, options.first, options.quietBytes);
    const { texts } = options;
    this.#random = options.random;
    if (options.random) this.#key = new Uint8Array(4);
    this.#reader = new WebsocketFrameReader(options.random ? "client" : "server", {
      onData: (bytes) => !this.#isOver && this.handlers!.onBytes(bytes),
      ...(texts && { onText: this.#textReader(texts) }),
      onPing: (payload) => {
        this.#pong = payload.slice();
        this.wake();
      },
      onClose: () => {
        this.#closing = true;
        this.wake();
      },
    });
  }

  /** Sends a text ahead of whatever bytes wait; nothing once the link closes. */
  sendText(text: string): void {
    if (this.#isOver) return;
    const frame = this.#textFrame(new TextEncoder().encode(text));
    this.#textBytes += frame.length;
    if (this.#textBytes > MAX_QUEUED_TEXT_BYTES) {
      return this.fail(new CulvertError("too_slow", "The peer does not read what it is sent"));
    }
    (this.#texts ??= []).push(frame);
    this.wake();
  }

  /** Says goodbye behind the texts that were sent, drops what still comes, and closes when the peer has answered. */
  sayGoodbye(): void {
    this.#goodbye = true;
    this.wake();
  }

  get #isOver(): boolean {
    return this.#closing || this.#goodbye;
  }

  #textReader(texts: LinkTexts): (bytes: Uint8Array, last: boolean) => void {
    const incoming = new TextAssembler();
    return (bytes, last) => {
      if (this.#isOver) return;
      const fault = incoming.take(bytes, last, texts.maxBytes, (text) => texts.onText(text));
      if (!fault) return;
      incoming.drop();
      if (fault === "too_large") texts.onTooLarge?.();
      if (!this.#goodbye) this.fail(new CulvertError("protocol", `The peer sent a text that is ${TEXT_FAULTS[fault]}`));
    };
  }

  protected override receive(bytes: Uint8Array): void {
    const fault = this.#reader.read(bytes);
    if (fault) this.fail(new CulvertError("protocol", `The peer broke the WebSocket protocol: ${fault}`));
  }

  protected override fill(into: Uint8Array): Uint8Array | undefined {
    if (this.#closing) {
      if (this.#closeSent) return void this.close();
      this.#closeSent = true;
      return this.#frame(into, WebSocketOpcode.CLOSE, 0);
    }
    if (this.#pong) {
      into.set(this.#pong, HEADER_ROOM_BYTES);
      const length = this.#pong.length;
      this.#pong = undefined;
      return this.#frame(into, WebSocketOpcode.PONG, length);
    }
    const text = this.#texts?.shift();
    if (text) {
      this.#textBytes -= text.length;
      return text;
    }
    this.#texts = undefined;
    if (this.#goodbye) return this.#goodbyeFrame(into);
    const count = this.handlers!.fill(into.subarray(HEADER_ROOM_BYTES));
    return count > 0 ? this.#frame(into, WebSocketOpcode.BINARY, count) : undefined;
  }

  #goodbyeFrame(into: Uint8Array): Uint8Array | undefined {
    if (this.#closeSent) return undefined;
    this.#closeSent = true;
    into[HEADER_ROOM_BYTES] = CLOSE_NORMAL >>> 8;
    into[HEADER_ROOM_BYTES + 1] = CLOSE_NORMAL & 0xff;
    return this.#frame(into, WebSocketOpcode.CLOSE, 2);
  }

  #textFrame(payload: Uint8Array): Uint8Array {
    const start = websocketHeaderBytes(payload.length, this.#random !== undefined);
    const frame = new Uint8Array(start + payload.length);
    frame.set(payload, start);
    const key = this.#key && this.#random!.fill(this.#key);
    writeWebsocketHeader(frame, 0, WebSocketOpcode.TEXT, payload.length, key);
    if (key) applyMask(frame.subarray(start), key);
    return frame;
  }

  /** Puts the header right before the payload, so that nothing has to move. */
  #frame(buffer: Uint8Array, opcode: number, payloadBytes: number): Uint8Array {
    const key = this.#key;
    const headerStart = HEADER_ROOM_BYTES - websocketHeaderBytes(payloadBytes, key !== undefined);
    const end = HEADER_ROOM_BYTES + payloadBytes;
    if (key) {
      this.#random!.fill(key);
      writeWebsocketHeader(buffer, headerStart, opcode, payloadBytes, key);
      applyMask(buffer.subarray(HEADER_ROOM_BYTES, end), key);
    } else {
      writeWebsocketHeader(buffer, headerStart, opcode, payloadBytes);
    }
    return buffer.subarray(headerStart, end);
  }
}

export interface ClientHandshake {
  /** For the Host field, with the port unless it is the scheme's own. */
  readonly host: string;
  /** The request target, beginning with "/". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks the server to speak WebSocket; gives what it sent beyond its answer. Rejects with a DialError. */
export async function openWebsocket(
  stream: Stream,
  handshake: ClientHandshake,
  random: Random,
): Promise<Uint8Array> {
  const key = btoa(String.fromCharCode(...random.fill(new Uint8Array(16))));
  const fields = [
    { name: "Host", value: handshake.host },
    { name: "Upgrade", value: "websocket" },
    { name: "Connection", value: "Upgrade" },
    { name: "Sec-WebSocket-Key", value: key },
    { name: "Sec-WebSocket-Version", value: "13" },
    ...Object.entries(handshake.headers ?? {}).map(([name, value]) => ({ name, value })),
  ];
  const answer = await ask(stream, encodeRequestHead({ method: "GET", target: handshake.path, fields }), handshake);
  if (!answer) throw new DialError("failed", `Cannot open a WebSocket on ${handshake.host}: it does not speak HTTP`);
  checkAnswer(answer.head, handshake, websocketAccept(key));
  return answer.rest;
}

async function ask(stream: Stream, request: Uint8Array, handshake: ClientHandshake) {
  try {
    await writeAll(stream, request);
    return await readHead(stream, parseResponseHead);
  } catch (cause) {
    throw new DialError("failed", `Cannot open a WebSocket on ${handshake.host}: ${messageOf(cause)}`, { cause });
  }
}

function checkAnswer(head: ResponseHead, handshake: ClientHandshake, accept: string): void {
  const where = `Cannot open a WebSocket on ${handshake.host}${handshake.path}`;
  if (head.status === 401 || head.status === 403) {
    throw new DialError("unauthorized", `${where}: the server answered ${head.status}`);
  }
  if (head.status === 503 || head.status === 429) throw new DialError("busy", `${where}: the server is busy`);
  if (head.status !== 101) {
    throw new DialError(
      "failed",
      `${where}: the server answered ${head.status}; is the path, and the token if it wants one, right?`,
    );
  }
  if (valuesOf(head.fields, "sec-websocket-accept")[0] !== accept) {
    throw new DialError("failed", `${where}: the answer does not fit the question; is a cache in between?`);
  }
}

/** What a client asked for, before it is answered. */
export interface WebsocketRequest {
  readonly head: RequestHead;
  /** The value of Sec-WebSocket-Key, or undefined when this is no request for a WebSocket. */
  readonly key: string | undefined;
  /** Bytes beyond the request. */
  readonly rest: Uint8Array;
}

/** Reads a request; undefined when what came is not HTTP or too long. */
export async function readWebsocketRequest(stream: Stream): Promise<WebsocketRequest | undefined> {
  const request = await readHead(stream, parseRequestHead);
  if (!request) return undefined;
  const { head } = request;
  const keys = valuesOf(head.fields, "sec-websocket-key");
  const asked = head.method === "GET" && head.minor === 1 && keys.length === 1 &&
    tokensOf(head.fields, "upgrade").includes("websocket") && tokensOf(head.fields, "connection").includes("upgrade") &&
    valuesOf(head.fields, "sec-websocket-version")[0] === "13";
  return { head, key: asked ? keys[0] : undefined, rest: request.rest };
}

/** Tells the client that WebSocket it is. */
export async function acceptWebsocket(stream: Stream, key: string): Promise<void> {
  const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${websocketAccept(key)}\r\n\r\n`;
  await writeAll(stream, new TextEncoder().encode(answer));
}

async function readHead<T>(
  stream: Stream,
  parse: (bytes: Uint8Array, scannedBytes?: number) => Parsed<T>,
): Promise<{ head: T; rest: Uint8Array } | undefined> {
  let buffer = new Uint8Array(2048);
  let filled = 0;
  while (filled < MAX_HEAD_BYTES) {
    if (filled === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2);
      larger.set(buffer);
      buffer = larger;
    }
    const count = await stream.read(buffer.subarray(filled));
    if (count === null) return undefined;
    const parsed = parse(buffer.subarray(0, filled + count), filled);
    filled += count;
    if (parsed.status === "done") return { head: parsed.value, rest: buffer.slice(parsed.length, filled) };
    if (parsed.status === "bad") return undefined;
  }
  return undefined;
}
