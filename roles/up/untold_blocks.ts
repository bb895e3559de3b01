/**
 * Blocks, and ends of blocks, that some parts could not be told of because they did not run or did not answer. Each part has a
 * store of its own, so each is told as soon as it can be, whoever starts it again.
 *
 *   keep ─▶ so many, of one subject the newest ─▶ asked for every second while there are any ─▶ told, or refused: forgotten
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { AskedPart } from "./watched_network.ts";

export const RETELL_MS = 1000;

const TELL_TIMEOUT_MS = 5000;
/** The oldest is forgotten for another. */
const MAX_KEPT = 1000;

/** What one part is still to be told. */
export interface UntoldBlock {
  readonly part: AskedPart;
  /** The peer or supernode that it is about. */
  readonly subject: string;
  tell(signal: AbortSignal): Promise<unknown>;
}

export interface UntoldBlocksOptions {
  readonly clock: Clock;
  readonly log: Log;
  isRunning(name: string): boolean;
}

export class UntoldBlocks implements Disposable {
  readonly #options: UntoldBlocksOptions;
  readonly #kept = new Map<string, UntoldBlock>();
  readonly #stopped = new AbortController();
  #timer: Timer | undefined;

  constructor(options: UntoldBlocksOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#kept.size;
  }

  keep(untold: UntoldBlock): void {
    this.forget(untold);
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(keyOf(untold), untold);
    this.#wind();
  }

  /** It has been told something newer. */
  forget(untold: Pick<UntoldBlock, "part" | "subject">): void {
    this.#kept.delete(keyOf(untold));
  }

  [Symbol.dispose](): void {
    this.#stopped.abort(new Error("The network stops"));
    this.#timer?.cancel();
    this.#kept.clear();
  }

  #wind(): void {
    if (this.#timer || this.#kept.size === 0 || this.#stopped.signal.aborted) return;
    this.#timer = this.#options.clock.after(RETELL_MS, () => void this.#tellAll());
  }

  async #tellAll(): Promise<void> {
    const { clock, isRunning } = this.#options;
    using limit = deadline(clock, TELL_TIMEOUT_MS, "tell a part of blocks", this.#stopped.signal);
    // One after the other: they come in the order in which they were meant.
    for (const untold of [...this.#kept.values()].filter(({ part }) => isRunning(part.name))) {
      if (this.#kept.get(keyOf(untold)) === untold) await this.#tell(untold, limit.signal);
    }
    this.#timer = undefined;
    this.#wind();
  }

  /** Never rejects. */
  async #tell(untold: UntoldBlock, signal: AbortSignal): Promise<void> {
    const { part, subject } = untold;
    try {
      await orAborted(untold.tell(signal), signal);
    } catch (error) {
      // There was nothing to be lifted; anything else may be better in a second.
      if (!(error instanceof CulvertError && error.code === "not_found")) return;
    }
    if (this.#kept.get(keyOf(untold)) === untold) this.forget(untold);
    this.#options.log.info("A part was told of a block that it had missed", { part: part.name, subject });
  }
}

function keyOf({ part, subject }: Pick<UntoldBlock, "part" | "subject">): string {
  return `${part.name} ${subject}`;
}
