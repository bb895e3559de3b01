/**
 * An upstream's hops to centrals: one each, shared by all clients. Only centrals of the directory are connected to: a
 * client names one by its id, and no client can have a connection opened to an address of its choice.
 *
 *   first message ─▶ dial, and what comes meanwhile waits, within a bound ─▶ open ─┬─ unused for minutes, or no longer
 *        ▲                                                                         │  in the directory ─▶ closed
 *        └── after a growing wait ◀── down, and what comes is refused ◀── lost ◀───┘
 *
 * Nothing is queued for an open hop but what its socket has in hand: what finds no room is refused.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { UpstreamRefusal } from "../../protocol/fragment/messages.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { DialHop, Hop, KnownRelays } from "../hop.ts";

export interface CentralHopsOptions {
  readonly relays: KnownRelays;
  readonly dialHop: DialHop;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What a central says: a view, valid only during the call. */
  onMessage(centralId: string, message: Uint8Array): void;
  /** A hop is lost: what was under way on it may not have arrived. */
  onLost(centralId: string): void;
}

const DIAL_MS = 5000;
/** What may wait for a hop that is being opened. */
const MAX_WAITING_BYTES = 512 * 1024;
const SWEEP_EVERY_MS = 30_000;
const KEPT_MS = 5 * 60_000;

export class CentralHops implements Disposable {
  readonly #options: CentralHopsOptions;
  readonly #hops = new Map<string, CentralHop>();
  readonly #following: Disposable;
  readonly #active;
  readonly #failures;
  #sweep: Timer | undefined;
  #isClosed = false;

  constructor(options: CentralHopsOptions) {
    this.#options = options;
    const { metrics, relays } = options;
    this.#active = metrics.gauge("upstream_hops_active", "Hops open to centrals");
    this.#failures = metrics.counter("upstream_hop_failures_total", "Hops to centrals that failed or were lost");
    this.#following = relays.onChange(() => this.#dropStrangers());
  }

  /** Passes a message on; or gives why not. */
  send(centralId: string, head: Uint8Array, rest: Uint8Array): UpstreamRefusal | undefined {
    const hop = this.#hops.get(centralId) ?? this.#open(centralId);
    return hop ? hop.send(head, rest) : "no_such_central";
  }

  /** Says goodbye behind what was sent. */
  close(): void {
    this.#end((hop) => hop.close());
  }

  [Symbol.dispose](): void {
    this.#end((hop) => hop[Symbol.dispose]());
  }

  #end(close: (hop: CentralHop) => void): void {
    this.#isClosed = true;
    this.#sweep?.cancel();
    this.#following[Symbol.dispose]();
    for (const hop of this.#hops.values()) close(hop);
    this.#hops.clear();
  }

  #open(centralId: string): CentralHop | undefined {
    const { relays, onMessage, onLost } = this.#options;
    const record = relays.find("central", centralId);
    if (!record || this.#isClosed) return undefined;
    const hop = new CentralHop(record, {
      ...this.#options,
      onMessage: (message) => onMessage(centralId, message),
      onOpen: () => this.#active.add(1),
      onLost: () => {
        this.#active.add(-1);
        onLost(centralId);
      },
      onFailure: () => this.#failures.add(),
    });
    this.#hops.set(centralId, hop);
    this.#sweep ??= this.#options.clock.after(SWEEP_EVERY_MS, () => this.#closeUnused());
    return hop;
  }

  /** A central that was blocked, or has moved, is no longer spoken to where it was. */
  #dropStrangers(): void {
    for (const [centralId, hop] of this.#hops) {
      const record = this.#options.relays.find("central", centralId);
      if (record?.sealingKey === hop.record.sealingKey && record.url === hop.record.url) continue;
      this.#hops.delete(centralId);
      hop.close();
    }
  }

  #closeUnused(): void {
    const nowMs = this.#options.clock.now();
    for (const [centralId, hop] of this.#hops) {
      if (nowMs - hop.usedAtMs < KEPT_MS) continue;
      this.#hops.delete(centralId);
      hop.close();
    }
    this.#sweep = undefined;
    if (this.#hops.size > 0) this.#sweep = this.#options.clock.after(SWEEP_EVERY_MS, () => this.#closeUnused());
  }
}

interface CentralHopOptions extends Pick<CentralHopsOptions, "dialHop" | "clock" | "random" | "log"> {
  onMessage(message: Uint8Array): void;
  onOpen(): void;
  /** It was open, and is not any more. */
  onLost(): void;
  onFailure(): void;
}

/** The way to one central. */
class CentralHop implements Disposable {
  readonly record: RelayRecord;
  usedAtMs: number;
  readonly #options: CentralHopOptions;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  /** What waits while it is being opened. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isOpening = false;
  #hop: Hop | undefined;
  #downUntilMs = -Infinity;

  constructor(record: RelayRecord, options: CentralHopOptions) {
    this.record = record;
    this.#options = options;
    this.usedAtMs = options.clock.now();
    this.#backoff = new Backoff(options.random, { maxMs: 10_000 });
  }

  send(head: Uint8Array, rest: Uint8Array): UpstreamRefusal | undefined {
    this.usedAtMs = this.#options.clock.now();
    // Nothing overtakes what waited while it was opened.
    if (this.#hop && !this.#isOpening) return this.#hop.send(head, rest) ? undefined : "busy";
    if (!this.#isOpening) {
      if (this.usedAtMs < this.#downUntilMs || this.#stop.signal.aborted) return "central_down";
      void this.#open();
    }
    const bytes = head.length + rest.length;
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return "busy";
    const message = new Uint8Array(bytes);
    message.set(head);
    message.set(rest, head.length);
    this.#waiting.push(message);
    this.#waitingBytes += bytes;
    return undefined;
  }

  close(): void {
    this.#stop.abort();
    this.#hop?.close();
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#hop?.[Symbol.dispose]();
  }

  async #open(): Promise<void> {
    const { dialHop, clock, log } = this.#options;
    this.#isOpening = true;
    try {
      using limit = deadline(clock, DIAL_MS, "open a hop", this.#stop.signal);
      await dialHop(this.record, (hop) => this.#welcome(hop), limit.signal);
      this.#isOpening = false;
      this.#flush();
    } catch (error) {
      this.#isOpening = false;
      this.#drop();
      if (this.#stop.signal.aborted) return;
      this.#fail();
      log.warn("A central cannot be reached", { peer_id: this.record.relayId, error: messageOf(error) });
    }
  }

  #welcome(hop: Hop): { onMessage(message: Uint8Array): void; onClose(): void } {
    const { onMessage, onOpen, onLost } = this.#options;
    this.#hop = hop;
    onOpen();
    return {
      onMessage: (message) => {
        this.#backoff.reset(); // only one that is there says anything
        onMessage(message);
      },
      onClose: () => {
        this.#hop = undefined;
        if (!this.#stop.signal.aborted) this.#fail();
        onLost();
      },
    };
  }

  #fail(): void {
    this.#options.onFailure();
    this.#downUntilMs = this.#options.clock.now() + this.#backoff.nextMs();
  }

  #flush(): void {
    for (const message of this.#waiting) this.#hop?.send(message);
    this.#drop();
  }

  #drop(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
