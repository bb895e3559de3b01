/**
 * A TCP relay on real sockets that delays every byte on its way, each way: a distant network on one machine, without
 * privileges and in every kernel.
 *
 *   client ⇄ relay ⇄ target        one-way delay `delayMs`, so a round trip costs twice that
 *
 * Bytes keep their order and their spacing; an end of one half arrives as such, after its delay. At most `bufferBytes`
 * wait in each direction of a connection, after which the sender is held back: it must hold what is sent in `delayMs`,
 * or the relay becomes the bottleneck (64 MiB and 50 ms carry 10 Gbit/s). Timers tick in milliseconds, and so does it.
 * Opening a connection is not delayed: the relay accepts before the target does.
 */

import { type Clock, clockOf, delay } from "../protocol/clock.ts";
import type { Stream, Target } from "../protocol/stream.ts";
import { writeAll } from "../protocol/stream.ts";
import { DelayRing } from "./delay_ring.ts";

export interface DelayRelayOptions {
  /** Where connections lead. */
  readonly to: Target;
  /** One way. */
  readonly delayMs: number;
  /** Default 64 MiB. */
  readonly bufferBytes?: number;
  readonly clock?: Clock;
}

const DEFAULT_BUFFER_BYTES = 64 * 1024 * 1024;
/** What one read or write moves at most. */
const CHUNK_BYTES = 256 * 1024;

export class DelayRelay implements AsyncDisposable {
  /** Where to connect instead of the target. */
  readonly address: Target;
  readonly #listener: Deno.TcpListener;
  readonly #closing = new AbortController();
  readonly #serving: Promise<void>;
  readonly #options: Required<DelayRelayOptions>;

  private constructor(listener: Deno.TcpListener, options: DelayRelayOptions) {
    const { hostname, port } = listener.addr as Deno.NetAddr;
    this.address = { host: hostname, port };
    this.#listener = listener;
    this.#options = { bufferBytes: DEFAULT_BUFFER_BYTES, clock: clockOf(globalThis), ...options };
    this.#serving = this.#serve();
  }

  /** Starts a relay on a free port of 127.0.0.1. */
  static start(options: DelayRelayOptions): DelayRelay {
    const { delayMs, bufferBytes = DEFAULT_BUFFER_BYTES } = options;
    if (!(delayMs >= 0)) throw new RangeError(`Cannot start a relay: delayMs must be at least 0, got ${delayMs}`);
    if (!(bufferBytes >= 1)) {
      throw new RangeError(`Cannot start a relay: bufferBytes must be at least 1, got ${bufferBytes}`);
    }
    return new DelayRelay(Deno.listen({ hostname: "127.0.0.1", port: 0 }), options);
  }

  /** Closes the listener and every connection, and waits until they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#listener[Symbol.dispose]();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const relays = new Set<Promise<void>>();
    for await (const near of this.#listener) {
      const relay = this.#relay(near).catch(() => {}).finally(() => relays.delete(relay));
      relays.add(relay);
    }
    await Promise.all(relays);
  }

  async #relay(accepted: Deno.TcpConn): Promise<void> {
    using near = accepted;
    const { to } = this.#options;
    const { signal } = this.#closing;
    using far = await Deno.connect({ hostname: to.host, port: to.port, signal });
    near.setNoDelay();
    far.setNoDelay();
    const cut = () => {
      near[Symbol.dispose]();
      far[Symbol.dispose]();
    };
    signal.addEventListener("abort", cut, { once: true });
    try {
      // What goes wrong on one half ends both, or the other would wait for ever.
      await Promise.all([this.#carry(near, far).catch(cut), this.#carry(far, near).catch(cut)]);
    } finally {
      signal.removeEventListener("abort", cut);
    }
  }

  async #carry(from: Stream, to: Stream): Promise<void> {
    const { bufferBytes, delayMs, clock } = this.#options;
    const ring = new DelayRing(bufferBytes, delayMs);
    const turn = new Turn();
    const failed = new AbortController();
    const guard = <T>(work: Promise<T>) =>
      work.catch((error) => {
        failed.abort(error);
        turn.pass();
        throw error;
      });
    const signal = AbortSignal.any([this.#closing.signal, failed.signal]);
    const parts = { from, to, ring, turn, clock, signal };
    const [endedMs] = await Promise.all([guard(fill(parts)), guard(drain(parts))]);
    await delay(clock, Math.max(0, endedMs + delayMs - clock.now()), signal);
    await to.closeWrite();
  }
}

interface Parts {
  readonly from: Stream;
  readonly to: Stream;
  readonly ring: DelayRing;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Reads into the ring until the sender ends its half; gives the time of that. */
async function fill({ from, ring, turn, clock, signal }: Parts): Promise<number> {
  for (;;) {
    const space = ring.space(CHUNK_BYTES);
    if (space.length === 0) {
      signal.throwIfAborted();
      await turn.wait();
      continue;
    }
    const count = await from.read(space);
    if (count === null) break;
    ring.filled(count, clock.now());
    turn.pass();
  }
  turn.isOver = true;
  turn.pass();
  return clock.now();
}

/** Writes out of the ring what has waited long enough, until all is written. */
async function drain({ to, ring, turn, clock, signal }: Parts): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const dueMs = ring.nextDueMs;
    if (dueMs === undefined) {
      if (turn.isOver) return;
      await turn.wait();
      continue;
    }
    const waitMs = dueMs - clock.now();
    if (waitMs > 0) await delay(clock, waitMs, signal);
    for (let due = ring.due(clock.now()); due.length > 0; due = ring.due(clock.now())) {
      const chunk = due.subarray(0, CHUNK_BYTES);
      await writeAll(to, chunk);
      ring.taken(chunk.length);
      turn.pass();
    }
  }
}

/** How the two sides of a ring wait for each other: at most one waits, since a ring is never both full and empty. */
class Turn {
  /** No more will be filled in. */
  isOver = false;
  #wake: (() => void) | undefined;

  wait(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  pass(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
