/**
 * The gate that holds a node to its owner's data caps, with what was used on the disk ahead of every byte.
 *
 *   take(n) ─▶ caps: covered? ─▶ yes: passes          no: write the next block, then pass          spent: no
 *                               └▶ running low: write the next block meanwhile
 *
 * One write at a time, a few a second at full speed. When the disk takes no more writes nothing is shared, since nobody could
 * know after a crash how much it was; it is tried again with every `recover`. The figures are those of `data_caps.ts`.
 */

import type { ByteGate } from "../../net/sharing/shared_path.ts";
import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { DataCaps, Usage } from "../../protocol/sharing/data_caps.ts";

export interface UsageGateOptions {
  readonly caps: DataCaps;
  /** Puts it on the disk, in place of what was there. */
  write(usage: Usage): Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** A cap was spent, or writing has failed, or works again. */
  onChange(): void;
}

export class UsageGate implements ByteGate, AsyncDisposable {
  readonly #options: UsageGateOptions;
  readonly #caps: DataCaps;
  #writing: Promise<void> | undefined;
  #problem: string | undefined;
  #spent: DataCaps["spent"];
  #closed = false;

  constructor(options: UsageGateOptions) {
    this.#options = options;
    this.#caps = options.caps;
  }

  get leftBytes(): number {
    if (this.#closed || this.#problem !== undefined || this.spent) return 0;
    return this.#now().leftBytes;
  }

  get usage(): Usage {
    return this.#now().usage;
  }

  /**
   * The cap that allows no more, and when it does again. Until then it stays spent: streams that are cut give a little back,
   * for which it would not be worth while to begin anew.
   */
  get spent(): DataCaps["spent"] {
    const caps = this.#now();
    if (this.#spent && this.#spent.untilMs !== caps.endOf(this.#spent.cap)) this.#spent = undefined;
    return this.#spent ??= caps.spent;
  }

  /** Why what is used cannot be written. */
  get problem(): string | undefined {
    return this.#problem;
  }

  take(bytes: number): boolean | Promise<boolean> {
    if (this.#closed || this.#problem !== undefined || this.spent) return false;
    const caps = this.#now();
    if (!caps.take(bytes)) return bytes <= caps.leftBytes && this.#takeOnceCovered(bytes);
    if (caps.isLow) void this.#cover();
    if (this.spent) this.#options.onChange();
    return true;
  }

  give(bytes: number): void {
    this.#caps.give(bytes);
  }

  /** Tries again to write, if that has failed. */
  async recover(): Promise<void> {
    if (this.#problem !== undefined) await this.#cover();
  }

  /** Lets nothing more through, and writes what was used exactly. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#write(this.#now().usage);
  }

  async #takeOnceCovered(bytes: number): Promise<boolean> {
    await this.#cover();
    return await this.take(bytes);
  }

  /** Writes the next block, or waits for the write under way. Never rejects. */
  #cover(): Promise<void> {
    return this.#writing ??= this.#coverNext().finally(() => this.#writing = undefined);
  }

  async #coverNext(): Promise<void> {
    const plan = this.#now().plan();
    if (await this.#write(plan)) this.#now().covered(plan);
  }

  async #write(usage: Usage): Promise<boolean> {
    const before = this.#problem;
    try {
      await this.#options.write(usage);
      this.#problem = undefined;
    } catch (error) {
      this.#problem = messageOf(error);
      if (before === undefined) this.#options.log.error("Cannot write down what was shared", { error: this.#problem });
    }
    if ((before === undefined) !== (this.#problem === undefined)) this.#options.onChange();
    return this.#problem === undefined;
  }

  #now(): DataCaps {
    this.#caps.roll(this.#options.clock.wallNow());
    return this.#caps;
  }
}
