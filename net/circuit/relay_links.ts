/**
 * The links of a relay: one for each pair, on which all circuits between the two lie, whoever dialled it.
 *
 *   take(link, peer)   one that came in: from a client, a gateway or another relay
 *   open(relay id)     a stream to a relay: on the link there is, or one that is dialled now
 *   open(gateway id)   a stream to a gateway: only on a link that it has dialled
 *
 * When two relays dial each other at once there are two links for a moment; new circuits go on the one whose dialler has
 * the smaller id, and the other goes when it is empty. A link that nobody uses is closed after a while by who dialled it or,
 * should that one not do it, by the other in the end; those of gateways stay.
 * What it does not do: say who may have a link (`link_door.ts`), or serve circuits (`hop_circuit.ts`).
 */

import { orAborted } from "../../protocol/abort.ts";
import { BlockPool } from "../../protocol/byte_queue.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { WindowBudget } from "../../protocol/mux.ts";
import type { RelayGateway } from "../../protocol/directory.ts";
import type { Link } from "../link.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import { circuitMux } from "./circuit_mux.ts";
import type { LinkRole } from "./link_auth.ts";

/** Who is at the other end of a link. */
export interface LinkPeer {
  readonly peerId: string;
  readonly role: LinkRole;
  /** The address it has come from, as limits count it. */
  readonly place?: string;
  /** Of a gateway, what others are told of it. */
  readonly gateway?: RelayGateway;
}

/** A link that is up. */
export interface RelayLink extends LinkPeer {
  readonly connection: MuxConnection;
  readonly isDialled: boolean;
}

export interface RelayLinksOptions {
  readonly ownId: string;
  /** Makes a link to another relay, not yet started. Rejects with a DialError: "unresolved" when it is not known. */
  dial(relayId: string, signal: AbortSignal): Promise<Link>;
  /** A circuit begins on a link. */
  onStream(stream: MuxStream, link: RelayLink): void;
  /** A link has come or gone. */
  onChange?(): void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: RelayLinkLimits;
}

export interface RelayLinkLimits {
  /** Circuits at once on the link of a client. Default 64. */
  readonly maxCircuitsPerClientLink?: number;
  /** And on that of a relay or gateway. Default 4,096. */
  readonly maxCircuitsPerLink?: number;
  /** Memory that windows of fast circuits may grow by, over all links. Default 4 MiB. */
  readonly windowBytes?: number;
  /** A link dialled and not used. Default 60 s. */
  readonly idleLinkMs?: number;
  readonly dialTimeoutMs?: number;
}

/** How often unused links are looked for, if not oftener. */
const SWEEP_MS = 5_000;
/** A relay that could not be reached is not dialled again so soon. */
const RETRY_FLOOR_MS = 1_000;
/** Of 64 KiB, kept for reuse. */
const KEPT_BLOCKS = 64;
/** Of the windows' memory one client's link may have a small part. */
const CLIENT_GROWTH_BYTES = 4 * 1024 * 1024;

interface Held extends RelayLink {
  /** When it was last seen with a circuit on it. */
  usedAtMs: number;
}

export class RelayLinks implements Disposable {
  readonly #options: RelayLinksOptions;
  readonly #budget: WindowBudget;
  readonly #blocks = new BlockPool(KEPT_BLOCKS);
  readonly #held = new Map<string, Set<Held>>();
  readonly #dialling = new Map<string, Promise<Held>>();
  /** When a dial has failed last; of those that matter still. */
  readonly #failedAtMs = new Map<string, number>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #counts = { client: 0, relay: 0, gateway: 0 };
  readonly #gauge;
  readonly #sweeper: { cancel(): void };

  constructor(options: RelayLinksOptions) {
    this.#options = options;
    this.#budget = new WindowBudget(options.limits?.windowBytes ?? 4 * 1024 * 1024);
    this.#gauge = options.metrics.gauge("circuit_links_active", "Links of circuits, by who is at the other end", [
      "peer",
    ]);
    const sweepMs = Math.min(SWEEP_MS, options.limits?.idleLinkMs ?? SWEEP_MS);
    this.#sweeper = every(options.clock, sweepMs, () => this.#sweep());
  }

  /** Links to peers of that role. */
  count(role: LinkRole): number {
    return this.#counts[role];
  }

  /** Bytes of circuits that wait to be passed on. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const links of this.#held.values()) for (const link of links) bytes += link.connection.bufferedBytes;
    return bytes;
  }

  /** Links to one peer. */
  countOf(peer: LinkPeer): number {
    return this.#held.get(keyOf(peer))?.size ?? 0;
  }

  /** Those to peers of that role, the oldest first. */
  *of(role: LinkRole): IterableIterator<RelayLink> {
    for (const links of this.#held.values()) for (const link of links) if (link.role === role) yield link;
  }

  /** Begins to use a link that has come in; undefined when it comes too late. */
  take(link: Link, peer: LinkPeer): RelayLink | undefined {
    if (this.#stop.signal.aborted) return void link.close();
    return this.#hold(link, peer, false);
  }

  /** Opens a stream to a relay or gateway, nothing said on it yet. Rejects with a DialError. */
  async open(role: "relay" | "gateway", peerId: string, signal: AbortSignal): Promise<MuxStream> {
    const there = this.#best({ role, peerId });
    if (there) return there.connection.open();
    if (role === "gateway") throw new DialError("unresolved", "Cannot extend: the gateway has no link to this relay");
    try {
      const link = await orAborted(this.#dial(peerId), signal);
      return link.connection.open();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `Cannot extend: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Ends every link to such peers, and the circuits on them. */
  drop(isUnwanted: (peer: LinkPeer) => boolean): void {
    for (const links of this.#held.values()) {
      for (const link of links) if (isUnwanted(link)) link.connection.close();
    }
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The relay is closing"));
    this.#sweeper.cancel();
    this.drop(() => true);
  }

  /** Settles when no link is left. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The same at both ends, of two links between two relays: that of the dialler with the smaller id. */
  #best(peer: LinkPeer): Held | undefined {
    let best: Held | undefined;
    for (const link of this.#held.get(keyOf(peer)) ?? []) {
      if (link.connection.closed) continue;
      if (!best || this.#diallerOf(link) <= this.#diallerOf(best)) best = link; // of equals the newest
    }
    return best;
  }

  #diallerOf({ isDialled, peerId }: RelayLink): string {
    return isDialled ? this.#options.ownId : peerId;
  }

  #dial(relayId: string): Promise<Held> {
    const under = this.#dialling.get(relayId);
    if (under) return under;
    const failedAtMs = this.#failedAtMs.get(relayId) ?? -Infinity;
    if (this.#options.clock.now() - failedAtMs < RETRY_FLOOR_MS) {
      return Promise.reject(new DialError("path_down", "Cannot extend: the relay could not be reached a moment ago"));
    }
    const dialling = this.#connect(relayId);
    this.#dialling.set(relayId, dialling);
    this.#spawn(
      dialling.then(() => {}, (error) => {
        this.#options.log.debug("A relay could not be reached", { peer_id: relayId, error: messageOf(error) });
        this.#failedAtMs.set(relayId, this.#options.clock.now());
      }).finally(() => this.#dialling.delete(relayId)),
    );
    return dialling;
  }

  async #connect(relayId: string): Promise<Held> {
    const { clock, limits } = this.#options;
    using limit = deadline(clock, limits?.dialTimeoutMs ?? 5_000, "reach a relay", this.#stop.signal);
    const link = await this.#options.dial(relayId, limit.signal);
    if (limit.signal.aborted) {
      link.close();
      throw limit.signal.reason;
    }
    return this.#hold(link, { peerId: relayId, role: "relay" }, true);
  }

  #hold(link: Link, peer: LinkPeer, isDialled: boolean): Held {
    const { clock, limits } = this.#options;
    const { role } = peer;
    const isClient = role === "client";
    const connection = new MuxConnection(link, clock, {
      ...circuitMux({
        maxCircuits: isClient ? limits?.maxCircuitsPerClientLink ?? 64 : limits?.maxCircuitsPerLink ?? 4096,
        ...(isClient && { growthBytes: CLIENT_GROWTH_BYTES }),
        windowBudget: this.#budget,
        blockPool: this.#blocks,
      }),
      role: isDialled ? "client" : "server",
      extensions: true,
    });
    const held: Held = { ...peer, connection, isDialled, usedAtMs: clock.now() };
    connection.onStream = (stream) => this.#options.onStream(stream, held);
    const key = keyOf(held);
    const links = this.#held.get(key) ?? new Set();
    this.#held.set(key, links.add(held));
    this.#countLink(role, 1);
    connection.start();
    this.#spawn(connection.ended.then(() => {
      links.delete(held);
      if (links.size === 0 && this.#held.get(key) === links) this.#held.delete(key);
      this.#countLink(role, -1);
    }));
    return held;
  }

  #countLink(role: LinkRole, change: 1 | -1): void {
    this.#counts[role] += change;
    this.#gauge.set(this.#counts[role], { peer: role });
    this.#options.onChange?.();
  }

  /** Closes what has not been used for long: first who dialled it, lest a circuit is just about to begin on it. */
  #sweep(): void {
    const nowMs = this.#options.clock.now();
    const { idleLinkMs = 60_000 } = this.#options.limits ?? {};
    for (const links of this.#held.values()) {
      for (const link of links) {
        if (link.connection.streamCount > 0) link.usedAtMs = nowMs;
        const patienceMs = link.isDialled ? idleLinkMs : 2 * idleLinkMs;
        if (link.role !== "gateway" && nowMs - link.usedAtMs >= patienceMs) link.connection.close();
      }
    }
    for (const [id, atMs] of this.#failedAtMs) if (nowMs - atMs >= RETRY_FLOOR_MS) this.#failedAtMs.delete(id);
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

function keyOf({ role, peerId }: LinkPeer): string {
  return `${role} ${peerId}`;
}

/** Calls again and again, until it is cancelled. */
function every(clock: Clock, everyMs: number, call: () => void): { cancel(): void } {
  let timer = clock.after(everyMs, function again() {
    call();
    timer = clock.after(everyMs, again);
  });
  return { cancel: () => timer.cancel() };
}
