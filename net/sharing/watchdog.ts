/**
 * Probes the data path of every node that is connected, now and then: an HTTP request through the node to the
 * orchestrator's own `/probe` (`protocol/sharing/probe_ticket.ts`).
 *
 *   due ─▶ node.path ─▶ (TLS) ─▶ GET /probe/<ticket>?bytes=n ─▶ proof and address, n bytes ─▶ onProbe
 *
 * The time to the answer's head is the latency a client's first byte has; now and then the answer is large, which gives the
 * throughput. An answer without the right proof was not given by whom the node was asked to reach. What follows from it all
 * is for `protocol/sharing/standing.ts`.
 *
 * When no probe at all has come through for an hour the fault is taken to be ours, such as a wrong URL, and nothing is
 * reported of anyone; and nobody is called a liar where no other node has got a right answer.
 */

import { type Dispatcher, request } from "undici";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { type DialFailure, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import {
  PROBE_ADDRESS_HEADER,
  PROBE_PATH,
  PROBE_PROOF_HEADER,
  type ProbeTickets,
} from "../../protocol/sharing/probe_ticket.ts";
import type { ProbeOutcome } from "../../protocol/sharing/quality.ts";
import { openPathAgent } from "../path_agent.ts";
import type { LiveNode, LiveNodes } from "./live_nodes.ts";

export interface NodeProbe {
  readonly outcome: ProbeOutcome;
  /** Where the node's traffic comes out, proven. */
  readonly exitAddress?: string;
  /** What it was caught with, as the end of a sentence that begins with "The node". */
  readonly lie?: string;
  /** Why there was no answer. */
  readonly failure?: DialFailure;
}

export interface WatchdogOptions {
  readonly nodes: LiveNodes;
  /** The orchestrator as nodes reach it: an http(s) URL without a path. */
  url(): URL;
  readonly caCerts?: readonly string[] | undefined;
  readonly tickets: ProbeTickets;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  onProbe(node: LiveNode, probe: NodeProbe): void;
  /** Is probed more often: there is more to find out. */
  isNewcomer(nodeId: string): boolean;
  /** Default 60 s, give or take a quarter. */
  readonly everyMs?: number;
  /** Default 15 s. */
  readonly newcomerEveryMs?: number;
  /** Default 10 s. */
  readonly timeoutMs?: number;
  /** Under way at once. Default 16; the others wait their turn, those that are overdue for longest first. */
  readonly maxAtOnce?: number;
  /** The large answer, of which every tenth probe is one. Default 256 KiB. */
  readonly largeBytes?: number;
}

/** How often is looked for nodes that are due. */
const LOOK_MS = 1000;
const LARGE_EVERY = 10;
const LATENCY_BUCKETS_S = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** How long a right answer shows that right answers can be had. */
const PROVEN_MS = 3_600_000;

interface Schedule {
  dueMs: number;
  probes: number;
  isRunning: boolean;
  /** When it got its last right answer. */
  provenAtMs: number;
}

export class Watchdog implements AsyncDisposable {
  readonly #options: WatchdogOptions;
  readonly #schedules = new Map<string, Schedule>();
  readonly #running = new Set<Promise<void>>();
  /** Since the last look, and not begun. */
  #due: { readonly node: LiveNode; readonly schedule: Schedule }[] = [];
  readonly #stop = new AbortController();
  readonly #metrics;
  #timer: Timer;

  /** Begins to watch. */
  constructor(options: WatchdogOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    this.#metrics = {
      probes: metrics.counter("node_probes_total", "Probes of nodes by what came of them", ["result"]),
      latency: metrics.histogram("node_probe_latency_seconds", "From asking to the answer's head", LATENCY_BUCKETS_S),
    };
    this.#timer = clock.after(LOOK_MS, this.#look);
  }

  /** Probes one now and gives what came of it. */
  async probe(node: LiveNode, bytes = 0): Promise<NodeProbe> {
    const result = await this.#ask(node, bytes);
    const { outcome: { latencyMs }, lie, failure } = result;
    this.#metrics.probes.add(1, { result: lie !== undefined ? "lie" : failure ?? "ok" });
    if (latencyMs !== undefined) this.#metrics.latency.observe(latencyMs / 1000);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#timer.cancel();
    await Promise.all(this.#running);
  }

  readonly #look = (): void => {
    const { nodes, clock } = this.#options;
    this.#timer = clock.after(LOOK_MS, this.#look);
    for (const nodeId of this.#schedules.keys()) if (!nodes.get(nodeId)) this.#schedules.delete(nodeId);
    const due: { readonly node: LiveNode; readonly schedule: Schedule }[] = [];
    for (const node of nodes.all()) {
      const schedule = this.#scheduleOf(node);
      if (node.isOpen && !schedule.isRunning && schedule.dueMs <= clock.now()) due.push({ node, schedule });
    }
    // The one that has waited for longest is the last, to be taken first.
    this.#due = due.sort((one, other) => other.schedule.dueMs - one.schedule.dueMs);
    this.#beginSome();
  };

  #beginSome(): void {
    const { maxAtOnce = 16 } = this.#options;
    while (this.#running.size < maxAtOnce && !this.#stop.signal.aborted) {
      const next = this.#due.pop();
      if (!next) return;
      if (!next.node.isOpen) continue;
      const task = this.#run(next.node, next.schedule);
      this.#running.add(task);
      task.finally(() => {
        this.#running.delete(task);
        this.#beginSome();
      });
    }
  }

  #scheduleOf(node: LiveNode): Schedule {
    const known = this.#schedules.get(node.nodeId);
    if (known) return known;
    // The first soon, though not all at once after a restart.
    const dueMs = this.#options.clock.now() + this.#options.random.next() * this.#gapMs(node) / 4;
    const schedule = { dueMs, probes: 0, isRunning: false, provenAtMs: -Infinity };
    this.#schedules.set(node.nodeId, schedule);
    return schedule;
  }

  #gapMs(node: LiveNode): number {
    const { everyMs = 60_000, newcomerEveryMs = 15_000, isNewcomer, random } = this.#options;
    return (isNewcomer(node.nodeId) ? newcomerEveryMs : everyMs) * (0.75 + random.next() / 2);
  }

  async #run(node: LiveNode, schedule: Schedule): Promise<void> {
    const { clock, log, onProbe, largeBytes = 256 * 1024 } = this.#options;
    schedule.isRunning = true;
    try {
      const result = await this.probe(node, schedule.probes++ % LARGE_EVERY === 1 ? largeBytes : 0);
      if (result.outcome.latencyMs !== undefined) schedule.provenAtMs = clock.now();
      if (this.#isTelling(node, result)) onProbe(node, result);
    } catch (error) {
      log.error("A probe could not be counted", { peer_id: node.nodeId, error: messageOf(error) });
    } finally {
      schedule.isRunning = false;
      schedule.dueMs = clock.now() + this.#gapMs(node);
    }
  }

  /** Why nothing is reported of nodes: undefined when it is, or when there is nobody to ask. */
  get problem(): string | undefined {
    const schedules = [...this.#schedules.values()];
    if (schedules.length === 0 || schedules.every(({ probes }) => probes < 3) || this.#isProven()) return undefined;
    return `No node gets a right answer from ${this.#options.url().origin}: is that this orchestrator, at a port that nodes open?`;
  }

  #isTelling(node: LiveNode, { failure, lie }: NodeProbe): boolean {
    if (this.#stop.signal.aborted) return false;
    if (lie !== undefined) return this.#isProven(node.nodeId);
    // What a node's owner closes is for the owner to say.
    return failure === undefined || failure !== "denied" && !node.gone.aborted && this.#isProven();
  }

  /** Whether some node, or one other than that, has got a right answer of late. */
  #isProven(otherThan?: string): boolean {
    const sinceMs = this.#options.clock.now() - PROVEN_MS;
    for (const [nodeId, { provenAtMs }] of this.#schedules) {
      if (nodeId !== otherThan && provenAtMs > sinceMs) return true;
    }
    return false;
  }

  async #ask(node: LiveNode, bytes: number): Promise<NodeProbe> {
    const { url, caCerts, tickets, clock, random, timeoutMs = 10_000 } = this.#options;
    const ticket = tickets.issue(clock.wallNow() + timeoutMs, random);
    using limit = deadline(clock, timeoutMs, "probe", this.#stop.signal);
    const agent = openPathAgent({ path: node.path, clock, caCerts, connectTimeoutMs: timeoutMs });
    try {
      const startMs = clock.now();
      const address = new URL(`${PROBE_PATH}/${ticket}?bytes=${bytes}`, url());
      const answer = await request(address, { dispatcher: agent, signal: limit.signal });
      const latencyMs = clock.now() - startMs;
      const received = await drain(answer, bytes);
      const { proof, exitAddress } = readHeaders(answer);
      if (proof === undefined || !tickets.isProof(proof, ticket, exitAddress ?? "", bytes) || received !== bytes) {
        // A server that is busy or in trouble says so without a proof, and is no fault of the node's.
        if (answer.statusCode >= 400) return { outcome: {}, failure: "failed" };
        return {
          outcome: {},
          lie: "passed a probe to another place than it was asked to, or something on its way did",
        };
      }
      const tookMs = clock.now() - startMs - latencyMs;
      const throughputMbps = bytes > 0 && tookMs > 0 ? bytes * 8 / tookMs / 1000 : undefined;
      const outcome = { latencyMs, ...throughputMbps !== undefined && { throughputMbps } };
      return { outcome, ...exitAddress !== undefined && { exitAddress } };
    } catch (error) {
      return { outcome: {}, failure: dialFailureOf(limit.signal.aborted ? limit.signal.reason : error) };
    } finally {
      await agent.destroy();
    }
  }
}

function readHeaders({ headers }: Dispatcher.ResponseData): { readonly proof?: string; readonly exitAddress?: string } {
  const [proof, exitAddress] = [headers[PROBE_PROOF_HEADER], headers[PROBE_ADDRESS_HEADER]];
  return {
    ...typeof proof === "string" && { proof },
    ...typeof exitAddress === "string" && { exitAddress },
  };
}

/** Reads the body, though not much more of it than was asked for. */
async function drain({ body }: Dispatcher.ResponseData, mostBytes: number): Promise<number> {
  let received = 0;
  for await (const chunk of body) {
    received += (chunk as Uint8Array).length;
    if (received > mostBytes) break;
  }
  return received;
}
