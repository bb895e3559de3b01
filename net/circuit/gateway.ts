/**
 * A gateway: the last hop of circuits, where their traffic goes on. It listens nowhere: it dials relays of the directory
 * and keeps those links up, and they alone know its address. What circuits may reach is the policy of `onward`.
 *
 *   link to a relay ─▶ per stream: CREATE ─▶ CellLink ─▶ TunnelLinks ─▶ onward
 *
 * The relays are those it is told, or so many of the directory, chosen at random; one that cannot be reached or has left
 * the directory is replaced. A circuit is on one of the links, and ends with it.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CircuitStatus } from "../../protocol/circuit/cell.ts";
import { Filler } from "../../protocol/circuit/filler.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { decodeBase32 } from "../../protocol/encoding.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import { WindowBudget } from "../../protocol/mux.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { randomInt } from "../../protocol/random.ts";
import type { SealTools } from "../../protocol/sealed_handshake.ts";
import type { Path } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import type { Link } from "../link.ts";
import { LinkKeeper } from "../link_keeper.ts";
import type { MuxConnection, MuxStream } from "../mux.ts";
import { TunnelLinks } from "../tunnel_link.ts";
import type { Locate } from "../websocket_dial.ts";
import { beginCircuit, type HopSelf, statusName } from "./begin_circuit.ts";
import { CellLink } from "./cell_link.ts";
import { CellSlabs } from "./cell_slabs.ts";
import { circuitMux, endToEndMux } from "./circuit_mux.ts";
import { dialRelayLink } from "./dial_link.ts";
import { gatewayKeysHeader } from "./gateway_keys.ts";

export interface GatewayLimits {
  /** Circuits at once. Default 4,096. */
  readonly maxCircuits?: number;
  /** Streams at once on one circuit. Default 1,024. */
  readonly maxStreamsPerCircuit?: number;
  /** Memory that windows of fast circuits may grow by, over all of them. Default 256 MiB. */
  readonly windowBytes?: number;
  /** What may wait for targets that do not read, over all circuits; then those that hold the most end. Default 512 MiB. */
  readonly maxBufferedBytes?: number;
  /** From a new stream to its CREATE. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface GatewayDirectory {
  list(kind: "relay"): readonly RelayRecord[];
  find(kind: "relay", relayId: string): RelayRecord | undefined;
  onChange(listener: () => void): Disposable;
  refresh(signal?: AbortSignal): Promise<void>;
}

export interface GatewayOptions {
  readonly identity: Identity;
  readonly network?: ClosedNetwork | undefined;
  /** Our own in a closed network, for the role of a gateway. */
  readonly certificate?: (() => string) | undefined;
  readonly directory: GatewayDirectory;
  /** The relays to dial; left out: `links` of the directory. */
  readonly relays?: readonly string[] | undefined;
  /** Links to keep up, each to another relay. Default 3. */
  readonly links?: number;
  readonly onward: Path;
  readonly tools: SealTools;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly caCerts?: readonly string[] | undefined;
  readonly locate?: Locate | undefined;
  readonly limits?: GatewayLimits;
}

/** How often links and circuits are looked after. */
const LOOK_MS = 1_000;
const LISTED_LOOK_MS = 500;
/** A relay that has not been reached for so long is replaced, and left alone for a while. */
const GIVE_UP_MS = 15_000;
const AVOID_MS = 120_000;

interface Kept {
  readonly keeper: LinkKeeper;
  /** When it was last seen up, or begun. */
  upAtMs: number;
}

export class GatewayServer implements Disposable {
  readonly #options: GatewayOptions;
  readonly #self: HopSelf;
  readonly #kept = new Map<string, Kept>();
  /** Until when a relay is not chosen again. */
  readonly #avoided = new Map<string, number>();
  readonly #circuits: TunnelLinks;
  readonly #slabs = new CellSlabs();
  readonly #linkPool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #budget: WindowBudget;
  readonly #tasks = new Set<Promise<void>>();
  readonly #following: Disposable;
  readonly #metrics;
  readonly #open = new Set<MuxConnection>();
  readonly #stop = new AbortController();
  #isDraining = false;
  #isClosed = false;
  #looker;

  /** Begins to dial. */
  constructor(options: GatewayOptions) {
    const { identity, tools, clock, metrics, directory, limits } = options;
    this.#options = options;
    this.#self = {
      kind: "gateway",
      id: decodeBase32(identity.peerId)!,
      sealing: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
      tools,
      filler: new Filler(tools.random),
    };
    this.#budget = new WindowBudget(limits?.windowBytes ?? 256 * 1024 * 1024);
    this.#circuits = new TunnelLinks({
      ...{ clock, metrics },
      mux: { ...endToEndMux(), maxStreams: limits?.maxStreamsPerCircuit ?? 1024, windowBudget: this.#budget },
    });
    this.#metrics = gatewayMetrics(metrics);
    this.#following = directory.onChange(() => this.#lookAfterLinks());
    this.#looker = clock.after(LOOK_MS, () => this.#look());
    this.#lookAfterLinks();
  }

  /** Relays to which there is a link now. */
  relaysUp(): string[] {
    return [...this.#kept].filter(([, kept]) => isUp(kept)).map(([relayId]) => relayId);
  }

  /** Settles when the directory tells of it, so that circuits can be led here; rejects with the signal's reason. */
  async listed(signal: AbortSignal): Promise<void> {
    const { directory, clock, identity: { peerId } } = this.#options;
    const isListed = () =>
      directory.list("relay").some(({ gateways }) => gateways?.some(({ gatewayId }) => gatewayId === peerId));
    for (; !isListed(); await delay(clock, LISTED_LOOK_MS, signal)) {
      await directory.refresh(signal).catch(() => {}); // what it knew stays
      if (isListed()) return;
    }
  }

  get circuitCount(): number {
    return this.#open.size;
  }

  get streamCount(): number {
    return this.#circuits.streamCount;
  }

  /** Takes no more circuits or streams, waits until every stream has ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    await this.#circuits.drain(signal);
    this.close();
    await this.closed();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = this.#isDraining = true;
    this.#stop.abort();
    this.#looker.cancel();
    this.#following[Symbol.dispose]();
    this.#circuits.close();
    for (const relayId of [...this.#kept.keys()]) this.#letGo(relayId);
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    await this.#circuits.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Links.

  #look(): void {
    const { clock, directory, relays, links = 3 } = this.#options;
    this.#lookAfterLinks();
    const isShort = this.#kept.size < (relays?.length ?? links);
    if (isShort) this.#spawn(directory.refresh(this.#stop.signal).catch(() => {})); // `onChange` tells of new ones
    this.#shed();
    this.#looker = clock.after(LOOK_MS, () => this.#look());
  }

  #lookAfterLinks(): void {
    if (this.#isClosed) return;
    const { relays, directory, clock, links = 3 } = this.#options;
    const nowMs = clock.now();
    for (const kept of this.#kept.values()) if (isUp(kept)) kept.upAtMs = nowMs;
    this.#metrics.links.set(this.relaysUp().length);
    if (relays) {
      for (const relayId of relays) if (directory.find("relay", relayId)) this.#keep(relayId);
      return;
    }
    const strangers = this.#strangers(nowMs);
    for (const [relayId, { upAtMs }] of [...this.#kept]) {
      const isGone = !directory.find("relay", relayId);
      const isHopeless = nowMs - upAtMs >= GIVE_UP_MS && strangers.length > 0;
      if (upAtMs === nowMs || !isGone && !isHopeless) continue;
      this.#avoided.set(relayId, nowMs + AVOID_MS);
      this.#letGo(relayId);
    }
    while (this.#kept.size < links && strangers.length > 0) {
      this.#keep(strangers.splice(randomInt(this.#options.tools.random, strangers.length), 1)[0]!);
    }
  }

  /** Relays of the directory that could be dialled besides those that are. */
  #strangers(nowMs: number): string[] {
    for (const [relayId, untilMs] of this.#avoided) if (untilMs <= nowMs) this.#avoided.delete(relayId);
    const ids = this.#options.directory.list("relay").map(({ relayId }) => relayId);
    return ids.filter((relayId) => !this.#kept.has(relayId) && !this.#avoided.has(relayId));
  }

  #keep(relayId: string): void {
    if (this.#kept.has(relayId)) return;
    const { clock, log, tools: { random }, limits } = this.#options;
    const keeper = new LinkKeeper({
      ...{ clock, log, random, metrics: noMetrics, farEnd: relayId },
      connect: (signal) => this.#dial(relayId, signal),
      onUp: () => this.#metrics.links.set(this.relaysUp().length),
      onStream: (stream) => this.#spawn(this.#serve(stream)),
      onLost: () => this.#lookAfterLinks(),
      connectTimeoutMs: 5_000,
      mux: circuitMux({ maxCircuits: limits?.maxCircuits ?? 4096, windowBudget: this.#budget }),
    });
    this.#kept.set(relayId, { keeper, upAtMs: clock.now() });
    this.#spawn(keeper.done);
  }

  #letGo(relayId: string): void {
    this.#kept.get(relayId)?.keeper.close();
    this.#kept.delete(relayId);
  }

  #dial(relayId: string, signal: AbortSignal): Promise<Link> {
    const { identity: signer, certificate, primitives, clock, tools: { random }, caCerts, locate } = this.#options;
    const record = this.#options.directory.find("relay", relayId);
    if (!record) {
      const why = "Cannot reach the relay: the directory does not know it now";
      return Promise.reject(new DialError("unresolved", why));
    }
    return dialRelayLink(record, {
      ...{ signer, role: "gateway", certificate: certificate?.(), clock, random, primitives, caCerts, locate },
      pool: this.#linkPool,
      headers: gatewayKeysHeader(signer),
    }, signal);
  }

  // Circuits.

  async #serve(stream: MuxStream): Promise<void> {
    const { clock, limits, log, identity, onward } = this.#options;
    try {
      const begun = await beginCircuit(stream, {
        ...{ self: this.#self, events: NO_EVENTS, clock, timeoutMs: limits?.handshakeTimeoutMs ?? 10_000 },
        refusal: () => this.#refusal(),
      });
      if (!begun || "status" in begun) {
        return this.#metrics.refused.add(1, { reason: begun ? statusName(begun.status) : "no_create" });
      }
      const link = new CellLink(stream, begun.hop, this.#slabs);
      const connection = this.#circuits.serve(link, { onward, hops: [{ name: "gateway", at: identity.peerId }] });
      if (!connection) return;
      this.#open.add(connection);
      this.#metrics.active.set(this.#open.size);
      await connection.ended;
      this.#open.delete(connection);
      this.#metrics.active.set(this.#open.size);
    } catch (error) {
      log.debug("A circuit was lost as it began", { error: messageOf(error) });
      stream.abort();
    }
  }

  #refusal(): number | undefined {
    if (this.#isDraining) return CircuitStatus.DRAINING;
    return this.#open.size >= (this.#options.limits?.maxCircuits ?? 4096) ? CircuitStatus.BUSY : undefined;
  }

  /** Each circuit is held to its own bound, but there may be thousands, all of one owner. */
  #shed(): void {
    const { maxBufferedBytes = 512 * 1024 * 1024 } = this.#options.limits ?? {};
    let bytes = 0;
    for (const { bufferedBytes } of this.#open) bytes += bufferedBytes;
    if (bytes <= maxBufferedBytes) return;
    for (const circuit of [...this.#open].sort((one, other) => other.bufferedBytes - one.bufferedBytes)) {
      if (bytes <= maxBufferedBytes) return;
      bytes -= circuit.bufferedBytes;
      circuit.close();
      this.#metrics.shed.add(1);
    }
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

const NO_EVENTS = {
  onExtend() {},
  onEnd() {},
};

function isUp({ keeper: { connection } }: Kept): boolean {
  return connection !== undefined && !connection.closed;
}

function gatewayMetrics(metrics: Metrics) {
  return {
    links: metrics.gauge("circuit_gateway_links_active", "Relays that this gateway has a link to"),
    active: metrics.gauge("circuit_gateway_circuits_active", "Circuits that end at this gateway"),
    shed: metrics.counter("circuit_gateway_shed_total", "Circuits ended because too much waited for their targets"),
    refused: metrics.counter("circuit_gateway_refused_total", "Circuits refused, by reason", ["reason"]),
  };
}
