/**
 * Where log lines go: a queue in front of a slow writer.
 *
 *   write(line) → [queue, maxQueuedBytes] → one write at a time → stderr
 *
 * `write` never waits. When whoever reads stderr is too slow and the queue is full, new lines are dropped and counted;
 * as soon as there is room a line says how many are missing. Lines queued together go out in one write.
 */

import type { Clock } from "../protocol/clock.ts";

export interface LogSink {
  /** Queues one line, without its newline. */
  write(line: string): void;
  /** Waits until everything queued is written, but no longer than `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
}

export interface LogSinkOptions {
  /** Writes some of the bytes and says how many; `Deno.stderr.write`. */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  readonly clock: Clock;
  /** The line that says that `count` lines are missing. */
  readonly lostLine: (count: number) => string;
  /** Default 1 MiB, counted in UTF-16 units. */
  readonly maxQueued?: number;
}

const DEFAULT_MAX_QUEUED = 1024 * 1024;

export function createLogSink(options: LogSinkOptions): LogSink {
  return new QueuedSink(options);
}

class QueuedSink implements LogSink {
  readonly #options: LogSinkOptions;
  readonly #maxQueued: number;
  readonly #encoder = new TextEncoder();
  #queued = "";
  #lost = 0;
  #writing: Promise<void> | undefined;

  constructor(options: LogSinkOptions) {
    this.#options = options;
    this.#maxQueued = options.maxQueued ?? DEFAULT_MAX_QUEUED;
  }

  write(line: string): void {
    // Once one is dropped so are all until there is room, or the count of the missing would stand in the wrong place.
    if (this.#lost > 0 || this.#queued.length + line.length + 1 > this.#maxQueued) {
      this.#lost++;
      return;
    }
    this.#queued += line + "\n";
    this.#writing ??= this.#drain();
  }

  async flush(timeoutMs: number): Promise<void> {
    if (!this.#writing) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(timeoutMs, resolve);
    await Promise.race([this.#writing, late]);
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queued !== "") {
        // Waiting one turn first lets lines logged together leave together.
        await Promise.resolve();
        const bytes = this.#encoder.encode(this.#take());
        for (let at = 0; at < bytes.length;) at += await this.#options.write(bytes.subarray(at));
      }
    } catch {
      // Nobody reads stderr any more, and there is nowhere else to say so.
      this.#queued = "";
    } finally {
      this.#writing = undefined;
    }
  }

  #take(): string {
    const text = this.#queued;
    this.#queued = this.#lost > 0 ? this.#options.lostLine(this.#lost) + "\n" : "";
    this.#lost = 0;
    return text;
  }
}
