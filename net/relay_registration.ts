/**
 * Keeps base informed of a relay, whatever its kind: it registers again well before its record ends, at once when its
 * load has changed much or somebody says so, and while base is down it goes on without and says so once.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import { RELAY_EXPIRY_MS, type RelayRegistration } from "../protocol/directory.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import type { DirectoryClient } from "./directory_client.ts";

/** A record outlives two registrations that were lost. */
const EVERY_MS = RELAY_EXPIRY_MS / 3;
const RETRY_MS = 2000;
/** Between two registrations, however often `hurry` is called. */
const HURRY_GAP_MS = 500;

export interface RelayRegistrarOptions {
  readonly directory: Pick<DirectoryClient, "registerRelay">;
  /** What base is told at the moment. */
  registration(): RelayRegistration;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Called when base has taken the first registration, and when it does so again after a failure. */
  onRegistered?(): void;
}

export class RelayRegistrar {
  readonly #options: RelayRegistrarOptions;
  #problem: string | undefined = "base has not been told yet";
  #hurry = new AbortController();

  constructor(options: RelayRegistrarOptions) {
    this.#options = options;
  }

  /** Why base does not know of this relay at present, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Something that matters to others has changed. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    while (!signal.aborted) {
      this.#hurry = new AbortController(); // what changes from now on is not in this registration
      await this.#register(signal);
      const waitMs = this.#problem === undefined
        ? EVERY_MS * (0.8 + 0.2 * random.next())
        : RETRY_MS * (0.5 + random.next());
      const floorMs = clock.now() + HURRY_GAP_MS;
      await delay(clock, waitMs, AbortSignal.any([signal, this.#hurry.signal])).catch(() => {});
      const restMs = floorMs - clock.now();
      if (restMs > 0) await delay(clock, restMs, signal).catch(() => {});
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { directory, registration, log, onRegistered } = this.#options;
    try {
      await directory.registerRelay(registration(), { signal });
      if (this.#problem === undefined) return;
      this.#problem = undefined;
      log.info("Base knows this relay");
      onRegistered?.();
    } catch (error) {
      if (signal.aborted) return;
      const problem = messageOf(error);
      if (problem !== this.#problem) log.warn("Cannot register with base", { error: problem });
      this.#problem = problem;
    }
  }
}
