/**
 * A node's side of its tunnels: keeps one to four of them up to an orchestrator, hands on the streams that are opened on
 * them, and passes messages both ways.
 *
 *   LinkKeeper × tunnels → handshake → mux → onStream          pause · resume · update · earnings → every tunnel, or one
 *
 * The first tunnel goes first; the others follow once it is known how many a node may have. A lost tunnel comes back by
 * itself, no sooner than the orchestrator asked for. What it does not do: dial targets or limit anything (whoever has
 * `onStream` does), or keep anything on disk.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { makeAnswer, newNodeToken } from "../../protocol/sharing/node_auth.ts";
import {
  type Challenge,
  type EarningsFigures,
  type EgressSummary,
  FINAL_NODE_REFUSALS,
  type FromNode,
  type FromOrchestrator,
  MAX_NODE_TUNNELS,
  type NodeClaims,
  type NodeStatus,
  type NodeUpdate,
  type PauseReason,
  type Refused,
  type StandingNote,
  type Welcome,
} from "../../protocol/sharing/node_messages.ts";
import type { Consent, DeviceInfo } from "../../protocol/sharing/records.ts";
import { BufferPool } from "../buffer_pool.ts";
import { LinkKeeper } from "../link_keeper.ts";
import type { Link } from "../link.ts";
import type { MuxStream } from "../mux.ts";
import { type NodeHandshakeOptions, NodeRefusedError, type OpenedTunnel, openNodeTunnel } from "./node_handshake.ts";
import type { NodeLink } from "./node_link.ts";

/** What a node's owner may want to know of. */
export type NodeEvent =
  | { readonly kind: "welcome"; readonly tunnel: number; readonly welcome: Welcome; readonly orchestratorId: string }
  | { readonly kind: "lost"; readonly tunnel: number }
  /** When it is final, the client has stopped: something here has to change first. */
  | { readonly kind: "refused"; readonly refused: Refused; readonly isFinal: boolean }
  | { readonly kind: "notice"; readonly text: string; readonly standing: StandingNote | undefined }
  /** The orchestrator is going down; it ends the tunnels itself. */
  | { readonly kind: "drain"; readonly reason: string | undefined };

export interface NodeClientOptions extends Omit<NodeHandshakeOptions, "pool"> {
  /** The orchestrator's: ws, wss, http or https. Its path is `/v1/node` unless it has one. */
  readonly url: string;
  readonly consent: Consent;
  /** Whose node it is; needed the first time. */
  readonly code?: string | undefined;
  /** 1 to 4. Default 1. */
  readonly tunnels?: number;
  readonly info: DeviceInfo;
  readonly egress: EgressSummary;
  readonly claims?: NodeClaims;
  /** How the node is doing, asked with every heartbeat. */
  status(): NodeStatus;
  /** Is given the streams that the orchestrator opens, nothing read from them yet: `TunnelLinks.serveStream`. */
  onStream(stream: MuxStream): void;
  onEvent?(event: NodeEvent): void;
  readonly pool?: BufferPool;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of one tunnel. Default 1,024. */
  readonly maxStreams?: number;
}

const CONNECT_TIMEOUT_MS = 30_000;
/** An orchestrator that was restarted has its nodes again soon; a thousand tries a second from ten thousand of them cost little. */
const RETRY_CEILING_MS = 10_000;
/** Silence for so many heartbeats ends a tunnel. */
const SILENT_HEARTBEATS = 3;
/** Where a refusal does not say how long to stay away. */
const STAY_AWAY_MS: Partial<Record<Refused["code"], number>> = {
  replaced: 60_000,
  banned: 3_600_000,
  suspended: 3_600_000,
};
/** Heartbeats show who lives; the mux itself is only to measure the round trip now and then. */
const MUX_QUIET = { keepAliveIntervalMs: 120_000, keepAliveTimeoutMs: 3_600_000 };
const DRAIN_LOOK_MS = 50;

export class NodeClient implements Disposable {
  readonly #options: NodeClientOptions;
  readonly #pool: BufferPool;
  readonly #runId: string;
  readonly #count: number;
  readonly #keepers: LinkKeeper[] = [];
  /** Those that are up, by index. */
  readonly #tunnels = new Map<number, Pick<OpenedTunnel, "link" | "welcome">>();
  #details: Pick<NodeClientOptions, "info" | "egress" | "claims">;
  #welcome: Welcome | undefined;
  #orchestratorId: string | undefined;
  #refusal: Refused | undefined;
  #paused: { readonly reason: PauseReason; readonly untilMs?: number } | undefined;
  #isDraining = false;
  #isClosed = false;
  #notBeforeMs = 0;
  #watch: Timer | undefined;
  #watchMs = 0;
  #earnings: PromiseWithResolvers<EarningsFigures> | undefined;
  #whenUp = Promise.withResolvers<void>();

  /** Begins to connect. */
  constructor(options: NodeClientOptions) {
    const { tunnels = 1, info, egress, claims } = options;
    if (!Number.isInteger(tunnels) || tunnels < 1 || tunnels > MAX_NODE_TUNNELS) {
      throw new CulvertError(
        "bad_option",
        `Cannot run a node: tunnels must be 1 to ${MAX_NODE_TUNNELS}, got ${tunnels}`,
      );
    }
    this.#options = options;
    this.#count = tunnels;
    this.#pool = options.pool ?? new BufferPool();
    this.#runId = newNodeToken(options.random);
    this.#details = { info, egress, ...(claims && { claims }) };
    this.#whenUp.promise.catch(() => {}); // nobody need wait for it
    this.#keep(0);
  }

  /** What the orchestrator said last when it let a tunnel in. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** Once a tunnel has been up: who the orchestrator has shown itself to be. To be kept, and given the next time. */
  get orchestratorId(): string | undefined {
    return this.#orchestratorId;
  }

  /** Why the client has stopped for good. */
  get refusal(): Refused | undefined {
    return this.#refusal;
  }

  /** Tunnels that are up. */
  get tunnels(): number {
    return this.#tunnels.size;
  }

  get streams(): number {
    return this.#keepers.reduce((sum, { connection }) => sum + (connection?.streamCount ?? 0), 0);
  }

  get pausedFor(): PauseReason | undefined {
    return this.#paused?.reason;
  }

  /** Settles when a tunnel is up. Rejects when the orchestrator has refused for good, or the client was closed. */
  ready(signal?: AbortSignal): Promise<void> {
    return this.#tunnels.size > 0 ? Promise.resolve() : orAborted(this.#whenUp.promise, signal);
  }

  /** Asks for no new streams; those that are open go on. */
  pause(reason: PauseReason, untilMs?: number): void {
    this.#paused = { reason, ...(untilMs !== undefined && { untilMs }) };
    this.#tell({ type: "pause", ...this.#paused });
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = undefined;
    this.#tell({ type: "resume" });
  }

  /** What was said of the node has changed. */
  update(update: NodeUpdate): void {
    const { info, egress, claims } = update;
    this.#details = { ...this.#details, ...(info && { info }), ...(egress && { egress }), ...(claims && { claims }) };
    this.#tell({ type: "update", ...update });
  }

  /** Asks the orchestrator's ledger. Rejects with a DialError when it cannot be asked, or does not say. */
  earnings(signal?: AbortSignal): Promise<EarningsFigures> {
    const [tunnel] = this.#tunnels.values();
    if (!tunnel) return Promise.reject(new DialError("path_down", "Cannot ask for earnings: no tunnel is up"));
    if (!this.#earnings) {
      this.#earnings = Promise.withResolvers();
      this.#earnings.promise.catch(() => {}); // who asked may have been aborted
      tunnel.link.send({ type: "earnings.request" });
    }
    return orAborted(this.#earnings.promise, signal);
  }

  /** Asks for no new streams, waits until the last has ended or the signal is aborted, and closes. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    this.#tell({ type: "drain" });
    const { clock } = this.#options;
    while (this.streams > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => clock.after(DRAIN_LOOK_MS, resolve));
    }
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.cancel();
    for (const keeper of this.#keepers) keeper.close();
    const over = new DialError("path_down", this.#refusal ? `Refused: ${this.#refusal.code}` : "The node is closed");
    this.#whenUp.reject(over);
    this.#earnings?.reject(over);
  }

  /** Settles when nothing of it is left. Call `close` or `drain` first. */
  async closed(): Promise<void> {
    await Promise.all(this.#keepers.map((keeper) => keeper.done));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #keep(index: number): void {
    const { url, clock, random, log, metrics, onStream, maxStreams = 1024 } = this.#options;
    this.#keepers.push(
      new LinkKeeper({
        connect: (signal) => this.#connect(index, signal),
        farEnd: url,
        clock,
        random,
        log,
        metrics,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        retryFloorMs: () => this.#notBeforeMs - clock.now(),
        backoff: { maxMs: RETRY_CEILING_MS },
        onStream: (stream) => onStream.call(this.#options, stream),
        mux: { ...MUX_QUIET, maxStreams },
      }),
    );
  }

  async #connect(index: number, signal: AbortSignal): Promise<Link> {
    const { code, consent } = this.#options;
    const details = {
      ...this.#details,
      runId: this.#runId,
      tunnel: { index, count: this.#count },
      consent,
      ...(code !== undefined && { code }),
    };
    const events = {
      onMessage: (link: NodeLink<FromOrchestrator>, message: FromOrchestrator) => this.#receive(index, link, message),
      onEnd: (link: NodeLink<FromOrchestrator>) => this.#lost(index, link),
    };
    try {
      const expected = this.#options.orchestratorId ?? this.#orchestratorId;
      const options = { ...this.#options, orchestratorId: expected, pool: this.#pool };
      const { link, welcome, orchestratorId } = await openNodeTunnel(options, details, { events, signal });
      this.#orchestratorId = orchestratorId;
      if (link.isOver) throw new DialError("path_down", "The tunnel was lost at once");
      this.#up(index, link, welcome);
      return link;
    } catch (error) {
      if (error instanceof NodeRefusedError) this.#refused(index, error.refused);
      throw error;
    }
  }

  #up(index: number, link: NodeLink<FromOrchestrator>, welcome: Welcome): void {
    this.#tunnels.set(index, { link, welcome });
    this.#welcome = welcome;
    if (this.#paused) link.send({ type: "pause", ...this.#paused });
    if (this.#isDraining) link.send({ type: "drain" });
    this.#whenUp.resolve();
    if (welcome.heartbeatMs !== this.#watchMs) this.#watchFor(welcome.heartbeatMs);
    const wanted = Math.min(this.#count, welcome.limits.maxTunnels);
    while (this.#keepers.length < wanted && !this.#isClosed) this.#keep(this.#keepers.length);
    this.#event({ kind: "welcome", tunnel: index, welcome, orchestratorId: this.#orchestratorId! });
  }

  #lost(index: number, link: NodeLink<FromOrchestrator>): void {
    if (this.#tunnels.get(index)?.link !== link) return;
    this.#tunnels.delete(index);
    if (this.#tunnels.size === 0 && !this.#isClosed) {
      this.#whenUp = Promise.withResolvers();
      this.#whenUp.promise.catch(() => {});
    }
    this.#earnings?.reject(new DialError("path_down", "The tunnel was lost"));
    this.#earnings = undefined;
    this.#event({ kind: "lost", tunnel: index });
  }

  #receive(index: number, link: NodeLink<FromOrchestrator>, message: FromOrchestrator): void {
    switch (message.type) {
      case "ping":
        return link.send({ type: "pong", sequence: message.sequence, status: this.#options.status() });
      case "challenge":
        return this.#answer(index, message);
      case "refused":
        this.#refused(index, message);
        return link.close();
      case "drain":
        this.#stayAway(message.retryAfterMs ?? 0);
        return this.#event({ kind: "drain", reason: message.reason });
      case "notice":
        return this.#event({ kind: "notice", text: message.text, standing: message.standing });
      case "earnings":
        return this.#receiveEarnings(message.figures);
      case "welcome":
        this.#options.log.warn("The orchestrator broke the protocol: a second welcome", { tunnel: index });
        return link.close();
      case "pong":
        return;
    }
  }

  #answer(index: number, challenge: Challenge): void {
    const tunnel = this.#tunnels.get(index);
    if (!tunnel) return;
    // One in another's name would be answered with a word that is good elsewhere.
    if (challenge.orchestratorId !== this.#orchestratorId) return tunnel.link.close();
    tunnel.link.send(makeAnswer(this.#options.identity, challenge, tunnel.welcome.sessionId));
  }

  #receiveEarnings(figures: EarningsFigures | undefined): void {
    if (figures) this.#earnings?.resolve(figures);
    else this.#earnings?.reject(new DialError("busy", "The orchestrator cannot say what was earned at present"));
    this.#earnings = undefined;
  }

  #refused(index: number, refused: Refused): void {
    const isFinal = FINAL_NODE_REFUSALS.has(refused.code);
    if (refused.code === "too_many_tunnels") this.#keepers[index]?.close();
    this.#stayAway(refused.retryAfterMs ?? STAY_AWAY_MS[refused.code] ?? 0);
    if (isFinal) {
      this.#refusal = refused;
      this.close();
    }
    this.#event({ kind: "refused", refused, isFinal });
  }

  #stayAway(forMs: number): void {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#options.clock.now() + forMs);
  }

  /** Gives tunnels up on which nothing at all has come for too long. */
  #watchFor(heartbeatMs: number): void {
    const { clock, log } = this.#options;
    this.#watch?.cancel();
    this.#watchMs = heartbeatMs;
    this.#watch = clock.after(heartbeatMs, () => {
      const silentSinceMs = clock.now() - SILENT_HEARTBEATS * heartbeatMs;
      for (const [tunnel, { link }] of this.#tunnels) {
        if (link.heardMs > silentSinceMs) continue;
        log.warn("The orchestrator has fallen silent", { tunnel });
        link.close();
      }
      this.#watchFor(heartbeatMs);
    });
  }

  #tell(message: FromNode): void {
    for (const { link } of this.#tunnels.values()) link.send(message);
  }

  #event(event: NodeEvent): void {
    this.#options.onEvent?.call(this.#options, event);
  }
}
