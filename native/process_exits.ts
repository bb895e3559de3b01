/**
 * Learns at once that processes have ended, whoever their parent is: a pidfd (pidfd_open(2), Linux 5.3) of each in one
 * epoll, and one thread that waits for all of them, as long as there are any.
 *
 *   ended({ pid, startTicks }) ─▶ pidfd ─▶ epoll ─ waited for on another thread ─▶ settles
 *
 * The start time is looked at once the pidfd is there: from then on no other process can be taken for it. How a process
 * ended is told only to its parent, and not by this.
 *
 * Where there is no pidfd to be had (an older kernel, a sandbox without the call, too many open files) the process is looked
 * at ten times a second instead.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { isAlive } from "../protocol/manager/proc_text.ts";
import { Slab } from "../protocol/slab.ts";
import { Epoll } from "./epoll.ts";
import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import { type Libc, openLibc } from "./libc.ts";
import { EventFd } from "./poll.ts";
import { readProcStat } from "./proc_files.ts";

export interface ProcessId {
  readonly pid: number;
  /** `ProcStat.startTicks`; another process may have the pid by now. */
  readonly startTicks: number;
}

/** Whether this very process runs. One that has ended and is not yet collected by its parent does not. */
export function isRunning({ pid, startTicks }: ProcessId): boolean {
  const stat = readProcStat(pid);
  return isAlive(stat) && stat.startTicks === startTicks;
}

interface Watched {
  readonly process: ProcessId;
  readonly pidfd: Fd;
  settle(): void;
  fail(reason: unknown): void;
}

/** The same on every machine. */
const SYS_PIDFD_OPEN = 434n;
const LOOK_MS = 100;

export interface ProcessExitsOptions {
  readonly clock: Clock;
  /** The number of the system call, for a kernel that has none. */
  readonly pidfdOpen?: bigint;
}

export class ProcessExits implements AsyncDisposable {
  readonly #options: ProcessExitsOptions;
  readonly #libc: Libc = openLibc();
  readonly #epoll = new Epoll(this.#libc);
  readonly #wake = new EventFd(this.#libc);
  /** By the number of the pidfd. */
  readonly #watched = new Map<number, Watched>();
  #isClosed = false;
  #waiting: Promise<void> | undefined;

  constructor(options: ProcessExitsOptions) {
    this.#options = options;
    this.#epoll.add(this.#wake.fd);
  }

  /**
   * Settles when it has ended, at once for one that is gone. Rejects with the signal's reason, and with `closed` when this
   * is closed.
   */
  async ended(process: ProcessId, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const pidfd = this.#open(process.pid);
    if (pidfd === "none") return;
    if (pidfd === "unknown") return await this.#endedByLooking(process, signal);
    if (!isRunning(process)) return pidfd[Symbol.dispose]();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fd = pidfd.number;
    this.#epoll.add(fd);
    this.#watched.set(fd, { process, pidfd, settle: resolve, fail: reject });
    this.#waiting ??= this.#wait();
    const onAbort = () => this.#leave(fd)?.fail(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Watches no more; whoever still waits is told `closed`. The processes are left alone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const fd of [...this.#watched.keys()]) this.#leave(fd)?.fail(closed());
    this.#wake.wake();
    await this.#waiting;
    this.#wake[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
    this.#libc[Symbol.dispose]();
  }

  async #endedByLooking(process: ProcessId, signal?: AbortSignal): Promise<void> {
    while (mayRun(process)) {
      await delay(this.#options.clock, LOOK_MS, signal);
      if (this.#isClosed) throw closed();
    }
  }

  /** `none`: there is no such process. */
  #open(pid: number): Fd | "none" | "unknown" {
    const { pidfdOpen = SYS_PIDFD_OPEN } = this.#options;
    const fd = this.#libc.call.pidfdOpen(pidfdOpen, pid, 0);
    if (fd < 0) return this.#libc.errno() === Errno.ESRCH ? "none" : "unknown";
    return new Fd(this.#libc, fd, "watch a process", "pidfd_open");
  }

  async #wait(): Promise<void> {
    const ready = new Slab(this.#epoll.readyBytes);
    while (this.#watched.size > 0) {
      const count = await this.#epoll.waitLater(ready);
      for (let at = 0; at < count; at++) {
        const fd = this.#epoll.fdIn(ready, at);
        if (fd === this.#wake.fd) this.#wake.drain();
        else if (this.#hasEnded(fd)) this.#leave(fd)?.settle();
      }
    }
    this.#waiting = undefined;
  }

  /** The number may have been given to another's pidfd since the thread has seen it. */
  #hasEnded(fd: number): boolean {
    const watched = this.#watched.get(fd);
    try {
      return watched !== undefined && !isRunning(watched.process);
    } catch {
      return true; // Too many open files, say: the event is all there is to go by.
    }
  }

  /** Undefined for one that has been left: it may have ended in the moment in which its watch did. */
  #leave(fd: number): Watched | undefined {
    const watched = this.#watched.get(fd);
    if (!watched) return undefined;
    this.#watched.delete(fd);
    this.#epoll.remove(fd);
    watched.pidfd[Symbol.dispose]();
    // The thread waits for nobody then.
    if (this.#watched.size === 0) this.#wake.wake();
    return watched;
  }
}

/** What cannot be seen now is not taken for an end. */
function mayRun(process: ProcessId): boolean {
  try {
    return isRunning(process);
  } catch {
    return true;
  }
}

function closed(): CulvertError {
  return new CulvertError("closed", "Cannot wait for a process: the watch was closed");
}
