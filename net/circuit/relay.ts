/**
 * A relay of circuits: takes links from clients, other relays and gateways, and passes the cells of circuits on between
 * them. It never dials an address that a client names: only relays of the directory, by id, and gateways that have dialled
 * it.
 *
 *   WebPort ─▶ LinkDoor: who is it? ─▶ RelayLinks ─▶ per stream: CREATE ─▶ RelayedCircuit ─▶ RelayLinks.open(next hop)
 *
 * Every step has a deadline and every table a limit; what is refused is answered and counted. Circuits on which nothing
 * moves, or that nobody has extended, end after a while.
 */

import { type Clock, delay, type Timer } from "../../protocol/clock.ts";
import { CircuitStatus, type HopKind } from "../../protocol/circuit/cell.ts";
import { Filler } from "../../protocol/circuit/filler.ts";
import type { ClosedNetwork } from "../../protocol/control/auth.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import { MAX_RELAY_GATEWAYS, type RelayGateway } from "../../protocol/directory.ts";
import { decodeBase32 } from "../../protocol/encoding.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { SealTools } from "../../protocol/sealed_handshake.ts";
import { BufferPool } from "../buffer_pool.ts";
import type { Link } from "../link.ts";
import type { MuxStream } from "../mux.ts";
import { isMeetingPath } from "../peers/meeting_door.ts";
import type { MeetingRelay } from "../peers/meeting_relay.ts";
import type { CertificateAndKey } from "../renewable_listener.ts";
import { WebPort, type WebPortLimits, type WebsocketAnswer, type WebsocketCall } from "../web_port.ts";
import { WebsocketLink } from "../websocket.ts";
import type { Locate } from "../websocket_dial.ts";
import { beginCircuit, type HopSelf, statusName } from "./begin_circuit.ts";
import { CellSlabs } from "./cell_slabs.ts";
import { dialRelayLink } from "./dial_link.ts";
import { isCertifiedGateway } from "./gateway_keys.ts";
import { LINK_ROLES, LinkGuard } from "./link_auth.ts";
import { LinkDoor, type LinkDoorLimits, type RelayLookup } from "./link_door.ts";
import { type LinkPeer, type RelayLink, type RelayLinkLimits, RelayLinks } from "./relay_links.ts";
import { RelayedCircuit } from "./relayed_circuit.ts";

export interface RelayLimits extends RelayLinkLimits, LinkDoorLimits, Pick<WebPortLimits, "maxHandshakes"> {
  /** Default 8,192. */
  readonly maxCircuits?: number;
  /** Circuits that come from one address, of clients and relays alike. Default half of all. */
  readonly maxCircuitsPerAddress?: number;
  /** Circuits that one client may begin. Default 10 a second, 128 at once. */
  readonly clientCircuits?: BurstTableOptions;
  /** And another relay, for all its clients. Default 500 a second, 4,096 at once. */
  readonly relayCircuits?: BurstTableOptions;
  /** From a new stream to its CREATE, and from a request for a connection to its end. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
  /** From a circuit's beginning to the next hop. Default 30 s. */
  readonly buildTimeoutMs?: number;
  /** For a next hop to answer. Default 8 s. */
  readonly extendTimeoutMs?: number;
  /** A circuit on which no cell moves; those who live send some all the time. Default 60 s. */
  readonly idleTimeoutMs?: number;
  /** A circuit whose owner or gateway does not read what is for it; those who live always do. Default 20 s. */
  readonly stallTimeoutMs?: number;
  /** Peer ids that are turned away, or let go of once they are among them. */
  isBlocked?(peerId: string): boolean;
}

export interface RelayServerOptions {
  readonly listen: { readonly hostname: string; readonly port: number };
  /** PEM. Without it the port is plain, for loopback or behind a TLS proxy. */
  readonly tls?: CertificateAndKey | undefined;
  readonly identity: Identity;
  /** A closed network; without it any identity may have a link. */
  readonly network?: ClosedNetwork | undefined;
  /** Our own in it, for the role of a relay. */
  readonly certificate?: (() => string) | undefined;
  readonly directory: RelayLookup;
  /** Answers requests for links of peers that meet here, on the same port. */
  readonly meetings?: Pick<MeetingRelay, "answer"> | undefined;
  readonly tools: SealTools;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** PEM certificates of other relays to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Where the hosts of other relays are. Default: where the system finds them. */
  readonly locate?: Locate | undefined;
  readonly limits?: RelayLimits;
}

const CLIENT_CIRCUITS: BurstTableOptions = { perSecond: 10, burst: 128, slots: 8192 };
const RELAY_CIRCUITS: BurstTableOptions = { perSecond: 500, burst: 4096, slots: 4096 };
/** How often circuits that have come to a stop are looked for, if not oftener. */
const SWEEP_MS = 5_000;
const DRAIN_LOOK_MS = 50;
const NOT_HERE = "Nothing is served here but links of circuits\n";

export class RelayServer implements Disposable {
  /** Called when a gateway has come or gone, so that the directory hears of it. */
  onGateways: () => void = () => {};
  readonly #options: RelayServerOptions;
  readonly #self: HopSelf;
  readonly #links: RelayLinks;
  readonly #door: LinkDoor;
  readonly #port: WebPort;
  readonly #linkPool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #slabs = new CellSlabs();
  readonly #circuits = new Map<RelayedCircuit, { readonly begunAtMs: number }>();
  /** Circuits by the place they come from. */
  readonly #ofPlace = new Map<string, number>();
  readonly #clientRate: BurstTable;
  readonly #relayRate: BurstTable;
  readonly #tasks = new Set<Promise<void>>();
  readonly #metrics;
  #isDraining = false;
  #isClosed = false;
  #gatewayCount = 0;
  #cells = 0;
  #sweeper: Timer;

  /** Begins to listen. Throws as `Deno.listen` does. */
  constructor(options: RelayServerOptions) {
    this.#options = options;
    const { identity, network, directory, tools, primitives, clock, log, metrics, limits } = options;
    this.#self = {
      kind: "relay",
      id: decodeBase32(identity.peerId)!,
      sealing: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
      tools,
      filler: new Filler(tools.random),
    };
    const { clientCircuits = CLIENT_CIRCUITS, relayCircuits = RELAY_CIRCUITS } = limits ?? {};
    this.#clientRate = new BurstTable(tools.random, clientCircuits);
    this.#relayRate = new BurstTable(tools.random, relayCircuits);
    this.#metrics = relayMetrics(metrics);
    this.#links = new RelayLinks({
      ...{ ownId: identity.peerId, clock, log, metrics, ...(limits && { limits }) },
      dial: (relayId, signal) => this.#dial(relayId, signal),
      onStream: (stream, link) => this.#spawn(this.#serve(stream, link)),
      onChange: () => this.#lookForGateways(),
    });
    this.#door = new LinkDoor({
      guard: new LinkGuard({ recipient: identity.peerId, roles: LINK_ROLES, network, clock, primitives }),
      ...{ links: this.#links, directory, primitives, clock, random: tools.random, limits },
      isBlocked: (peerId) => limits?.isBlocked?.(peerId) ?? false,
    });
    this.#port = this.#listen();
    this.#sweeper = this.#nextSweep();
  }

  get address(): Deno.NetAddr {
    return this.#port.address;
  }

  get circuitCount(): number {
    return this.#circuits.size;
  }

  /** Cells that have gone through, both ways, since the beginning. */
  get cellCount(): number {
    return this.#cells;
  }

  /** Bytes of circuits that wait to be passed on. */
  get bufferedBytes(): number {
    return this.#links.bufferedBytes;
  }

  /** How full it is, from 0 to 1. */
  get load(): number {
    const { maxCircuits = 8192, maxClientLinks = 4096 } = this.#options.limits ?? {};
    return Math.min(1, Math.max(this.circuitCount / maxCircuits, this.#links.count("client") / maxClientLinks));
  }

  linkCount(role: LinkPeer["role"]): number {
    return this.#links.count(role);
  }

  /** The gateways that can be reached through it now, as the directory is to be told of them. */
  gateways(): RelayGateway[] {
    const { network, clock, primitives } = this.#options;
    const check = network && { ...network, nowMs: clock.wallNow(), primitives };
    const known = new Map<string, RelayGateway>();
    for (const { peerId, gateway } of this.#links.of("gateway")) {
      if (gateway && isCertifiedGateway(gateway, check)) known.set(peerId, gateway);
    }
    return [...known.values()].slice(0, MAX_RELAY_GATEWAYS);
  }

  /** Connections that come from now on get this certificate. Only for a port that had one. */
  renewTls(tls: CertificateAndKey): void {
    this.#port.renewTls(tls);
  }

  /** Ends the links of those who are blocked now. */
  dropBlocked(): void {
    const { limits } = this.#options;
    this.#links.drop(({ peerId }) => limits?.isBlocked?.(peerId) ?? false);
  }

  /** Takes no more links or circuits, waits until all circuits have ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    this.#port.close();
    while (this.#circuits.size > 0 && !signal.aborted) {
      await delay(this.#options.clock, DRAIN_LOOK_MS, signal).catch(() => {});
    }
    this.close();
    await this.closed();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isDraining = true;
    this.#sweeper.cancel();
    this.#port.close();
    for (const circuit of this.#circuits.keys()) circuit.cut("ended");
    this.#links.close();
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    await this.#port.closed();
    await this.#links.closed();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #listen(): WebPort {
    const { listen, tls, clock, log, metrics, limits } = this.#options;
    return new WebPort({
      ...{ listen, tls, clock, log, metrics },
      onWebsocket: (call) => this.#answer(call),
      fetch: () => new Response(NOT_HERE, { status: 404 }),
      limits: {
        maxBodyBytes: 0,
        ...(limits?.maxHandshakes !== undefined && { maxHandshakes: limits.maxHandshakes }),
        ...(limits?.handshakeTimeoutMs !== undefined && { handshakeTimeoutMs: limits.handshakeTimeoutMs }),
      },
    });
  }

  async #answer(call: WebsocketCall): Promise<WebsocketAnswer> {
    const { meetings } = this.#options;
    if (meetings && isMeetingPath(call.path)) return meetings.answer(call);
    const verdict = await this.#door.admit(call);
    if (!verdict.ok || this.#isDraining) {
      this.#metrics.linksRefused.add(1, { reason: verdict.ok ? "draining" : verdict.reason });
      return { status: verdict.ok ? 503 : verdict.status };
    }
    return {
      take: (stream, first, settled) => {
        settled();
        this.#take(new WebsocketLink(stream, this.#linkPool, { first }), verdict.peer);
      },
    };
  }

  #take(link: Link, peer: LinkPeer): void {
    const entered = this.#door.enter(peer);
    const held = entered && this.#links.take(link, peer);
    if (held) return this.#spawn(held.connection.ended.then(() => entered[Symbol.dispose]()));
    entered?.[Symbol.dispose]();
    link.close();
  }

  #dial(relayId: string, signal: AbortSignal): Promise<Link> {
    const { identity: signer, certificate, primitives, clock, tools: { random }, caCerts, locate } = this.#options;
    const record = this.#options.directory.find("relay", relayId);
    if (!record) {
      return Promise.reject(new DialError("unresolved", "Cannot extend: the directory knows no such relay"));
    }
    return dialRelayLink(record, {
      ...{ signer, role: "relay", certificate: certificate?.(), clock, random, primitives, caCerts, locate },
      pool: this.#linkPool,
    }, signal);
  }

  async #serve(stream: MuxStream, link: RelayLink): Promise<void> {
    const { clock, limits, log } = this.#options;
    if (link.role === "gateway") return stream.abort(); // it has no circuits of its own
    const circuit = new RelayedCircuit(stream, {
      open: (kind, peerId, signal) => this.#open(kind, peerId, signal),
      mayExtend: (_kind, peerId) => peerId !== this.#options.identity.peerId && peerId !== link.peerId,
      onCells: (count) => this.#countCells(count),
      onExtended: (status) => this.#metrics.extended.add(1, { status: statusName(status) }),
      ...{ slabs: this.#slabs, clock, extendTimeoutMs: limits?.extendTimeoutMs ?? 8_000 },
    });
    try {
      const begun = await beginCircuit(stream, {
        ...{ self: this.#self, events: circuit.events, clock, timeoutMs: limits?.handshakeTimeoutMs ?? 10_000 },
        refusal: () => this.#refusalOf(link),
      });
      if (!begun) return this.#metrics.refused.add(1, { reason: "no_create" });
      if ("status" in begun) return this.#metrics.refused.add(1, { reason: statusName(begun.status) });
      using _counted = this.#hold(circuit, link);
      const outcome = await circuit.run(begun.hop);
      this.#metrics.ended.add(1, { outcome });
    } catch (error) {
      log.debug("A circuit was lost as it began", { error: messageOf(error) });
      stream.abort();
    }
  }

  #hold(circuit: RelayedCircuit, link: RelayLink): Disposable {
    const place = placeOfLink(link);
    const count = (change: 1 | -1) => {
      const there = (this.#ofPlace.get(place) ?? 0) + change;
      if (there > 0) this.#ofPlace.set(place, there);
      else this.#ofPlace.delete(place);
      this.#metrics.active.set(this.#circuits.size);
    };
    this.#circuits.set(circuit, { begunAtMs: this.#options.clock.now() });
    count(1);
    return {
      [Symbol.dispose]: () => {
        this.#circuits.delete(circuit);
        count(-1);
      },
    };
  }

  #refusalOf(link: RelayLink): number | undefined {
    const { clock, limits } = this.#options;
    const { maxCircuits = 8192, maxCircuitsPerAddress = Math.ceil(maxCircuits / 2) } = limits ?? {};
    if (this.#isDraining) return CircuitStatus.DRAINING;
    if (this.#circuits.size >= maxCircuits) return CircuitStatus.BUSY;
    // Names cost nothing in an open network, addresses do.
    if ((this.#ofPlace.get(placeOfLink(link)) ?? 0) >= maxCircuitsPerAddress) return CircuitStatus.BUSY;
    const rate = link.role === "client" ? this.#clientRate : this.#relayRate;
    return rate.take(link.peerId, clock.now()) > 0 ? CircuitStatus.BUSY : undefined;
  }

  async #open(kind: HopKind, peerId: string, signal: AbortSignal): Promise<MuxStream> {
    const { directory, limits } = this.#options;
    const isKnown = () => kind === "gateway" || directory.find("relay", peerId) !== undefined;
    if (!isKnown()) await directory.refresh(signal).catch(() => {}); // what it knew stays
    if (!isKnown() || limits?.isBlocked?.(peerId)) {
      throw new DialError("unresolved", "Cannot extend: the directory knows no such relay");
    }
    return await this.#links.open(kind, peerId, signal);
  }

  #countCells(count: number): void {
    this.#cells += count;
    this.#metrics.cells.add(count);
  }

  #lookForGateways(): void {
    const count = this.#links.count("gateway");
    if (count === this.#gatewayCount) return;
    this.#gatewayCount = count;
    this.onGateways();
  }

  #sweep(): void {
    const { clock, limits } = this.#options;
    const { idleTimeoutMs = 60_000, buildTimeoutMs = 30_000, stallTimeoutMs = 20_000 } = limits ?? {};
    const nowMs = clock.now();
    for (const [circuit, { begunAtMs }] of this.#circuits) {
      const isHalfBuilt = !circuit.isExtended && nowMs - begunAtMs >= buildTimeoutMs;
      const isStalled = nowMs - circuit.heldUpSinceMs >= stallTimeoutMs;
      if (isHalfBuilt || isStalled || nowMs - circuit.movedAtMs >= idleTimeoutMs) circuit.cut("limit");
    }
    this.#sweeper = this.#nextSweep();
  }

  #nextSweep(): Timer {
    const { clock, limits } = this.#options;
    const { idleTimeoutMs = SWEEP_MS, buildTimeoutMs = SWEEP_MS, stallTimeoutMs = SWEEP_MS } = limits ?? {};
    return clock.after(Math.min(SWEEP_MS, idleTimeoutMs, buildTimeoutMs, stallTimeoutMs), () => this.#sweep());
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

/** A relay that we have dialled has no other name. */
function placeOfLink({ place, peerId }: RelayLink): string {
  return place ?? peerId;
}

function relayMetrics(metrics: Metrics) {
  return {
    active: metrics.gauge("circuit_relay_circuits_active", "Circuits that go through this relay"),
    ended: metrics.counter("circuit_relay_circuits_total", "Circuits that have ended, and how", ["outcome"]),
    cells: metrics.counter("circuit_relay_cells_total", "Cells passed on, both ways"),
    extended: metrics.counter("circuit_relay_extends_total", "Wishes for another hop, by what came of them", [
      "status",
    ]),
    refused: metrics.counter("circuit_relay_refused_total", "Circuits refused, by reason", ["reason"]),
    linksRefused: metrics.counter("circuit_relay_links_refused_total", "Links refused, by reason", ["reason"]),
  };
}
