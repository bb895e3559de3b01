/**
 * Every node that is connected to an orchestrator, by its id and by its virtual address: takes the sockets that come in at
 * `/v1/node`, lets nodes in, and has a LiveNode for each.
 *
 *   WebPort ─ onWebsocket ─▶ NodeTunnel ─ hello ─▶ admit ─▶ join ─▶ ConnectedNode (LiveNode)
 *
 * A node has up to four tunnels, told apart by their index. A tunnel takes the place of an older one of the same index; the
 * first of a new run of the node's program takes the place of all. What ends cleans up after itself only where it still has
 * its place, so it does not matter in which order old and new come and go.
 */

import { type AuthLimitOptions, AuthLimits } from "../../protocol/control/auth_limits.ts";
import { BurstTable } from "../../protocol/control/burst_table.ts";
import { BlockPool } from "../../protocol/byte_queue.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { type MuxOptions, WindowBudget } from "../../protocol/mux.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { newNodeToken } from "../../protocol/sharing/node_auth.ts";
import {
  type EarningsFigures,
  type FromNode,
  type Hello,
  NODE_PATH,
  type NodeRefusal,
  type NodeStatus,
  type NodeUpdate,
  type StandingNote,
} from "../../protocol/sharing/node_messages.ts";
import { normalVirtualAddress, virtualAddressOf } from "../../protocol/sharing/virtual_address.ts";
import { BufferPool } from "../buffer_pool.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";
import type { WebsocketAnswer, WebsocketCall } from "../web_port.ts";
import { ConnectedNode, type NodeHost, type NodeSession } from "./connected_node.ts";
import type { LiveNodes } from "./live_nodes.ts";
import { type NodeIncident, NodeIncidents } from "./node_incidents.ts";
import { type Admission, MUX_TICK_MS, type NodeRefused, NodeTunnel, type TunnelHost } from "./node_tunnel.ts";

export interface NodeTunnelsOptions {
  /** The orchestrator's own. */
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly pool?: BufferPool;
  /** Whether a node, which has shown who it is, may come in. Rejects when that cannot be said at present. */
  admit(
    hello: Hello,
    from: { readonly address: string; readonly signal: AbortSignal },
  ): Promise<Admission | NodeRefused>;
  /** What a node has earned. */
  earnings?(nodeId: string, ownerId: string): Promise<EarningsFigures>;
  onUp?(node: ConnectedNode): void;
  /** How a node says it is doing. */
  onStatus?(node: ConnectedNode, status: NodeStatus): void;
  /** What a node says of itself has changed; a few times in a row, and then once in 5 s at most. */
  onUpdate?(node: ConnectedNode, update: NodeUpdate): void;
  /** Its last tunnel has gone. */
  onGone?(session: NodeSession, reason: string): void;
  /** A node or a stranger was turned away for what it did; a few in a minute of each kind and address. */
  onIncident?(incident: NodeIncident): void;
  /** This end in trails. Default "orchestrator". */
  readonly place?: string;
  /** Default 20 s. */
  readonly heartbeatMs?: number;
  /** Between challenges, on average. Default 10 min. */
  readonly livenessMs?: number;
  /** From the handshake to the welcome. Default 10 s. */
  readonly greetingMs?: number;
  /** Default 4. */
  readonly maxTunnels?: number;
  /** Of one tunnel. Default 1,024. */
  readonly maxStreams?: number;
  /** Default 50,000 tunnels in all. */
  readonly maxNodeTunnels?: number;
  readonly authLimits?: AuthLimitOptions;
  readonly mux?: Omit<MuxOptions, "role" | "extensions">;
}

/** What nodes leave unread is bounded for each, and what their windows may grow by for all. */
const SESSION_BUFFER_BYTES = 16 * 1024 * 1024;
const WINDOW_BUDGET_BYTES = 512 * 1024 * 1024;
const POOLED_BLOCKS = 256;
const DRAIN_LOOK_MS = 50;
const RETRY_AFTER_SHUTDOWN_MS = 2000;
/** A node may ask for its earnings so often, and have what it says of itself written down. */
const ASKING_RATE = { perSecond: 0.2, burst: 5 };
const HOUR_MS = 3_600_000;

export class NodeTunnels implements LiveNodes, Disposable {
  readonly #options: NodeTunnelsOptions;
  readonly #host: TunnelHost;
  readonly #nodeHost: NodeHost;
  readonly #tunnels = new Set<NodeTunnel>();
  readonly #nodes = new Map<string, ConnectedNode>();
  readonly #byAddress = new Map<string, ConnectedNode>();
  readonly #greetings: Deadlines<NodeTunnel>;
  readonly #beats: Deadlines<NodeTunnel>;
  readonly #ticks: Deadlines<() => void>;
  readonly #limits: AuthLimits;
  readonly #earningsAsked: BurstTable;
  readonly #updated: BurstTable;
  readonly #incidents: NodeIncidents;
  readonly #metrics;
  #state: "open" | "draining" | "closed" = "open";
  #hellos = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: NodeTunnelsOptions) {
    this.#options = options;
    const { clock, random, metrics, heartbeatMs = 20_000, greetingMs = 10_000 } = options;
    this.#limits = new AuthLimits(random, options.authLimits);
    this.#earningsAsked = new BurstTable(random, ASKING_RATE);
    this.#updated = new BurstTable(random, ASKING_RATE);
    this.#incidents = new NodeIncidents(random, (incident) => options.onIncident?.(incident));
    this.#greetings = new Deadlines(clock, greetingMs, (tunnel) => {
      tunnel.refuse({ code: "timeout", reason: "No hello in time" });
    });
    this.#beats = new Deadlines(clock, heartbeatMs, (tunnel) => this.#beat(tunnel));
    this.#ticks = new Deadlines(clock, MUX_TICK_MS, (tick) => tick());
    this.#metrics = {
      nodes: metrics.gauge("sharing_nodes_connected", "Nodes that are connected"),
      tunnels: metrics.gauge("sharing_node_tunnels", "Tunnels of nodes that are up"),
      refused: metrics.counter("sharing_node_refusals_total", "Tunnels refused or ended by us, by reason", ["reason"]),
    };
    this.#host = this.#makeHost(heartbeatMs);
    const { place = "orchestrator" } = options;
    this.#nodeHost = {
      takesStreams: () => this.#state === "open",
      hop: (rttMs) => ({ name: "orchestrator", at: place, ...(rttMs !== undefined && { rttMs }) }),
    };
  }

  // Nodes.

  get(nodeId: string): ConnectedNode | undefined {
    return this.#nodes.get(nodeId);
  }

  byAddress(virtualAddress: string): ConnectedNode | undefined {
    const normal = normalVirtualAddress(virtualAddress);
    return normal === undefined ? undefined : this.#byAddress.get(normal);
  }

  all(): IterableIterator<ConnectedNode> {
    return this.#nodes.values();
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** It may come back, unless `code` says otherwise and whoever admits nodes agrees. */
  disconnect(nodeId: string, reason: string, code: NodeRefusal = "draining"): void {
    const node = this.#nodes.get(nodeId);
    if (!node) return;
    const retryAfterMs = code === "banned" || code === "suspended" ? HOUR_MS : 10_000;
    for (const tunnel of [...node.all()]) tunnel.refuse({ code, reason, retryAfterMs });
  }

  notify(nodeId: string, text: string, standing?: StandingNote): void {
    const message = { type: "notice" as const, text, ...(standing && { standing }) };
    this.#nodes.get(nodeId)?.all()[0]?.send(message);
  }

  // Sockets.

  /** For a WebPort: takes what comes to `/v1/node`. */
  onWebsocket({ path, remoteAddress }: Pick<WebsocketCall, "path" | "remoteAddress">): WebsocketAnswer {
    if (path !== NODE_PATH) return { status: 404 };
    if (this.#state !== "open") return { status: 503 };
    const { clock, maxNodeTunnels = 50_000 } = this.#options;
    const address = parseIp(remoteAddress);
    if (address && this.#limits.takeAddress(address, clock.now()) > 0) return { status: 429 };
    if (this.#tunnels.size >= maxNodeTunnels) return { status: 503 };
    return {
      take: (stream, first, settled) => {
        const serial = ++this.#hellos;
        const tunnel = new NodeTunnel(stream, this.#host, { first, remoteAddress, serial, settled });
        this.#tunnels.add(tunnel);
        this.#greetings.add(tunnel);
        tunnel.begin();
        if (this.#state === "closed") tunnel.close();
      },
    };
  }

  /** Tells every node to go elsewhere or come back, and settles when their streams have ended or the signal is aborted. */
  async drain(signal: AbortSignal, retryAfterMs = RETRY_AFTER_SHUTDOWN_MS): Promise<void> {
    if (this.#state === "open") this.#state = "draining";
    for (const node of this.#nodes.values()) {
      for (const tunnel of node.all()) tunnel.send({ type: "drain", reason: "shutting down", retryAfterMs });
    }
    const isBusy = () => [...this.#nodes.values()].some(({ streams }) => streams > 0);
    while (isBusy() && !signal.aborted) await delay(this.#options.clock, DRAIN_LOOK_MS, signal).catch(() => {});
  }

  /** Ends every tunnel, and says so. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const tunnel of [...this.#tunnels]) {
      // Not all in the same instant.
      const retryAfterMs = Math.round(RETRY_AFTER_SHUTDOWN_MS * (0.5 + this.#options.random.next()));
      tunnel.refuse({ code: "shutdown", reason: "The orchestrator is shutting down", retryAfterMs });
    }
    this.#greetings[Symbol.dispose]();
    this.#beats[Symbol.dispose]();
    this.#ticks[Symbol.dispose]();
  }

  /** Settles when no socket is left. Call `close` first. */
  closed(): Promise<void> {
    if (this.#tunnels.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty = resolve);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #makeHost(heartbeatMs: number): TunnelHost {
    const { identity, primitives, clock, random, pool = new BufferPool(), maxTunnels = 4, maxStreams = 1024 } =
      this.#options;
    return {
      identity,
      primitives,
      clock,
      muxClock: { now: clock.now.bind(clock), wallNow: clock.wallNow.bind(clock), ...sharedWait(this.#ticks) },
      random,
      pool,
      heartbeatMs,
      livenessMs: this.#options.livenessMs ?? 600_000,
      limits: { maxTunnels, maxStreams },
      mux: {
        sessionBufferBytes: SESSION_BUFFER_BYTES,
        windowBudget: new WindowBudget(WINDOW_BUDGET_BYTES),
        blockPool: new BlockPool(POOLED_BLOCKS),
        ...this.#options.mux,
      },
      allowNode: (nodeId) => this.#limits.takePeer(nodeId, clock.now()),
      admit: (hello, from) => this.#admit(hello, from),
      join: (tunnel, hello, admission) => this.#join(tunnel, hello, admission),
      onUp: (tunnel) => this.#onUp(tunnel),
      onMessage: (tunnel, message) => this.#receive(tunnel, message),
      onPong: (tunnel, { status }) => {
        const node = this.#nodeOf(tunnel);
        if (!node || !status) return;
        node.status = status;
        this.#options.onStatus?.(node, status);
      },
      onRefused: (tunnel, refused) => this.#tell(tunnel, refused),
      onLeft: (tunnel) => this.#leave(tunnel),
      onEnd: (tunnel) => this.#forget(tunnel),
    };
  }

  async #admit(
    hello: Hello,
    { address, signal }: { readonly address: string; readonly signal: AbortSignal },
  ): Promise<Admission | NodeRefused> {
    using limit = deadline(this.#options.clock, this.#options.greetingMs ?? 10_000, "admit a node", signal);
    try {
      return await this.#options.admit(hello, { address, signal: limit.signal });
    } catch (error) {
      this.#options.log.warn("Cannot say whether a node may come in", { node: hello.nodeId, error: messageOf(error) });
      throw error;
    }
  }

  /** Nothing may be awaited in here: what was looked at must still be so when it is acted upon. */
  #join(tunnel: NodeTunnel, hello: Hello, admission: Admission): ConnectedNode | NodeRefused {
    const { maxTunnels } = this.#host.limits;
    if (this.#state !== "open") {
      return { code: "draining", reason: "Going down", retryAfterMs: RETRY_AFTER_SHUTDOWN_MS };
    }
    if (hello.tunnel.index >= maxTunnels) {
      return { code: "too_many_tunnels", reason: `A node may have ${maxTunnels}` };
    }
    const virtualAddress = virtualAddressOf(hello.nodeId)!;
    const present = this.#nodes.get(hello.nodeId);
    const neighbour = this.#byAddress.get(virtualAddress);
    if (neighbour && neighbour !== present) return { code: "address_taken", reason: "Another node has its address" };
    if (present && present.runId !== hello.runId) {
      if (present.newestHello > tunnel.serial) return REPLACED;
      for (const older of [...present.all()]) older.refuse(REPLACED);
    }
    const node = this.#nodes.get(hello.nodeId) ?? this.#newNode(hello, admission, virtualAddress);
    const older = node.all().find(({ index }) => index === hello.tunnel.index);
    if (older && older.serial > tunnel.serial) return REPLACED;
    node.newestHello = Math.max(node.newestHello, tunnel.serial);
    node.add(tunnel)?.refuse(REPLACED);
    return node;
  }

  #newNode(hello: Hello, admission: Admission, virtualAddress: string): ConnectedNode {
    const { clock, random } = this.#options;
    const { ownerId, region, country, city } = admission;
    const { nodeId, runId, info, egress } = hello;
    const node = new ConnectedNode({
      sessionId: newNodeToken(random),
      runId,
      // Copied, as what a parser has made is larger.
      facts: { nodeId, ownerId, virtualAddress, region, country, city, info: { ...info }, egress: { ...egress } },
      connectedAtMs: clock.wallNow(),
      host: this.#nodeHost,
    });
    this.#nodes.set(nodeId, node);
    this.#byAddress.set(virtualAddress, node);
    this.#metrics.nodes.set(this.#nodes.size);
    return node;
  }

  #onUp(tunnel: NodeTunnel): void {
    this.#greetings.delete(tunnel);
    this.#beats.add(tunnel);
    this.#metrics.tunnels.add(1);
    const node = this.#nodeOf(tunnel)!;
    this.#options.log.debug("A node's tunnel is up", { node: node.nodeId, index: tunnel.index });
    if (node.tunnels === 1) this.#options.onUp?.(node);
  }

  #beat(tunnel: NodeTunnel): void {
    if (!this.#tunnels.has(tunnel)) return;
    this.#beats.add(tunnel);
    tunnel.beat();
  }

  #receive(tunnel: NodeTunnel, message: FromNode): void {
    const node = this.#nodeOf(tunnel);
    if (!node) return;
    switch (message.type) {
      case "pause":
        node.pausedFor = message.reason;
        return;
      case "resume":
        node.pausedFor = undefined;
        return;
      case "drain":
        return tunnel.drain();
      case "update": {
        const { info, egress } = message;
        node.facts = { ...node.facts, ...(info && { info }), ...(egress && { egress }) };
        if (this.#updated.take(node.nodeId, this.#options.clock.now()) > 0) return;
        return this.#options.onUpdate?.(node, message);
      }
      case "earnings.request":
        return void this.#tellEarnings(tunnel, node);
    }
  }

  async #tellEarnings(tunnel: NodeTunnel, { nodeId, ownerId }: ConnectedNode): Promise<void> {
    const { earnings, clock, log } = this.#options;
    const isAllowed = this.#earningsAsked.take(nodeId, clock.now()) === 0;
    try {
      const figures = isAllowed ? await earnings?.call(this.#options, nodeId, ownerId) : undefined;
      tunnel.send({ type: "earnings", ...(figures && { figures }) });
    } catch (error) {
      log.warn("Cannot tell a node its earnings", { node: nodeId, error: messageOf(error) });
      tunnel.send({ type: "earnings" });
    }
  }

  #tell({ remoteAddress: address, nodeId }: NodeTunnel, { code, reason }: NodeRefused): void {
    this.#metrics.refused.add(1, { reason: code });
    this.#incidents.tell({ code, reason, address, nodeId }, this.#options.clock.now());
  }

  /** It is a tunnel no more, though its socket may still be saying goodbye. */
  #leave(tunnel: NodeTunnel): void {
    this.#greetings.delete(tunnel);
    if (this.#beats.delete(tunnel)) this.#metrics.tunnels.add(-1);
    const node = this.#nodeOf(tunnel);
    if (node?.remove(tunnel)) this.#end(node, tunnel.endedBecause ?? "closed");
  }

  #forget(tunnel: NodeTunnel): void {
    this.#tunnels.delete(tunnel);
    if (this.#tunnels.size === 0) this.#onEmpty?.();
  }

  /** Only where it still has its place: another may have it by now. */
  #end(node: ConnectedNode, reason: string): void {
    if (this.#nodes.get(node.nodeId) === node) this.#nodes.delete(node.nodeId);
    if (this.#byAddress.get(node.virtualAddress) === node) this.#byAddress.delete(node.virtualAddress);
    this.#metrics.nodes.set(this.#nodes.size);
    node.end(reason);
    this.#options.onGone?.(node.session, reason);
  }

  /** The node whose tunnel it is, if it still is. */
  #nodeOf(tunnel: NodeTunnel): ConnectedNode | undefined {
    const node = tunnel.nodeId === undefined ? undefined : this.#nodes.get(tunnel.nodeId);
    return node?.all().includes(tunnel) ? node : undefined;
  }
}

const REPLACED: NodeRefused = { code: "replaced", reason: "A newer tunnel of the node has the place" };
