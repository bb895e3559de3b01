/**
 * What the first process of a container owes: processes whose parents are gone are its children, and stay in the table of
 * processes when they end until it asks how.
 *
 * Deno asks for its own children within milliseconds, so whoever has been ended for two looks is an orphan.
 */

import { collectChild } from "../../native/collect_child.ts";
import { type Libc, openLibc } from "../../native/libc.ts";
import { allPids, readProcStat } from "../../native/proc_files.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";

const LOOK_EVERY_MS = 10_000;

export class Orphans implements Disposable {
  readonly #libc: Libc = openLibc();
  readonly #clock: Clock;
  #ended: ReadonlySet<string> = new Set();
  #timer: Timer;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = this.#lookLater();
  }

  /** Collects those that had ended at the last look, and gives how many there were. */
  look(): number {
    const ended = new Set<string>();
    let collected = 0;
    for (const pid of allPids()) {
      const stat = readProcStat(pid);
      if (stat?.parentPid !== Deno.pid || stat.state !== "Z") continue;
      const id = `${pid} ${stat.startTicks}`;
      if (this.#ended.has(id) && collectChild(this.#libc, pid)) collected++;
      else ended.add(id);
    }
    this.#ended = ended;
    return collected;
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#libc[Symbol.dispose]();
  }

  #lookLater(): Timer {
    return this.#clock.after(LOOK_EVERY_MS, () => {
      this.look();
      this.#timer = this.#lookLater();
    });
  }
}
