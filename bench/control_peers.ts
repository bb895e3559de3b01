/**
 * Thousands of peers of one supernode, in a few processes that share them evenly.
 */

import { load } from "./loads.ts";
import type { Member } from "./our_network.ts";
import type { PeersStatus } from "./load/peers.ts";
import type { Program } from "../testing/program.ts";

/** Making an identity takes a fraction of a millisecond, and a crowd has thousands. */
const START_MS = 60_000;
const WORK_MS = 600_000;

export class ControlPeers implements AsyncDisposable {
  readonly count: number;
  readonly #programs: readonly Program[];

  private constructor(programs: readonly Program[], count: number) {
    this.#programs = programs;
    this.count = count;
  }

  /** Peers that are ready to connect. */
  static async start(supernode: Member, count: number, processes = 2): Promise<ControlPeers> {
    const supernodeUrl = supernode.address("supernode");
    const shares = sharesOf(count, processes);
    const programs = shares.map((share) => load("peers", { supernode: supernodeUrl, count: share }));
    const peers = new ControlPeers(programs, count);
    try {
      await Promise.all(programs.map((program) => program.readJson(START_MS)));
      return peers;
    } catch (error) {
      await peers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Connects them all; gives the seconds until the last has been let in. */
  async open(): Promise<number> {
    const startMs = performance.now();
    await this.#ask(() => "open");
    return (performance.now() - startMs) / 1000;
  }

  /** Connects and leaves so many times; gives the seconds that took. */
  async churn(cycles: number): Promise<number> {
    const shares = sharesOf(cycles, this.#programs.length);
    const startMs = performance.now();
    await this.#ask((number) => `churn ${shares[number]}`);
    return (performance.now() - startMs) / 1000;
  }

  status(): Promise<PeersStatus> {
    return this.#ask(() => "status");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
  }

  async #ask(lineFor: (number: number) => string): Promise<PeersStatus> {
    const answers = this.#programs.map((program, number) => program.ask(lineFor(number), WORK_MS));
    return totalOf(await Promise.all(answers) as unknown as PeersStatus[]);
  }
}

/** As evenly as it goes. */
export function sharesOf(count: number, parts: number): number[] {
  return Array.from({ length: parts }, (_, part) => Math.floor((count + part) / parts));
}

/** What several processes say, as one. */
export function totalOf(statuses: readonly PeersStatus[]): PeersStatus {
  const failed: Record<string, number> = {};
  for (const status of statuses) {
    for (const [reason, count] of Object.entries(status.failed)) failed[reason] = (failed[reason] ?? 0) + count;
  }
  const sum = (what: "open" | "lost") => statuses.reduce((sum, status) => sum + status[what], 0);
  const most = (what: "lastOpenAtMs" | "worstRttMs") => Math.max(...statuses.map((status) => status[what]));
  return {
    open: sum("open"),
    lastOpenAtMs: most("lastOpenAtMs"),
    lost: sum("lost"),
    failed,
    worstRttMs: most("worstRttMs"),
  };
}
