/**
 * The legs of a client's session: one to each upstream and one from each downstream that it uses, each kept up, and one
 * to another relay instead when that has come to nothing.
 *
 *   relay cannot be reached, or is said to be of no use ─▶ another is drawn ─▶ a new leg number, onChange
 *
 * Legs are numbered once and for all, those of both directions together, so that no key is ever used for two relays.
 * What it does not do: choose relays (`draw` is given), or know what fragments are.
 */

import type { UpstreamRefusal } from "../../protocol/fragment/messages.ts";
import { downClaim, upAlias } from "../../protocol/fragment/aliases.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { type DownstreamLeg, openDownstreamLeg } from "./downstream_leg.ts";
import { LegKeeper } from "./leg_keeper.ts";
import type { LegTools, Relay } from "./legs.ts";
import { openUpstreamLeg, type UpstreamLeg } from "./upstream_leg.ts";

export type Direction = "up" | "down";

/** What is asked of a draw. */
export interface DrawWish {
  readonly inUse: Readonly<Record<Direction, readonly Relay[]>>;
  /** The first of a session: better such as have failed before than none. */
  readonly isFirst: boolean;
}

export interface ClientLegEvents {
  onUp(leg: number, carrier: UpstreamLeg): void;
  onUpLost(leg: number): void;
  /** An upstream says that it did not pass something on. */
  onRefused(leg: number, code: UpstreamRefusal): void;
  /** A relay cannot be reached, again and again. */
  onUnreachable(leg: number, error: unknown): void;
  /** A downstream listens for us. */
  onDown(leg: number): void;
  onOpened(rest: Uint8Array): void;
  onData(leg: number, rest: Uint8Array): void;
  /** There are other legs now. */
  onChange(): void;
}

export interface ClientLegsOptions {
  readonly tools: LegTools;
  readonly primitives: Primitives;
  readonly centralId: Uint8Array;
  readonly secret: Uint8Array;
  /** How many are wanted of each. */
  readonly wanted: Readonly<Record<Direction, number>>;
  /** Draws relays that are not in use that way. */
  draw(direction: Direction, count: number, wish: DrawWish): readonly Relay[];
  /** Whether the central can be told that it leads elsewhere. */
  mayReplace(leg: number): boolean;
  /** A relay was of no use. */
  onFailed(direction: Direction, relay: Relay): void;
}

/** Numbers are 16 bits. No session loses so many relays. */
const MAX_LEG_NUMBER = 0xffff;

export class ClientLegs implements Disposable {
  readonly #options: ClientLegsOptions;
  readonly #events: ClientLegEvents;
  readonly #up = new Map<number, LegKeeper<UpstreamLeg>>();
  readonly #down = new Map<number, LegKeeper<DownstreamLeg>>();
  readonly #ending = new Set<Promise<void>>();
  #nextLeg = 0;
  #isClosed = false;

  constructor(options: ClientLegsOptions, events: ClientLegEvents) {
    this.#options = options;
    this.#events = events;
    this.#fill(true);
  }

  get up(): ReadonlyMap<number, LegKeeper<UpstreamLeg>> {
    return this.#up;
  }

  get down(): ReadonlyMap<number, LegKeeper<DownstreamLeg>> {
    return this.#down;
  }

  /** There are as many as wanted. */
  get isComplete(): boolean {
    const { wanted } = this.#options;
    return this.#up.size >= wanted.up && this.#down.size >= wanted.down;
  }

  relayOf(leg: number): Relay | undefined {
    return (this.#up.get(leg) ?? this.#down.get(leg))?.relay;
  }

  /** Takes as many more as are missing, where there are relays for them. */
  complete(): void {
    if (!this.#isClosed && this.#fill(false)) this.#events.onChange();
  }

  /** Another relay instead of that leg's, if there is one. */
  replace(leg: number): void {
    const direction = this.#up.has(leg) ? "up" : "down";
    const legs: Map<number, LegKeeper<UpstreamLeg | DownstreamLeg>> = direction === "up" ? this.#up : this.#down;
    const keeper = legs.get(leg);
    if (!keeper || this.#isClosed || this.#nextLeg > MAX_LEG_NUMBER) return;
    this.#options.onFailed(direction, keeper.relay);
    if (!this.#options.mayReplace(leg)) return;
    const [relay] = this.#options.draw(direction, 1, this.#wish(false));
    if (!relay) return;
    legs.delete(leg);
    keeper[Symbol.dispose]();
    this.#keepUntilDone(keeper);
    if (direction === "up") this.#events.onUpLost(leg);
    this.#add(direction, relay);
    this.#events.onChange();
  }

  /** Says goodbye to every relay behind what was sent. */
  close(): void {
    this.#end((keeper) => keeper.close());
  }

  /** Settles when nothing of them is left. Close them first. */
  async closed(): Promise<void> {
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }

  [Symbol.dispose](): void {
    this.#end((keeper) => keeper[Symbol.dispose]());
  }

  #end(end: (keeper: LegKeeper<UpstreamLeg | DownstreamLeg>) => void): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const keeper of [...this.#up.values(), ...this.#down.values()]) {
      end(keeper);
      this.#keepUntilDone(keeper);
    }
  }

  #keepUntilDone({ done }: { readonly done: Promise<void> }): void {
    this.#ending.add(done);
    done.finally(() => this.#ending.delete(done));
  }

  /** False when none could be added. */
  #fill(isFirst: boolean): boolean {
    const { draw, wanted } = this.#options;
    let isAnyNew = false;
    for (const [direction, legs] of [["up", this.#up], ["down", this.#down]] as const) {
      const missing = wanted[direction] - legs.size;
      if (missing <= 0) continue;
      for (const relay of draw(direction, missing, this.#wish(isFirst))) {
        this.#add(direction, relay);
        isAnyNew = true;
      }
    }
    return isAnyNew;
  }

  #wish(isFirst: boolean): DrawWish {
    return { inUse: { up: relaysOf(this.#up), down: relaysOf(this.#down) }, isFirst };
  }

  #add(direction: Direction, relay: Relay): void {
    const leg = this.#nextLeg++;
    if (direction === "up") this.#up.set(leg, this.#keepUp(leg, relay));
    else this.#down.set(leg, this.#keepDown(leg, relay));
  }

  #onBad(leg: number, error: unknown): void {
    this.replace(leg);
    if (this.#up.has(leg) || this.#down.has(leg)) this.#events.onUnreachable(leg, error);
  }

  #keepUp(leg: number, relay: Relay): LegKeeper<UpstreamLeg> {
    const { tools, centralId, secret, primitives } = this.#options;
    const events = this.#events;
    const alias = upAlias(secret, relay.relayId, primitives);
    const onRefused = (code: UpstreamRefusal) => this.#up.has(leg) && events.onRefused(leg, code);
    return new LegKeeper({
      ...tools,
      leg,
      relay,
      open: (onClose, signal) => openUpstreamLeg({ relay, tools, centralId, alias, onRefused, onClose }, signal),
      onUp: (carrier) => events.onUp(leg, carrier),
      onDown: () => events.onUpLost(leg),
      onBad: (error) => this.#onBad(leg, error),
    });
  }

  #keepDown(leg: number, relay: Relay): LegKeeper<DownstreamLeg> {
    const { tools, secret, primitives } = this.#options;
    const events = this.#events;
    const claim = downClaim(secret, relay.relayId, primitives);
    const onOpened = (rest: Uint8Array) => events.onOpened(rest);
    const onData = (rest: Uint8Array) => events.onData(leg, rest);
    return new LegKeeper({
      ...tools,
      leg,
      relay,
      open: (onClose, signal) => openDownstreamLeg({ relay, tools, claim, onOpened, onData, onClose }, signal),
      onUp: () => events.onDown(leg),
      onDown: () => {},
      onBad: (error) => this.#onBad(leg, error),
    });
  }
}

function relaysOf(legs: ReadonlyMap<number, { readonly relay: Relay }>): Relay[] {
  return [...legs.values()].map(({ relay }) => relay);
}
