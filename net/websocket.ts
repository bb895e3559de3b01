/**
 * A WebSocket (RFC 6455) over any Stream, as a Link: the handshakes of both sides and the frames between.
 *
 * Each write carries one binary message with as many frames of the mux as fit. Pings are answered, text is refused.
 * What it does not do: extensions, subprotocols, messages to the application: a Link knows bytes only.
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

/** Room before the payload for the longest header, rounded up so that the payload starts on a word. */
const HEADER_ROOM_BYTES = 16;
/** No honest handshake is longer. */
const MAX_HEAD_BYTES = 16 * 1024;

export class WebsocketLink extends StreamLink {
  readonly #random: Random | undefined;
  readonly #reader: WebsocketFrameReader;
  readonly #key = new Uint8Array(4);
  /** The payload of the last ping, while its pong is owed. */
  #pong: Uint8Array | undefined;
  /** The peer has sent its close frame, and whether ours has gone. RFC 6455 §5.5.1. */
  #closing = false;
  #closeSent = false;

  /** `random` makes the masking keys of a client; a server has none. */
  constructor(stream: Stream, pool: BufferPool, options: { first?: Uint8Array; random?: Random } = {}) {
    super(stream, pool, options.first);
    this.#random = options.random;
    this.#reader = new WebsocketFrameReader(options.random ? "client" : "server", {
      onData: (bytes) => !this.#closing && this.handlers!.onBytes(bytes),
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
    const count = this.handlers!.fill(into.subarray(HEADER_ROOM_BYTES));
    return count > 0 ? this.#frame(into, WebSocketOpcode.BINARY, count) : undefined;
  }

  /** Puts the header right before the payload, so that nothing has to move. */
  #frame(buffer: Uint8Array, opcode: number, payloadBytes: number): Uint8Array {
    const random = this.#random;
    const headerStart = HEADER_ROOM_BYTES - websocketHeaderBytes(payloadBytes, random !== undefined);
    const end = HEADER_ROOM_BYTES + payloadBytes;
    if (random) {
      random.fill(this.#key);
      writeWebsocketHeader(buffer, headerStart, opcode, payloadBytes, this.#key);
      applyMask(buffer.subarray(HEADER_ROOM_BYTES, end), this.#key);
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
