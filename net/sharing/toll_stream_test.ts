import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { DialError } from "../../protocol/errors.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { memoryStreamPair } from "../memory.ts";
import { splice } from "../splice.ts";
import { BoothDouble } from "./fixtures/toll_double.ts";
import { TollStream, type TollWatch } from "./toll_stream.ts";

class WatchDouble implements TollWatch {
  readonly clock = new FakeClock();
  readonly bytes = { up: 0, down: 0 };
  waitMs = 0;
  refusal: DialError | undefined;
  ends = 0;

  carried(direction: "up" | "down", bytes: number): DialError | undefined {
    this.bytes[direction] += bytes;
    return this.refusal;
  }

  paceMs(): number {
    return this.waitMs;
  }

  ended(): void {
    this.ends++;
  }
}

/** A node's end, and the client's end of the same stream with a toll on it. */
function tolled(leftBytes?: number, capacityBytes = 1024 * 1024) {
  const [inner, node] = memoryStreamPair(capacityBytes);
  const booth = new BoothDouble(leftBytes);
  const watch = new WatchDouble();
  return { node, booth, watch, stream: new TollStream(inner, booth.toll(), watch) };
}

Deno.test("What was read counts once the next read shows that the client has it", async () => {
  const { node, booth, watch, stream } = tolled();
  await writeAll(node, new Uint8Array(1000));
  assertEquals(await stream.read(new Uint8Array(4096)), 1000);
  assertEquals([booth.passed.down, booth.asideBytes], [0, 1000]);
  await node.closeWrite();
  assertEquals(await stream.read(new Uint8Array(4096)), null);
  assertEquals([booth.passed.down, booth.asideBytes, watch.bytes.down], [1000, 0, 1000]);
  stream.close();
});

Deno.test("What a client did not take is not charged", async () => {
  const { node, booth, watch, stream } = tolled(5000);
  await writeAll(node, new Uint8Array(1000));
  await stream.read(new Uint8Array(4096));
  stream.abort();
  assertEquals([booth.passed.down, booth.leftBytes, booth.openTolls, watch.ends], [0, 5000, 0, 1]);
});

Deno.test("What was written counts once the node's tunnel has it", async () => {
  const { node, booth, watch, stream } = tolled(undefined, 100);
  const writing = stream.write(new Uint8Array(300));
  assertEquals(await writing, 100);
  assertEquals([booth.passed.up, booth.asideBytes, watch.bytes.up], [100, 0, 100]);
  node.close();
  await assertRejects(() => stream.write(new Uint8Array(10)));
  assertEquals([booth.passed.up, booth.asideBytes], [100, 0]);
  stream.close();
});

Deno.test("A stream that waits has nothing set aside", async () => {
  const { booth, stream } = tolled(5000);
  const reading = stream.read(new Uint8Array(4096));
  assertEquals(booth.asideBytes, 0);
  stream.close();
  await assertRejects(() => reading);
});

Deno.test("When the money ends, what was paid for is delivered and nothing more", async () => {
  const { node, booth, stream } = tolled(600);
  await writeAll(node, new Uint8Array(1000));
  assertEquals(await stream.read(new Uint8Array(4096)), 600);
  const error = await assertRejects(() => stream.read(new Uint8Array(4096)), DialError);
  assertEquals([error.code, booth.passed.down], ["unpaid", 600]);
  stream.close();
});

Deno.test("A read waits for money, and goes on with it", async () => {
  const { node, booth, stream } = tolled(600);
  const refill = Promise.withResolvers<number>();
  booth.refills.push(refill.promise);
  await writeAll(node, new Uint8Array(1000));
  const reading = stream.read(new Uint8Array(4096));
  refill.resolve(5000);
  assertEquals(await reading, 1000);
  stream.close();
});

Deno.test("A write waits for money, takes what there is, and fails when there is none", async () => {
  const { booth, stream } = tolled(0);
  booth.refills.push(300);
  assertEquals(await stream.write(new Uint8Array(1000)), 300);
  const error = await assertRejects(() => stream.write(new Uint8Array(700)), DialError);
  assertEquals([error.code, booth.passed.up], ["unpaid", 300]);
  stream.close();
});

Deno.test("A stream that is closed while it waits for money settles, and owes nothing", async () => {
  const { node, booth, stream } = tolled(600);
  const refill = Promise.withResolvers<number>();
  booth.refills.push(refill.promise);
  await writeAll(node, new Uint8Array(1000));
  const reading = assertRejects(() => stream.read(new Uint8Array(4096)));
  await Promise.resolve();
  stream.close();
  refill.resolve(0);
  await reading;
  assertEquals([booth.passed.down, booth.asideBytes, booth.openTolls], [0, 0, 0]);
});

Deno.test("The booth cuts a stream in the middle of a read, and says why from then on", async () => {
  const { booth, watch, stream } = tolled();
  const reading = stream.read(new Uint8Array(10));
  booth.cut(new DialError("denied", "the account was suspended"));
  await assertRejects(() => reading);
  const error = await assertRejects(() => stream.write(new Uint8Array(1)), DialError);
  assertEquals([error.code, watch.ends], ["denied", 1]);
});

Deno.test("The account's limits end a stream", async () => {
  const { node, watch, stream } = tolled();
  watch.refusal = new DialError("busy", "as many bytes today as it may");
  await writeAll(node, new Uint8Array(10));
  await stream.read(new Uint8Array(10));
  assertEquals((await assertRejects(() => stream.read(new Uint8Array(10)), DialError)).code, "busy");
});

Deno.test("A rate holds reads and writes back, and closing ends the wait", async () => {
  const { node, watch, stream } = tolled();
  watch.waitMs = 100;
  await writeAll(node, new Uint8Array(10));
  assertEquals(await watch.clock.runUntil(stream.read(new Uint8Array(10))), 10);
  const writing = assertRejects(() => stream.write(new Uint8Array(10)));
  stream.close();
  await writing;
});

Deno.test("Of what was being delivered when the client went away, the part that it took is charged", async () => {
  const { node, booth, watch, stream } = tolled();
  await writeAll(node, new Uint8Array(5000));
  const [client, ours] = memoryStreamPair(1200);
  const joined = splice(endsOnly(ours), stream);
  const taken = new Uint8Array(1000);
  await readFull(client, taken);
  client.close();
  await joined;
  assert(booth.passed.down >= 1000 && booth.passed.down <= 2200, `${booth.passed.down} bytes were charged`);
  assertEquals([watch.bytes.down, booth.asideBytes, watch.ends], [booth.passed.down, 0, 1]);
  node.close();
});

Deno.test("However little money there is, no byte is delivered unpaid and every one that was delivered counts", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 8 });
  const money = fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(sizes, money, fc.integer({ min: 1, max: 9000 }), async (down, refills, first) => {
    const { node, booth, watch, stream } = tolled(first);
    booth.refills.push(...refills);
    const total = first + refills.reduce((sum, more) => sum + more, 0);
    const [client, ours] = memoryStreamPair(512);
    const delivered = drain(client);
    const sent = down.reduce((sum, size) => sum + size, 0);
    const sending = (async () => {
      for (const size of down) await writeAll(node, new Uint8Array(size));
      await node.closeWrite();
    })();
    const joined = splice(endsOnly(ours), stream);
    const got = await delivered;
    client.close();
    await Promise.allSettled([sending, joined]);
    assertEquals(got, Math.min(sent, total));
    assertEquals(booth.passed.down, got);
    assertEquals([watch.bytes.down, booth.asideBytes, booth.openTolls, watch.ends], [got, 0, 0, 1]);
    assert(booth.passed.down <= total);
    node.close();
  }));
});

/** As a socket is, which a cut ends like any other end: what was written still arrives. */
function endsOnly(stream: Stream): Stream {
  return {
    read: (into) => stream.read(into),
    write: (from) => stream.write(from),
    closeWrite: () => stream.closeWrite(),
    close: () => stream.close(),
    [Symbol.dispose]: () => stream.close(),
  };
}

/** How many bytes come until the stream ends. */
async function drain(stream: Stream): Promise<number> {
  let bytes = 0;
  const byte = new Uint8Array(700);
  try {
    for (let count = await stream.read(byte); count !== null; count = await stream.read(byte)) bytes += count;
  } catch {
    // Cut: what had come has been counted.
  }
  return bytes;
}

Deno.test("Both ways at once, a stream carries what it is given unchanged", async () => {
  const { node, booth, stream } = tolled();
  const up = Uint8Array.from({ length: 3000 }, (_, at) => at);
  const down = up.toReversed();
  await writeAll(stream, up);
  await writeAll(node, down);
  const [gotUp, gotDown] = [new Uint8Array(3000), new Uint8Array(3000)];
  await readFull(node, gotUp);
  await readFull(stream, gotDown);
  assertEquals([gotUp, gotDown], [up, down]);
  await stream.closeWrite();
  assertEquals(await node.read(new Uint8Array(1)), null);
  node.close();
  assertEquals(await stream.read(new Uint8Array(1)), null);
  assertEquals(booth.passed, { up: 3000, down: 3000 });
  stream.close();
});
