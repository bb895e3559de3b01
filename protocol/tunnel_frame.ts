/**
 * What the messages at the start of a carried stream have in common: a head of four bytes, and texts with their length.
 *
 *   message   version u8 = 1 | code u8 | length u16 BE | body[length]
 *   text      length u8 | UTF-8[length]
 *
 * What the codes and bodies mean: `tunnel.ts`, `relay.ts`.
 */

import { bad, done, MORE, type Parsed } from "./parse.ts";

const VERSION = 1;
/** They keep nothing from one text to the next. */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
export const FRAME_HEAD_BYTES = 4;

export interface TunnelFrame {
  readonly code: number;
  /** A view of the bytes parsed. */
  readonly body: Uint8Array;
}

export function encodeFrame(code: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + body.length);
  frame[0] = VERSION;
  frame[1] = code;
  frame[2] = body.length >>> 8;
  frame[3] = body.length;
  frame.set(body, FRAME_HEAD_BYTES);
  return frame;
}

export function parseFrame(bytes: Uint8Array, maxBodyBytes: number): Parsed<TunnelFrame> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return bad("unknown version");
  if (bytes.length < FRAME_HEAD_BYTES) return MORE;
  const length = frameBytes(bytes);
  if (length - FRAME_HEAD_BYTES > maxBodyBytes) return bad("too long");
  if (bytes.length < length) return MORE;
  return done({ code: bytes[1]!, body: bytes.subarray(FRAME_HEAD_BYTES, length) }, length);
}

/** How long the whole message is that begins with this head. */
export function frameBytes(head: Uint8Array): number {
  return FRAME_HEAD_BYTES + ((head[2]! << 8) | head[3]!);
}

/** A text of at most that many bytes, cut between characters, with its length. */
export function encodeText(text: string, maxBytes = 255): Uint8Array {
  const bytes = encodeAtMost(text, maxBytes);
  return concat([Uint8Array.of(bytes.length), bytes]);
}

/** The text at a place, and where it ends; undefined when it is cut short or not UTF-8. */
export function parseText(bytes: Uint8Array, at: number): { text: string; end: number } | undefined {
  const length = bytes[at];
  if (length === undefined || at + 1 + length > bytes.length) return undefined;
  try {
    const text = decoder.decode(bytes.subarray(at + 1, at + 1 + length));
    return { text, end: at + 1 + length };
  } catch {
    return undefined;
  }
}

/** The start of a text, cut between characters. */
export function encodeAtMost(text: string, maxBytes: number): Uint8Array {
  if (text === "") return new Uint8Array();
  const bytes = new Uint8Array(maxBytes);
  return bytes.subarray(0, encoder.encodeInto(text, bytes).written);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
