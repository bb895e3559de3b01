/**
 * The members of a combined Path and what is known of them. Each is probed over its data path on a timer of its own,
 * and every real dial adds to the picture. A failure speaks against a member only as far as it can be its fault:
 *
 *   fault    the way itself is broken or turns us away                   counts, and another member is tried
 *   suspect  a timeout may be the member's or the far target's doing     a probe decides, and another is tried
 *            so may it be when a stream ends unanswered                  a probe decides; the stream is lost
 *   limit    the member reached the network, but not from everywhere     does not count; another is tried
 *   answer   the far side has spoken, and would say the same again       does not count; the caller gets it
 *
 * Which member is tried when is for `failover.ts`, `balance.ts` and `race.ts`.
 */

import { type Clock, deadline, type Timer } from "../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure, dialFailureOf } from "../protocol/errors.ts";
import { Health, type HealthOptions } from "../protocol/health.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import type { Path, Stream } from "../protocol/stream.ts";
import { abortable } from "./abortable.ts";
import { AnsweredStream } from "./answered_stream.ts";
import { httpProbe, type Probe } from "./probe.ts";

/** One way among several. The combined Path owns it: closing that closes this. */
export interface Member {
  /** What it is called in logs and metrics. */
  readonly name: string;
  /** The way itself. Closed with the combination. */
  readonly path: Path;
  /** Its share under `balance` and `split`, relative to the others'. Default 1. */
  readonly weight?: number;
  /** How to ask it whether it works. Default: as all are asked. */
  readonly probe?: Probe | undefined;
}

/** A member as dashboards show it. */
export interface MemberStatus {
  /** What it is called. */
  readonly name: string;
  /** Whether it takes streams at present. */
  readonly up: boolean;
  /** Up for long enough to be preferred. */
  readonly settled: boolean;
  /** Its share, by the turns it takes. */
  readonly weight: number;
  /** Failures since it last worked. */
  readonly consecutiveFailures: number;
  /** How long a probe takes, when that is known. */
  readonly latencyMs?: number;
  /** Why a probe or dial last failed by its fault. */
  readonly lastFailure?: DialFailure;
  /** Streams open and being opened; counted by `balance` alone. */
  readonly openStreams?: number;
}

export interface MonitorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly health?: HealthOptions;
  /** How to ask a member whether it works. Default: a byte of `hello.culvert`. `false`: only dials tell. */
  readonly probe?: Probe | false;
  /** A probe that takes longer has failed. Default 5 s. */
  readonly probeTimeoutMs?: number;
  /** A dial through one member that takes longer is given up, and the next is tried. Default 10 s. */
  readonly dialTimeoutMs?: number;
  /** Called when a member goes down or comes back. Must not throw. */
  readonly onChange?: (status: MemberStatus) => void;
}

export type Blame = "fault" | "suspect" | "limit" | "answer";

const BLAME: Readonly<Record<DialFailure, Blame>> = {
  path_down: "fault",
  unauthorized: "fault",
  busy: "fault",
  unpaid: "fault",
  timeout: "suspect",
  failed: "suspect",
  unsupported: "limit",
  network_unreachable: "limit",
  host_unreachable: "limit",
  refused: "answer",
  denied: "answer",
  unresolved: "answer",
};

/** What a failed dial through a member says about the member. */
export function blameOf(error: unknown): Blame {
  return BLAME[dialFailureOf(error)];
}

/** A member with its health. */
export interface Watched {
  readonly name: string;
  readonly path: Path;
  readonly weight: number;
  readonly health: Health;
  openStreams: number;
}

interface Entry extends Watched {
  readonly probe: Probe | undefined;
  lastFailure: DialFailure | undefined;
  timer: Timer | undefined;
  probing: AbortController | undefined;
}

export class Monitor implements Disposable {
  readonly #entries: readonly Entry[];
  readonly #options: MonitorOptions;
  readonly #probe: Probe | false;
  readonly #countsStreams: boolean;
  #closed = false;

  constructor(members: readonly Member[], options: MonitorOptions, countsStreams = false) {
    validate(members, options);
    this.#options = options;
    this.#probe = options.probe ?? httpProbe();
    this.#countsStreams = countsStreams;
    this.#entries = members.map(({ name, path, weight = 1, probe }) => {
      const health = new Health(options.clock.now(), options.random, options.health);
      return {
        name,
        path,
        weight,
        health,
        probe,
        openStreams: 0,
        lastFailure: undefined,
        timer: undefined,
        probing: undefined,
      };
    });
    for (const entry of this.#entries) this.#schedule(entry);
  }

  get members(): readonly Watched[] {
    return this.#entries;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get random(): Random {
    return this.#options.random;
  }

  /**
   * In order of preference: settled ones, then those that came back lately, then, as a last resort, the down ones and those
   * that know they are.
   */
  ranked(): Watched[] {
    const nowMs = this.clock.now();
    const rank = ({ path, health }: Watched) =>
      path.problem !== undefined ? 2 : health.isSettled(nowMs) ? 0 : health.up ? 1 : 2;
    return [...this.#entries].sort((one, other) => rank(one) - rank(other));
  }

  status(): MemberStatus[] {
    return this.#entries.map((entry) => this.#statusOf(entry));
  }

  /** Opens a stream through a member; one that ends without an answer speaks against it, as a dial that failed. */
  async dial(member: Watched, open: (signal: AbortSignal) => Promise<Stream>, signal: AbortSignal): Promise<Stream> {
    const stream = await this.attempt(member, open, signal);
    return new AnsweredStream(stream, () => {
      if (!this.#closed) this.#dialFailed(member as Entry, unanswered(member));
    });
  }

  /** Opens something through a member within the time allowed, and remembers how it went. */
  async attempt<T extends { close(): void }>(
    member: Watched,
    open: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const entry = member as Entry;
    const { clock, dialTimeoutMs = 10_000 } = this.#options;
    using limit = deadline(clock, dialTimeoutMs, `dial through ${member.name}`, signal);
    try {
      const opened = await abortable(() => open(limit.signal), limit.signal);
      if (entry.health.dialSucceeded(clock.now())) this.#changed(entry);
      return opened;
    } catch (error) {
      if (!signal.aborted) this.#dialFailed(entry, error);
      throw error;
    }
  }

  /** Stops the probes and closes every member. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of this.#entries) {
      entry.timer?.cancel();
      entry.probing?.abort(new CulvertError("closed", "The combined path was closed"));
      entry.path.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #dialFailed(entry: Entry, error: unknown): void {
    const nowMs = this.clock.now();
    const blame = blameOf(error);
    if (blame === "limit" || blame === "answer") return;
    entry.lastFailure = dialFailureOf(error);
    if (blame === "suspect" && this.#probe !== false) entry.health.suspect(nowMs);
    else if (entry.health.dialFailed(nowMs)) this.#changed(entry);
    this.#schedule(entry);
  }

  #schedule(entry: Entry): void {
    if (this.#closed || this.#probe === false || entry.probing) return;
    entry.timer?.cancel();
    const delayMs = Math.max(0, entry.health.nextProbeAtMs - this.clock.now());
    entry.timer = this.clock.after(delayMs, () => void this.#runProbe(entry));
  }

  async #runProbe(entry: Entry): Promise<void> {
    const { clock, probeTimeoutMs = 5_000 } = this.#options;
    const startMs = clock.now();
    const probing = entry.probing = new AbortController();
    using limit = deadline(clock, probeTimeoutMs, `probe ${entry.name}`, probing.signal);
    const failure = await this.#probeFailure(entry, limit.signal);
    entry.probing = undefined;
    if (this.#closed) return;
    const nowMs = clock.now();
    if (failure) entry.lastFailure = failure;
    const changed = failure ? entry.health.probeFailed(nowMs) : entry.health.probeSucceeded(nowMs, nowMs - startMs);
    if (changed) this.#changed(entry);
    this.#schedule(entry);
  }

  /** Undefined when the data path works, as it does if the far side answers no. */
  async #probeFailure(entry: Entry, signal: AbortSignal): Promise<DialFailure | undefined> {
    try {
      const probe = entry.probe ?? this.#probe as Probe;
      await abortable(() => probe(entry.path, signal).then(() => NOTHING_TO_CLOSE), signal);
    } catch (error) {
      if (signal.aborted || blameOf(error) !== "answer") return dialFailureOf(signal.aborted ? signal.reason : error);
    }
    return undefined;
  }

  #changed(entry: Entry): void {
    const log = this.#options.log ?? silentLog;
    const fields = { path: entry.name, reason: entry.health.up ? undefined : entry.lastFailure };
    if (entry.health.up) log.info("Path is up again", fields);
    else log.warn("Path is down", fields);
    this.#options.onChange?.(this.#statusOf(entry));
  }

  #statusOf(entry: Entry): MemberStatus {
    const { name, weight, health, lastFailure, openStreams } = entry;
    return {
      name,
      up: health.up,
      settled: health.isSettled(this.clock.now()),
      weight,
      consecutiveFailures: health.failures,
      ...(health.latencyMs === undefined ? {} : { latencyMs: health.latencyMs }),
      ...(lastFailure === undefined ? {} : { lastFailure }),
      ...(this.#countsStreams ? { openStreams } : {}),
    };
  }
}

const NOTHING_TO_CLOSE = { close() {} };

function unanswered({ name }: Watched): DialError {
  return new DialError("failed", `A stream through ${name} ended unanswered`);
}

function validate(members: readonly Member[], options: MonitorOptions): void {
  if (members.length === 0) throw invalid("members", "at least one path", "none");
  const names = new Set<string>();
  for (const { name, weight = 1 } of members) {
    if (name === "" || names.has(name)) throw invalid("name of a member", "given once and not empty", `"${name}"`);
    if (!(weight > 0 && weight < Infinity)) throw invalid(`weight of "${name}"`, "above 0", weight);
    names.add(name);
  }
  for (const name of ["probeTimeoutMs", "dialTimeoutMs"] as const) {
    const value = options[name] ?? 1;
    if (!(value > 0 && value < Infinity)) throw invalid(name, "above 0", value);
  }
}

function invalid(what: string, rule: string, value: string | number): CulvertError {
  return new CulvertError("invalid_option", `Cannot combine paths: ${what} must be ${rule}, got ${value}`);
}
