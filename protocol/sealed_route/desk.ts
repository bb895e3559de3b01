/**
 * Where a relay answers questions: finds the client, opens the question, asks the policy and makes a ticket from where the
 * question came to where it is to lead. The answer takes the question's place in memory, is as long, and goes back by the
 * same relays.
 *
 * Strangers hear nothing. What they can make it do is look an id up, and open one small box for an id they have seen. Nor is
 * a question answered twice: whoever repeats one from a forged address sends nobody anything. A few thousand are remembered,
 * by each relay for itself: one that was started just now, or beside, could answer those of the last minute once more.
 */

import { Pace, type PaceLimit } from "../pace.ts";
import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";
import type { RouteClient, RouteClients } from "./access.ts";
import { countOf, LABEL_AT, LABEL_BYTES, routeBytes, RouteKind, TICKET_BYTES, turnAround } from "./datagram.ts";
import type { RouteTime } from "./forwarder.ts";
import type { RoutePolicy } from "./policy.ts";
import { encodeAnswer, QUESTION_BYTES, readQuestion, type RouteCrypto, RouteStatus } from "./question.ts";
import { LINGER_MS, SeenNonces } from "./seen_nonces.ts";
import { MAX_LIFETIME_MS, type RoutePlace, type TicketSealer } from "./ticket.ts";

export interface RouteDeskOptions {
  readonly clients: RouteClients;
  readonly policy: RoutePolicy;
  readonly sealer: TicketSealer;
  readonly suite: RouteCrypto;
  readonly random: Random;
  /** Default ten minutes, at most an hour. */
  readonly lifetimeMs?: number;
  /** Questions of one client. */
  readonly clientPace?: PaceLimit;
}

export const DEFAULT_LIFETIME_MS = 600_000;
/** How far a question's time may be from ours. */
const MAX_SKEW_MS = LINGER_MS;
const CLIENT_PACE: PaceLimit = { perSecond: 50, burst: 200 };
/** Of all together, which also bounds how many tickets an epoch's key ever seals. */
const PACE: PaceLimit = { perSecond: 1000, burst: 2000 };
/** Boxes opened for ids that are known: some 3 % of a core. */
const OPENINGS: PaceLimit = { perSecond: 10_000, burst: 1000 };

export class RouteDesk {
  /** How many were answered, by status, and how many were not. */
  readonly answered = [0, 0, 0, 0];
  ignored = 0;
  readonly #options: RouteDeskOptions;
  readonly #lifetimeMs: number;
  readonly #openings = new Pace();
  readonly #pace = new Pace();
  readonly #paces = new Map<string, Pace>();
  readonly #seen: SeenNonces;
  readonly #ticket = new Slab(TICKET_BYTES);

  constructor(options: RouteDeskOptions) {
    this.#options = options;
    this.#lifetimeMs = options.lifetimeMs ?? DEFAULT_LIFETIME_MS;
    if (!(this.#lifetimeMs >= 1000 && this.#lifetimeMs <= MAX_LIFETIME_MS)) {
      throw new RangeError(
        `Cannot issue tickets: they must live 1000 to ${MAX_LIFETIME_MS} ms, got ${this.#lifetimeMs}`,
      );
    }
    this.#seen = new SeenNonces(options.random);
  }

  /** Makes of the question at [start, end) its answer, of the same length; false when there is none to send. */
  answer(slab: Slab, start: number, end: number, from: RoutePlace, time: RouteTime): boolean {
    const isAnswered = this.#answer(slab.bytes, start, end, from, time);
    if (!isAnswered) this.ignored++;
    return isAnswered;
  }

  #answer(bytes: Uint8Array, start: number, end: number, from: RoutePlace, time: RouteTime): boolean {
    const payloadAt = start + routeBytes(countOf(bytes[start]!));
    if (end - payloadAt !== QUESTION_BYTES) return false;
    const { clients, suite, random } = this.#options;
    const client = clients.find(bytes, payloadAt);
    if (!client || !this.#openings.allow(OPENINGS, time.nowMs)) return false;
    const label = bytes.subarray(start + LABEL_AT, start + LABEL_AT + LABEL_BYTES);
    const question = readQuestion(bytes.subarray(payloadAt, end), label, { keys: client, suite });
    if (!question || !this.#seen.isNew(question.nonce, time.nowMs)) return false;
    const status = this.#statusOf(client, question, from, time);
    const lifetimeMs = status === RouteStatus.granted ? this.#lifetimeMs : 0;
    this.#ticket.bytes.fill(0);
    if (lifetimeMs > 0) {
      const fields = { a: from, b: question.to, account: client.account, lifetimeMs };
      this.#options.sealer.seal(this.#ticket, 0, fields, time.wallMs);
    }
    const answer = { status, lifetimeMs, wallMs: time.wallMs, seen: from, ticket: this.#ticket.bytes };
    bytes.set(encodeAnswer(answer, { label, nonce: question.nonce }, { keys: client, suite, random }), payloadAt);
    turnAround(bytes, start, RouteKind.answer);
    this.answered[status]!++;
    return true;
  }

  #statusOf(
    client: RouteClient,
    { to, wallMs }: { readonly to: RoutePlace; readonly wallMs: number },
    from: RoutePlace,
    time: RouteTime,
  ): RouteStatus {
    if (Math.abs(wallMs - time.wallMs) > MAX_SKEW_MS) return RouteStatus.clock;
    if (!this.#paceOf(client).allow(this.#options.clientPace ?? CLIENT_PACE, time.nowMs)) return RouteStatus.busy;
    if (!this.#options.policy.allows(from, to)) return RouteStatus.closed;
    return this.#pace.allow(PACE, time.nowMs) ? RouteStatus.granted : RouteStatus.busy;
  }

  /** As many as there are clients. */
  #paceOf({ name }: RouteClient): Pace {
    let pace = this.#paces.get(name);
    if (!pace) this.#paces.set(name, pace = new Pace());
    return pace;
  }
}
