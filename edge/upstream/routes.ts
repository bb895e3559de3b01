/**
 * The sessions that an upstream knows by their aliases: where what central says about one is to go, and how much of it
 * may pass. The newest that uses an alias hears of it; whoever it is, it can neither read nor change what others send.
 */

import type { Clock } from "../../protocol/clock.ts";
import { encodeBase32 } from "../../protocol/encoding.ts";
import {
  aliasKey,
  type CentralRefusal,
  type ClientMessage,
  HOP_HEAD_BYTES,
  MessageKind,
  type UpstreamRefusal,
  writeHopHead,
} from "../../protocol/fragment/messages.ts";
import { TokenBucket, type TokenRate } from "../../protocol/token_bucket.ts";

/** Whoever is to hear why something was not passed on. */
export interface RefusalListener {
  refuse(route: Route, code: UpstreamRefusal): void;
}

export class Route {
  readonly key: string;
  readonly centralId: string;
  readonly centralBytes: Uint8Array;
  readonly alias: Uint8Array;
  readonly openHead: Uint8Array;
  readonly dataHead: Uint8Array;
  readonly bucket: TokenBucket;
  /** Nobody, of one that posts. */
  listener: RefusalListener | undefined;
  usedAtMs = 0;
  /** What central said last of one that posts, to be told with its next request. */
  refusal: CentralRefusal | undefined;
  /** When the listener was last told of something. */
  toldAtMs = -Infinity;

  constructor({ centralId, alias }: ClientMessage, clock: Clock, rate: TokenRate) {
    this.key = keyOf(centralId, alias);
    this.centralId = encodeBase32(centralId);
    this.centralBytes = centralId.slice();
    this.alias = alias.slice();
    this.openHead = headOf(MessageKind.OPEN, this.alias);
    this.dataHead = headOf(MessageKind.DATA, this.alias);
    this.bucket = new TokenBucket(clock, rate);
  }

  isFor({ centralId, alias }: ClientMessage): boolean {
    return equalIds(this.alias, alias) && equalIds(this.centralBytes, centralId);
  }
}

export interface RoutesOptions {
  readonly clock: Clock;
  /** Of one session. */
  readonly rate: TokenRate;
  /** When there are so many, of those that post the one longest quiet goes. */
  readonly maxRoutes: number;
}

const POST_KEPT_MS = 60_000;

export class Routes {
  readonly #options: RoutesOptions;
  readonly #routes = new Map<string, Route>();
  /** Those that post, the longest quiet first. */
  readonly #posted = new Map<string, Route>();

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#routes.size;
  }

  /** The route of a message, made if there is none; undefined when there is no room for another. */
  of(message: ClientMessage, listener: RefusalListener | undefined): Route | undefined {
    const known = this.#routes.get(keyOf(message.centralId, message.alias));
    const route = known ?? this.#add(message);
    if (!route) return undefined;
    route.usedAtMs = this.#options.clock.now();
    if (listener) {
      route.listener = listener;
      this.#posted.delete(route.key);
    } else if (!route.listener) {
      this.#posted.delete(route.key);
      this.#posted.set(route.key, route);
    }
    return route;
  }

  find(centralId: Uint8Array, alias: Uint8Array): Route | undefined {
    return this.#routes.get(keyOf(centralId, alias));
  }

  /** The listener has gone, or does not use the route any more. */
  leave(route: Route, listener: RefusalListener): void {
    if (route.listener === listener) this.#routes.delete(route.key);
  }

  /** Those that lead to that central. */
  *to(centralId: string): Generator<Route> {
    for (const route of this.#routes.values()) if (route.centralId === centralId) yield route;
  }

  #add(message: ClientMessage): Route | undefined {
    const { clock, rate, maxRoutes } = this.#options;
    this.#dropQuiet(clock.now() - POST_KEPT_MS);
    if (this.#routes.size >= maxRoutes) this.#dropQuiet(Infinity, 1);
    if (this.#routes.size >= maxRoutes) return undefined;
    const route = new Route(message, clock, rate);
    this.#routes.set(route.key, route);
    return route;
  }

  #dropQuiet(sinceMs: number, max = Infinity): void {
    for (const [key, route] of this.#posted) {
      if (route.usedAtMs >= sinceMs || max-- <= 0) return;
      this.#posted.delete(key);
      this.#routes.delete(key);
    }
  }
}

function keyOf(centralId: Uint8Array, alias: Uint8Array): string {
  return aliasKey(centralId) + aliasKey(alias);
}

function headOf(kind: MessageKind, alias: Uint8Array): Uint8Array {
  const head = new Uint8Array(HOP_HEAD_BYTES);
  writeHopHead(head, kind, alias);
  return head;
}

function equalIds(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
