/**
 * The exits that are connected here, as candidates for a client. Asking looks at no more than a sample of a region, so
 * that it costs the same with ten exits as with ten thousand.
 */

import type { Telemetry } from "../../protocol/control/messages.ts";
import { meetsWish } from "../../protocol/control/selection.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import { type ExitCandidate, MAX_CANDIDATES, MAX_EXIT_REGIONS } from "../../protocol/directory.ts";
import { type Random, randomInt } from "../../protocol/random.ts";

/** Exits that are looked at for one wish. */
const SAMPLE = 128;
/** With so many sessions an exit that does not tell its load counts as full. */
const FULL_SESSIONS = 256;

export interface Exit {
  readonly peer: AuthenticatedPeer;
  readonly telemetry: Telemetry | undefined;
}

export interface ExitPoolOptions {
  readonly supernodeId: string;
  readonly random: Random;
  find(peerId: string): Exit | undefined;
  /** The round trip on its data link; undefined when it has none, null when it is not known yet. */
  linkRttMs(peerId: string): number | null | undefined;
  /** From probes over its data link: the share that came back, and how long they take. */
  linkHealth(peerId: string): { readonly health: number; readonly latencyMs: number | undefined };
  sessionCount(peerId: string): number;
}

export class ExitPool {
  readonly #options: ExitPoolOptions;
  readonly #byRegion = new Map<string, IndexedSet>();
  readonly #all = new IndexedSet();

  constructor(options: ExitPoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.items.length;
  }

  /** The peer ids of all of them. */
  [Symbol.iterator](): IterableIterator<string> {
    return this.#all.items.values();
  }

  /** Where they are: the regions with the most of them, as many as base is told of. */
  get regions(): string[] {
    return [...this.#byRegion].sort(([, one], [, other]) => other.items.length - one.items.length)
      .slice(0, MAX_EXIT_REGIONS).map(([region]) => region);
  }

  /** Whether it is the first of its region. */
  add({ peerId, region }: AuthenticatedPeer): boolean {
    this.#all.add(peerId);
    const known = this.#byRegion.get(region);
    const inRegion = known ?? new IndexedSet();
    inRegion.add(peerId);
    if (!known) this.#byRegion.set(region, inRegion);
    return !known;
  }

  /** Whether it was the last of its region. */
  remove({ peerId, region }: AuthenticatedPeer): boolean {
    this.#all.delete(peerId);
    const inRegion = this.#byRegion.get(region);
    inRegion?.delete(peerId);
    return inRegion?.items.length === 0 && this.#byRegion.delete(region);
  }

  /** Exits that would do for the client, in no order. */
  candidates(clientPeerId: string, wish: ExitWish, count = MAX_CANDIDATES): ExitCandidate[] {
    const { items } = (wish.region === undefined ? this.#all : this.#byRegion.get(wish.region)) ?? new IndexedSet();
    const start = items.length > SAMPLE ? randomInt(this.#options.random, items.length) : 0;
    const found: ExitCandidate[] = [];
    for (let step = 0; step < Math.min(items.length, SAMPLE) && found.length < count; step++) {
      const peerId = items[(start + step) % items.length]!;
      const candidate = peerId === clientPeerId ? undefined : this.candidate(peerId);
      if (candidate && meetsWish(candidate, wish)) found.push(candidate);
    }
    return found;
  }

  /** Why sessions should leave an exit, if they should; one that is not here has failed them. */
  troubleOf(peerId: string): "exit_failed" | "exit_drains" | undefined {
    const { find, linkRttMs, linkHealth } = this.#options;
    const exit = find(peerId);
    const isThere = exit !== undefined && linkRttMs(peerId) !== undefined;
    if (isThere && healthOf(exit.telemetry) * linkHealth(peerId).health > 0) return undefined;
    return exit?.telemetry?.draining ? "exit_drains" : "exit_failed";
  }

  /** The exit as it is now; undefined when it cannot be reached by data. */
  candidate(peerId: string): ExitCandidate | undefined {
    const { supernodeId, sessionCount, find, linkRttMs, linkHealth } = this.#options;
    const exit = find(peerId);
    const rttMs = linkRttMs(peerId);
    if (!exit || rttMs === undefined) return undefined;
    const { peer, telemetry } = exit;
    const probed = linkHealth(peerId);
    const wayMs = probed.latencyMs ?? rttMs;
    const { publicKey, wireguardKey, wireguardSignature, certificate } = peer;
    return {
      exit: { peerId, publicKey, wireguardKey, wireguardSignature, ...(certificate !== undefined && { certificate }) },
      supernodeId,
      region: peer.region,
      ...(wayMs !== null && { latencyMs: wayMs + (telemetry?.dataPath?.latencyMs ?? 0) }),
      ...(telemetry?.spareMbps !== undefined && { bandwidthMbps: telemetry.spareMbps }),
      health: healthOf(telemetry) * probed.health,
      load: telemetry?.load ?? Math.min(1, sessionCount(peerId) / FULL_SESSIONS),
      ...((telemetry?.packets?.spareClients ?? 0) > 0 && { carriesPackets: true }),
    };
  }
}

/** From what the exit's probes of its own way out have found; without any it is taken for well. */
export function healthOf(telemetry: Telemetry | undefined): number {
  if (telemetry?.draining) return 0;
  const { dataPath } = telemetry ?? {};
  if (!dataPath) return 1;
  if (!dataPath.ok) return 0;
  return 1 / (1 + (dataPath.failures ?? 0));
}

/** A set whose members can be picked by number. */
class IndexedSet {
  readonly items: string[] = [];
  readonly #places = new Map<string, number>();

  add(item: string): void {
    if (this.#places.has(item)) return;
    this.#places.set(item, this.items.length);
    this.items.push(item);
  }

  delete(item: string): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    const last = this.items.pop()!;
    this.#places.delete(item);
    if (last === item) return;
    this.items[place] = last;
    this.#places.set(last, place);
  }
}
