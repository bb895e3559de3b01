/**
 * Learns at once that processes have ended, whoever their parent is: a pidfd (pidfd_open(2), Linux 5.3) of each in one
 * epoll, and one thread that waits for all of them, as long as there are any.
 *
 *   ended({ pid, startTicks }) ─▶ pidfd ─▶ epoll ─ waited for on another thread ─▶ settles
 *
 * The start time is looked at once the pidfd is there: from then on no other process can be taken for it. How a process
 * ended is told only to its parent, and not by this.
 */

import { CulvertError } from "../protocol/errors.ts";
import { isAlive } from "../protocol/manager/proc_text.ts";
import { Slab } from "../protocol/slab.ts";
import { Epoll } from "./epoll.ts";
import { Errno, SysError } from "./errno.ts";
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
  readonly pidfd: Fd;
  settle(): void;
  fail(reason: unknown): void;
}

/** The same on every machine. */
const SYS_PIDFD_OPEN = 434n;

export class ProcessExits implements AsyncDisposable {
  readonly #libc: Libc = openLibc();
  readonly #epoll = new Epoll(this.#libc);
  readonly #wake = new EventFd(this.#libc);
  /** By the number of the pidfd. */
  readonly #watched = new Map<number, Watched>();
  #isClosed = false;
  #waiting: Promise<void> | undefined;

  constructor() {
    this.#epoll.add(this.#wake.fd);
  }

  /**
   * Settles when it has ended, at once for one that is gone. Rejects with the signal's reason, with `closed` when this is
   * closed, and where the kernel has no descriptor for it.
   */
  async ended(process: ProcessId, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const pidfd = this.#open(process.pid);
    if (!pidfd) return;
    if (!isRunning(process)) return pidfd[Symbol.dispose]();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fd = pidfd.number;
    this.#epoll.add(fd);
    this.#watched.set(fd, { pidfd, settle: resolve, fail: reject });
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

  /** Undefined where there is no such process. */
  #open(pid: number): Fd | undefined {
    const fd = this.#libc.call.pidfdOpen(SYS_PIDFD_OPEN, pid, 0);
    if (fd < 0) {
      const errno = this.#libc.errno();
      if (errno === Errno.ESRCH) return undefined;
      throw new SysError(`watch process ${pid}`, "pidfd_open", errno);
    }
    return new Fd(this.#libc, fd, "watch a process", "pidfd_open");
  }

  async #wait(): Promise<void> {
    const ready = new Slab(this.#epoll.readyBytes);
    while (this.#watched.size > 0) {
      const count = await this.#epoll.waitLater(ready);
      for (let at = 0; at < count; at++) {
        const fd = this.#epoll.fdIn(ready, at);
        if (fd === this.#wake.fd) this.#wake.drain();
        else this.#leave(fd)?.settle();
      }
    }
    this.#waiting = undefined;
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

function closed(): CulvertError {
  return new CulvertError("closed", "Cannot wait for a process: the watch was closed");
}
