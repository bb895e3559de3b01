import { assertEquals, assertRejects } from "@std/assert";
import { readBytes } from "./read_bytes.ts";

function streamOf(parts: readonly number[][], onCancel: () => void = () => {}): ReadableStream<Uint8Array> {
  const left = parts.map((part) => Uint8Array.from(part));
  return new ReadableStream({
    pull(controller) {
      const part = left.shift();
      if (part) controller.enqueue(part);
      else controller.close();
    },
    cancel: onCancel,
  });
}

Deno.test("bytes are read whole, in order, up to the bound and not beyond", async () => {
  const parts = [[1, 2], [], [3]];
  assertEquals(await readBytes(streamOf(parts), 3), Uint8Array.of(1, 2, 3));
  assertEquals(await readBytes(streamOf([]), 0), new Uint8Array());
  assertEquals(await readBytes(null, 0), new Uint8Array());
});

Deno.test("a stream that is too long is cancelled", async () => {
  let isCancelled = false;
  const stream = streamOf([[1, 2], [3], [4]], () => isCancelled = true);
  assertEquals(await readBytes(stream, 2), undefined);
  assertEquals(isCancelled, true);
});

Deno.test("what ends a stream early is thrown", async () => {
  const stream = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new TypeError("reset")) });
  await assertRejects(() => readBytes(stream, 10), TypeError, "reset");
});
