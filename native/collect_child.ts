/**
 * Collects a child process that has ended, for a process that children come to by themselves: the first of a container, whose
 * orphans are its own. For children of `Deno.Command` Deno does so, and must.
 */

import type { Libc } from "./libc.ts";

const WNOHANG = 1;

/** Whether there was one to collect; never waits. */
export function collectChild(libc: Libc, pid: number): boolean {
  return libc.call.waitpid(pid, new Uint8Array(4), WNOHANG) === pid;
}
