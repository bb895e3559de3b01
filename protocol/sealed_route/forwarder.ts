/**
 * What a relay does with a datagram: nothing, unless the first ticket of its forward stack is the relay's own and joins the
 * place it came from to another. Then it goes there with one byte changed.
 *
 *   forwarder.comesFrom(words, at, port); forwarder.take(slab, start, end, now) ─▶ forward: to `toWords`, `toPort`
 *                                                                               └▶ own: it is for the relay itself
 *                                                                               └▶ why it is dropped
 *
 * Nothing else is asked and nothing is kept of it (beside what may be led a second), so that any relay with the same key
 * would do the same, and a new one goes on where an old one was killed.
 */

import type { Slab } from "../slab.ts";
import { countOf, isRouted, kindOf, passedOf, routeBytes, RouteKind } from "./datagram.ts";
import type { RouteLimits } from "./limits.ts";
import type { TicketReader } from "./ticket.ts";

export const Verdict = {
  forward: 0,
  /** A question to the relay. */
  own: 1,
  /** Not a datagram of ours, or one that has arrived where nobody takes it. */
  malformed: 2,
  /** No key that opens now has made its ticket. */
  foreign: 3,
  expired: 4,
  /** From neither of the two places. */
  stranger: 5,
  /** Beyond what its account or its epoch may send. */
  limited: 6,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** The time, on the two clocks of `Clock`. */
export interface RouteTime {
  nowMs: number;
  wallMs: number;
}

export class RouteForwarder {
  /** Where to: four words of an address from `toAt` on (IPv4 as a mapped one), and a port. */
  toAt = 0;
  toPort = 0;
  readonly #reader: TicketReader;
  readonly #limits: RouteLimits;
  #words: Uint32Array = new Uint32Array(4);
  #at = 0;
  #port = 0;

  constructor(reader: TicketReader, limits: RouteLimits) {
    this.#reader = reader;
    this.#limits = limits;
  }

  get toWords(): Uint32Array {
    return this.#reader.words;
  }

  /** Whether what was taken goes to the address in these four words. */
  leadsTo(words: Uint32Array): boolean {
    const known = this.#reader.words, at = this.toAt;
    return known[at] === words[0] && known[at + 1] === words[1] && known[at + 2] === words[2] &&
      known[at + 3] === words[3];
  }

  /** What is taken next comes from there; the words are looked at then. */
  comesFrom(words: Uint32Array, at: number, port: number): void {
    this.#words = words;
    this.#at = at;
    this.#port = port;
  }

  take(slab: Slab, start: number, end: number, time: RouteTime): Verdict {
    if (end <= start) return Verdict.malformed;
    const { bytes } = slab;
    const head = bytes[start]!;
    if (!isRouted(head, end - start)) return Verdict.malformed;
    const passed = passedOf(head);
    if (passed === countOf(head)) return kindOf(head) === RouteKind.question ? Verdict.own : Verdict.malformed;
    const reader = this.#reader;
    if (!reader.read(slab, start + routeBytes(passed), time.wallMs)) return Verdict.foreign;
    if (reader.isExpired(time.wallMs)) return Verdict.expired;
    if (!this.#turn()) return Verdict.stranger;
    if (!this.#limits.allow(reader.account, reader.epoch, end - start, time.nowMs)) return Verdict.limited;
    bytes[start] = head + 1;
    return Verdict.forward;
  }

  /** To the other of the two places; false when it came from neither. */
  #turn(): boolean {
    const reader = this.#reader;
    if (this.#port === reader.aPort && this.#isFrom(reader.aWordAt)) {
      this.toAt = reader.bWordAt;
      this.toPort = reader.bPort;
      return true;
    }
    if (this.#port === reader.bPort && this.#isFrom(reader.bWordAt)) {
      this.toAt = reader.aWordAt;
      this.toPort = reader.aPort;
      return true;
    }
    return false;
  }

  #isFrom(wordAt: number): boolean {
    const known = this.#reader.words, words = this.#words, at = this.#at;
    return known[wordAt] === words[at] && known[wordAt + 1] === words[at + 1] &&
      known[wordAt + 2] === words[at + 2] && known[wordAt + 3] === words[at + 3];
  }
}
