/**
 * Connections that are held open: idle ones, to see what each costs, and one that asks for bulk and reads nothing, to
 * see whom that holds back.
 */

import { type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { BULK, IDLE } from "./source.ts";

/** Dials under way at once; a backlog need not be deeper. */
const CONCURRENCY = 64;

export interface Held extends Disposable {
  readonly count: number;
}

export async function holdIdle(proxy: Target, target: Target, count: number): Promise<Held> {
  const connections: Deno.TcpConn[] = [];
  let started = 0;
  async function worker(): Promise<void> {
    while (started < count) {
      started++;
      const connection = await dialSocks5(proxy, target);
      await writeAll(connection, Uint8Array.of(IDLE));
      connections.push(connection);
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return heldBy(connections);
}

export async function holdStalled(proxy: Target, target: Target): Promise<Held> {
  const connection = await dialSocks5(proxy, target);
  await writeAll(connection, Uint8Array.of(BULK));
  return heldBy([connection]);
}

function heldBy(connections: readonly Deno.TcpConn[]): Held {
  return {
    count: connections.length,
    [Symbol.dispose]: () => connections.forEach((connection) => connection.close()),
  };
}
