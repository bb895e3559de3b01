/**
 * Sets of transfers from many callers, gathered for a ledger that does many at once as cheaply as one: those of one turn of
 * the event loop go together, and while they are under way the next gather. Order is kept; one group is decided after the
 * other, and what else `inTurn` is given has its turn once all before it is kept. At most `MAX_WAITING_SETS` wait, and who
 * comes then is refused with `store_busy`.
 */

import { setImmediate } from "node:timers";
import { CulvertError } from "../../protocol/errors.ts";
import { malformedOutcome } from "../../protocol/sharing/ledger_form.ts";
import type { SetOutcome, TransferSet } from "../../protocol/sharing/ledger.ts";

const MAX_WAITING_SETS = 50_000;

interface Job {
  readonly sets: readonly TransferSet[];
  readonly outcomes: SetOutcome[];
  /** Sets without an outcome. */
  left: number;
  hasFailed: boolean;
  readonly resolve: (outcomes: SetOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** What a ledger has done with the first sets that it was given. */
export interface Applied {
  /** How many, at least one. */
  readonly count: number;
  /** Theirs, once they would survive a crash. The sets after them may be given meanwhile. */
  readonly outcomes: Promise<readonly SetOutcome[]>;
}

/** A set, and where its outcome goes. */
interface Task {
  readonly job: Job;
  readonly place: number;
  readonly set: TransferSet;
}

function answer({ job, place }: Task, outcome: SetOutcome): void {
  job.outcomes[place] = outcome;
  if (--job.left === 0) job.resolve(job.outcomes);
}

function fail(jobs: Iterable<Job>, error: unknown): void {
  for (const job of jobs) {
    job.hasFailed = true;
    // Those that were answered before do not mind.
    job.reject(error);
  }
}

type ApplySome = (sets: readonly TransferSet[]) => Promise<Applied>;

export class LedgerQueue {
  readonly #applySome: ApplySome;
  readonly #maxAtOnce: number;
  #waiting: Job[] = [];
  #waitingSets = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** Settles with the last that was decided. */
  #kept: Promise<void> = Promise.resolve();

  /** `applySome` is given up to `maxAtOnce` sets that are well formed. */
  constructor(applySome: ApplySome, maxAtOnce: number) {
    this.#applySome = applySome;
    this.#maxAtOnce = maxAtOnce;
  }

  /** Of those that are not under way yet. */
  get waitingSets(): number {
    return this.#waitingSets;
  }

  apply(sets: readonly TransferSet[]): Promise<SetOutcome[]> {
    if (sets.length === 0) return Promise.resolve([]);
    if (this.#waitingSets + sets.length > MAX_WAITING_SETS) {
      const message = `Cannot move money: at most ${MAX_WAITING_SETS} sets must wait, got ${sets.length} more`;
      return Promise.reject(new CulvertError("store_busy", message));
    }
    const { promise, resolve, reject } = Promise.withResolvers<SetOutcome[]>();
    this.#waiting.push({ sets, outcomes: [], left: sets.length, hasFailed: false, resolve, reject });
    this.#waitingSets += sets.length;
    if (this.#waiting.length === 1) void this.#next(() => this.#applyWaiting());
    return promise;
  }

  /** Does something once all before it is done. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    return this.#next(async () => {
      await this.#kept;
      return await act();
    });
  }

  #next<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Never rejects: each caller is told. */
  async #applyWaiting(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(() => resolve()));
    const jobs = this.#waiting;
    this.#waiting = [];
    this.#waitingSets = 0;
    const tasks = tasksOf(jobs);
    try {
      for (let some = take(tasks, this.#maxAtOnce, []); some.length > 0; some = take(tasks, this.#maxAtOnce, some)) {
        const { count, outcomes } = await this.#applySome(some.map(({ set }) => set));
        const done = some.splice(0, count);
        this.#kept = outcomes.then(
          (outcomes) => outcomes.forEach((outcome, index) => answer(done[index]!, outcome)),
          (error) => fail(new Set(done.map(({ job }) => job)), error),
        );
      }
    } catch (error) {
      fail(jobs, error);
    }
  }
}

function* tasksOf(jobs: readonly Job[]): Generator<Task> {
  for (const job of jobs) for (const [place, set] of job.sets.entries()) yield { job, place, set };
}

/** So many that are well formed, of those that were left over and of the next. What is not is answered at once. */
function take(tasks: Iterator<Task>, count: number, leftOver: readonly Task[]): Task[] {
  const some = leftOver.filter(({ job }) => !job.hasFailed);
  while (some.length < count) {
    const { done, value: task } = tasks.next();
    if (done) break;
    if (task.job.hasFailed) continue;
    const malformed = malformedOutcome(task.set);
    if (malformed) answer(task, malformed);
    else some.push(task);
  }
  return some;
}
