/**
 * What every stream of paqet begins with (alpha.21; read from its sources, reference §2.1). Nothing answers it but a ping.
 *
 *   'P' u8 | version u8 = 1 | type u8 | length u16 BE | body[length]
 *
 *   1 PING, 2 PONG       body empty
 *   3 flags              count u8 ≤ 64 | flag words u16 BE: the TCP flags that the server's packets take turns with; 0: its own
 *   4 TCP, 5 UDP         length u8 ≤ 253 | host | port u16 BE: what follows goes there
 */

import { bad, done, MORE, type Parsed } from "../parse.ts";
import type { Target } from "../stream.ts";

const MAGIC = 0x50;
const VERSION = 1;
export const PAQET_HEAD_BYTES = 5;
const MAX_BODY_BYTES = 4096;
const MAX_HOST_BYTES = 253;
export const MAX_PAQET_FLAGS = 64;

const PaqetType = { PING: 1, PONG: 2, FLAGS: 3, TCP: 4, UDP: 5 } as const;

export type PaqetHeader =
  | { readonly kind: "ping" | "pong" }
  | { readonly kind: "flags"; readonly flags: readonly number[] }
  | { readonly kind: "tcp" | "udp"; readonly target: Target };

const typeOf = { ping: PaqetType.PING, pong: PaqetType.PONG, tcp: PaqetType.TCP, udp: PaqetType.UDP } as const;

/** Undefined when the host is longer than 253 bytes or empty, or the flags are more than 64. */
export function encodePaqetHeader(header: PaqetHeader): Uint8Array<ArrayBuffer> | undefined {
  switch (header.kind) {
    case "ping":
    case "pong":
      return frame(typeOf[header.kind], []);
    case "flags": {
      const { flags } = header;
      if (flags.length > MAX_PAQET_FLAGS) return undefined;
      return frame(PaqetType.FLAGS, [flags.length, ...flags.flatMap((word) => [word >> 8, word & 0xff])]);
    }
    default: {
      const { host, port } = header.target;
      const name = new TextEncoder().encode(host);
      if (name.length === 0 || name.length > MAX_HOST_BYTES) return undefined;
      return frame(typeOf[header.kind], [name.length, ...name, port >> 8, port & 0xff]);
    }
  }
}

/** How many bytes a header has in all that begins with this head; undefined: none begins so. */
export function paqetHeaderBytes(head: Uint8Array): number | undefined {
  const length = (head[3]! << 8) | head[4]!;
  return head[0] === MAGIC && head[1] === VERSION && length <= MAX_BODY_BYTES ? PAQET_HEAD_BYTES + length : undefined;
}

export function parsePaqetHeader(bytes: Uint8Array): Parsed<PaqetHeader> {
  if (bytes.length > 0 && bytes[0] !== MAGIC) return bad("not paqet");
  if (bytes.length > 1 && bytes[1] !== VERSION) return bad("unknown version");
  if (bytes.length < PAQET_HEAD_BYTES) return MORE;
  const length = paqetHeaderBytes(bytes);
  if (length === undefined) return bad("too long");
  if (bytes.length < length) return MORE;
  const body = bytes.subarray(PAQET_HEAD_BYTES, length);
  const header = headerOf(bytes[2]!, body);
  return typeof header === "string" ? bad(header) : done(header, length);
}

function headerOf(type: number, body: Uint8Array): PaqetHeader | string {
  switch (type) {
    case PaqetType.PING:
      return { kind: "ping" };
    case PaqetType.PONG:
      return { kind: "pong" };
    case PaqetType.FLAGS:
      return flagsOf(body);
    case PaqetType.TCP:
    case PaqetType.UDP: {
      const target = targetOf(body);
      return target ? { kind: type === PaqetType.TCP ? "tcp" : "udp", target } : "bad address";
    }
    default:
      return "unknown type";
  }
}

function flagsOf(body: Uint8Array): PaqetHeader | string {
  const count = body[0];
  if (count === undefined || count > MAX_PAQET_FLAGS || body.length !== 1 + 2 * count) return "bad flags";
  return { kind: "flags", flags: Array.from({ length: count }, (_, at) => wordAt(body, 1 + 2 * at)) };
}

function targetOf(body: Uint8Array): Target | undefined {
  const length = body[0];
  if (!length || length > MAX_HOST_BYTES || body.length !== 1 + length + 2) return undefined;
  try {
    const host = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body.subarray(1, 1 + length));
    return { host, port: wordAt(body, 1 + length) };
  } catch {
    return undefined;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function frame(type: number, body: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(MAGIC, VERSION, type, body.length >> 8, body.length & 0xff, ...body);
}
