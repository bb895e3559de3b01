/**
 * One of a path's circuits, and the next that takes its place: every so often another is built, and dials move to it once
 * its gateway has been heard; the one before ends when its streams have. A circuit that is lost is replaced at once.
 *
 *   current ──some time later──▶ another is built and heard ──▶ it is current, the old one drains ──no stream left──▶ closed
 *
 * No stream is ever moved or cut for it. Where too many old ones are still in use, the next change waits.
 */

import { type Clock, delay, type Timer } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { TunnelPath } from "../tunnel_path.ts";

export interface CircuitSlotOptions {
  /** Begins to keep one circuit up. */
  open(): TunnelPath;
  /** Between this and that many milliseconds after the last, dials move to another circuit. */
  readonly rotateMs: readonly [least: number, most: number];
  /** Old circuits in use at once; the next change waits for one of them to end. */
  readonly maxDraining: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Dials have moved to another circuit. */
  onRotate?(): void;
}

/** However many dials are refused, no circuit is replaced for it oftener. */
const RENEW_FLOOR_MS = 5_000;
/** For another circuit to be built and heard. */
const REPLACE_MS = 20_000;
/** How often old ones are looked at. One is closed when it was idle twice: a dial may have been on its way to it. */
const DRAIN_LOOK_MS = 500;

export class CircuitSlot implements Disposable {
  readonly #options: CircuitSlotOptions;
  readonly #stop = new AbortController();
  readonly #draining = new Map<TunnelPath, { wasIdle: boolean }>();
  readonly #closing = new Set<Promise<void>>();
  #current: TunnelPath;
  #timer: Timer | undefined;
  readonly #running: Promise<void>;
  /** The change under way, if there is one. */
  #replacing: Promise<void> | undefined;
  /** Aborted when a change has come before its time. */
  #timeToRotate = new AbortController();
  #hurriedAtMs = -Infinity;

  constructor(options: CircuitSlotOptions) {
    this.#options = options;
    this.#current = options.open();
    this.#running = this.#rotate();
  }

  /** Where to dial. */
  get current(): TunnelPath {
    return this.#current;
  }

  get drainingCount(): number {
    return this.#draining.size;
  }

  get drainingStreamCount(): number {
    return [...this.#draining.keys()].reduce((sum, path) => sum + path.streamCount, 0);
  }

  /**
   * Its gateway takes no more dials: another circuit is to take its place without waiting for its time. Settles when that
   * has been tried, at once when it is not going to be.
   */
  renew(path: TunnelPath): Promise<void> {
    const { clock, maxDraining } = this.#options;
    if (path !== this.#current || this.#stop.signal.aborted || this.#draining.size >= maxDraining) {
      return Promise.resolve();
    }
    if (this.#replacing) return this.#replacing;
    const nowMs = clock.now();
    if (nowMs - this.#hurriedAtMs < RENEW_FLOOR_MS) return Promise.resolve();
    this.#hurriedAtMs = nowMs;
    this.#timeToRotate.abort();
    return this.#replaceOnce();
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#timer?.cancel();
    for (const path of [this.#current, ...this.#draining.keys()]) this.#close(path);
    this.#draining.clear();
  }

  /** Settles when every circuit is closed. Call `close` first. */
  async closed(): Promise<void> {
    await this.#running;
    await this.#replacing;
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #rotate(): Promise<void> {
    const { clock, random, rotateMs: [least, most], maxDraining } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#timeToRotate = new AbortController();
      const early = this.#timeToRotate.signal;
      const waitMs = least + random.next() * (most - least);
      await delay(clock, waitMs, AbortSignal.any([signal, early])).catch(() => {});
      while (this.#draining.size >= maxDraining && !signal.aborted) {
        await delay(clock, DRAIN_LOOK_MS, signal).catch(() => {});
      }
      if (!signal.aborted) await (early.aborted ? this.#replacing : this.#replaceOnce());
    }
  }

  /** Never rejects: without another, the circuit that there is stays. */
  #replaceOnce(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stop;
    return this.#replacing ??= this.#replace(signal).catch((error) => {
      if (!signal.aborted) log.debug("No other circuit could be built", { error: messageOf(error) });
    }).finally(() => this.#replacing = undefined);
  }

  async #replace(signal: AbortSignal): Promise<void> {
    const { clock, open, onRotate } = this.#options;
    const next = open();
    const limit = new AbortController();
    const timer = clock.after(REPLACE_MS, () => limit.abort(new Error("it took too long")));
    try {
      await next.ready(AbortSignal.any([signal, limit.signal]));
      signal.throwIfAborted(); // closed in the same turn
    } catch (error) {
      this.#close(next);
      throw error;
    } finally {
      timer.cancel();
    }
    this.#drain(this.#current);
    this.#current = next;
    onRotate?.();
  }

  #drain(path: TunnelPath): void {
    this.#draining.set(path, { wasIdle: false });
    this.#timer ??= this.#options.clock.after(DRAIN_LOOK_MS, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    for (const [path, state] of this.#draining) {
      const isOver = path.idle && (state.wasIdle || path.linkCount === 0);
      state.wasIdle = path.idle;
      if (!isOver) continue;
      this.#draining.delete(path);
      this.#close(path);
    }
    if (this.#draining.size > 0) this.#timer = this.#options.clock.after(DRAIN_LOOK_MS, () => this.#look());
  }

  #close(path: TunnelPath): void {
    path.close();
    const closing = path.closed().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
