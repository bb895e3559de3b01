/**
 * A Link whose bytes go over several legs: drives the pure `FragmentSession` with a Clock and with whatever sends and
 * brings fragments. Client and central use it alike.
 *
 *   mux → fill → session.pull(leg) → batch → SendLeg.send          receive(leg, batch) → session → onBytes → mux
 *
 * It flushes once per turn: what becomes ready in the same turn shares batches, and the legs take turns, a batch each,
 * for as long as they are writable. What it does not do: open legs, or choose relays.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Link, LinkHandlers } from "../link.ts";

/** One way fragments leave by. */
export interface SendLeg {
  /** False while its socket has enough queued; `onWritable` follows. */
  readonly isWritable: boolean;
  /** A batch, `length u16 | fragment` one after the other: copied or sent before it returns. */
  send(batch: Uint8Array): void;
  /** Set by whoever sends. */
  onWritable: () => void;
}

/** What the link asks of a session. `FragmentSession` is one. */
export interface FragmentMachine extends Disposable {
  wake(): void;
  receive(leg: number, fragment: Uint8Array, nowMs: number): void;
  pull(leg: number, into: Uint8Array, nowMs: number): number;
  tick(nowMs: number): void;
  readonly nextTickMs: number;
  /** Everything given to it has arrived. */
  readonly isIdle: boolean;
  failLeg(leg: number): void;
  close(): void;
}

/** What a session tells the link, apart from the legs of its peer. */
export interface FragmentMachineEvents {
  fill(into: Uint8Array): number;
  onBytes(bytes: Uint8Array): void;
  onWants(leg: number): void;
  onEnd(reason?: string): void;
}

export interface FragmentLinkOptions<M extends FragmentMachine> {
  /** Makes the session. */
  session(events: FragmentMachineEvents, nowMs: number): M;
  readonly clock: Clock;
  /** Where batches are put together, a batch at a time; many links may share it. */
  readonly batch: Uint8Array;
  /** The session has ended, and its last words have been given to the legs; `error` when not by us. */
  onEnd?(error?: CulvertError): void;
}

/** The size of a `batch` that suits every carrier: messages of relays are at most 256 KiB with what is before them. */
export const BATCH_BYTES = 192 * 1024;
/** What may come before the link is started, while its mux is being made. */
const MAX_EARLY_BYTES = 512 * 1024;

export class FragmentLink<M extends FragmentMachine = FragmentMachine> implements Link {
  /** For what the link leaves to its owner: which legs there are. */
  readonly session: M;
  readonly #clock: Clock;
  readonly #batch: Uint8Array;
  readonly #onEnd: ((error?: CulvertError) => void) | undefined;
  readonly #legs = new Map<number, SendLeg>();
  /** Legs the session may have fragments for. */
  readonly #wanting = new Set<number>();
  #handlers: LinkHandlers | undefined;
  #early: { readonly leg: number; readonly batch: Uint8Array }[] = [];
  #earlyBytes = 0;
  #flushing = false;
  #timer: Timer | undefined;
  #dueMs = Infinity;
  #closed = false;
  #ended = false;
  #error: CulvertError | undefined;

  constructor(options: FragmentLinkOptions<M>) {
    this.#clock = options.clock;
    this.#batch = options.batch;
    this.#onEnd = options.onEnd;
    const events: FragmentMachineEvents = {
      fill: (into) => this.#closed ? 0 : this.#handlers?.fill(into) ?? 0,
      onBytes: (bytes) => {
        if (!this.#closed) this.#handlers?.onBytes(bytes);
      },
      onWants: (leg) => this.#want(leg),
      onEnd: (reason) => {
        this.#closed = true;
        if (reason !== undefined) {
          this.#error ??= new CulvertError("link_lost", `The fragments' session has ended: ${reason}`);
        }
        this.#end();
      },
    };
    this.session = options.session(events, options.clock.now());
  }

  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    if (this.#ended) return queueMicrotask(() => this.#tellClosed());
    const early = this.#early;
    this.#early = [];
    for (const { leg, batch } of early) this.receive(leg, batch);
    this.wake();
  }

  wake(): void {
    if (this.#ended) return;
    this.session.wake();
    this.#schedule();
  }

  get idle(): boolean {
    return this.#ended || this.session.isIdle;
  }

  /** The mux bounds what it is sent by its windows, so it never asks the legs to stop. */
  resume(): void {}

  /** Says goodbye on every leg that takes it, and ends. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#ended) return;
    this.session.close();
    for (const leg of this.#legs.keys()) this.#wanting.add(leg);
    this.#send();
    this.#end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Ends the link because of a fault, which `onClose` will name. */
  fail(error: CulvertError): void {
    if (this.#ended) return;
    this.#error = error;
    this.#closed = true;
    this.session.close();
    this.#end();
  }

  /** Fragments of that leg go out by this from now on. */
  setSendLeg(leg: number, by: SendLeg): void {
    if (this.#ended) return;
    this.#legs.set(leg, by);
    by.onWritable = () => {
      if (this.#legs.get(leg) === by) this.#want(leg);
    };
    this.#want(leg);
  }

  /** Nothing goes out by that leg until it is set again, and what has gone may be lost. */
  failSendLeg(leg: number): void {
    this.#legs.delete(leg);
    this.#wanting.delete(leg);
    if (this.#ended) return;
    this.session.failLeg(leg);
    this.#schedule();
  }

  /** Fragments that have come on a leg; false when they were not cut as they must be. */
  receive(leg: number, batch: Uint8Array): boolean {
    if (this.#ended) return true;
    if (!this.#handlers) return this.#keepEarly(leg, batch);
    const nowMs = this.#clock.now();
    let at = 0;
    while (at + 2 <= batch.length && !this.#ended) {
      const end = at + 2 + ((batch[at]! << 8) | batch[at + 1]!);
      if (end > batch.length) break;
      this.session.receive(leg, batch.subarray(at + 2, end), nowMs);
      at = end;
    }
    this.#schedule();
    return at === batch.length || this.#ended;
  }

  #keepEarly(leg: number, batch: Uint8Array): boolean {
    if (this.#earlyBytes + batch.length > MAX_EARLY_BYTES) return true; // the session asks for it again
    this.#earlyBytes += batch.length;
    this.#early.push({ leg, batch: batch.slice() });
    return true;
  }

  #want(leg: number): void {
    this.#wanting.add(leg);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#flushing || this.#ended) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#ended) return;
      this.#send();
      this.#arm();
    });
  }

  /** A batch for each leg in turn, until no leg takes or has any. */
  #send(): void {
    const nowMs = this.#clock.now();
    for (let isAnySent = true; isAnySent;) {
      isAnySent = false;
      for (const leg of this.#wanting) {
        const by = this.#legs.get(leg);
        const count = by?.isWritable ? this.session.pull(leg, this.#batch, nowMs) : 0;
        if (count === 0) {
          this.#wanting.delete(leg);
          continue;
        }
        by!.send(this.#batch.subarray(0, count));
        isAnySent = true;
      }
    }
  }

  /** A timer that is set for earlier stays: it finds nothing due and sets the next. */
  #arm(): void {
    const dueMs = this.session.nextTickMs;
    if (dueMs >= this.#dueMs || this.#ended) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () => {
      this.#dueMs = Infinity;
      this.#timer = undefined;
      if (this.#ended) return;
      this.session.tick(this.#clock.now());
      this.#send();
      this.#arm();
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#wanting.clear();
    this.#legs.clear();
    this.#early = [];
    this.session[Symbol.dispose]();
    this.#onEnd?.(this.#error);
    if (this.#handlers) queueMicrotask(() => this.#tellClosed());
  }

  #tellClosed(): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose(this.#error);
  }
}
