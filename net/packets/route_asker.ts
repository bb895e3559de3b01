/**
 * Gets the tickets of one route, and new ones in time: asks the first relay for one to the second, the second (through the
 * first) for one to the third, and the last for one to the target.
 *
 *   begin ─▶ question to relay 0 ─▶ answer ─▶ question to relay 1 by that ticket ─▶ … ─▶ all tickets: they replace the old ones
 *              └ no answer ─▶ again, a new one each time ─▶ the relay's next address, from the beginning
 *
 * What it has stays in use until all of the new is there. Time is handed in; `dueMs` says when `tick` is to be called.
 */

import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { ClientKeys } from "../../protocol/sealed_route/access.ts";
import {
  headByte,
  LABEL_AT,
  LABEL_BYTES,
  routeBytes,
  RouteKind,
  TICKET_BYTES,
} from "../../protocol/sealed_route/datagram.ts";
import {
  encodeQuestion,
  QUESTION_BYTES,
  readAnswer,
  type RouteAnswer,
  type RouteCrypto,
  RouteStatus,
} from "../../protocol/sealed_route/question.ts";
import type { RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";

/** A relay on the way, its names resolved. */
export interface RouteHop {
  readonly keys: ClientKeys;
  /** Where it is, or others with the same key. */
  readonly addresses: readonly RoutePlace[];
}

/** The tickets of a route and the relay they begin at. */
export interface SealedRoute {
  readonly via: RoutePlace;
  readonly tickets: readonly Bytes[];
}

export interface RouteAskerOptions {
  readonly hops: readonly RouteHop[];
  readonly target: RoutePlace;
  readonly suite: RouteCrypto;
  readonly random: Random;
  readonly log: Log;
  wallNow(): number;
  /** Sends a datagram to a relay. */
  send(datagram: Uint8Array, to: RoutePlace): void;
  onRoute(route: SealedRoute): void;
  /** Why there is no route; it goes on trying, unless it was told off for good. */
  onTrouble(code: RouteTrouble, message: string): void;
}

export type RouteTrouble = "route_silent" | "route_closed" | "route_busy" | "route_clock";

const AGAIN_MS = 400;
const TRIES = 3;
/** After so many addresses that did not answer it asks less often. */
const PATIENT_AFTER = 4;
const PATIENT_MS = 1500;
const BUSY_MS = 2000;
/** What the policy closes may be opened; it is asked rarely. */
const CLOSED_MS = 15_000;

interface Asked {
  readonly label: Uint8Array;
  readonly nonce: Uint8Array;
}

export class RouteAsker {
  dueMs = Infinity;
  /** When half of the tickets' life is over; then they are to be renewed. */
  renewAtMs = Infinity;
  readonly #options: RouteAskerOptions;
  /** Which of its addresses a hop is asked at. */
  readonly #turns: number[];
  /** By how much a hop's clock is ahead of ours, as far as it has complained. */
  readonly #aheadMs: number[];
  #got: Bytes[] = [];
  #asked: Asked[] = [];
  #isAsking = false;
  #failures = 0;

  constructor(options: RouteAskerOptions) {
    this.#options = options;
    this.#turns = options.hops.map(() => 0);
    this.#aheadMs = options.hops.map(() => 0);
  }

  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** Asks for tickets anew, unless it does already. */
  begin(nowMs: number): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#failures = 0;
    this.#restart(nowMs);
  }

  /** Asks no more until the next `begin`. */
  rest(): void {
    this.#isAsking = false;
    this.dueMs = Infinity;
  }

  tick(nowMs: number): void {
    if (!this.#isAsking || nowMs < this.dueMs) return;
    if (this.#asked.length < TRIES) return this.#ask(nowMs);
    const step = this.#got.length;
    this.#failures++;
    const at = this.#addressOf(step);
    this.#options.onTrouble("route_silent", `The relay at ${formatEndpoint(at)} does not answer`);
    this.#turns[step]!++;
    if (this.#failures < PATIENT_AFTER) return this.#restart(nowMs);
    this.#got = [];
    this.#asked = [];
    this.dueMs = nowMs + PATIENT_MS;
  }

  /** Takes an answer that came back with a label; false when it is not one it waits for. */
  take(label: Uint8Array, payload: Uint8Array, nowMs: number): boolean {
    if (!this.#isAsking) return false;
    const asked = this.#asked.find((one) => isEqual(one.label, label));
    const hop = this.#options.hops[this.#got.length]!;
    const answer = asked && readAnswer(payload, asked, { keys: hop.keys, suite: this.#options.suite });
    if (!answer) return false;
    if (answer.status === RouteStatus.granted) this.#advance(answer, nowMs);
    else this.#heed(answer, nowMs);
    return true;
  }

  #advance({ ticket, lifetimeMs }: RouteAnswer, nowMs: number): void {
    const { hops, onRoute } = this.#options;
    this.#got.push(ticket);
    this.#asked = [];
    this.renewAtMs = this.#got.length === 1 ? nowMs + lifetimeMs / 2 : Math.min(this.renewAtMs, nowMs + lifetimeMs / 2);
    if (this.#got.length < hops.length) return this.#ask(nowMs);
    const route = { via: this.#addressOf(0), tickets: this.#got };
    this.rest();
    onRoute(route);
  }

  #heed({ status, wallMs }: RouteAnswer, nowMs: number): void {
    const { onTrouble, wallNow, target } = this.#options;
    const step = this.#got.length, relay = `The relay at ${formatEndpoint(this.#addressOf(step))}`;
    this.#asked = [];
    if (status === RouteStatus.clock) {
      const aheadMs = wallMs - wallNow();
      onTrouble("route_clock", `${relay} has another time: its clock is ${Math.round(aheadMs / 1000)} s ahead of ours`);
      // A second one would come of a clock that jumps about; then it waits.
      const isNew = Math.abs(aheadMs - this.#aheadMs[step]!) > 1000;
      this.#aheadMs[step] = aheadMs;
      if (isNew) return this.#ask(nowMs);
    }
    this.dueMs = nowMs + (status === RouteStatus.closed ? CLOSED_MS : BUSY_MS);
    if (status === RouteStatus.closed) {
      const next = this.#options.hops[step + 1] ? this.#addressOf(step + 1) : target;
      onTrouble("route_closed", `${relay} does not lead to ${formatEndpoint(next)}`);
    } else if (status === RouteStatus.busy) {
      onTrouble("route_busy", `${relay} gives no more tickets for now`);
    }
  }

  #restart(nowMs: number): void {
    this.#got = [];
    this.#asked = [];
    this.#ask(nowMs);
  }

  #ask(nowMs: number): void {
    const { hops, target, suite, random, send, wallNow } = this.#options;
    const step = this.#got.length;
    const to = step + 1 < hops.length ? this.#addressOf(step + 1) : target;
    const label = random.fill(new Uint8Array(LABEL_BYTES));
    const question = { to, wallMs: wallNow() + this.#aheadMs[step]! };
    const { payload, nonce } = encodeQuestion(question, label, { keys: hops[step]!.keys, suite, random });
    const datagram = new Uint8Array(routeBytes(step) + QUESTION_BYTES);
    writeRoute(datagram, { kind: RouteKind.question, label, tickets: this.#got });
    datagram.set(payload, routeBytes(step));
    this.#asked.push({ label, nonce });
    this.dueMs = nowMs + AGAIN_MS;
    send(datagram, this.#addressOf(0));
  }

  #addressOf(step: number): RoutePlace {
    const { addresses } = this.#options.hops[step]!;
    return addresses[this.#turns[step]! % addresses.length]!;
  }
}

/** Writes what comes before a datagram's payload. */
export function writeRoute(
  into: Uint8Array,
  { kind, label, tickets }: {
    readonly kind: RouteKind;
    readonly label: Uint8Array;
    readonly tickets: readonly Uint8Array[];
  },
): void {
  into[0] = headByte(kind, tickets.length, 0);
  into.set(label, LABEL_AT);
  tickets.forEach((ticket, at) => into.set(ticket.subarray(0, TICKET_BYTES), routeBytes(at)));
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.every((byte, at) => byte === other[at]);
}
