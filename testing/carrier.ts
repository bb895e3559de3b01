/**
 * One direction of a stream in the in-memory network: reads at one end, sends over a wire, writes at the other end when
 * it arrives. At most a window is on the way, so a reader that stalls holds back the writer, as TCP does. An end that
 * is half-closed arrives as an end, a cut as a cut, and writing to a closed end comes back as a cut.
 */

import { writeAll } from "../protocol/stream.ts";
import type { MemoryStream } from "../net/memory.ts";
import type { Wire } from "./wire.ts";

export interface Carriage {
  readonly from: MemoryStream;
  readonly to: MemoryStream;
  readonly wire: Wire;
  /** The wire the other way, for the news that nobody reads any more. */
  readonly back: Wire;
}

const WINDOW_BYTES = 256 * 1024;
/** What one write puts on the wire at most; small, so that loss and bandwidth act on parts of a transfer. */
const SEGMENT_BYTES = 16 * 1024;

/** Starts carrying; it ends with the stream. */
export async function carryStream({ from, to, wire, back }: Carriage): Promise<void> {
  let onWayBytes = 0;
  let isRefused = false;
  let wakeReader: (() => void) | undefined;
  let written = Promise.resolve();
  const buffer = new Uint8Array(SEGMENT_BYTES);

  async function write(bytes: Uint8Array): Promise<void> {
    await writeAll(to, bytes);
    onWayBytes -= bytes.length;
    wakeReader?.();
  }

  /** Nobody reads at the far end: the writer learns it one way later. */
  function refuse(): void {
    if (isRefused) return;
    isRefused = true;
    back.carry(0, () => {
      from.abort();
      wakeReader?.();
    });
  }

  function deliver(bytes: Uint8Array): void {
    written = written.then(() => write(bytes));
    written.catch(refuse);
  }

  try {
    for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
      const bytes = buffer.slice(0, count);
      onWayBytes += count;
      wire.carry(count, () => deliver(bytes));
      while (!isRefused && onWayBytes >= WINDOW_BYTES) await new Promise<void>((resolve) => wakeReader = resolve);
    }
    wire.carry(0, () => void written.then(() => to.closeWrite(), () => {}));
  } catch {
    wire.carry(0, () => to.abort());
  }
}
