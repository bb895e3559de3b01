/**
 * Short connections through a proxy: connect, ask 1 KiB, read 1 KiB, close; several at once.
 */

import { clockOf } from "../../protocol/clock.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { REQUEST, REQUEST_BYTES, SOURCE_HOSTS } from "./source.ts";

export interface ConnectionsOptions {
  readonly proxy: Target;
  readonly target: Target;
  /** `user:password`, where the proxy asks. */
  readonly login?: string | undefined;
  readonly concurrency: number;
  /** Not counted: who has waited a minute for its turn runs in again first. */
  readonly warmMs: number;
  readonly measureMs: number;
}

export async function runConnections(options: ConnectionsOptions): Promise<{ connectionsPerS: number }> {
  const { proxy, target, login, concurrency, warmMs, measureMs } = options;
  const clock = clockOf(globalThis);
  const request = new Uint8Array(REQUEST_BYTES);
  request[0] = REQUEST;
  const startMs = clock.now() + warmMs;
  let done = 0;

  async function worker(name: number): Promise<void> {
    const answer = new Uint8Array(REQUEST_BYTES);
    for (let turn = name; clock.now() - startMs < measureMs; turn++) {
      using connection = await dialSocks5(proxy, {
        host: SOURCE_HOSTS[turn % SOURCE_HOSTS.length]!,
        port: target.port,
      }, login);
      await writeAll(connection, request);
      if (!await readFull(connection, answer)) throw new Error("Cannot measure: the answer was cut short");
      if (clock.now() >= startMs) done++;
    }
  }

  await Promise.all(Array.from({ length: concurrency }, (_, name) => worker(name)));
  return { connectionsPerS: done / (clock.now() - startMs) * 1000 };
}
