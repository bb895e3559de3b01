import { assertLess } from "@std/assert";
import { weigh } from "../../testing/weighing.ts";
import type { StreamWeight } from "./fixtures/many_streams.ts";

const STREAMS = 5_000;

Deno.test("an idle control stream with its queue weighs two kilobytes at most, and a ping costs little", async () => {
  const program = new URL("./fixtures/many_streams.ts", import.meta.url);
  const { bytesPerStream, openMicroseconds, pingMicroseconds } = await weigh<StreamWeight>(program, STREAMS);
  assertLess(bytesPerStream, 2048);
  // Some twenty times what they take on an idle machine.
  assertLess(openMicroseconds, 2000);
  assertLess(pingMicroseconds, 400);
});
