/**
 * The WebSocket protocol (RFC 6455) as a carrier of bytes or of texts: the opening handshake and the frames, pure.
 *
 *   0                   1                   2                   3
 *   |F|R R R|opcode |M| length 7  | length 16 or 64 …  | masking key, when M | payload, XORed with the key when M
 *
 * Why not the runtime's own WebSocket: it tells only afterwards how much it has queued and has no event for when that has
 * gone, its server sets no limit to how long a client may take over its request, and it runs over sockets alone. This one
 * runs over any Stream, so a tunnel can pass through another Path. Extensions are not needed here; fragmented binary
 * messages are read as the run of bytes they are, and text is refused unless the handler takes it.
 */

import { sha1 } from "@noble/hashes/legacy.js";

/** What a frame is, RFC 6455 §5.2. */
export const WebSocketOpcode = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** The longest header: two bytes, a 64-bit length and a key. */
export const MAX_WEBSOCKET_HEADER_BYTES = 14;
/** RFC 6455 §5.5. */
const MAX_CONTROL_PAYLOAD_BYTES = 125;
/** RFC 6455 §1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const NOTHING = new Uint8Array(0);

/** Below this, seeing the bytes as words takes longer than it saves: 0.6 µs, as long as 500 bytes one by one (measured). */
const WORDS_FROM_BYTES = 512;
/**
 * From here on they are words of 64 bits, masked at 20 GB/s where words of 32 bits are at 9 (measured on Deno 2.9.6). Until
 * the engine has compiled that it makes an object of every word, so it is kept for what comes in bulk.
 */
const WIDE_FROM_BYTES = 16 * 1024;

/** The length of the header of a frame. */
export function websocketHeaderBytes(payloadBytes: number, masked: boolean): number {
  return (payloadBytes < 126 ? 2 : payloadBytes < 65536 ? 4 : 10) + (masked ? 4 : 0);
}

/** Writes a header of one whole message at `at`. `key` masks the payload; servers send none. */
export function writeWebsocketHeader(
  into: Uint8Array,
  at: number,
  opcode: number,
  payloadBytes: number,
  key?: Uint8Array,
): void {
  const masked = key ? 0x80 : 0;
  into[at] = 0x80 | opcode;
  let next = at + 2;
  if (payloadBytes < 126) {
    into[at + 1] = masked | payloadBytes;
  } else if (payloadBytes < 65536) {
    into[at + 1] = masked | 126;
    into[next++] = payloadBytes >>> 8;
    into[next++] = payloadBytes;
  } else {
    into[at + 1] = masked | 127;
    const high = Math.floor(payloadBytes / 2 ** 32);
    for (const shift of [24, 16, 8, 0]) into[next++] = high >>> shift;
    for (const shift of [24, 16, 8, 0]) into[next++] = payloadBytes >>> shift;
  }
  if (key) into.set(key, next);
}

/** XORs bytes with the key, which starts at its byte `phase`. Its own inverse. RFC 6455 §5.3. */
export function applyMask(bytes: Uint8Array, key: Uint8Array, phase = 0): void {
  let at = 0;
  if (bytes.length < WORDS_FROM_BYTES) {
    for (; at < bytes.length; at++) bytes[at]! ^= key[(phase + at) & 3]!;
    return;
  }
  // Byte by byte up to the border of a word in the buffer, then whole words: far fewer steps, and eight at a turn.
  const isWide = bytes.length >= WIDE_FROM_BYTES;
  const wordBytes = isWide ? 8 : 4;
  for (; (bytes.byteOffset + at) % wordBytes !== 0; at++) bytes[at]! ^= key[(phase + at) & 3]!;
  const wordCount = Math.floor((bytes.length - at) / wordBytes);
  const keyWords = keyTwice(key, phase + at);
  const start = bytes.byteOffset + at;
  if (isWide) {
    maskWideWords(new BigUint64Array(bytes.buffer, start, wordCount), new BigUint64Array(keyWords.buffer)[0]!);
  } else maskWords(new Int32Array(bytes.buffer, start, wordCount), new Int32Array(keyWords.buffer)[0]!);
  at += wordCount * wordBytes;
  for (; at < bytes.length; at++) bytes[at]! ^= key[(phase + at) & 3]!;
}

/** The key from its byte `phase` on, to be read as words the way this machine does. */
function keyTwice(key: Uint8Array, phase: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  for (let index = 0; index < 8; index++) bytes[index] = key[(phase + index) & 3]!;
  return bytes;
}

function maskWideWords(words: BigUint64Array, key: bigint): void {
  const wholeTurns = words.length & ~7;
  let at = 0;
  for (; at < wholeTurns; at += 8) {
    words[at] = words[at]! ^ key;
    words[at + 1] = words[at + 1]! ^ key;
    words[at + 2] = words[at + 2]! ^ key;
    words[at + 3] = words[at + 3]! ^ key;
    words[at + 4] = words[at + 4]! ^ key;
    words[at + 5] = words[at + 5]! ^ key;
    words[at + 6] = words[at + 6]! ^ key;
    words[at + 7] = words[at + 7]! ^ key;
  }
  for (; at < words.length; at++) words[at] = words[at]! ^ key;
}

function maskWords(words: Int32Array, key: number): void {
  let at = 0;
  for (; at + 8 <= words.length; at += 8) {
    words[at]! ^= key;
    words[at + 1]! ^= key;
    words[at + 2]! ^= key;
    words[at + 3]! ^= key;
    words[at + 4]! ^= key;
    words[at + 5]! ^= key;
    words[at + 6]! ^= key;
    words[at + 7]! ^= key;
  }
  for (; at < words.length; at++) words[at]! ^= key;
}

/**
 * The value of Sec-WebSocket-Accept. Nothing secret is hashed here, and of 60 bytes: 1.7 µs with noble, where WebCrypto's
 * turn through another thread took 250 (measured on Deno 2.9.6), a quarter of what a peer costs when thousands come back.
 */
export function websocketAccept(key: string): string {
  return btoa(String.fromCharCode(...sha1(new TextEncoder().encode(key + ACCEPT_GUID))));
}

/** What `WebsocketFrameReader` has read, as it comes. */
export interface WebsocketFrameHandler {
  /** A piece of a binary message, unmasked in place; `last` ends the message. A view, valid only during the call. */
  onData(bytes: Uint8Array, last: boolean): void;
  /** A piece of a text message as UTF-8 cut anywhere; `last` ends the message. Without it text is a fault. */
  onText?(bytes: Uint8Array, last: boolean): void;
  /** It must be answered with the same payload. */
  onPing(payload: Uint8Array): void;
  /** The peer ends the connection, with 1005 where it gave no code. */
  onClose(code: number): void;
}

/** What a peer did wrong; the connection must end. The names are those of the close codes, RFC 6455 §7.4.1. */
export type WebsocketFault = "protocol_error" | "unsupported_data";

/** Cuts a run of bytes into frames, wherever the bytes themselves are cut. */
export class WebsocketFrameReader {
  readonly #expectMask: boolean;
  readonly #handler: WebsocketFrameHandler;
  readonly #header = new Uint8Array(MAX_WEBSOCKET_HEADER_BYTES);
  #headerFilled = 0;
  #inPayload = false;
  #opcode = 0;
  /** Whether a binary message has begun and not ended, so that a continuation may come. */
  #inMessage = false;
  /** Whether the message being read is text, and whether the frame being read is its last. */
  #isText = false;
  #isLast = false;
  #payloadLeft = 0;
  readonly #key = new Uint8Array(4);
  #masked = false;
  #phase = 0;
  /** The payload of a control frame; thousands of readers never see one. */
  #control: Uint8Array | undefined;
  #controlFilled = 0;

  /** A server expects masked frames, a client bare ones; the other kind is a fault. */
  constructor(role: "client" | "server", handler: WebsocketFrameHandler) {
    this.#expectMask = role === "server";
    this.#handler = handler;
  }

  /** What has yet to come of the frame that is being read. */
  get payloadLeft(): number {
    return this.#payloadLeft;
  }

  /** Reads all of `bytes`, which it may change (it unmasks in place); gives what is wrong, if anything. */
  read(bytes: Uint8Array): WebsocketFault | undefined {
    let at = 0;
    while (at < bytes.length) {
      if (this.#inPayload) {
        at = this.#readPayload(bytes, at);
        continue;
      }
      const header = this.#readHeader(bytes, at);
      if (typeof header === "string") return header;
      at = header;
    }
    return undefined;
  }

  #readHeader(bytes: Uint8Array, at: number): number | WebsocketFault {
    while (at < bytes.length) {
      this.#header[this.#headerFilled++] = bytes[at++]!;
      if (this.#headerFilled < 2) continue;
      const short = this.#header[1]! & 0x7f;
      const masked = (this.#header[1]! & 0x80) !== 0;
      const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (this.#headerFilled < 2 + lengthBytes + (masked ? 4 : 0)) continue;
      const fault = this.#beginFrame(short, lengthBytes, masked);
      if (fault) return fault;
      this.#headerFilled = 0;
      this.#inPayload = true;
      if (this.#payloadLeft === 0) this.#endEmptyFrame();
      return at;
    }
    return at;
  }

  #beginFrame(short: number, lengthBytes: number, masked: boolean): WebsocketFault | undefined {
    const first = this.#header[0]!;
    const final = (first & 0x80) !== 0;
    this.#opcode = first & 0x0f;
    if ((first & 0x70) !== 0 || masked !== this.#expectMask) return "protocol_error";
    let length = lengthBytes === 0 ? short : 0;
    for (let index = 0; index < lengthBytes; index++) length = length * 256 + this.#header[2 + index]!;
    if (length > Number.MAX_SAFE_INTEGER) return "protocol_error";
    if (this.#opcode >= 8) {
      if (!final || length > MAX_CONTROL_PAYLOAD_BYTES || this.#opcode > 10) return "protocol_error";
      this.#controlFilled = 0;
    } else {
      if (this.#opcode === WebSocketOpcode.TEXT && !this.#handler.onText) return "unsupported_data";
      if (this.#opcode > 2) return "protocol_error";
      if ((this.#opcode === WebSocketOpcode.CONTINUATION) !== this.#inMessage) return "protocol_error";
      if (this.#opcode !== WebSocketOpcode.CONTINUATION) this.#isText = this.#opcode === WebSocketOpcode.TEXT;
      this.#inMessage = !final;
      this.#isLast = final;
    }
    this.#payloadLeft = length;
    this.#masked = masked;
    this.#phase = 0;
    if (masked) this.#key.set(this.#header.subarray(2 + lengthBytes, 6 + lengthBytes));
    return undefined;
  }

  #readPayload(bytes: Uint8Array, at: number): number {
    const piece = bytes.subarray(at, at + Math.min(this.#payloadLeft, bytes.length - at));
    if (this.#masked) applyMask(piece, this.#key, this.#phase);
    this.#phase = (this.#phase + piece.length) & 3;
    this.#payloadLeft -= piece.length;
    if (this.#opcode < 8) {
      const last = this.#isLast && this.#payloadLeft === 0;
      if (this.#isText) this.#handler.onText!(piece, last);
      else this.#handler.onData(piece, last);
    } else {
      this.#control ??= new Uint8Array(MAX_CONTROL_PAYLOAD_BYTES);
      this.#control.set(piece, this.#controlFilled);
      this.#controlFilled += piece.length;
    }
    if (this.#payloadLeft === 0) this.#endFrame();
    return at + piece.length;
  }

  #endEmptyFrame(): void {
    if (this.#opcode < 8) {
      if (this.#isText) this.#handler.onText!(NOTHING, this.#isLast);
      else this.#handler.onData(NOTHING, this.#isLast);
    }
    this.#endFrame();
  }

  #endFrame(): void {
    this.#inPayload = false;
    if (this.#opcode < 8) return;
    const payload = this.#control?.subarray(0, this.#controlFilled) ?? NOTHING;
    if (this.#opcode === WebSocketOpcode.PING) this.#handler.onPing(payload);
    // 1005: the close frame names no reason.
    if (this.#opcode === WebSocketOpcode.CLOSE) {
      this.#handler.onClose(payload.length >= 2 ? payload[0]! * 256 + payload[1]! : 1005);
    }
  }
}
