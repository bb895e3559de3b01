/**
 * Looks at the network again and again, once for all who watch.
 *
 *   source ─▶ Snapshot ─┬─▶ view, told if it is another      (`view.ts`)
 *                       ├─▶ point of the charts, every 2 s   (`history.ts`)
 *                       └─▶ lines of the log                 (`changes.ts`), and what the source tells of itself
 *
 * It begins when it is woken, by the first who has logged in. While somebody watches it looks once a second; afterwards every
 * two, so that charts and log know of what nobody saw, and ten minutes later no more. But it spends a thirty-fifth of the time
 * on looking at most, and a hundredth while nobody watches: where a look takes long, looks are rarer. Waiting for the source
 * counts as well, since nobody can tell how much of it is work.
 * A source that does not answer in time is in trouble, and whoever watches is told; what was seen last stays.
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { StreamEvent } from "../../protocol/event_stream.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { ChangeTeller } from "./changes.ts";
import { EventLog, type NewLine } from "./event_log.ts";
import { History } from "./history.ts";
import type { NetworkSource, SourceEvent } from "./inventory.ts";
import { plainText } from "./plain.ts";
import { type Snapshot, snapshotOf } from "./snapshot.ts";
import { streamEventOf } from "./stream_events.ts";
import { viewOf } from "./view.ts";

export const WATCHED_STEP_MS = 1000;
export const UNWATCHED_STEP_MS = 2000;

/** Of one look. */
const ANSWER_TIMEOUT_MS = 5000;
/** The longest it goes without a look, however much one costs. */
const LONGEST_STEP_MS = 30_000;
/** What a look is followed by, as a multiple of the time it took. */
const WATCHED_REST = 35;
const UNWATCHED_REST = 100;
/** How long it goes on looking after the last who wanted to know. */
export const AWAKE_MS = 10 * 60_000;
/** How old what was seen may be for whoever asks for a table. */
const FRESH_MS = 2500;
const MAX_TROUBLE = 200;

export interface WatcherOptions {
  readonly source: NetworkSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  isWatched(): boolean;
  tell(event: StreamEvent): void;
}

export class Watcher implements Disposable {
  readonly #options: WatcherOptions;
  readonly #history = new History();
  readonly #changes = new ChangeTeller();
  readonly #log: EventLog;
  readonly #stopped = new AbortController();
  readonly #looks;
  #hearing: Disposable | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #snapshot: Snapshot | undefined;
  #view: StreamEvent | undefined;
  #trouble: string | undefined;
  /** Of the last look. */
  #costMs = 0;
  #wantedAtMs = -Infinity;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#log = new EventLog(options.clock.wallNow());
    this.#looks = options.metrics.counter(
      "dashboard_looks_total",
      "How often the dashboard has looked at the network, by whether it could: ok or failed",
      ["result"],
    );
  }

  /** Somebody who may wants to know: it looks from now on, if it does not already. */
  wake(): void {
    if (this.#stopped.signal.aborted) return;
    this.#wantedAtMs = this.#options.clock.now();
    this.#hearing ??= this.#options.source.listen?.((event) => this.#hear(event));
    if (!this.#timer && !this.#looking) this.#wind(0);
  }

  /** All there is to be told to somebody who knows nothing. */
  get state(): StreamEvent[] {
    const events: StreamEvent[] = [];
    if (this.#view) {
      events.push(this.#view, streamEventOf({ type: "history", points: this.#history.points }));
      events.push(streamEventOf({ type: "log", lines: this.#log.lines }));
    }
    if (this.#trouble !== undefined) events.push(streamEventOf({ type: "trouble", text: this.#trouble }));
    return events;
  }

  /** What was seen lately, or is seen now; undefined where the source is in trouble. */
  async snapshot(): Promise<Snapshot | undefined> {
    const ageMs = this.#options.clock.wallNow() - (this.#snapshot?.atMs ?? 0);
    if (!this.#snapshot || ageMs > FRESH_MS) await this.look();
    return this.#trouble === undefined ? this.#snapshot : undefined;
  }

  /** Looks now: somebody has come, or has done something. One look is enough for all who ask for one meanwhile. */
  look(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      this.#windAfter(this.#costMs);
    });
  }

  [Symbol.dispose](): void {
    this.#stopped.abort(new Error("The dashboard stops"));
    this.#hearing?.[Symbol.dispose]();
    this.#hearing = undefined;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { source, clock, log } = this.#options;
    const beganMs = clock.now();
    try {
      using limit = deadline(clock, ANSWER_TIMEOUT_MS, "look at the network", this.#stopped.signal);
      const answer = source.inventory(limit.signal);
      const inventory = answer instanceof Promise ? await orAborted(answer, limit.signal) : answer;
      this.#take(snapshotOf(inventory, clock.wallNow()));
      this.#looks.add(1, { result: "ok" });
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#looks.add(1, { result: "failed" });
      if (this.#trouble === undefined) {
        log.warn("The dashboard cannot look at the network", { error: messageOf(error) });
      }
      this.#fail(plainText(messageOf(error), MAX_TROUBLE));
    } finally {
      this.#costMs = clock.now() - beganMs;
    }
  }

  #take(snapshot: Snapshot): void {
    const { source, tell } = this.#options;
    const wasInTrouble = this.#trouble !== undefined;
    this.#snapshot = snapshot;
    this.#trouble = undefined;
    const view = streamEventOf({ type: "view", view: viewOf(snapshot, source) });
    const isOther = view.data !== this.#view?.data;
    this.#view = view;
    if (isOther || wasInTrouble) tell(view);
    const point = this.#history.note(snapshot);
    if (point) tell(streamEventOf({ type: "point", point }));
    const recovered: NewLine = { atMs: snapshot.atMs, tone: "good", text: "The network can be looked at again" };
    this.#note([...wasInTrouble ? [recovered] : [], ...this.#changes.tell(snapshot)]);
  }

  #fail(text: string): void {
    const isNew = this.#trouble === undefined;
    this.#trouble = text;
    this.#options.tell(streamEventOf({ type: "trouble", text }));
    if (!isNew) return;
    this.#note([{
      atMs: this.#options.clock.wallNow(),
      tone: "bad",
      text: `The network cannot be looked at: ${text}`,
    }]);
  }

  #hear({ atMs, kind, text, isBad, tone = isBad ? "bad" : kind === "notice" ? "warn" : "info" }: SourceEvent): void {
    this.#note([{ atMs, tone, text }]);
  }

  #note(lines: readonly NewLine[]): void {
    if (lines.length > 0) this.#options.tell(streamEventOf({ type: "log", lines: this.#log.add(lines) }));
  }

  #windAfter(costMs: number): void {
    const { clock, isWatched } = this.#options;
    if (isWatched()) this.#wantedAtMs = clock.now();
    const [stepMs, rest] = isWatched() ? [WATCHED_STEP_MS, WATCHED_REST] : [UNWATCHED_STEP_MS, UNWATCHED_REST];
    this.#wind(Math.min(LONGEST_STEP_MS, Math.max(stepMs, rest * costMs)));
  }

  #wind(afterMs: number): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#options;
    if (clock.now() - this.#wantedAtMs >= AWAKE_MS) return;
    this.#timer = clock.after(afterMs, () => {
      this.#timer = undefined;
      void this.look();
    });
  }
}
