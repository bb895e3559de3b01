/**
 * Keeps a supernode listed at base until it is told to stop.
 *
 *   register ─▶ heartbeat every 10 s … ─▶ base does not know it ─▶ register again
 *      ▲                                        │
 *      └───────── after a growing wait ◀── a call fails
 *
 * What is told is asked for anew each time, so that it is true when it is sent. Where only what changes all the time has
 * changed a heartbeat is enough; when anything else has, it registers again with the next beat.
 */

import { Backoff } from "../protocol/backoff.ts";
import { type Clock, delay } from "../protocol/clock.ts";
import { SUPERNODE_HEARTBEAT_MS, type SupernodeRegistration } from "../protocol/directory.ts";
import { messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import type { Random } from "../protocol/random.ts";
import type { DirectoryClient } from "./directory_client.ts";

export interface ListingOptions {
  readonly client: Pick<DirectoryClient, "register" | "heartbeat">;
  /** What is true of the supernode now. */
  readonly describe: () => SupernodeRegistration;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Told whether the last call worked, whenever that changes; false at the start. */
  readonly onListed?: (isListed: boolean) => void;
}

/** A share of the interval by which beats are moved, so that many supernodes do not beat as one. */
const JITTER = 0.2;

/** Runs until the signal is aborted, and then resolves. */
export async function stayListed(options: ListingOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log = silentLog, onListed = () => {} } = options;
  const backoff = new Backoff(random, { baseMs: 1000, maxMs: SUPERNODE_HEARTBEAT_MS });
  let registered: string | undefined;
  let isListed = false;
  const tell = (now: boolean) => {
    if (now !== isListed) onListed(isListed = now);
  };
  while (!signal.aborted) {
    try {
      registered = await beat(options, registered, signal);
      // Unknown: it registers at once.
      if (registered === undefined) continue;
      tell(true);
      backoff.reset();
      await delay(clock, SUPERNODE_HEARTBEAT_MS * (1 - JITTER * random.next()), signal);
    } catch (error) {
      if (signal.aborted) return;
      tell(false);
      log.warn("Base cannot be told of this supernode", { error: messageOf(error) });
      await delay(clock, backoff.nextMs(), signal).catch(() => {});
    }
  }
}

/** Registers or says that it is alive; gives what is now registered, or undefined if base does not know it. */
async function beat(
  { client, describe }: ListingOptions,
  registered: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const registration = describe();
  const { status, ...lasting } = registration;
  const text = JSON.stringify(lasting);
  if (text !== registered) {
    await client.register(registration, { signal });
    return text;
  }
  const { unknown } = await client.heartbeat([{ supernodeId: lasting.supernodeId, ...status }], { signal });
  return unknown.includes(lasting.supernodeId) ? undefined : text;
}
