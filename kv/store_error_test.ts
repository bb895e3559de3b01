import { assertEquals, assertStrictEquals } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { openKv } from "./open.ts";
import { inStore, storeError } from "./store_error.ts";

const rows: { name: string; act: (kv: Deno.Kv) => Promise<unknown> | void; code: string }[] = [
  { name: "a large value", act: (kv) => kv.set(["a"], new Uint8Array(65_537)), code: "too_large" },
  { name: "a large key", act: (kv) => kv.set(["a".repeat(3000)], 1), code: "too_large" },
  {
    name: "a large commit",
    act(kv) {
      const atomic = kv.atomic();
      for (let number = 0; number < 1001; number++) atomic.set([number], 1);
      return atomic.commit().then(() => {});
    },
    code: "too_large",
  },
  {
    name: "a closed store",
    act(kv) {
      kv.close();
      return kv.get(["a"]).then(() => {});
    },
    code: "store_closed",
  },
  { name: "a value that cannot be kept", act: (kv) => kv.set(["a"], () => {}), code: "store_failed" },
];

for (const { name, act, code } of rows) {
  Deno.test(`what Deno KV throws is told apart: ${name}`, async () => {
    using kv = await openKv(":memory:");
    const error = await inStore("do it", () => Promise.resolve(act(kv))).then(() => undefined, (error) => error);
    assertEquals([error instanceof CulvertError, error?.code], [true, code]);
    assertEquals(error.message.startsWith("Cannot do it: "), true);
  });
}

Deno.test("an error that has a code keeps it", () => {
  const error = new CulvertError("store_full", "Cannot keep more");
  assertStrictEquals(storeError("do it", error), error);
});
