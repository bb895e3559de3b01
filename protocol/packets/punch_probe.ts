/**
 * Probes: datagrams between the UDP ports of two WireGuard devices that try a way between them. 32 bytes, numbers big endian,
 * the first byte none of WireGuard's:
 *
 *   0xC3 | kind 1: ask, answer | zero 2 | id 8 | sequence 4 | mac 16 (BLAKE2s, keyed, of the 16 bytes before)
 *
 * An ask is answered by one answer of the same sequence to where it came from, an answer by nothing: no more is ever sent
 * than was received. The keys come from both halves that were exchanged inside the tunnel, and each side has its own, so a
 * probe that is sent back to its maker proves nothing. An ask is taken once. What is not authentic is not answered.
 */

import { Blake2s } from "../blake2s.ts";
import type { Bytes } from "../primitives.ts";
import { ReplayWindow } from "../wireguard/replay.ts";

export const PROBE_BYTES = 32;
export const PROBE_TYPE = 0xc3;
export type ProbeKind = "ask" | "answer";

const ASK = 1;
const ANSWER = 2;
const ID_AT = 4;
const ID_BYTES = 8;
const SEQUENCE_AT = ID_AT + ID_BYTES;
const MAC_AT = SEQUENCE_AT + 4;
const MAC_BYTES = 16;
const DOMAIN = "culvert punch v1";

export interface OpenedProbe {
  readonly kind: ProbeKind;
  readonly sequence: number;
}

/** One side's end of a punch. */
export class ProbeKeys {
  /** Eight bytes as text, by which who serves many finds the punch of a probe. */
  readonly id: string;
  readonly #id: Bytes;
  readonly #ours: Bytes;
  readonly #theirs: Bytes;
  readonly #hasher = new Blake2s();
  readonly #taken = new ReplayWindow();
  readonly #mac = new Uint8Array(MAC_BYTES);
  #sequence = 0;

  /** The secrets: the client's from its offer, the exit's from its answer. */
  constructor(side: "client" | "exit", secrets: { readonly client: Uint8Array; readonly exit: Uint8Array }) {
    const key = this.#hasher.hash(bytesOf(DOMAIN), secrets.client, secrets.exit);
    const derive = (purpose: string) => this.#hasher.hash(key, bytesOf(purpose));
    this.#id = derive("id").slice(0, ID_BYTES);
    this.id = this.#id.toHex();
    this.#ours = derive(side);
    this.#theirs = derive(side === "client" ? "exit" : "client");
  }

  /** A new ask; each has a sequence of its own. */
  ask(): { readonly sequence: number; readonly bytes: Bytes } {
    const sequence = ++this.#sequence;
    return { sequence, bytes: this.#seal(ASK, sequence) };
  }

  answer(sequence: number): Bytes {
    return this.#seal(ANSWER, sequence);
  }

  /** What the other side sent; undefined when it did not, or when the ask has been taken before. */
  open(bytes: Uint8Array): OpenedProbe | undefined {
    if (probeId(bytes) !== this.id || !this.#isAuthentic(bytes)) return undefined;
    const kind = bytes[1];
    const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint32(SEQUENCE_AT);
    if (kind === ANSWER) return { kind: "answer", sequence };
    if (kind !== ASK || !this.#taken.accept(sequence)) return undefined;
    return { kind: "ask", sequence };
  }

  #seal(kind: number, sequence: number): Bytes {
    const bytes = new Uint8Array(PROBE_BYTES);
    bytes.set([PROBE_TYPE, kind]);
    bytes.set(this.#id, ID_AT);
    new DataView(bytes.buffer).setUint32(SEQUENCE_AT, sequence);
    this.#hasher.start(MAC_BYTES, this.#ours).update(bytes, 0, MAC_AT).finish(bytes, MAC_AT);
    return bytes;
  }

  #isAuthentic(bytes: Uint8Array): boolean {
    this.#hasher.start(MAC_BYTES, this.#theirs).update(bytes, 0, MAC_AT).finish(this.#mac);
    let difference = 0;
    for (let at = 0; at < MAC_BYTES; at++) difference |= this.#mac[at]! ^ bytes[MAC_AT + at]!;
    return difference === 0;
  }
}

/** Of which punch a datagram claims to be; undefined when it is no probe. What follows its 32 bytes is passed over. */
export function probeId(bytes: Uint8Array): string | undefined {
  if (bytes.length < PROBE_BYTES || bytes[0] !== PROBE_TYPE) return undefined;
  return bytes.subarray(ID_AT, ID_AT + ID_BYTES).toHex();
}

function bytesOf(text: string): Bytes {
  return new TextEncoder().encode(text);
}
