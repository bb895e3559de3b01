/**
 * The two messages of a sealed hello, to the byte, and what everybody who knows the server's public key can do with them:
 * mask and unmask, and check who they are for. Nothing here proves a client or a server; that is `hello.ts`.
 *
 *   hello    masked ephemeral 32 │ sealed static key 48 │ mac 16 │ sealed text 16 + n
 *   answer   masked ephemeral 32 │ mac 16 │ sealed text 16 + n
 *
 *   text     head u8 (hello: version 1; answer: status) │ time u64 BE, ms since 1970 │ length u16 BE │ payload │ zeros
 *
 * Sealed bytes look random as they are. An X25519 key does not (only half of all strings are one), so it is masked with a
 * keyed hash of what was sealed beside it. The mac is a keyed hash too: it is all that is looked at before any agreement.
 * Both keys come out of the server's public key. The zeros at the end hide the length and buy room for the answer, which
 * is never longer than the hello. Hash: BLAKE2s (RFC 7693).
 */

import { Blake2s, BLAKE2S_BYTES } from "../blake2s.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import { SEALED_HELLO_DOMAIN, signedBytes } from "../signing.ts";
import { TAG_BYTES } from "../wireguard/constants.ts";

export const MAC_BYTES = 16;
const SEALED_KEY_BYTES = KEY_BYTES + TAG_BYTES;
const TEXT_HEAD_BYTES = 11;
/** Where the mac of a hello lies: everything before it is covered. */
const HELLO_MAC_AT = KEY_BYTES + SEALED_KEY_BYTES;
const HELLO_TEXT_AT = HELLO_MAC_AT + MAC_BYTES;
const ANSWER_TEXT_AT = KEY_BYTES + MAC_BYTES;

/** With nothing in it. */
export const LEAST_HELLO_BYTES = HELLO_TEXT_AT + TEXT_HEAD_BYTES + TAG_BYTES;
/** Fits every path, with an IPv6 head and one that looks like TCP. */
export const MOST_HELLO_BYTES = 1200;
export const MOST_HELLO_PAYLOAD_BYTES = MOST_HELLO_BYTES - LEAST_HELLO_BYTES;
export const LEAST_ANSWER_BYTES = ANSWER_TEXT_AT + TEXT_HEAD_BYTES + TAG_BYTES;
export const HELLO_VERSION = 1;

export const HelloStatus = { WELCOME: 0, UNAUTHORIZED: 1, CLOCK: 2, BUSY: 3 } as const;

/** What is sealed in either message. */
export interface HelloText {
  readonly head: number;
  readonly timeMs: number;
  readonly payload: Bytes;
}

export interface HelloParts {
  readonly ephemeral: Bytes;
  readonly sealedStatic: Bytes;
  readonly sealedText: Bytes;
}

export interface AnswerParts {
  readonly ephemeral: Bytes;
  readonly sealedText: Bytes;
}

/** A text of `bytes`, zeros at its end. */
export function encodeText({ head, timeMs, payload }: HelloText, bytes: number): Bytes {
  const text = new Uint8Array(Math.max(bytes, TEXT_HEAD_BYTES + payload.length));
  const view = new DataView(text.buffer);
  view.setUint8(0, head);
  view.setBigUint64(1, BigInt(Math.max(0, Math.floor(timeMs))));
  view.setUint16(9, payload.length);
  text.set(payload, TEXT_HEAD_BYTES);
  return text;
}

/** Undefined when it is none. What comes after the payload says nothing. */
export function decodeText(text: Bytes): HelloText | undefined {
  if (text.length < TEXT_HEAD_BYTES) return undefined;
  const view = new DataView(text.buffer, text.byteOffset, text.length);
  const end = TEXT_HEAD_BYTES + view.getUint16(9);
  if (end > text.length) return undefined;
  return { head: text[0]!, timeMs: Number(view.getBigUint64(1)), payload: text.slice(TEXT_HEAD_BYTES, end) };
}

/** How long the text of an answer may be, of which the hello was so long. */
export function answerTextBytes(helloBytes: number): number {
  return helloBytes - ANSWER_TEXT_AT - TAG_BYTES;
}

/** The text of a hello of which the answer is to have room for so many bytes of payload. */
export function helloTextBytes(payloadBytes: number, answerPayloadBytes: number): number {
  const forAnswer = ANSWER_TEXT_AT + answerPayloadBytes - HELLO_TEXT_AT;
  return TEXT_HEAD_BYTES + Math.max(payloadBytes, forAnswer);
}

export function payloadRoomBytes(textBytes: number): number {
  return Math.max(0, textBytes - TEXT_HEAD_BYTES);
}

/** Writes and reads messages for one server. Checking a mac makes no garbage. */
export class HelloFrames implements Disposable {
  readonly #hasher = new Blake2s();
  readonly #macKey: Bytes;
  readonly #maskKey: Bytes;
  readonly #mac = new Uint8Array(MAC_BYTES);

  constructor(serverPublicKey: Bytes) {
    this.#macKey = derivedKey(this.#hasher, "mac", serverPublicKey);
    this.#maskKey = derivedKey(this.#hasher, "mask", serverPublicKey);
  }

  writeHello({ ephemeral, sealedStatic, sealedText }: HelloParts): Bytes {
    const hello = new Uint8Array(HELLO_TEXT_AT + sealedText.length);
    hello.set(this.#masked(ephemeral, sealedStatic));
    hello.set(sealedStatic, KEY_BYTES);
    this.#hasher.start(MAC_BYTES, this.#macKey).update(hello, 0, HELLO_MAC_AT).finish(hello, HELLO_MAC_AT);
    hello.set(sealedText, HELLO_TEXT_AT);
    return hello;
  }

  /** Whether the bytes in [start, end) can be a hello for this server, as far as one hash tells. */
  isHello(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < LEAST_HELLO_BYTES || end - start > MOST_HELLO_BYTES) return false;
    this.#hasher.start(MAC_BYTES, this.#macKey).update(bytes, start, start + HELLO_MAC_AT).finish(this.#mac);
    return this.#isMac(bytes, start + HELLO_MAC_AT);
  }

  /** The parts of what `isHello` has found to be one. */
  readHello(hello: Bytes): HelloParts {
    const sealedStatic = hello.slice(KEY_BYTES, HELLO_MAC_AT);
    return {
      ephemeral: this.#masked(hello.subarray(0, KEY_BYTES), sealedStatic),
      sealedStatic,
      sealedText: hello.slice(HELLO_TEXT_AT),
    };
  }

  writeAnswer(hello: Bytes, { ephemeral, sealedText }: AnswerParts): Bytes {
    const answer = new Uint8Array(ANSWER_TEXT_AT + sealedText.length);
    answer.set(this.#masked(ephemeral, helloMac(hello), sealedText));
    this.#macOfAnswer(hello, answer, 0).finish(answer, KEY_BYTES);
    answer.set(sealedText, ANSWER_TEXT_AT);
    return answer;
  }

  /** Whether the bytes in [start, end) can be an answer to that hello. */
  isAnswer(hello: Bytes, bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < LEAST_ANSWER_BYTES || end - start > hello.length) return false;
    this.#macOfAnswer(hello, bytes, start).finish(this.#mac);
    return this.#isMac(bytes, start + KEY_BYTES);
  }

  /** The parts of what `isAnswer` has found to be one. */
  readAnswer(hello: Bytes, answer: Bytes): AnswerParts {
    const sealedText = answer.slice(ANSWER_TEXT_AT);
    return { ephemeral: this.#masked(answer.subarray(0, KEY_BYTES), helloMac(hello), sealedText), sealedText };
  }

  [Symbol.dispose](): void {
    this.#hasher[Symbol.dispose]();
  }

  #macOfAnswer(hello: Bytes, answer: Uint8Array, start: number): Blake2s {
    return this.#hasher.start(MAC_BYTES, this.#macKey).update(helloMac(hello)).update(answer, start, start + KEY_BYTES);
  }

  #masked(key: Bytes, ...beside: readonly Uint8Array[]): Bytes {
    const masked = new Uint8Array(KEY_BYTES);
    this.#hasher.start(BLAKE2S_BYTES, this.#maskKey);
    for (const bytes of beside) this.#hasher.update(bytes);
    this.#hasher.finish(masked);
    for (let at = 0; at < KEY_BYTES; at++) masked[at]! ^= key[at]!;
    return masked;
  }

  /** Looks at all bytes, so that the time taken says nothing. */
  #isMac(bytes: Uint8Array, at: number): boolean {
    let difference = 0;
    for (let byte = 0; byte < MAC_BYTES; byte++) difference |= this.#mac[byte]! ^ bytes[at + byte]!;
    return difference === 0;
  }
}

/** What a hello is known by: no two have the same. */
export function helloMac(hello: Bytes): Bytes {
  return hello.subarray(HELLO_MAC_AT, HELLO_TEXT_AT);
}

/** A key that everybody has who has the server's public key, and nobody else. */
export function derivedKey(hasher: Blake2s, use: string, serverPublicKey: Bytes): Bytes {
  return hasher.hash(signedBytes(SEALED_HELLO_DOMAIN, [use, serverPublicKey]));
}
