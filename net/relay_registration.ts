/**
 * Keeps a relay of any kind listed at base while it lives.
 *
 *   register every 20 s, or soon when something matters to others ─▶ … ─▶ disposed, and gone from the list a minute later
 *        ▲                                │
 *        └────── after a growing wait ◀── a call fails
 *
 * What is told is asked for anew each time, so that it is true when it is sent.
 */

import { Backoff } from "../protocol/backoff.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import type { RelayRegistration } from "../protocol/directory.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { messageOf } from "../protocol/errors.ts";
import type { Identity } from "../protocol/identity.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import type { DirectoryClient } from "./directory_client.ts";

/** A third of what base remembers it for, so that two may be lost. */
const REGISTER_EVERY_MS = 20_000;
/** Between two registrations, however much changes. */
const HURRY_GAP_MS = 500;
/** A share of the interval by which they are moved, so that many relays do not speak as one. */
const JITTER = 0.2;

export interface RelayRegistrarOptions {
  readonly directory: Pick<DirectoryClient, "registerRelay">;
  /** What is true of the relay now. */
  describe(): RelayRegistration;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/** Registers from the start until it is disposed, which waits for the call under way to end. */
export class RelayRegistrar implements AsyncDisposable {
  readonly #options: RelayRegistrarOptions;
  readonly #log: Log;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #problem: string | undefined = "base has not been told yet";
  /** Cuts the wait for the next registration short. */
  #hurry = new AbortController();

  constructor(options: RelayRegistrarOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#running = this.#run(this.#closing.signal);
  }

  /** Why base does not list this relay at present, if so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Something has changed that others act upon, such as being full, or what a relay leads to. */
  hurry(): void {
    this.#hurry.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = new Backoff(random, { baseMs: 1000, maxMs: REGISTER_EVERY_MS });
    while (!signal.aborted) {
      this.#hurry = new AbortController(); // what changes during the call is not in it
      const startMs = clock.now();
      const isTold = await this.#tell(signal);
      if (isTold) backoff.reset();
      const waitMs = isTold ? REGISTER_EVERY_MS * (1 - JITTER * random.next()) : backoff.nextMs();
      const hurried = AbortSignal.any([signal, this.#hurry.signal]);
      await delay(clock, waitMs, hurried).catch(() => {});
      await delay(clock, Math.max(0, startMs + HURRY_GAP_MS - clock.now()), signal).catch(() => {});
    }
  }

  async #tell(signal: AbortSignal): Promise<boolean> {
    const { directory, describe } = this.#options;
    try {
      await directory.registerRelay(describe(), { signal });
      if (this.#problem !== undefined) this.#log.info("Base lists this relay");
      this.#problem = undefined;
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const problem = messageOf(error);
      if (problem !== this.#problem) this.#log.warn("Base cannot be told of this relay", { error: problem });
      this.#problem = problem;
      return false;
    }
  }
}

/** What a registration says of whose relay it is. */
export function keysOfRelay(
  identity: Identity,
): Pick<RelayRegistration, "relayId" | "publicKey" | "sealingKey" | "sealingKeySignature"> {
  const { wireguardKey, signature } = identity.wireguardBinding();
  return {
    relayId: identity.peerId,
    publicKey: encodeBase64(identity.publicKey),
    sealingKey: encodeBase64(wireguardKey),
    sealingKeySignature: encodeBase64(signature),
  };
}
