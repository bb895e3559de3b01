/**
 * What stands in for the language in Node 20 does as Deno's own does.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { AsyncStack, SyncStack } from "./disposable_stacks.ts";
import { everyOf, groupBy, parseUrl, toBase64, toHex, tryIt, withResolvers } from "./missing.ts";

Deno.test("base64 and hex are those of the language", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    assertEquals(toBase64.call(bytes), bytes.toBase64());
    for (const alphabet of ["base64", "base64url"] as const) {
      for (const omitPadding of [true, false]) {
        assertEquals(toBase64.call(bytes, { alphabet, omitPadding }), bytes.toBase64({ alphabet, omitPadding }));
      }
    }
    assertEquals(toHex.call(bytes), bytes.toHex());
    assertThrows(() => toBase64.call(bytes, { alphabet: "base58" as "base64" }), TypeError);
    assertThrows(() => bytes.toBase64({ alphabet: "base58" as "base64" }), TypeError);
  }));
});

Deno.test("promises, groups, URLs and iterators are those of the language", async () => {
  const { promise, resolve } = withResolvers.call(Promise) as PromiseWithResolvers<number>;
  resolve(5);
  assertEquals(await promise, 5);
  assertEquals(await tryIt.call(Promise, (a: unknown) => a, 7), 7);
  await assertRejects(() => tryIt.call(Promise, () => assert(false, "thrown")), Error, "thrown");
  const isOdd = (value: number) => value % 2 === 1;
  assertEquals(groupBy([1, 2, 3], isOdd), Map.groupBy([1, 2, 3], isOdd));
  assertEquals(parseUrl("http://a/b")?.href, URL.parse("http://a/b")?.href);
  assertEquals(parseUrl("//"), URL.parse("//"));
  for (const values of [[1, 3], [1, 2, 3], []]) {
    assertEquals(everyOf.call(values.values(), (value) => isOdd(value as number)), values.values().every(isOdd));
  }
});

const stacks = [
  { name: "the language's", Sync: DisposableStack, Async: AsyncDisposableStack },
  { name: "ours", Sync: SyncStack, Async: AsyncStack },
];

for (const { name, Sync, Async } of stacks) {
  Deno.test(`a stack disposes the last first, and everything (${name})`, async () => {
    const log: string[] = [];
    const stack = new Sync();
    stack.defer(() => log.push("first"));
    stack.use({ [Symbol.dispose]: () => void log.push("second") });
    stack.adopt("third", (value) => log.push(value));
    const moved = stack.move();
    assert(stack.disposed);
    assertThrows(() => stack.defer(() => {}), ReferenceError);
    moved.dispose();
    moved.dispose();
    assertEquals(log, ["third", "second", "first"]);

    const later = new Async();
    later.defer(() => Promise.reject(new Error("one")));
    later.use({ [Symbol.asyncDispose]: () => Promise.reject(new Error("two")) });
    const error = await assertRejects(() => later.disposeAsync()) as SuppressedError;
    assertEquals([(error.error as Error).message, (error.suppressed as Error).message], ["one", "two"]);
    assertThrows(() => new Sync().use({} as Disposable), TypeError);
  });
}
