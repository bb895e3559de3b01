/**
 * Small requests, several at once: connect, ask 1 KiB, read 1 KiB, close. How long each takes until its first byte is
 * there, and how many come to nothing.
 */

import { clockOf } from "../../protocol/clock.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { REQUEST, REQUEST_BYTES, SOURCE_HOSTS } from "./source.ts";

export interface RequestsOptions {
  /** Straight to the target without one. */
  readonly proxy: Target | undefined;
  readonly target: Target;
  readonly count: number;
  /** How many are under way at once. */
  readonly concurrency: number;
}

export interface RequestsResult {
  readonly tookMs: readonly number[];
  readonly lost: number;
  /** What the first of the lost ones died of. */
  readonly error?: string;
}

export async function runRequests(options: RequestsOptions): Promise<RequestsResult> {
  const { count, concurrency } = options;
  const tookMs: number[] = [];
  const errors: string[] = [];
  let started = 0;
  async function worker(): Promise<void> {
    while (started < count) {
      const turn = started++;
      await ask(options, turn).then((ms) => tookMs.push(ms), (error) => errors.push(String(error)));
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { tookMs, lost: errors.length, ...(errors[0] !== undefined && { error: errors[0] }) };
}

async function ask({ proxy, target }: RequestsOptions, turn: number): Promise<number> {
  const clock = clockOf(globalThis);
  const startMs = clock.now();
  const to = { host: SOURCE_HOSTS[turn % SOURCE_HOSTS.length]!, port: target.port };
  using connection = proxy ? await dialSocks5(proxy, to) : await dialDirectly(to);
  const request = new Uint8Array(REQUEST_BYTES);
  request[0] = REQUEST;
  await writeAll(connection, request);
  const answer = new Uint8Array(REQUEST_BYTES);
  if (!await readFull(connection, answer.subarray(0, 1))) throw new Error("There was no answer");
  const tookMs = clock.now() - startMs;
  if (!await readFull(connection, answer.subarray(1))) throw new Error("The answer was cut short");
  return tookMs;
}

async function dialDirectly({ host, port }: Target): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: host, port });
  connection.setNoDelay();
  return connection;
}
