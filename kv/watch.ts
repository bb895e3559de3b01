/**
 * Follows what lies under a key, whoever changes it. Deno KV's own watch is at once, and on Deno Deploy and denokv it
 * hears every process; on a SQLite file it hears only the writes of its own process (measured on Deno 2.9.6). So the
 * key is also looked at every `pollMs`: that is how late another process on the same file is heard.
 */

import type { Clock } from "../protocol/clock.ts";
import { Doorbell } from "./doorbell.ts";
import { storeError } from "./store_error.ts";

export interface WatchOptions<T> {
  /** Reads what is given out: it may be more than the key, as long as the key is written with every change of it. */
  readonly read: () => Promise<T>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** @default 1000 */
  readonly pollMs?: number;
}

/**
 * Gives what is there at the start and then after every change; several in a row may be one. Ends when the signal
 * aborts. A store that cannot be read is asked again at the next turn; one that was closed throws `store_closed`.
 */
export async function* watchKey<T>(kv: Deno.Kv, key: Deno.KvKey, options: WatchOptions<T>): AsyncGenerator<T> {
  const { read, clock, signal, pollMs = 1000 } = options;
  if (signal.aborted) return;
  const bell = new Doorbell();
  await using _events = ringOnEvents(kv, key, bell);
  let seen: string | null | undefined;
  while (!signal.aborted) {
    const next = await readIfNew(kv, key, { seen, read });
    if (next) {
      seen = next.version;
      yield next.value;
    } else {
      await bell.wait(signal, { clock, forMs: pollMs });
    }
  }
}

/** Undefined if the version is the one seen, or the store cannot tell at present. */
async function readIfNew<T>(
  kv: Deno.Kv,
  key: Deno.KvKey,
  { seen, read }: { readonly seen: string | null | undefined; readonly read: () => Promise<T> },
): Promise<{ readonly version: string | null; readonly value: T } | undefined> {
  try {
    // The version first: what changes while we read is then new once more.
    const version = (await kv.get(key)).versionstamp;
    return version === seen ? undefined : { version, value: await read() };
  } catch (cause) {
    const error = storeError("look for changes", cause);
    if (error.code === "store_closed") throw error;
    return undefined;
  }
}

function ringOnEvents(kv: Deno.Kv, key: Deno.KvKey, bell: Doorbell): AsyncDisposable {
  const events = kv.watch([key]).getReader();
  async function listen(): Promise<void> {
    try {
      while (!(await events.read()).done) bell.ring();
    } catch {
      // The poll goes on without it, and reports what is wrong if anything is.
    }
  }
  const listening = listen();
  return {
    async [Symbol.asyncDispose]() {
      await events.cancel().catch(() => {});
      await listening;
    },
  };
}
