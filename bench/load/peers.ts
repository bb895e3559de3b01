/**
 * Peers that do nothing but be there: each has an identity and a control stream of its own, the one that exits and
 * clients use, which comes back when it is lost as theirs does. Every command is answered as applied at once: what a
 * peer does with it is not the supernode's time.
 */

import { ControlStream } from "../../net/control.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { clockOf } from "../../protocol/clock.ts";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";

/** Streams being opened at once; who comes back after a restart does so at a time of its own choosing. */
const CONCURRENCY = 128;

/** Of all streams since the beginning, but for the first and the round trip. */
export interface PeersStatus {
  /** Streams that are open now. */
  readonly open: number;
  /** When the last one was let in, by the wall clock. */
  readonly lastOpenAtMs: number;
  /** Streams that were open and ended, whatever the reason. */
  readonly lost: number;
  /** Attempts that came to nothing, by what went wrong. */
  readonly failed: Readonly<Record<string, number>>;
  /** The longest from ping to pong since the last time this was asked. */
  readonly worstRttMs: number;
}

export class Peers implements AsyncDisposable {
  readonly #supernode: SupernodeAddress;
  readonly #identities: readonly Identity[];
  readonly #clock = clockOf(globalThis);
  readonly #primitives = hostPrimitives();
  readonly #random = randomOf(crypto);
  readonly #metrics: Metrics = {
    ...noMetrics,
    histogram: () => ({ observe: (rttMs) => this.#worstRttMs = Math.max(this.#worstRttMs, rttMs) }),
  };
  readonly #streams: ControlStream[] = [];
  #open = 0;
  #lastOpenAtMs = 0;
  #lost = 0;
  readonly #failed: Record<string, number> = {};
  #worstRttMs = 0;

  /** Makes the identities; nothing is connected yet. */
  constructor(supernode: SupernodeAddress, count: number) {
    this.#supernode = supernode;
    this.#identities = Array.from(
      { length: count },
      () => new Identity(generateSecrets(this.#random), this.#primitives),
    );
  }

  /** Connects them all; settles when every one has been let in. */
  async open(): Promise<void> {
    const never = new AbortController().signal;
    await this.#eachOf(this.#identities.length, async (number) => {
      const stream = this.#connect(this.#identities[number]!);
      this.#streams.push(stream);
      await stream.opened(never);
    });
  }

  /** Connects and leaves so many times, the identities by turns. */
  async churn(cycles: number): Promise<void> {
    const never = new AbortController().signal;
    await this.#eachOf(cycles, async (number) => {
      const stream = this.#connect(this.#identities[number % this.#identities.length]!);
      await stream.opened(never);
      stream.close();
      this.#open--;
      await stream.closed();
    });
  }

  status(): PeersStatus {
    const worstRttMs = this.#worstRttMs;
    this.#worstRttMs = 0;
    return {
      open: this.#open,
      lastOpenAtMs: this.#lastOpenAtMs,
      lost: this.#lost,
      failed: this.#failed,
      worstRttMs,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.close();
    await Promise.all(this.#streams.map((stream) => stream.closed()));
  }

  async #eachOf(count: number, run: (number: number) => Promise<void>): Promise<void> {
    let next = 0;
    const worker = async () => {
      while (next < count) await run(next++);
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  }

  #connect(identity: Identity): ControlStream {
    let isOpen = false;
    const stream: ControlStream = new ControlStream({
      identity,
      role: "client",
      region: "bench",
      supernodes: [this.#supernode],
      primitives: this.#primitives,
      random: this.#random,
      clock: this.#clock,
      log: silentLog,
      metrics: this.#metrics,
      onOpen: () => {
        isOpen = true;
        this.#open++;
        this.#lastOpenAtMs = this.#clock.wallNow();
      },
      onDown: (reason) => {
        if (isOpen) {
          this.#open--;
          this.#lost++;
        } else {
          this.#failed[reason] = (this.#failed[reason] ?? 0) + 1;
        }
        isOpen = false;
      },
      onCommand: ({ commandId }) => {
        stream.answer({ type: "command.result", commandId, status: "applied" });
      },
    });
    return stream;
  }
}
