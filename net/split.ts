/**
 * Splitting streams over members by exact shares, and measuring each: which of two ways is the better one (A/B).
 *
 *   dial ─▶ a side is drawn, whatever its health ─┬▶ it is up: tried, and measured ──▶ fails ─┬▶ the others, best first,
 *                                                 └▶ it is down: has failed, unless the ──────┘   counted and not measured
 *                                                    others fail too: then it is tried
 *
 * That the draw does not look is what makes the sides comparable: each gets the same mix of targets, and a side pays for the
 * time it was down. The caller does not: it gets its stream by another. Whom a stream leads to is not remembered; sticky
 * splits have the host decide in place of chance.
 */

import type { Clock } from "../protocol/clock.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import { reportOf, type SplitReport } from "../protocol/split/report.ts";
import { Shares } from "../protocol/split/shares.ts";
import { SideRecord } from "../protocol/split/side_record.ts";
import { stickySide } from "../protocol/split/sticky.ts";
import type { Stream, Target } from "../protocol/stream.ts";
import { tryInTurn } from "./failover.ts";
import { MeasuredStream } from "./measured_stream.ts";
import { blameOf, type Monitor, type Watched } from "./monitor.ts";

export interface SplitSettings {
  /** Whether a host is always led by the same side while that is up. Default false: chance decides for every stream. */
  readonly sticky?: boolean;
  readonly metrics?: Metrics;
}

type Attempt = (member: Watched) => Promise<Stream>;

export class Splitter {
  readonly #monitor: Monitor;
  readonly #clock: Clock;
  readonly #isSticky: boolean;
  readonly #shares: Shares;
  readonly #records: ReadonlyMap<Watched, SideRecord>;
  readonly #beganMs: number;

  constructor(monitor: Monitor, { sticky = false, metrics = noMetrics }: SplitSettings) {
    const { members, random, clock } = monitor;
    this.#monitor = monitor;
    this.#clock = clock;
    this.#isSticky = sticky;
    this.#shares = new Shares(members.map(({ weight }) => weight), random);
    this.#records = new Map(
      members.map((member) => [member, new SideRecord({ name: member.name, weight: member.weight, random, metrics })]),
    );
    this.#beganMs = clock.now();
  }

  async dial(
    target: Target,
    attempt: Attempt,
    options: { readonly signal: AbortSignal; readonly what: string },
  ): Promise<Stream> {
    const side = this.#draw(target);
    const record = this.#records.get(side)!;
    record.drawn();
    const ranked = this.#monitor.ranked();
    const isUp = side.health.up && side.path.problem === undefined;
    const order = isUp ? [side, ...ranked.filter((member) => member !== side)] : ranked;
    let isTried = false;
    const open = (member: Watched) => {
      if (member !== side) return this.#takenOver(member, attempt);
      isTried = true;
      return this.#measured(record, () => attempt(member), options.signal);
    };
    try {
      return await tryInTurn(order, open, options);
    } finally {
      if (!isTried) record.count("failed");
    }
  }

  report(): SplitReport {
    const status = this.#monitor.status();
    const sides = [...this.#records].map(([{ path }, record], at) => {
      const { up, lastFailure } = status[at]!;
      return { record, state: { up: up && path.problem === undefined, lastFailure, packets: path.packets } };
    });
    return reportOf(sides, { forMs: this.#clock.now() - this.#beganMs, isSticky: this.#isSticky });
  }

  #draw({ host }: Target): Watched {
    const { members } = this.#monitor;
    return members[this.#isSticky ? stickySide(host.toLowerCase(), members) : this.#shares.next()]!;
  }

  async #measured(record: SideRecord, open: () => Promise<Stream>, signal: AbortSignal): Promise<Stream> {
    const beganMs = this.#clock.now();
    try {
      const stream = await open();
      record.opened(this.#clock.now() - beganMs);
      return new MeasuredStream(stream, this.#clock, (carried) => record.ended(carried));
    } catch (error) {
      record.count(signal.aborted ? "abandoned" : isSidesDoing(error) ? "failed" : "declined");
      throw error;
    }
  }

  async #takenOver(member: Watched, attempt: Attempt): Promise<Stream> {
    const stream = await attempt(member);
    this.#records.get(member)!.count("tookOver");
    return stream;
  }
}

function isSidesDoing(error: unknown): boolean {
  const blame = blameOf(error);
  return blame === "fault" || blame === "suspect";
}
