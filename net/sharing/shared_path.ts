/**
 * What a node's owner shares of a Path: nothing while it is closed, and no byte that the gate has not let through.
 *
 *   tunnel ─▶ dial: open? ─▶ onward.dial ─▶ metered stream: write = gate.take ─▶ target        counted as up
 *                                                            read  = target ─▶ gate.take       counted as down
 *
 * A byte counts when it passes between the tunnel and the target, once, whichever way it goes. What a target has sent and the
 * gate does not let through is thrown away, and the stream is cut as one that failed. Closing refuses new streams with `busy`,
 * which makes an orchestrator try another node; `cut` ends those that are open.
 *
 * Counts are by port, as an owner may see them. Which hosts these were is told nowhere.
 */

import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Counter, Gauge, Metrics } from "../../protocol/metrics.ts";
import type { Datagrams, DialOptions, Path, Received, Stream, Target } from "../../protocol/stream.ts";
import { closeQuietly } from "../close.ts";

/** Lets bytes through. */
export interface ByteGate {
  /** What it would let through at most. */
  readonly leftBytes: number;
  /** Lets so many through: true, or true in a moment; false when there is no leave for them. */
  take(bytes: number): boolean | Promise<boolean>;
  /** So many were let through and have not passed after all. */
  give(bytes: number): void;
}

export interface SharedPathOptions {
  readonly onward: Path;
  readonly gate: ByteGate;
  readonly metrics: Metrics;
}

/** What has passed since the beginning. */
export interface SharedTraffic {
  readonly upBytes: number;
  readonly downBytes: number;
  /** Opened, by what they were for. */
  readonly opened: Readonly<Record<TrafficKind, number>>;
}

/** What is asked of the gate at once; no gate may cover less. */
export const MAX_PIECE_BYTES = 128 * 1024;

export const trafficKinds = ["https", "http", "other", "udp"] as const;
export type TrafficKind = (typeof trafficKinds)[number];

const HTTPS_PORTS: readonly number[] = [443, 8443];
const HTTP_PORTS: readonly number[] = [80, 8080];

export function kindOf(port: number): TrafficKind {
  return HTTPS_PORTS.includes(port) ? "https" : HTTP_PORTS.includes(port) ? "http" : "other";
}

export class SharedPath implements Path {
  readonly #options: SharedPathOptions;
  readonly #open = new Set<Stream | Datagrams>();
  readonly #counts: Counts;
  #closedBecause: string | undefined;

  constructor(options: SharedPathOptions) {
    this.#options = options;
    this.#counts = new Counts(options.metrics);
  }

  /** Why nothing new is taken; undefined: it is. */
  get closedBecause(): string | undefined {
    return this.#closedBecause;
  }

  set closedBecause(reason: string | undefined) {
    this.#closedBecause = reason;
  }

  get problem(): string | undefined {
    return this.#closedBecause ?? this.#options.onward.problem;
  }

  get traffic(): SharedTraffic {
    const { upBytes, downBytes, opened } = this.#counts;
    return { upBytes, downBytes, opened: { ...opened } };
  }

  get openStreams(): number {
    return this.#open.size;
  }

  async dial(target: Target, options?: DialOptions): Promise<Stream> {
    this.#assertOpen();
    const stream = await this.#options.onward.dial(target, options);
    return this.#adopt(stream, kindOf(target.port), (end) => new SharedStream(stream, this.#options.gate, end));
  }

  async datagrams(options?: DialOptions): Promise<Datagrams> {
    this.#assertOpen();
    const { onward, gate } = this.#options;
    if (!onward.datagrams) throw new DialError("unsupported", "This node shares no datagrams");
    const datagrams = await onward.datagrams(options);
    return this.#adopt(datagrams, "udp", (end) => new SharedDatagrams(datagrams, gate, end));
  }

  /** Ends all that is open. */
  cut(): void {
    for (const open of this.#open) closeQuietly(open);
  }

  close(): void {
    this.#closedBecause ??= "the node ends";
    this.cut();
    this.#options.onward.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #adopt<T extends Stream | Datagrams>(opened: T, kind: TrafficKind, share: (counting: Counting) => T): T {
    if (this.#closedBecause !== undefined) closeQuietly(opened);
    this.#assertOpen();
    this.#counts.opens(kind, 1);
    const counts = this.#counts;
    const shared = share({
      up: (bytes) => counts.up(bytes),
      down: (bytes) => counts.down(bytes),
      ended: () => {
        if (this.#open.delete(shared)) counts.opens(kind, -1);
      },
    });
    this.#open.add(shared);
    return shared;
  }

  #assertOpen(): void {
    if (this.#closedBecause !== undefined) {
      throw new DialError("busy", `The node does not share: ${this.#closedBecause}`);
    }
  }
}

/** Where a stream tells what becomes of it. */
interface Counting {
  up(bytes: number): void;
  down(bytes: number): void;
  ended(): void;
}

class Counts {
  upBytes = 0;
  downBytes = 0;
  readonly opened: Record<TrafficKind, number> = { https: 0, http: 0, other: 0, udp: 0 };
  readonly #bytes: Counter;
  readonly #openedTotal: Counter;
  readonly #open: Gauge;

  constructor(metrics: Metrics) {
    this.#bytes = metrics.counter("node_shared_bytes_total", "Bytes shared, by direction", ["direction"]);
    this.#openedTotal = metrics.counter("node_streams_total", "Streams shared, by kind", ["kind"]);
    this.#open = metrics.gauge("node_streams_open", "Streams shared now");
  }

  up(bytes: number): void {
    this.upBytes += bytes;
    this.#bytes.add(bytes, UP);
  }

  down(bytes: number): void {
    this.downBytes += bytes;
    this.#bytes.add(bytes, DOWN);
  }

  opens(kind: TrafficKind, change: 1 | -1): void {
    this.#open.add(change);
    if (change < 0) return;
    this.opened[kind]++;
    this.#openedTotal.add(1, { kind });
  }
}

const UP = { direction: "up" };
const DOWN = { direction: "down" };

class SharedStream implements Stream {
  readonly #inner: Stream;
  readonly #gate: ByteGate;
  readonly #counting: Counting;

  constructor(inner: Stream, gate: ByteGate, counting: Counting) {
    this.#inner = inner;
    this.#gate = gate;
    this.#counting = counting;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const count = await this.#inner.read(this.#allowed(into));
    if (!count) return count;
    await this.#take(count);
    this.#counting.down(count);
    return count;
  }

  async write(from: Uint8Array): Promise<number> {
    const piece = this.#allowed(from);
    await this.#take(piece.length);
    let count = 0;
    try {
      count = await this.#inner.write(piece);
    } finally {
      if (count < piece.length) this.#gate.give(piece.length - count);
    }
    this.#counting.up(count);
    return count;
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#counting.ended();
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #allowed(bytes: Uint8Array): Uint8Array {
    const { leftBytes } = this.#gate;
    if (leftBytes <= 0 && bytes.length > 0) throw spent();
    const most = Math.min(leftBytes, MAX_PIECE_BYTES);
    return most < bytes.length ? bytes.subarray(0, most) : bytes;
  }

  async #take(bytes: number): Promise<void> {
    const taken = this.#gate.take(bytes);
    if (taken === true || await taken) return;
    this.close();
    throw spent();
  }
}

/** Datagrams for which there is no leave are lost, as on a full line. */
class SharedDatagrams implements Datagrams {
  readonly #inner: Datagrams;
  readonly #gate: ByteGate;
  readonly #counting: Counting;

  constructor(inner: Datagrams, gate: ByteGate, counting: Counting) {
    this.#inner = inner;
    this.#gate = gate;
    this.#counting = counting;
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (!await this.#gate.take(datagram.length)) return;
    await this.#inner.send(datagram, to);
    this.#counting.up(datagram.length);
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    for (;;) {
      const received = await this.#inner.receive(into);
      if (!received) return null;
      if (!await this.#gate.take(received.length)) continue;
      this.#counting.down(received.length);
      return received;
    }
  }

  close(): void {
    this.#counting.ended();
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function spent(): CulvertError {
  return new CulvertError("spent", "The node's owner shares no more than that");
}
