/**
 * What waits for one listener: messages in their order, and the last answer to a poll until it is acknowledged. Bounded
 * by whoever puts things in.
 */

import type { Clock } from "../../protocol/clock.ts";
import { encodePollAnswer } from "../../protocol/fragment/messages.ts";
import type { MessageChannel } from "../../protocol/message_channel.ts";
import type { Hop } from "../hop.ts";

/** The most that one answer to a poll has, beyond its first message. */
const MAX_ANSWER_BYTES = 512 * 1024;

export interface PollWait {
  readonly acknowledged: number;
  readonly clock: Pick<Clock, "after">;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export class Mailbox {
  /** In hex. */
  readonly key: string;
  readonly alias: Uint8Array;
  /** The listener, by WebSocket. */
  channel: MessageChannel | undefined;
  #settlePoll: ((hasSomething: boolean) => void) | undefined;
  /** Until then whoever polls counts as a listener between two polls. */
  polledUntilMs = -Infinity;
  /** Whether the listener is at another process, and when that was seen. */
  isElsewhere = false;
  elsewhereAtMs = -Infinity;
  /** Through which central's hop something came last. */
  poster: Hop | undefined;
  /** The central because of which it is there, while nobody has listened. */
  founder: string | undefined;
  /** Without a listener it is forgotten then. */
  expiresAtMs = Infinity;
  /** Dropped, and central not told of yet. */
  droppedBytes = 0;
  toldAtMs = -Infinity;
  /** Since when the listener has taken nothing, while there was something for it. */
  stuckSinceMs: number | undefined;
  readonly #onWeight: (bytes: number) => void;
  #queue: Uint8Array<ArrayBuffer>[] = [];
  #queuedBytes = 0;
  #unacknowledged:
    | { readonly number: number; readonly messages: Uint8Array<ArrayBuffer>[]; readonly bytes: number }
    | undefined;

  /** `onWeight` hears by how much what it holds has grown or shrunk. */
  constructor(alias: Uint8Array, key: string, onWeight: (bytes: number) => void) {
    this.alias = alias.slice();
    this.key = key;
    this.#onWeight = onWeight;
  }

  /** What it holds. */
  get bytes(): number {
    return this.#queuedBytes + (this.#unacknowledged?.bytes ?? 0);
  }

  /** Whether somebody listens here. */
  isListenedTo(nowMs: number): boolean {
    return this.channel !== undefined || this.isPolled || nowMs < this.polledUntilMs;
  }

  /** Whether a poll waits for something to come. */
  get isPolled(): boolean {
    return this.#settlePoll !== undefined;
  }

  /** Ends the poll that waits, if one does: with what there is by now, or with nothing. */
  settlePoll(hasSomething: boolean): void {
    const settle = this.#settlePoll;
    this.#settlePoll = undefined;
    settle?.(hasSomething);
  }

  /** The answer to a poll once something comes; undefined when nothing has by then. */
  nextAnswer({ acknowledged, clock, waitMs, signal }: PollWait): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>();
    const settle = (hasSomething: boolean) => {
      timer.cancel();
      signal.removeEventListener("abort", giveUp);
      resolve(hasSomething ? this.answerFor(acknowledged) : undefined);
    };
    const giveUp = () => this.#settlePoll === settle && this.settlePoll(false);
    const timer = clock.after(waitMs, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    this.#settlePoll = settle;
    return promise;
  }

  /** Keeps a copy. */
  put(kind: number, rest: Uint8Array): void {
    const message = new Uint8Array(1 + rest.length);
    message[0] = kind;
    message.set(rest, 1);
    this.#queue.push(message);
    this.#weigh(message.length);
  }

  /** Everything that waits, what was not acknowledged first; nothing is left. */
  takeAll(): Uint8Array<ArrayBuffer>[] {
    const all = [...this.#unacknowledged?.messages ?? [], ...this.#queue];
    this.#onWeight(-this.bytes);
    this.#unacknowledged = undefined;
    this.#queue = [];
    this.#queuedBytes = 0;
    return all;
  }

  /** The answer to whoever got the one of that number last; undefined when there is nothing yet. */
  answerFor(acknowledged: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#unacknowledged?.number === acknowledged) this.#forget();
    if (!this.#unacknowledged && this.#queue.length > 0) this.#gather(acknowledged);
    return this.#unacknowledged && encodePollAnswer(this.#unacknowledged);
  }

  #forget(): void {
    this.#onWeight(-this.#unacknowledged!.bytes);
    this.#unacknowledged = undefined;
  }

  #gather(acknowledged: number): void {
    let count = 0;
    let bytes = 0;
    for (const { length } of this.#queue) {
      if (count > 0 && bytes + length > MAX_ANSWER_BYTES) break;
      bytes += length;
      count++;
    }
    // Numbered after what the client has, since another process may have given it that.
    const number = acknowledged + 1 >>> 0;
    this.#unacknowledged = { number, messages: this.#queue.splice(0, count), bytes };
    this.#queuedBytes -= bytes;
  }

  #weigh(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#onWeight(bytes);
  }
}
