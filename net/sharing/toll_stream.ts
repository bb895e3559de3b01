/**
 * A node's Stream on its way to a paying client: every byte is paid for, and counts once it was delivered.
 *
 *   down   node ─ read ─▶ allow: held back until it is paid for ─▶ client's socket ─ the next read ─▶ passed
 *   up     client ─ allow: taken no further than is paid for ─▶ write ─▶ node's tunnel ─▶ passed
 *
 * What was read counts when the next read comes: whoever joins streams asks for more only once the client's socket has
 * taken what there was, and tells when it has taken a part, should the client go away in the middle. Nothing is set aside
 * for a stream that waits. When the money ends the stream is cut: what it had been allowed is still delivered, the rest is
 * not, and no byte is delivered unpaid.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Toll } from "../../protocol/sharing/toll.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { FollowedStream } from "../splice.ts";

export type Direction = "up" | "down";

/** Who is told what passes, and says how fast it may. */
export interface TollWatch {
  readonly clock: Clock;
  /** Bytes were delivered. An error ends the stream. */
  carried(direction: Direction, bytes: number): DialError | undefined;
  /** How long so many bytes have to wait; 0 where no rate is set. */
  paceMs(bytes: number): number;
  /** The stream has ended. Called once. */
  ended(): void;
}

export class TollStream implements FollowedStream {
  readonly #stream: Stream;
  readonly #toll: Toll;
  readonly #watch: TollWatch;
  readonly #onCut: () => void;
  /** Ends waits for money and for the rate. Made when the first one waits. */
  #waiting: AbortController | undefined;
  /** Read and paid for, and not known to be delivered whole; and what part of it is. */
  #downBytes = 0;
  #takenBytes = 0;
  /** Set aside for the write under way. */
  #upBytes = 0;
  #error: CulvertError | undefined;
  #closed = false;

  constructor(stream: Stream, toll: Toll, watch: TollWatch) {
    this.#stream = stream;
    this.#toll = toll;
    this.#watch = watch;
    this.#onCut = () => this.#cut(toll.cut.reason);
    if (toll.cut.aborted) this.#onCut();
    else toll.cut.addEventListener("abort", this.#onCut);
  }

  read(into: Uint8Array): Promise<number | null> {
    this.#delivered();
    if (this.#isOver) return Promise.reject(this.#failure());
    return this.#stream.read(into).then(this.#onRead);
  }

  partlyTaken(bytes: number): void {
    this.#takenBytes += bytes;
  }

  write(from: Uint8Array): Promise<number> {
    if (this.#isOver) return Promise.reject(this.#failure());
    const allowed = this.#toll.allow(from.length);
    const waitMs = allowed === 0 ? 0 : this.#watch.paceMs(allowed);
    if (allowed === 0 && from.length > 0 || waitMs > 0) return this.#writeLater(from, allowed, waitMs);
    return this.#write(from, allowed);
  }

  closeWrite(): Promise<void> {
    return this.#stream.closeWrite();
  }

  close(): void {
    this.#end(() => this.#stream.close());
  }

  abort(): void {
    this.#end(() => this.#stream.abort ? this.#stream.abort() : this.#stream.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #onRead = (count: number | null): number | null | Promise<number> => {
    if (!count) return count;
    if (this.#closed) throw this.#failure();
    const allowed = this.#toll.allow(count);
    this.#downBytes = allowed;
    const waitMs = this.#watch.paceMs(count);
    return allowed === count && waitMs === 0 ? count : this.#payFor(count, waitMs);
  };

  /** Waits for money and for the rate; gives as much of what was read as was paid for. */
  async #payFor(count: number, waitMs: number): Promise<number> {
    if (waitMs > 0) await this.#wait(waitMs);
    while (this.#downBytes < count) {
      const hasMore = await this.#toll.refill();
      if (this.#isOver) throw this.#failure();
      if (!hasMore) {
        // The rest is dropped, so the stream is over; but what was paid for is owed.
        this.#error = unpaid();
        if (this.#downBytes === 0) throw this.#error;
        return this.#downBytes;
      }
      this.#downBytes += this.#toll.allow(count - this.#downBytes);
    }
    return count;
  }

  async #writeLater(from: Uint8Array, firstAllowed: number, waitMs: number): Promise<number> {
    let allowed = firstAllowed;
    this.#upBytes = allowed;
    if (waitMs > 0) await this.#wait(waitMs);
    while (allowed === 0) {
      const hasMore = await this.#toll.refill();
      if (this.#isOver) throw this.#failure();
      if (!hasMore) throw this.#error = unpaid();
      allowed = this.#toll.allow(from.length);
    }
    return await this.#write(from, allowed);
  }

  async #write(from: Uint8Array, allowed: number): Promise<number> {
    this.#upBytes = allowed;
    let count = 0;
    try {
      return count = await this.#stream.write(allowed === from.length ? from : from.subarray(0, allowed));
    } finally {
      // Of a stream that was closed meanwhile, what was set aside has been given back.
      if (this.#upBytes > 0) {
        this.#upBytes = 0;
        this.#toll.passed("up", count, allowed);
        this.#carried("up", count);
      }
    }
  }

  /** More is asked for: so what was read has been taken. */
  #delivered(): void {
    const bytes = this.#downBytes;
    if (bytes === 0) return;
    this.#downBytes = this.#takenBytes = 0;
    this.#toll.passed("down", bytes, bytes);
    this.#carried("down", bytes);
  }

  #carried(direction: Direction, bytes: number): void {
    const refusal = this.#watch.carried(direction, bytes);
    if (refusal) this.#cut(refusal);
  }

  async #wait(waitMs: number): Promise<void> {
    this.#waiting ??= new AbortController();
    await delay(this.#watch.clock, waitMs, this.#waiting.signal);
  }

  get #isOver(): boolean {
    return this.#closed || this.#error !== undefined;
  }

  /** Made only for whoever hears it: most streams are closed when nobody reads or writes any more. */
  #failure(): CulvertError {
    return this.#error ??= new CulvertError("closed", "Cannot use a stream after close()");
  }

  #cut(reason: unknown): void {
    this.#error ??= reason instanceof CulvertError ? reason : unpaid();
    this.abort();
  }

  #end(endStream: () => void): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#toll.cut.removeEventListener("abort", this.#onCut);
    endStream();
    this.#waiting?.abort(this.#failure());
    if (this.#downBytes > 0) this.#toll.passed("down", this.#takenBytes, this.#downBytes);
    if (this.#takenBytes > 0) this.#watch.carried("down", this.#takenBytes);
    if (this.#upBytes > 0) this.#toll.passed("up", 0, this.#upBytes);
    this.#downBytes = this.#takenBytes = this.#upBytes = 0;
    this.#toll[Symbol.dispose]();
    this.#watch.ended();
  }
}

/** The account's money has come to its end. */
export function unpaid(): DialError {
  return new DialError("unpaid", "the account has no money left", { isForAll: true });
}
