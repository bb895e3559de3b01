/**
 * Learns at once that processes have ended, whoever their parent is: a pidfd (pidfd_open(2), Linux 5.3) of each in one
 * epoll, and one thread that waits for all of them.
 *
 *   ended({ pid, startTicks }) ─▶ pidfd ─▶ epoll ─ waited for on another thread ─▶ settles
 *
 * The start time is looked at once the pidfd is there: from then on no other process can be taken for it. How a process
 * ended is told only to its parent, and not by this.
 */

export interface ProcessId {
  readonly pid: number;
  /** `ProcStat.startTicks`; another process may have the pid by now. */
  readonly startTicks: number;
}

export interface ProcessExits extends AsyncDisposable {
  /** Settles when it has ended, at once for one that is gone. Rejects when the watch is closed, or none is possible. */
  ended(process: ProcessId): Promise<void>;
}
