/**
 * One stream through a proxy, down or up, looked at again and again: how much had arrived when. What goes wrong with the
 * stream is an error, so that nobody takes half a transfer for a slow one.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { type Target, writeAll } from "../../protocol/stream.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import { BULK, RECEIPT_BYTES, UPLOAD } from "./source.ts";

export type TransferDirection = "down" | "up";

export interface TransferOptions {
  /** Without one it connects to the target itself. */
  readonly proxy: Target | undefined;
  readonly target: Target;
  readonly direction: TransferDirection;
  readonly measureMs: number;
  readonly sampleMs: number;
}

export interface Transfer {
  /** By the wall clock. */
  readonly startedAtMs: number;
  /** When each look was, from the start, and the bytes that had arrived by then at their end of the way. */
  readonly atMs: readonly number[];
  readonly bytes: readonly number[];
}

const BUFFER_BYTES = 256 * 1024;

/** Tells when it starts, and gives how it went. */
export async function runTransfer(options: TransferOptions, tell: (line: object) => void): Promise<Transfer> {
  const { proxy, target, direction, measureMs, sampleMs } = options;
  const clock = clockOf(globalThis);
  const connection = proxy
    ? await dialSocks5(proxy, target)
    : await Deno.connect({ hostname: target.host, port: target.port });
  let arrived = 0;
  const isOver = { yes: false };
  const moving = direction === "down"
    ? download(connection, (bytes) => arrived += bytes)
    : upload(connection, (bytes) => arrived += bytes);
  const ended = moving.then(() => "it ended", String).then((why) => {
    if (!isOver.yes) throw new Error(`Cannot measure: the stream broke after ${arrived} bytes: ${why}`);
  });
  ended.catch(() => {}); // told by the race below
  tell({ started: true });
  const [startedAtMs, startMs] = [clock.wallNow(), clock.now()];
  const [atMs, bytes]: number[][] = [[], []];
  while (clock.now() - startMs < measureMs) {
    await Promise.race([delay(clock, sampleMs), ended]);
    atMs!.push(clock.now() - startMs);
    bytes!.push(arrived);
  }
  isOver.yes = true;
  connection.close();
  await ended;
  return { startedAtMs, atMs: atMs!, bytes: bytes! };
}

async function download(connection: Deno.TcpConn, add: (bytes: number) => void): Promise<void> {
  await writeAll(connection, Uint8Array.of(BULK));
  await readOn(connection, add);
}

async function upload(connection: Deno.TcpConn, add: (bytes: number) => void): Promise<void> {
  const chunk = new Uint8Array(BUFFER_BYTES);
  const sending = (async () => {
    await writeAll(connection, Uint8Array.of(UPLOAD));
    for (;;) await writeAll(connection, chunk);
  })();
  await Promise.race([sending, readOn(connection, (receipts) => add(receipts * RECEIPT_BYTES))]);
}

async function readOn(connection: Deno.TcpConn, add: (bytes: number) => void): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) add(count);
}
