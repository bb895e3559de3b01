/**
 * Keeps base informed that this supernode is there: it registers, sends what changes every ten seconds, or soon when it
 * matters to others, and registers again when base does not know it any more. While base is down it goes on without,
 * and says so once.
 */

import type { DirectoryClient } from "../../net/directory_client.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { SUPERNODE_HEARTBEAT_MS, type SupernodeRegistration, type SupernodeStatus } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";

const RETRY_MS = 2_000;
/** Between two reports, however much changes: exits that come and go must not make base refuse us. */
const HURRY_GAP_MS = 250;

export interface BaseMembershipOptions {
  readonly directory: Pick<DirectoryClient, "register" | "heartbeat">;
  /** What base is told of this supernode beside its status. */
  registration(): Omit<SupernodeRegistration, "status">;
  status(): SupernodeStatus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class BaseMembership {
  readonly #options: BaseMembershipOptions;
  #isRegistered = false;
  #problem: string | undefined = "base has not been asked yet";
  /** Cuts the wait for the next report short. */
  #hurry = new AbortController();

  constructor(options: BaseMembershipOptions) {
    this.#options = options;
  }

  /** Why base does not know of this supernode at present, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    while (!signal.aborted) {
      // What changes during the report is not in it.
      this.#hurry = new AbortController();
      const startMs = clock.now();
      let waitMs = SUPERNODE_HEARTBEAT_MS * (0.8 + 0.2 * random.next());
      try {
        await this.report(signal);
        if (this.#problem !== undefined) {
          log.info("Base knows this supernode");
        }
        this.#problem = undefined;
      } catch (error) {
        if (signal.aborted) return;
        if (this.#problem === undefined || !this.#isRegistered) {
          log.warn("Cannot tell base", { error: messageOf(error) });
        }
        this.#problem = messageOf(error);
        waitMs = RETRY_MS * (0.5 + random.next());
      }
      await delay(clock, waitMs, AbortSignal.any([signal, this.#hurry.signal])).catch(() => {});
      const restMs = startMs + HURRY_GAP_MS - clock.now();
      if (restMs > 0) await delay(clock, restMs, signal).catch(() => {});
    }
  }

  /** Something has changed that others act upon, such as the first exit having come. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** What base knows of this supernode has changed beside its status. */
  registerAnew(): void {
    this.#isRegistered = false;
    this.hurry();
  }

  /** Says now how things stand. */
  async report(signal?: AbortSignal): Promise<void> {
    const status = this.#options.status();
    if (!this.#isRegistered || await this.#isUnknown(status, signal)) await this.#register(status, signal);
    const { region, url } = this.#options.registration();
    this.#options.log.debug("Base was told", { region, url, exits: status.exits });
  }

  async #register(status: SupernodeStatus, signal: AbortSignal | undefined): Promise<void> {
    const { directory, registration } = this.#options;
    this.#isRegistered = true; // what changes meanwhile is to be registered after this
    try {
      await directory.register({ ...registration(), status }, { signal });
    } catch (error) {
      this.#isRegistered = false;
      throw error;
    }
  }

  async #isUnknown(status: SupernodeStatus, signal: AbortSignal | undefined): Promise<boolean> {
    const { directory, registration } = this.#options;
    const { supernodeId } = registration();
    const { unknown } = await directory.heartbeat([{ supernodeId, ...status }], { signal });
    return unknown.includes(supernodeId);
  }
}
