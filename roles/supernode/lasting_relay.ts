/**
 * The relay of `native/relay/`, started again when it has ended by itself: then all its ports are gone at once, and whoever
 * uses it is told, to open them again. Meanwhile nothing is opened.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import type { PacketRelay, RelayCounts, RelaySession, RelaySide } from "./packet_relay.ts";

/** As much of `native/relay/relay.ts` as is used. */
export interface Relay extends Pick<PacketRelay, "open" | "place" | "end" | "counts"> {
  /** Settles when it has ended: undefined after `close`, otherwise what ended it. */
  readonly ended: Promise<Error | undefined>;
  close(): Promise<void>;
}

export interface LastingRelayOptions {
  readonly portCount: number;
  /** Starts one. */
  start(onLearned: PacketRelay["onLearned"]): Promise<Relay>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class LastingRelay implements PacketRelay, AsyncDisposable {
  onLearned: PacketRelay["onLearned"] = () => {};
  onReset: PacketRelay["onReset"] = () => {};
  readonly #options: LastingRelayOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #relay: Relay | undefined;

  /** Rejects when there cannot be one on this machine. */
  static async start(options: LastingRelayOptions): Promise<LastingRelay> {
    // Only what is learned later than this has sessions to belong to.
    const learned: PacketRelay["onLearned"] = (...place) => lasting.onLearned(...place);
    const lasting: LastingRelay = new LastingRelay(options, await options.start(learned));
    return lasting;
  }

  private constructor(options: LastingRelayOptions, relay: Relay) {
    this.#options = options;
    this.#relay = relay;
    this.#running = this.#run(relay);
  }

  get portCount(): number {
    return this.#options.portCount;
  }

  /** Why nothing is relayed at present. */
  get problem(): string | undefined {
    return this.#relay ? undefined : "The relay has ended, and is being started again";
  }

  async open(session: RelaySession): Promise<number> {
    return await this.#present.open(session);
  }

  async place(sessionId: string, side: RelaySide, at: Endpoint): Promise<void> {
    await this.#present.place(sessionId, side, at);
  }

  async end(sessionId: string): Promise<void> {
    await this.#relay?.end(sessionId);
  }

  async counts(): Promise<readonly RelayCounts[]> {
    return await this.#relay?.counts() ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#relay?.close();
    await this.#running;
  }

  get #present(): Relay {
    if (!this.#relay) throw new CulvertError("no_relay", "Cannot relay packets: the relay is being started again");
    return this.#relay;
  }

  async #run(first: Relay): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stop;
    for (let relay: Relay | undefined = first; relay;) {
      const error = await relay.ended;
      if (signal.aborted) return;
      this.#relay = undefined;
      log.error("The relay has ended, and is started again", { error: messageOf(error) });
      relay = await this.#startAgain(signal);
      if (signal.aborted) return await relay?.close();
      this.#relay = relay;
      this.onReset();
    }
  }

  async #startAgain(signal: AbortSignal): Promise<Relay | undefined> {
    const { clock, random, log, start } = this.#options;
    const backoff = new Backoff(random, { baseMs: 500, maxMs: 30_000 });
    while (!signal.aborted) {
      await delay(clock, backoff.nextMs(), signal).catch(() => {});
      if (signal.aborted) return undefined;
      try {
        return await start((...place) => this.onLearned(...place));
      } catch (error) {
        log.error("The relay cannot be started", { error: messageOf(error) });
      }
    }
    return undefined;
  }
}
