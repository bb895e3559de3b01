import { assertEquals } from "@std/assert";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { MemoryDatagrams } from "../../testing/memory_datagrams.ts";
import type { MuxStream } from "../mux.ts";
import { relayPaqetDatagrams } from "./paqet_relay.ts";

/** A stream whose frames are given by hand, and that keeps the lengths of those it is given. */
class FrameStream {
  readonly written: number[] = [];
  isClosed = false;
  #frames: Uint8Array[] = [];
  #wake: (() => void) | undefined;

  give(bytes: number): void {
    this.#frames.push(new Uint8Array(bytes));
    this.#wake?.();
  }

  async readFrame(into: Uint8Array): Promise<number | null> {
    while (this.#frames.length === 0 && !this.isClosed) await new Promise<void>((resolve) => this.#wake = resolve);
    const frame = this.#frames.shift();
    return frame ? Math.min(frame.length, into.length) : null;
  }

  writeFrame(frame: Uint8Array): Promise<void> {
    this.written.push(frame.length);
    return Promise.resolve();
  }

  close(): void {
    this.isClosed = true;
    this.#wake?.();
  }
}

Deno.test("datagrams pass both ways, those that paqet has no room for are lost, and silence ends it", async () => {
  const clock = new FakeClock();
  const stream = new FrameStream();
  const sent: number[] = [];
  const target = { host: "192.0.2.1", port: 53 };
  let isFarClosed = false;
  const far: MemoryDatagrams = new MemoryDatagrams({
    local: { host: "192.0.2.9", port: 1 },
    send: (datagram) => void sent.push(datagram.length),
    onClose: () => isFarClosed = true,
  });
  const { signal } = new AbortController();
  const ended = relayPaqetDatagrams(stream as unknown as MuxStream, far, { target, clock, idleMs: 60_000, signal });
  for (const bytes of [5, 4096, 4097, 9000, 7]) stream.give(bytes);
  await settle();
  assertEquals(sent, [5, 4096, 7]);
  clock.advance(50_000);
  for (const bytes of [4097, 4096, 3]) far.deliver(new Uint8Array(bytes), target);
  await settle();
  assertEquals(stream.written, [4096, 3]);
  clock.advance(59_999);
  await settle();
  assertEquals([stream.isClosed, isFarClosed], [false, false]);
  clock.advance(1);
  await ended;
  assertEquals([stream.isClosed, isFarClosed, clock.pendingTimers], [true, true, 0]);
});
