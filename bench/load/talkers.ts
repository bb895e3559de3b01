/**
 * Streams through a proxy that say something all the time and want it answered; how many end before their time. Others
 * are opened and closed beside them, so that whatever carries streams is asked for new ones.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { runRequests } from "./requests.ts";
import { RECEIPT_BYTES, UPLOAD } from "./source.ts";

const PAUSE_MS = 200;
/** How long an answer may take. */
const PATIENCE_MS = 10_000;

export interface TalkersOptions {
  readonly proxy: Target;
  readonly target: Target;
  readonly count: number;
  readonly measureMs: number;
}

export async function runTalkers(options: TalkersOptions): Promise<{ lost: number; errors: string[] }> {
  const { proxy, target, count, measureMs } = options;
  const clock = clockOf(globalThis);
  const endMs = clock.now() + measureMs;
  const talks = Array.from({ length: count }, () => talk(proxy, target, endMs));
  const errors: string[] = [];
  while (clock.now() < endMs) {
    const { error } = await runRequests({ proxy, target, count: 1, concurrency: 1 });
    if (error !== undefined) errors.push(error);
    await delay(clock, PAUSE_MS);
  }
  for (const { status, reason } of await Promise.allSettled(talks) as PromiseRejectedResult[]) {
    if (status === "rejected") errors.push(String(reason));
  }
  return { lost: errors.length, errors: errors.slice(0, 3) };
}

async function talk(proxy: Target, target: Target, endMs: number): Promise<void> {
  const clock = clockOf(globalThis);
  using connection = await dialSocks5(proxy, target);
  await writeAll(connection, Uint8Array.of(UPLOAD));
  const [words, receipt] = [new Uint8Array(RECEIPT_BYTES), new Uint8Array(1)];
  while (clock.now() < endMs) {
    await writeAll(connection, words);
    using _patience = clock.after(PATIENCE_MS, () => connection.close());
    if (await connection.read(receipt) === null) throw new Error("The stream ended before its time");
    await delay(clock, PAUSE_MS);
  }
}
