/**
 * Bulk download through a proxy: one way, as fast as it comes, over one stream or many at once.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { BULK, SHARED } from "./source.ts";

export interface BulkOptions {
  /** Without one it connects to the target itself. */
  readonly proxy: Target | undefined;
  readonly target: Target;
  /** `user:password`, where the proxy asks. */
  readonly login?: string | undefined;
  readonly streams: number;
  /** Not counted: windows open and caches warm up. */
  readonly warmMs: number;
  readonly measureMs: number;
}

export interface BulkResult {
  readonly gbitPerS: number;
  /** The fastest stream's bytes over the slowest's. */
  readonly maxOverMin: number;
}

const BUFFER_BYTES = 256 * 1024;
const SHARED_BUFFER_BYTES = 64 * 1024;

export async function runBulk(options: BulkOptions): Promise<BulkResult> {
  const { proxy, target, login, streams, warmMs, measureMs } = options;
  const clock = clockOf(globalThis);
  const dial = () =>
    proxy ? dialSocks5(proxy, target, login) : Deno.connect({ hostname: target.host, port: target.port });
  const connections = await Promise.all(Array.from({ length: streams }, dial));
  const counts = new Float64Array(streams);
  const [want, bufferBytes] = streams === 1 ? [BULK, BUFFER_BYTES] : [SHARED, SHARED_BUFFER_BYTES];
  for (const connection of connections) await writeAll(connection, Uint8Array.of(want));
  const reading = connections.map((connection, name) =>
    count(connection, bufferBytes, (bytes) => counts[name]! += bytes)
  );

  await delay(clock, warmMs);
  const [startMs, before] = [clock.now(), counts.slice()];
  await delay(clock, measureMs);
  const [endMs, after] = [clock.now(), counts.slice()];

  for (const connection of connections) connection.close();
  await Promise.all(reading);
  const moved = after.map((bytes, name) => bytes - before[name]!);
  const total = moved.reduce((sum, bytes) => sum + bytes, 0);
  return {
    gbitPerS: total * 8 / (endMs - startMs) / 1e6,
    maxOverMin: Math.max(...moved) / Math.max(1, Math.min(...moved)),
  };
}

async function count(connection: Deno.TcpConn, bufferBytes: number, add: (bytes: number) => void): Promise<void> {
  const buffer = new Uint8Array(bufferBytes);
  try {
    for (let bytes = await connection.read(buffer); bytes !== null; bytes = await connection.read(buffer)) add(bytes);
  } catch {
    // Closed by ourselves when the time was over.
  }
}
