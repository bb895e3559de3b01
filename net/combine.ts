/**
 * Paths made of Paths: a program dials one, and which of several ways the stream takes is decided here, dial by dial.
 *
 *   failover  the first healthy member in the order given; back to a better one once it has stayed up
 *   balance   spread by weight and load
 *   race      several at once, the first to connect wins
 *   split     exact shares by weight, each measured: which is the better one
 *
 * Each member's health is measured over its data path (`monitor.ts`). A member that fails costs the caller a moment,
 * not the dial: another is tried within the same call, and those that are thought down are tried last rather than not
 * at all, since health may be stale. Streams already open stay where they are. Design §3.
 */

import { CulvertError, DialError } from "../protocol/errors.ts";
import type { SplitReport } from "../protocol/split/report.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";
import { balanced, CountedStream } from "./balance.ts";
import { tryInTurn } from "./failover.ts";
import { type Member, type MemberStatus, Monitor, type MonitorOptions, type Watched } from "./monitor.ts";
import { raceMembers } from "./race.ts";
import { type SplitSettings, Splitter } from "./split.ts";

export type { Member, MemberStatus } from "./monitor.ts";
export { httpProbe, type Probe } from "./probe.ts";

/** What the watch over the members is made of. */
export type CombineOptions = MonitorOptions;

/** The same, and how `race` runs. */
export interface RaceOptions extends CombineOptions {
  /** How many members run at once. Default 3. */
  readonly width?: number;
  /** How long the next waits for those before it. Default 150 ms. */
  readonly staggerMs?: number;
}

export type SplitOptions = CombineOptions & SplitSettings;

/** A Path that can show its members. Closing it closes them. */
export interface CombinedPath extends Path {
  /** Each member, as it is now. */
  members(): MemberStatus[];
}

/** One that also tells how its members compare. */
export interface SplitPath extends CombinedPath {
  report(): SplitReport;
}

/** The first healthy member in the order given. */
export function failover(members: readonly Member[], options: CombineOptions): CombinedPath {
  const monitor = new Monitor(members, options);
  return new Combined(
    monitor,
    (dial) =>
      tryInTurn(
        monitor.ranked(),
        (member) => monitor.dial(member, (signal) => dial.through(member, signal), dial.signal),
        dial,
      ),
  );
}

/** Members by weight and load. */
export function balance(members: readonly Member[], options: CombineOptions): CombinedPath {
  const monitor = new Monitor(members, options, true);
  return new Combined(monitor, (dial) =>
    tryInTurn(balanced(monitor.members, monitor.random), async (member) => {
      member.openStreams++;
      const done = () => member.openStreams--;
      try {
        return new CountedStream(
          await monitor.dial(member, (signal) => dial.through(member, signal), dial.signal),
          done,
        );
      } catch (error) {
        done();
        throw error;
      }
    }, dial));
}

/** Several members at once. */
export function race(members: readonly Member[], options: RaceOptions): CombinedPath {
  const { width = 3, staggerMs = 150 } = options;
  if (!Number.isInteger(width) || width < 1) throw invalid("width", "a whole number from 1", width);
  if (!(staggerMs >= 0 && staggerMs < Infinity)) throw invalid("staggerMs", "a number from 0", staggerMs);
  const monitor = new Monitor(members, options);
  return new Combined(monitor, (dial) =>
    raceMembers(
      monitor.ranked(),
      (member, raceSignal) => monitor.dial(member, (signal) => dial.through(member, signal), raceSignal),
      { clock: monitor.clock, signal: dial.signal, what: dial.what, width, staggerMs },
    ));
}

/** Members by exact shares, measured. */
export function split(members: readonly Member[], options: SplitOptions): SplitPath {
  const monitor = new Monitor(members, options);
  return new Split(monitor, new Splitter(monitor, options));
}

/** What a split has found; undefined of any other Path. */
export function splitReportOf(path: Path): SplitReport | undefined {
  return path instanceof Split ? path.report() : undefined;
}

/** One call of `dial`, as a strategy sees it. */
interface Dial {
  readonly target: Target;
  through(member: Watched, signal: AbortSignal): Promise<Stream>;
  /** Aborts with the caller's signal, and when the combined path is closed. */
  readonly signal: AbortSignal;
  readonly what: string;
}

class Combined implements CombinedPath {
  readonly datagrams?: (options?: DialOptions) => Promise<Datagrams>;
  readonly #monitor: Monitor;
  readonly #strategy: (dial: Dial) => Promise<Stream>;
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(monitor: Monitor, strategy: (dial: Dial) => Promise<Stream>) {
    this.#monitor = monitor;
    this.#strategy = strategy;
    if (monitor.members.some(({ path }) => path.datagrams)) {
      this.datagrams = (options) => this.#datagrams(options);
    }
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    const what = "dial"; // not whom: errors end up in logs
    const through = (member: Watched, signal: AbortSignal) => member.path.dial(target, { ...options, signal });
    return this.#run(what, (signal) => this.#strategy({ target, through, signal, what }), options.signal);
  }

  members(): MemberStatus[] {
    return this.#monitor.status();
  }

  /** That of the first member, when none can be used. */
  get problem(): string | undefined {
    const problems = this.#monitor.members.map(({ name, path, health }) =>
      path.problem ?? (health.up ? undefined : `${name} does not carry what it is asked to`)
    );
    return problems.every((problem) => problem !== undefined) ? problems[0] : undefined;
  }

  async closed(): Promise<void> {
    await Promise.all(this.#monitor.members.map(({ path }) => path.closed?.()));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const running of this.#running) running.abort(closedError("dial"));
    this.#monitor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Through the best member that carries datagrams, whatever the strategy for streams. */
  #datagrams(options: DialOptions = {}): Promise<Datagrams> {
    const what = "open a datagram socket";
    const able = this.#monitor.ranked().filter(({ path }) => path.datagrams);
    const open = (member: Watched, parent: AbortSignal) =>
      this.#monitor.attempt(member, (signal) => member.path.datagrams!({ ...options, signal }), parent);
    return this.#run(
      what,
      (signal) => tryInTurn(able, (member) => open(member, signal), { signal, what }),
      options.signal,
    );
  }

  async #run<T>(what: string, work: (signal: AbortSignal) => Promise<T>, parent?: AbortSignal): Promise<T> {
    if (this.#closed) throw closedError(what);
    parent?.throwIfAborted();
    const running = new AbortController();
    const onAbort = () => running.abort(parent!.reason);
    parent?.addEventListener("abort", onAbort, { once: true });
    this.#running.add(running);
    try {
      return await work(running.signal);
    } finally {
      this.#running.delete(running);
      parent?.removeEventListener("abort", onAbort);
    }
  }
}

class Split extends Combined implements SplitPath {
  readonly #splitter: Splitter;

  constructor(monitor: Monitor, splitter: Splitter) {
    const through = (dial: Dial) => (member: Watched) =>
      monitor.dial(member, (signal) => dial.through(member, signal), dial.signal);
    super(monitor, (dial) => splitter.dial(dial.target, through(dial), dial));
    this.#splitter = splitter;
  }

  report(): SplitReport {
    return this.#splitter.report();
  }
}

function closedError(what: string): DialError {
  return new DialError("path_down", `Cannot ${what}: the path is closed`);
}

function invalid(what: string, rule: string, value: number): CulvertError {
  return new CulvertError("invalid_option", `Cannot combine paths: ${what} must be ${rule}, got ${value}`);
}
