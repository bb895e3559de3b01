import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import { readFull, type Stream, writeAll } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { testStreamContract } from "../testing/stream_contract.ts";
import { BufferPool } from "./buffer_pool.ts";
import { memoryStreamPair } from "./memory.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";
import { StreamLink } from "./stream_link.ts";

const MIB = 1024 * 1024;
type Shared = Omit<MuxOptions, "role">;

/** Two connections over one link, and a way to open a stream and have both its ends. */
interface Joined extends AsyncDisposable {
  readonly near: MuxConnection;
  readonly far: MuxConnection;
  pair(): Promise<[MuxStream, MuxStream]>;
}

function join(a: Stream, b: Stream, options: Shared = { extensions: true }, clock = clockOf(globalThis)): Joined {
  const pool = new BufferPool();
  const near = new MuxConnection(new StreamLink(a, pool), clock, { ...options, role: "client" });
  const far = new MuxConnection(new StreamLink(b, pool), clock, { ...options, role: "server" });
  let arrived = Promise.withResolvers<MuxStream>();
  far.onStream = (stream) => arrived.resolve(stream);
  near.start();
  far.start();
  return {
    near,
    far,
    async pair() {
      arrived = Promise.withResolvers();
      return [near.open(), await arrived.promise];
    },
    async [Symbol.asyncDispose]() {
      near.close();
      far.close();
      await near.ended;
      await far.ended;
    },
  };
}

function overMemory(options?: Shared): Promise<Joined> {
  const [a, b] = memoryStreamPair();
  return Promise.resolve(join(a, b, options));
}

async function overTcp(options?: Shared): Promise<Joined> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [a, b] = await Promise.all([Deno.connect(listener.addr as Deno.ConnectOptions), listener.accept()]);
  return join(a, b, options);
}

for (const [carrier, make] of [["memory", overMemory], ["TCP", overTcp]] as const) {
  let joined: Joined | undefined;
  testStreamContract(`a mux stream over ${carrier}`, {
    async makePair() {
      joined = await make();
      return await joined.pair();
    },
    cut: (end) => end.abort!(),
    cleanUp: async () => await joined?.[Symbol.asyncDispose](),
  });
}

// What the contract leaves open and a mux stream promises.
const cases: Readonly<Record<string, (a: MuxStream, b: MuxStream) => Promise<void>>> = {
  "either half ends while the other goes on": async (a, b) => {
    await a.closeWrite();
    assertEquals(await readText(b), "");
    await assertRejects(() => a.write(new Uint8Array(1)), CulvertError);
    await writeAll(b, new TextEncoder().encode("answer"));
    await b.closeWrite();
    assertEquals(await readText(a), "answer");
  },
  "64 MiB wait for their reader and arrive whole, both ways at once": async (a, b) => {
    const length = 32 * MIB;
    const counts = await Promise.all([sum(a), sum(b), pour(a, length), pour(b, length)]);
    assertEquals(counts[0], counts[2]);
    assertEquals(counts[1], counts[3]);
  },
  "close settles pending calls on both ends": async (a, b) => {
    const reads = [assertRejects(() => a.read(new Uint8Array(1)), CulvertError), b.read(new Uint8Array(1))] as const;
    const writes = assertRejects(() => pourForever(b), CulvertError);
    a.close();
    a.close();
    await reads[0];
    assertEquals(await reads[1], null);
    await writes;
    await assertRejects(() => a.read(new Uint8Array(1)), CulvertError);
    await assertRejects(() => a.write(new Uint8Array(1)), CulvertError);
    await a.closeWrite();
  },
  "abort is an error at both ends, and so is close in the middle of a write": async (a, b) => {
    const writing = assertRejects(() => pourForever(a), CulvertError);
    await b.read(new Uint8Array(10));
    a.close();
    await writing;
    const error = await assertRejects(() => readText(b), CulvertError);
    assertEquals(error.code, "reset");
    await assertRejects(() => b.write(new Uint8Array(1)), CulvertError);
  },
  "a second read or write at once is refused, the first goes on": async (a, b) => {
    const first = b.read(new Uint8Array(5));
    assertEquals((await assertRejects(() => b.read(new Uint8Array(5)), CulvertError)).code, "busy");
    const writing = a.write(new Uint8Array(5));
    assertEquals((await assertRejects(() => a.write(new Uint8Array(5)), CulvertError)).code, "busy");
    assertEquals(await writing, 5);
    assertEquals(await first, 5);
  },
};

for (const [carrier, make] of [["memory", overMemory], ["TCP", overTcp]] as const) {
  for (const [name, run] of Object.entries(cases)) {
    Deno.test(`a mux stream over ${carrier}: ${name}`, async () => {
      await using joined = await make();
      const [a, b] = await joined.pair();
      await run(a, b);
      a.close();
      b.close();
      for (let round = 0; joined.near.streamCount + joined.far.streamCount > 0; round++) assertLess(round, 1000);
      assertEquals(joined.near.bufferedBytes + joined.far.bufferedBytes, 0);
    });
  }
}

Deno.test("when the link ends every stream fails, and no more can be opened", async () => {
  await using joined = await overTcp();
  const [a, b] = await joined.pair();
  const reads = [a, b].map((end) => assertRejects(() => end.read(new Uint8Array(1)), CulvertError));
  joined.far.close();
  for (const error of await Promise.all(reads)) assertEquals(error.code, "link_lost");
  await joined.near.ended;
  assert(joined.near.closed);
  try {
    joined.near.open();
    assert(false);
  } catch (error) {
    assertEquals((error as CulvertError).code, "closed");
  }
});

Deno.test("a stream says once that nobody hears it any more", async () => {
  await using joined = await overMemory();
  for (const leave of [(end: MuxStream) => end.close(), (end: MuxStream) => end.abort()]) {
    const [a, b] = await joined.pair();
    const unheard = new Promise<void>((resolve) => b.onUnheard = resolve);
    leave(a);
    await unheard;
    b.close();
  }
});

Deno.test("whoever waits for so many bytes gets them whole, or hears of the end or the cut", async () => {
  await using joined = await overMemory();
  const [near, far] = await joined.pair();
  const pieces = far.readable(6);
  await writeAll(near, new Uint8Array(4));
  await writeAll(near, new Uint8Array(4));
  assertEquals([await pieces, far.readableBytes >= 6, await far.readable(1)], [true, true, true]);
  await near.closeWrite();
  const into = new Uint8Array(7);
  assertEquals([await far.readable(9), far.readNow(into), await far.readable(2), far.readNow(into)], [
    false,
    7,
    false,
    1,
  ]);
  const back = near.readable(1);
  await assertRejects(() => near.readable(1), CulvertError, "another read");
  far.abort();
  await assertRejects(() => back, CulvertError, "cut");
  near.close();
  await assertRejects(() => near.readable(1), CulvertError, "after close");
});

Deno.test("a version 1 link that waited for a stalled stream goes on when that one is closed", async () => {
  await using joined = await overTcp({ version: 1, sessionBufferBytes: 64 * 1024 });
  const [a, stalled] = await joined.pair();
  const [c, other] = await joined.pair();
  const flooding = assertRejects(() => pourForever(a));
  while (joined.far.bufferedBytes < 64 * 1024) await new Promise((resolve) => void setTimeout(resolve, 1));
  const behind = writeAll(c, new TextEncoder().encode("behind the flood"));
  const reading = other.read(new Uint8Array(100));
  stalled.close();
  assertEquals(await reading, 16);
  await behind;
  joined.near.close();
  await flooding;
});

Deno.test("silence ends the connection and every stream on it", async () => {
  const clock = new FakeClock();
  const [a, b] = memoryStreamPair();
  const connection = new MuxConnection(new StreamLink(a, new BufferPool()), clock, {
    role: "client",
    extensions: true,
  });
  connection.start();
  const reading = assertRejects(() => connection.open().read(new Uint8Array(1)), CulvertError);
  await clock.advanceAsync(9000);
  assertEquals((await reading).code, "link_lost");
  assertEquals(connection.failure, "timeout");
  await connection.ended;
  assertEquals(clock.pendingTimers, 0);
  b.close();
});

async function readText(stream: Stream): Promise<string> {
  const buffer = new Uint8Array(1024);
  let text = "";
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

async function pourForever(stream: Stream): Promise<never> {
  const chunk = new Uint8Array(256 * 1024);
  for (;;) await stream.write(chunk);
}

/** Writes numbered words and ends; gives a sum that depends on their order. */
async function pour(stream: Stream, length: number): Promise<number> {
  const words = new Uint32Array(16 * 1024);
  let total = 0;
  for (let at = 0; at < length; at += words.byteLength) {
    for (let index = 0; index < words.length; index++) words[index] = at + index * 4;
    for (const word of words) total = (total * 31 + word) % 1_000_003;
    await writeAll(stream, new Uint8Array(words.buffer));
  }
  await stream.closeWrite();
  return total;
}

async function sum(stream: Stream): Promise<number> {
  const words = new Uint32Array(16 * 1024);
  let total = 0;
  while (await readFull(stream, new Uint8Array(words.buffer))) {
    for (const word of words) total = (total * 31 + word) % 1_000_003;
  }
  return total;
}
