/**
 * What is shared with one peer: one line, and everybody's hold on it.
 *
 *   relayed line ─ the peer calls back, or a direct way is tried now and then ─▶ direct line: new streams go there, and the
 *                                                                                 other ends with its last stream
 *
 * Nobody's, and without streams for a while, it is closed. When its line is lost it has ended for all; whoever connects again
 * gets another.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { deadline, delay, type Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { PeerConnection, PeerWay } from "./peer_connection.ts";
import type { PeerParts } from "./peer_parts.ts";
import type { PeerLine, Way } from "./peer_ways.ts";
import { raceWays } from "./race_ways.ts";

export interface SharedLineOptions extends Pick<PeerParts, "clock" | "random" | "log"> {
  readonly peerId: string;
  readonly line: PeerLine;
  /** The direct ways there are by now. */
  directWays(): readonly Way[];
  /** A direct line has taken the place of a relayed one. */
  onDirect?(line: PeerLine): void;
  /** How long one that nobody uses is kept. */
  readonly idleMs: number;
  /** For one attempt at a direct way. */
  readonly connectTimeoutMs: number;
}

/** The first wait before a direct way is tried again, and the longest. */
const FIRST_DIRECT_MS = 5_000;
const LAST_DIRECT_MS = 120_000;
/** How often a line that was left is looked at, so that it goes with its last stream. */
const RETIRE_LOOK_MS = 500;

export class SharedLine {
  readonly peerId: string;
  readonly #options: SharedLineOptions;
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #retired = new Set<PeerLine>();
  #line: PeerLine;
  #holds = 0;
  #idle: Timer | undefined;

  constructor(options: SharedLineOptions) {
    this.#options = options;
    this.peerId = options.peerId;
    this.#line = options.line;
    this.#spawn(this.#watch(options.line));
    if (options.line.way === "relayed") this.#spawn(this.#seekDirect());
    options.line.onCalled?.((line) => this.#replace(line));
    this.#countIdle();
  }

  get line(): PeerLine {
    return this.#line;
  }

  get isClosed(): boolean {
    return this.#stop.signal.aborted || this.#line.connection.closed;
  }

  /** Settles when it has ended, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** One more user. */
  hold(): PeerConnection {
    this.#holds++;
    this.#idle?.cancel();
    return new HeldLine(this, () => {
      if (--this.#holds === 0) this.#countIdle();
    });
  }

  open(): Stream {
    try {
      return this.#line.connection.open();
    } catch (error) {
      if (error instanceof DialError) throw error;
      throw new DialError("path_down", `The connection to the peer is lost: ${messageOf(error)}`, { cause: error });
    }
  }

  close(): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(new CulvertError("closed", "The connection was closed"));
    this.#idle?.cancel();
    for (const line of [this.#line, ...this.#retired]) line.close();
    this.#ended.resolve();
  }

  /** Settles when nothing of it runs any more. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #watch(line: PeerLine): Promise<void> {
    await line.connection.ended;
    this.#retired.delete(line);
    if (line === this.#line) this.close();
  }

  #countIdle(): void {
    const { clock, idleMs } = this.#options;
    if (this.#holds > 0 || this.isClosed) return;
    this.#idle = clock.after(idleMs, () => {
      if (this.#line.connection.streamCount > 0) return this.#countIdle();
      if (this.#holds === 0) this.close();
    });
  }

  async #seekDirect(): Promise<void> {
    const { clock, random, log, connectTimeoutMs, directWays } = this.#options;
    const backoff = new Backoff(random, { baseMs: FIRST_DIRECT_MS, maxMs: LAST_DIRECT_MS });
    const { signal } = this.#stop;
    while (!signal.aborted && !this.#isDirect) {
      try {
        await delay(clock, FIRST_DIRECT_MS / 2 + backoff.nextMs(), signal);
        const ways = directWays();
        if (this.#isDirect || ways.length === 0 || this.#isUnused) continue;
        using limit = deadline(clock, connectTimeoutMs, "reach the peer directly", signal);
        const line = await raceWays(ways, { clock, headStartMs: 0, signal: limit.signal });
        return this.#replace(line);
      } catch (error) {
        if (!signal.aborted) log.debug("No direct way yet", { peer_id: this.peerId, error: messageOf(error) });
      }
    }
  }

  get #isDirect(): boolean {
    return this.#line.way === "direct";
  }

  get #isUnused(): boolean {
    return this.#holds === 0 && this.#line.connection.streamCount === 0;
  }

  #replace(line: PeerLine): void {
    if (this.isClosed || this.#isDirect) return line.close();
    const left = this.#line;
    this.#line = line;
    this.#spawn(this.#watch(line));
    this.#retired.add(left);
    this.#spawn(this.#retire(left));
    this.#options.onDirect?.(line);
  }

  async #retire(line: PeerLine): Promise<void> {
    const { clock } = this.#options;
    while (!line.connection.idle && !line.connection.closed) {
      await delay(clock, RETIRE_LOOK_MS, this.#stop.signal).catch(() => line.close());
    }
    line.close();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

/** One user's hold. */
class HeldLine implements PeerConnection {
  readonly #shared: SharedLine;
  readonly #release: () => void;
  readonly #ended = Promise.withResolvers<void>();
  #isReleased = false;

  constructor(shared: SharedLine, release: () => void) {
    this.#shared = shared;
    this.#release = release;
    shared.ended.then(() => this.#ended.resolve());
  }

  get peerId(): string {
    return this.#shared.peerId;
  }

  get way(): PeerWay {
    return this.#shared.line.way;
  }

  get via(): string {
    return this.#shared.line.via;
  }

  get rttMs(): number | undefined {
    return this.#shared.line.connection.rttMs;
  }

  get isClosed(): boolean {
    return this.#isReleased || this.#shared.isClosed;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  open(signal?: AbortSignal): Promise<Stream> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#isReleased) return Promise.reject(new DialError("path_down", "The connection to the peer was closed"));
    return Promise.try(() => this.#shared.open());
  }

  close(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#ended.resolve();
    this.#release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
