/**
 * What stands behind the proxies. The first byte of a connection says what it wants:
 *
 *   B  bulk until it closes
 *   S  the same in small writes, for many streams that share: with large ones Deno's own loop serves some sockets more
 *      often than others (200 of them without any proxy: fastest over slowest 2.9, in small writes 1.2)
 *   U  a byte back for every 64 KiB that have come
 *   R  an answer of 1 KiB to a request of 1 KiB
 *   E  what has come, until it closes
 *   I  nothing
 *
 * Bulk is random, so that nobody gains by packing it.
 *
 * It listens on one port of four loopback addresses, so that many connections a second do not run out of ports.
 */

import { freePort } from "../../testing/program.ts";
import { randomOf } from "../../protocol/random.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";

export const BULK = "B".charCodeAt(0);
export const SHARED = "S".charCodeAt(0);
export const UPLOAD = "U".charCodeAt(0);
export const REQUEST = "R".charCodeAt(0);
export const ECHO = "E".charCodeAt(0);
export const IDLE = "I".charCodeAt(0);

/** Both the request, its first byte included, and the answer. */
export const REQUEST_BYTES = 1024;
export const SOURCE_HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] as const;

/** What each byte back stands for, while it takes an upload. */
export const RECEIPT_BYTES = 64 * 1024;

const CHUNK_BYTES = 256 * 1024;
const SHARED_CHUNK_BYTES = 16 * 1024;

export interface Source extends Disposable {
  /** The first of its addresses. */
  readonly address: Target;
}

/** On loopback, unless told where. */
export function startSource(at?: Target): Source {
  const hosts = at ? [at.host] : SOURCE_HOSTS;
  const listeners: Deno.TcpListener[] = [];
  let port = at?.port ?? freePort();
  for (const hostname of hosts) {
    const listener = Deno.listen({ hostname, port });
    port = (listener.addr as Deno.NetAddr).port;
    listeners.push(listener);
    serve(listener);
  }
  return {
    address: { host: hosts[0]!, port },
    [Symbol.dispose]: () => listeners.forEach((listener) => listener.close()),
  };
}

async function serve(listener: Deno.TcpListener): Promise<void> {
  // A connection that breaks is the other side's way to say that it has measured enough.
  for await (const connection of listener) answer(connection).catch(() => {});
}

async function answer(accepted: Deno.TcpConn): Promise<void> {
  using connection = accepted;
  connection.setNoDelay();
  const want = new Uint8Array(1);
  if (!await readFull(connection, want)) return;
  if (want[0] === BULK || want[0] === SHARED) {
    const chunk = randomBytes(want[0] === BULK ? CHUNK_BYTES : SHARED_CHUNK_BYTES);
    for (;;) await writeAll(connection, chunk);
  }
  if (want[0] === UPLOAD) return await takeUpload(connection);
  if (want[0] === ECHO) return await echo(connection);
  if (want[0] === REQUEST) {
    if (!await readFull(connection, new Uint8Array(REQUEST_BYTES - 1))) return;
    await writeAll(connection, new Uint8Array(REQUEST_BYTES));
  }
  while (await connection.read(want) !== null);
}

async function echo(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(SHARED_CHUNK_BYTES);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    await writeAll(connection, buffer.subarray(0, count));
  }
}

/** WebCrypto gives 64 KiB at once. */
function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return randomOf(crypto).fill(new Uint8Array(count));
}

async function takeUpload(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  const receipts = new Uint8Array(CHUNK_BYTES / RECEIPT_BYTES + 1);
  let owed = 0;
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    owed += count;
    const whole = Math.floor(owed / RECEIPT_BYTES);
    owed -= whole * RECEIPT_BYTES;
    await writeAll(connection, receipts.subarray(0, whole));
  }
}
