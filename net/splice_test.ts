import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { readFull, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { BufferPool } from "./buffer_pool.ts";
import { memoryStreamPair } from "./memory.ts";
import { splice, type SpliceOptions } from "./splice.ts";

/** near ⇄ [splice] ⇄ far */
function joined(options: SpliceOptions = {}) {
  const [near, a] = memoryStreamPair();
  const [b, far] = memoryStreamPair();
  return { near, far, done: splice(a, b, options) };
}

async function take(stream: { read(into: Uint8Array): Promise<number | null> }, count: number): Promise<Uint8Array> {
  const into = new Uint8Array(count);
  assert(await readFull(stream, into), "the stream ended early");
  return into;
}

const END = new Uint8Array(1);

Deno.test("a splice carries both ways, each half ends on its own, and the bytes are counted", async () => {
  const { near, far, done } = joined();
  await writeAll(near, Uint8Array.of(1, 2, 3));
  assertEquals(await take(far, 3), Uint8Array.of(1, 2, 3));
  await near.closeWrite();
  assertEquals(await far.read(END), null);
  await writeAll(far, Uint8Array.of(4, 5));
  assertEquals(await take(near, 2), Uint8Array.of(4, 5));
  await far.closeWrite();
  assertEquals(await near.read(END), null);
  assertEquals(await done, { aToB: 3, bToA: 2 });
});

Deno.test("bytes read beforehand go first", async () => {
  const { near, far, done } = joined({ fromA: Uint8Array.of(1), fromB: Uint8Array.of(2) });
  await writeAll(near, Uint8Array.of(3));
  assertEquals(await take(far, 2), Uint8Array.of(1, 3));
  assertEquals(await take(near, 1), Uint8Array.of(2));
  await near.closeWrite();
  await far.closeWrite();
  assertEquals(await done, { aToB: 2, bToA: 1 });
});

Deno.test("large transfers arrive unchanged, with borrowed buffers and when there are none", async () => {
  const sent = Uint8Array.from({ length: 1_000_000 }, (_, at) => (at * 7 + (at >> 9)) & 0xff);
  for (const maxBuffers of [2, 1, 0]) {
    const pool = new BufferPool({ maxBuffers, bufferBytes: 64 * 1024 });
    const { near, far, done } = joined({ pool });
    const [, , up, down] = await Promise.all([
      writeAll(near, sent),
      writeAll(far, sent),
      take(far, sent.length),
      take(near, sent.length),
    ]);
    assert(up.every((byte, at) => byte === sent[at]) && down.every((byte, at) => byte === sent[at]));
    await Promise.all([near.closeWrite(), far.closeWrite()]);
    await done;
    assertEquals(pool.lent, 0);
  }
});

Deno.test("a large buffer goes back when the burst is over", async () => {
  const pool = new BufferPool();
  const { near, far, done } = joined({ pool });
  const burst = new Uint8Array(40_000);
  await writeAll(near, burst);
  await take(far, burst.length);
  assertEquals(pool.lent, 1);
  await writeAll(near, END);
  await take(far, 1);
  await writeAll(near, END);
  await take(far, 1);
  assertEquals(pool.lent, 0);
  near.close();
  far.close();
  await done;
});

Deno.test("a cut on one side closes both, and is told", async () => {
  const { near, far, done } = joined();
  near.abort();
  const { error } = await done;
  assertEquals((error as CulvertError).code, "reset");
  await assertRejects(() => writeAll(far, END));
});

Deno.test("a side that closes while the other sends makes the sender fail", async () => {
  const { near, far, done } = joined();
  far.close();
  await assertRejects(async () => {
    for (;;) await writeAll(near, new Uint8Array(1000));
  });
  assert((await done).error);
});

Deno.test("aborting closes both at once, before and during", async () => {
  const early = joined({ signal: AbortSignal.abort("no") });
  assertEquals((await early.done).error, "no");
  const controller = new AbortController();
  const { near, far, done } = joined({ signal: controller.signal });
  const reading = assertRejects(() => near.read(END), CulvertError, "cut");
  controller.abort("enough");
  assertEquals((await done).error, "enough");
  await reading;
  await assertRejects(() => writeAll(far, END));
});

Deno.test("a half-closed splice ends after a silence, and only after a silence", async () => {
  const clock = new FakeClock();
  const { near, far, done } = joined({ halfClosed: { clock, idleTimeoutMs: 1000 } });
  await clock.advanceAsync(10_000);
  await near.closeWrite();
  assertEquals(await far.read(END), null);
  for (let round = 0; round < 5; round++) {
    await clock.advanceAsync(900);
    await writeAll(far, END);
    await take(near, 1);
  }
  await clock.advanceAsync(2000);
  assertEquals(((await done).error as CulvertError).code, "timeout");
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("counters given to a splice are kept up to date while it runs", async () => {
  const counts = { aToB: 0, bToA: 0 };
  const { near, far, done } = joined({ counts });
  await writeAll(near, new Uint8Array(10));
  await take(far, 10);
  await writeAll(near, END);
  await take(far, 1);
  assert(counts.aToB >= 10);
  near.close();
  far.close();
  await done;
});

Deno.test("a pool lends no more than its limit and takes back what it lent", () => {
  const pool = new BufferPool({ bufferBytes: 10, maxBuffers: 2 });
  const first = pool.take()!;
  assert(pool.plenty);
  pool.take();
  assertEquals([pool.take(), pool.plenty, pool.lent], [undefined, false, 2]);
  pool.give(first);
  assertEquals(pool.take(), first);
  pool.forget();
  assertEquals(pool.lent, 1);
});

Deno.test("the more buffers are out, the smaller those lent next, and holders of larger ones are asked to swap", () => {
  const pool = new BufferPool({ bufferBytes: 1024 });
  const sizes = Array.from({ length: 300 }, () => pool.take()!.length);
  assertEquals([sizes[0], sizes[63], sizes[64], sizes[255], sizes[256], sizes[299]], [1024, 1024, 256, 256, 64, 64]);
  assertEquals([pool.tooLarge(new Uint8Array(1024)), pool.tooLarge(new Uint8Array(64))], [true, false]);
  for (let out = 0; out < 300; out++) pool.give(new Uint8Array(64));
  assertEquals([pool.lent, pool.tooLarge(new Uint8Array(1024)), pool.take()!.length], [0, false, 1024]);
});
