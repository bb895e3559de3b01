/**
 * One client's session at a central: its legs from upstreams, by the names under which they know it, its legs to
 * downstreams, and between them a `FragmentLink` that the tunnel lies on.
 *
 *   upstream, alias ─▶ route ─▶ FragmentLink ─▶ TunnelLinks ─▶ onward        FragmentLink ─▶ Mailbox ─▶ downstream
 *
 * Which relays its legs lead to the client says, in the opening and whenever that changes. Numbers are used once, so that
 * no key is ever used for two relays. A downstream that cannot be reached is a leg that is down.
 */

import { decodeSecret, type DirectionKeys, type OpenRequest } from "../../protocol/fragment/opening.ts";
import { downAlias, downClaim, upAlias } from "../../protocol/fragment/aliases.ts";
import { legKey, LegOpener, type LegPlace, LegSealer } from "../../protocol/fragment/leg_seal.ts";
import { aliasKey } from "../../protocol/fragment/messages.ts";
import type { BlockMemory } from "../../protocol/fragment/block_memory.ts";
import type { ReedSolomonFactory } from "../../protocol/fragment/reed_solomon.ts";
import { FragmentSession, type LegsChange } from "../../protocol/fragment/session.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { CulvertError } from "../../protocol/errors.ts";
import type { DownstreamHops, Mailbox } from "./downstream_hops.ts";
import { FragmentLink } from "./fragment_link.ts";
import type { HopTools } from "./hop_link.ts";

/** A name under which an upstream knows a session. */
export function routeKey(upstreamId: string, alias: Uint8Array): string {
  return `${upstreamId} ${aliasKey(alias)}`;
}

/** Which upstream that is. */
export function upstreamOf(routeKey: string): string {
  return routeKey.slice(0, routeKey.indexOf(" "));
}

/** Where fragments of a route go. */
export interface Route {
  readonly session: CentralSession;
  readonly leg: number;
}

/** The routes of all sessions of a central. */
export type Routes = Map<string, Route>;

export interface CentralSessionOptions {
  readonly request: OpenRequest;
  readonly keys: DirectionKeys;
  readonly tools: HopTools;
  readonly primitives: Pick<Primitives, "sha256">;
  readonly reedSolomon: ReedSolomonFactory;
  readonly downstreams: DownstreamHops;
  readonly routes: Routes;
  /** Where batches are put together, shared by all sessions. */
  readonly batch: Uint8Array;
  /** Where fragments are sealed and opened, shared by all sessions. */
  readonly scratch: Slab;
  /** Where blocks are coded, shared too. */
  readonly memory: BlockMemory;
  /** Who the client is, in a closed network. */
  readonly clientId: string | undefined;
  onEnd(session: CentralSession, error?: CulvertError): void;
}

export class CentralSession {
  readonly link: FragmentLink<FragmentSession>;
  readonly clientId: string | undefined;
  readonly #options: CentralSessionOptions;
  readonly #secret: Bytes;
  /** Of the legs from upstreams, what they are called there. */
  readonly #up = new Map<number, string>();
  readonly #down = new Map<number, Mailbox>();
  /** Where each leg leads. */
  readonly #relays = new Map<number, string>();
  #isEnded = false;

  constructor(options: CentralSessionOptions) {
    this.#options = options;
    this.clientId = options.clientId;
    const { request, keys, tools } = options;
    this.#secret = decodeSecret(request.secret)!;
    this.link = new FragmentLink({
      clock: tools.clock,
      batch: options.batch,
      session: (events, nowMs) =>
        new FragmentSession(
          {
            role: "central",
            coding: { ...request.coding, isAdaptive: true },
            sealer: (leg) => new LegSealer(tools.crypto, legKey(keys.down, this.#placeOf(leg))),
            opener: (leg) => new LegOpener(tools.crypto, legKey(keys.up, this.#placeOf(leg))),
            reedSolomon: options.reedSolomon,
            random: tools.random,
            scratch: options.scratch,
            memory: options.memory,
          },
          { ...events, onLegs: (change) => this.#onLegs(change) },
          nowMs,
        ),
      onEnd: (error) => this.#end(error),
    });
    const relays = new Map([...request.up, ...request.down].map(({ leg, relayId }) => [leg, relayId]));
    for (const [leg, relayId] of relays) this.#relays.set(leg, relayId);
    const numbers = (places: readonly LegPlace[]) => places.map(({ leg }) => leg);
    this.link.session.setLegs({ send: numbers(request.down), receive: numbers(request.up) }, relays);
    this.#addLegs(request);
  }

  close(): void {
    this.link.close();
  }

  #placeOf(leg: number): LegPlace {
    const relayId = this.#relays.get(leg);
    if (relayId === undefined) throw new RangeError(`Cannot use leg ${leg}: it leads nowhere`);
    return { leg, relayId };
  }

  /** The session takes them by itself: by `send` we send, and by `receive` we hear. */
  #onLegs({ send: down, receive: up }: LegsChange): void {
    if (this.#isEnded) return;
    const [isUp, isDown] = [up, down].map((places) => new Set(places.map(({ leg }) => leg)));
    for (const leg of [...this.#up.keys()]) if (!isUp!.has(leg)) this.#removeUp(leg);
    for (const leg of [...this.#down.keys()]) if (!isDown!.has(leg)) this.#removeDown(leg);
    this.#addLegs({ up, down });
  }

  #addLegs({ up, down }: { readonly up: readonly LegPlace[]; readonly down: readonly LegPlace[] }): void {
    this.#relays.clear(); // the client may name new ones for ever
    for (const { leg, relayId } of [...up, ...down]) this.#relays.set(leg, relayId);
    for (const place of up) if (!this.#up.has(place.leg)) this.#addUp(place);
    for (const place of down) if (!this.#down.has(place.leg)) this.#addDown(place);
  }

  #addUp({ leg, relayId }: LegPlace): void {
    const { routes, primitives } = this.#options;
    const route = routeKey(relayId, upAlias(this.#secret, relayId, primitives));
    if (routes.has(route)) return; // another leg of ours leads there, or another session's: it was there first
    routes.set(route, { session: this, leg });
    this.#up.set(leg, route);
  }

  #removeUp(leg: number): void {
    this.#options.routes.delete(this.#up.get(leg)!);
    this.#up.delete(leg);
  }

  #addDown({ leg, relayId }: LegPlace): void {
    const { downstreams, primitives } = this.#options;
    const alias = downAlias(downClaim(this.#secret, relayId, primitives), primitives);
    const mailbox = downstreams.attach({
      relayId,
      alias,
      onUp: (by) => this.link.setSendLeg(leg, by),
      onDown: () => this.link.failSendLeg(leg),
    });
    if (mailbox) this.#down.set(leg, mailbox);
    else this.link.failSendLeg(leg);
  }

  #removeDown(leg: number): void {
    this.#down.get(leg)![Symbol.dispose]();
    this.#down.delete(leg);
    this.link.failSendLeg(leg);
  }

  #end(error?: CulvertError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const route of this.#up.values()) this.#options.routes.delete(route);
    for (const mailbox of this.#down.values()) mailbox[Symbol.dispose]();
    this.#up.clear();
    this.#down.clear();
    this.#secret.fill(0);
    this.#relays.clear();
    this.#options.onEnd(this, error);
  }
}
