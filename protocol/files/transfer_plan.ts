/**
 * Which source is asked for which pieces of a content: the machine behind a download, without sockets and without a clock
 * of its own.
 *
 *   take(source) ─▶ Run: pieces in a row ─▶ arrived(run) for each that was right ─▶ end(run, how)
 *
 * A source is asked for as much as it brings in `RUN_MS`, so that fast ones have few pauses and slow ones hold up little.
 * Once every missing piece has been asked for, whoever is idle takes over the tail of the run that would be over last, or
 * asks a second time for its last piece where that is sooner, and once more where both have stalled. A source that fails
 * waits longer each time and is dropped when it keeps failing, as is one that is busy all the time; what it was asked for
 * goes to others. Each piece is had once, and only when the caller has checked it.
 */

import { Backoff } from "../backoff.ts";
import type { Random } from "../random.ts";
import { PieceSet } from "./piece_set.ts";

/** As much as a run should take: many round trips, and soon enough over. */
const RUN_MS = 1500;
/** 64 MiB of pieces of 1 MiB. */
const MAX_RUN_PIECES = 64;
/** Of a source whose speed is not known. */
const FIRST_RUN_PIECES = 4;
/** So many failures in a row, and a source is not asked again. */
const MAX_FAILURES = 6;
/** A source that has said for so long that it should be asked later, and brought nothing, is not asked again. */
const MAX_BUSY_MS = 600_000;
/** What the newest piece counts in a source's speed. */
const NEWEST_SHARE = 0.25;
/** A last piece is asked for twice only where that is expected to be sooner by this factor. */
const WORTH_ASKING_TWICE = 2;
/** Those who bring nothing for so long keep nobody else from being asked for what they were. */
const STALLED_MS = 30_000;

export interface PlanOptions {
  readonly pieces: number;
  /** Those that are there already; the plan's own from now on. */
  readonly had?: PieceSet;
  readonly random: Random;
  /** Of a source that fails. Default 250 ms, doubled up to 10 s. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** Pieces in a row that one source was asked for. */
export interface Run {
  readonly source: string;
  readonly first: number;
  /** The piece that is to come next. */
  readonly next: number;
  /** The piece after the last one; comes down when another source takes over the tail. */
  readonly end: number;
}

/** How a run ended: `paused` when the source said that it should be asked later, `dropped` when it should not be at all. */
export type RunEnd =
  | { readonly how: "over" }
  | { readonly how: "failed"; readonly why: string }
  | { readonly how: "paused"; readonly forMs: number }
  | { readonly how: "dropped"; readonly why: string };

type OpenRun = { -readonly [Key in keyof Run]: Run[Key] } & { sinceMs: number };

interface Source {
  readonly name: string;
  readonly backoff: Backoff;
  /** For one piece, once it is known. */
  msPerPiece: number | undefined;
  failures: number;
  /** When it said so first, since its last piece. */
  busySinceMs: number | undefined;
  restsUntilMs: number;
  /** Why it is not asked any more. */
  dropped: string | undefined;
}

export class TransferPlan {
  readonly had: PieceSet;
  readonly #options: PlanOptions;
  readonly #sources = new Map<string, Source>();
  readonly #runs = new Set<OpenRun>();
  /** Had, or asked for. */
  readonly #taken: PieceSet;

  constructor(options: PlanOptions) {
    this.#options = options;
    this.had = options.had ?? new PieceSet(options.pieces);
    this.#taken = this.had.clone();
  }

  get isDone(): boolean {
    return this.had.isFull;
  }

  /** Whether there is nobody left to ask. */
  get isStuck(): boolean {
    return !this.isDone && [...this.#sources.values()].every(({ dropped }) => dropped !== undefined);
  }

  /** Why sources were dropped. */
  get dropped(): ReadonlyMap<string, string> {
    const reasons = new Map<string, string>();
    for (const { name, dropped } of this.#sources.values()) if (dropped !== undefined) reasons.set(name, dropped);
    return reasons;
  }

  /** Somebody who has all of it. One that was dropped stays so. */
  join(name: string): void {
    if (this.#sources.has(name)) return;
    const backoff = new Backoff(this.#options.random, this.#options.backoff ?? { baseMs: 250, maxMs: 10_000 });
    this.#sources.set(name, {
      name,
      backoff,
      msPerPiece: undefined,
      failures: 0,
      busySinceMs: undefined,
      restsUntilMs: -Infinity,
      dropped: undefined,
    });
  }

  isDropped(name: string): boolean {
    return this.#sources.get(name)?.dropped !== undefined;
  }

  /** How long a source is not to be asked; 0 when it may be now. */
  restMs(name: string, nowMs: number): number {
    return Math.max(0, (this.#sources.get(name)?.restsUntilMs ?? 0) - nowMs);
  }

  /** What to ask a source for; undefined while there is nothing for it. */
  take(name: string, nowMs: number): Run | undefined {
    const source = this.#sources.get(name);
    if (!source || source.dropped !== undefined || source.restsUntilMs > nowMs || this.isDone) return undefined;
    const first = this.#taken.firstMissing();
    if (first === this.#taken.pieces) return this.#takeOver(source, nowMs);
    const end = this.#taken.firstHad(first, Math.min(this.#taken.pieces, first + this.#runPieces(source)));
    return this.#open({ source: name, first, next: first, end, sinceMs: nowMs });
  }

  /**
   * The next piece of the run has come and is right. `isNew` is false when another run had brought it; those of `moot` have
   * nothing to bring any more.
   */
  arrived(run: Run, nowMs: number): { readonly isNew: boolean; readonly moot: readonly Run[] } {
    const open = run as OpenRun;
    const source = this.#sources.get(run.source)!;
    const piece = open.next++;
    const tookMs = nowMs - open.sinceMs;
    source.msPerPiece = source.msPerPiece === undefined
      ? tookMs
      : source.msPerPiece + NEWEST_SHARE * (tookMs - source.msPerPiece);
    source.failures = 0;
    source.busySinceMs = undefined;
    source.backoff.reset();
    open.sinceMs = nowMs;
    const isNew = this.had.add(piece);
    this.#taken.add(piece);
    const moot = [...this.#runs].filter((other) => other !== open && other.end === piece + 1 && other.next === piece);
    return { isNew, moot };
  }

  end(run: Run, end: RunEnd, nowMs: number): void {
    const open = run as OpenRun;
    if (!this.#runs.delete(open)) return;
    for (let piece = open.next; piece < open.end; piece++) {
      if (!this.had.has(piece) && !this.#isAskedFor(piece)) this.#taken.delete(piece);
    }
    const source = this.#sources.get(run.source)!;
    if (end.how === "paused") this.#paused(source, end.forMs, nowMs);
    else if (end.how === "dropped") source.dropped ??= end.why;
    else if (end.how === "failed") this.#failed(source, end.why, nowMs);
  }

  /** Runs of a source that are under way. */
  runsOf(name: string): Run[] {
    return [...this.#runs].filter(({ source }) => source === name);
  }

  #open(run: OpenRun): Run {
    for (let piece = run.first; piece < run.end; piece++) this.#taken.add(piece);
    this.#runs.add(run);
    return run;
  }

  #paused(source: Source, forMs: number, nowMs: number): void {
    source.busySinceMs ??= nowMs;
    source.restsUntilMs = Math.max(source.restsUntilMs, nowMs + forMs);
    // What is under way yet may bring something.
    const limitMs = this.runsOf(source.name).length > 0 ? 2 * MAX_BUSY_MS : MAX_BUSY_MS;
    if (nowMs - source.busySinceMs >= limitMs) source.dropped ??= "it was busy all the time";
  }

  #failed(source: Source, why: string, nowMs: number): void {
    source.failures++;
    source.restsUntilMs = Math.max(source.restsUntilMs, nowMs + source.backoff.nextMs());
    if (source.failures >= MAX_FAILURES) source.dropped ??= why;
  }

  #runPieces({ msPerPiece }: Source): number {
    const bySpeed = msPerPiece === undefined ? FIRST_RUN_PIECES : Math.floor(RUN_MS / Math.max(msPerPiece, 0.01));
    const free = this.#taken.pieces - this.#taken.size;
    const sources = [...this.#sources.values()].filter(({ dropped }) => dropped === undefined).length;
    // The last pieces are shared out rather than taken by whoever comes first.
    const fair = Math.ceil(free / (2 * sources));
    return Math.max(1, Math.min(bySpeed, MAX_RUN_PIECES, fair));
  }

  /** Everything has been asked for: helps whoever would be done last, if that helps. */
  #takeOver(source: Source, nowMs: number): Run | undefined {
    let victim: OpenRun | undefined;
    let latestMs = 0;
    for (const run of this.#runs) {
      // One whose last piece another has brought meanwhile is about to be ended.
      if (run.source === source.name || run.next === run.end || this.had.has(run.next)) continue;
      const leftMs = this.#leftMs(run, nowMs);
      if (victim && leftMs <= latestMs) continue;
      victim = run;
      latestMs = leftMs;
    }
    if (!victim) return undefined;
    const left = victim.end - victim.next;
    const ownMs = source.msPerPiece ?? latestMs / left;
    if (left > 1) {
      const theirMs = latestMs / left;
      const tail = Math.min(left - 1, Math.max(1, Math.floor(left * theirMs / (theirMs + ownMs))));
      const first = victim.end - tail;
      const end = victim.end;
      victim.end = first;
      return this.#open({ source: source.name, first, next: first, end, sinceMs: nowMs });
    }
    if (this.#isInGoodHands(victim.next, source, nowMs) || ownMs * WORTH_ASKING_TWICE > latestMs) return undefined;
    const { next: first, end } = victim;
    return this.#open({ source: source.name, first, next: first, end, sinceMs: nowMs });
  }

  /** Whether enough have been asked for that piece already: this source itself, or others who have not all stalled just there. */
  #isInGoodHands(piece: number, { name }: Source, nowMs: number): boolean {
    const runs = [...this.#runs].filter(({ next, end }) => next <= piece && piece < end);
    return runs.length > 1 &&
      runs.some(({ source, next, sinceMs }) => source === name || next < piece || nowMs - sinceMs < STALLED_MS);
  }

  /** What is expected to be left of a run; for one that has stalled, ever more. */
  #leftMs(run: OpenRun, nowMs: number): number {
    const silentMs = nowMs - run.sinceMs;
    const msPerPiece = this.#sources.get(run.source)!.msPerPiece ?? silentMs;
    return Math.max((run.end - run.next) * msPerPiece - silentMs, silentMs);
  }

  #isAskedFor(piece: number): boolean {
    for (const run of this.#runs) if (run.next <= piece && piece < run.end) return true;
    return false;
  }
}
