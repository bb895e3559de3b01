import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BlockPool, ByteQueue, LARGEST_BLOCK_BYTES } from "./byte_queue.ts";

type Step =
  | { readonly kind: "push"; readonly length: number }
  | { readonly kind: "take"; readonly length: number; readonly at: number }
  | { readonly kind: "clear" };

const length = fc.oneof(
  fc.integer({ min: 0, max: 600 }),
  fc.constantFrom(1, 255, 256, 257, LARGEST_BLOCK_BYTES - 1, LARGEST_BLOCK_BYTES, LARGEST_BLOCK_BYTES + 1, 150_000),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("push" as const), length }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("take" as const), length, at: fc.integer({ max: 5, min: 0 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const) }) },
);

Deno.test("a byte queue gives what a plain array gives", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 2), (steps, pooled) => {
      const queue = new ByteQueue(new BlockPool(pooled));
      let model = new Uint8Array();
      let next = 0;
      for (const step of steps) {
        if (step.kind === "push") {
          const bytes = Uint8Array.from({ length: step.length }, () => next++ * 7);
          const whole = new Uint8Array(model.length + bytes.length);
          whole.set(model);
          whole.set(bytes, model.length);
          model = whole;
          queue.push(bytes);
          bytes.fill(0); // the queue must have copied them
        } else if (step.kind === "take") {
          const into = new Uint8Array(step.at + step.length).fill(0xaa);
          const expected = into.slice();
          const count = Math.min(step.length, model.length);
          expected.set(model.subarray(0, count), step.at);
          assertEquals(queue.take(into, step.at), count);
          assert(same(into, expected));
          model = model.slice(count);
        } else {
          queue.clear();
          model = new Uint8Array();
        }
        assertEquals(queue.length, model.length);
      }
    }),
    { numRuns: 150 },
  );
});

Deno.test("blocks come back from the pool, no more of them than it keeps", () => {
  const pool = new BlockPool(1);
  const first = pool.get();
  const second = pool.get();
  pool.put(new Uint8Array(256)); // small ones are not kept
  pool.put(first);
  pool.put(second);
  assert(pool.get() === first);
  assert(pool.get() !== second);
});

Deno.test("a drained queue has given its large blocks back", () => {
  const pool = new BlockPool(8);
  const queue = new ByteQueue(pool);
  const block = pool.get();
  pool.put(block);
  queue.push(new Uint8Array(LARGEST_BLOCK_BYTES));
  assertEquals(queue.take(new Uint8Array(LARGEST_BLOCK_BYTES)), LARGEST_BLOCK_BYTES);
  assert(pool.get() === block);
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
