import { assertEquals } from "@std/assert";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { Batch, type BatchOptions } from "./batch.ts";

/** A batch of texts whose writes are held up until told. */
class Rig {
  readonly clock = new FakeClock();
  readonly written: string[] = [];
  readonly errors: unknown[] = [];
  #release: ((error?: Error) => void)[] = [];
  readonly batch: Batch<string>;

  constructor(options: Partial<BatchOptions<string>> = {}) {
    this.batch = new Batch<string>({
      clock: this.clock,
      write: (values) => {
        this.written.push(values.join(" "));
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        this.#release.push((error) => error ? reject(error) : resolve());
        return promise;
      },
      onError: (error) => this.errors.push(error),
      ...options,
    });
  }

  async release(error?: Error): Promise<void> {
    this.#release.shift()!(error);
    await settle();
  }
}

Deno.test("values wait for the next write, and the newest of a key is written", () => {
  const { batch, clock, written } = new Rig({ flushEveryMs: 100 });
  batch.put("a", "a1");
  batch.put("b", "b1");
  clock.advance(99);
  batch.put("a", "a2");
  assertEquals(written, []);
  clock.advance(1);
  assertEquals([written, batch.size, clock.pendingTimers], [["a2 b1"], 2, 0]);
});

Deno.test("one write is under way at a time, and what comes meanwhile goes with the next", async () => {
  const rig = new Rig({ flushEveryMs: 100 });
  rig.batch.put("a", "a1");
  rig.clock.advance(100);
  rig.batch.put("a", "a2");
  rig.clock.advance(500);
  assertEquals(rig.written, ["a1"]);
  await rig.release();
  rig.clock.advance(100);
  assertEquals(rig.written, ["a1", "a2"]);
  await rig.release();
  assertEquals([rig.batch.size, rig.clock.pendingTimers], [0, 0]);
});

Deno.test("a write that fails is tried again, and what came meanwhile is newer", async () => {
  const rig = new Rig({ flushEveryMs: 100 });
  rig.batch.put("a", "a1");
  rig.batch.put("b", "b1");
  rig.clock.advance(100);
  rig.batch.put("a", "a2");
  await rig.release(new Error("locked"));
  assertEquals([rig.errors.length, rig.batch.size], [1, 2]);
  rig.clock.advance(100);
  assertEquals(rig.written, ["a1 b1", "a2 b1"]);
  await rig.release();
  assertEquals([rig.errors.length, rig.batch.size, rig.clock.pendingTimers], [1, 0, 0]);
});

Deno.test("a full batch refuses new keys and takes newer values, also while it writes", async () => {
  const rig = new Rig({ maxEntries: 2 });
  assertEquals([rig.batch.put("a", "a1"), rig.batch.put("b", "b1"), rig.batch.put("c", "c1")], [true, true, false]);
  assertEquals(rig.batch.put("b", "b2"), true);
  const flushed = rig.batch.flush();
  assertEquals([rig.batch.put("c", "c1"), rig.batch.size], [false, 2]);
  await rig.release();
  await flushed;
  assertEquals([rig.batch.put("c", "c1"), rig.written], [true, ["a1 b2"]]);
});

Deno.test("disposing writes what waits, once, and takes no more", async () => {
  const rig = new Rig();
  rig.batch.put("a", "a1");
  const disposed = rig.batch[Symbol.asyncDispose]();
  assertEquals([rig.written, rig.batch.put("b", "b1")], [["a1"], false]);
  await rig.release(new Error("full"));
  await disposed;
  assertEquals([rig.written.length, rig.errors.length, rig.clock.pendingTimers], [1, 1, 0]);
});
