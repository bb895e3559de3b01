import { assertEquals, assertLess } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { StreamWeight } from "./fixtures/many_streams.ts";

const STREAMS = 5_000;

Deno.test("an idle control stream with its queue weighs two kilobytes at most, and a ping costs little", async () => {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-read",
      "--no-check",
      "--v8-flags=--expose-gc",
      fromFileUrl(new URL("./fixtures/many_streams.ts", import.meta.url)),
      String(STREAMS),
    ],
  }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
  const { bytesPerStream, openMicroseconds, pingMicroseconds }: StreamWeight = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  assertLess(bytesPerStream, 2048);
  // Some twenty times what they take on an idle machine.
  assertLess(openMicroseconds, 2000);
  assertLess(pingMicroseconds, 400);
});
