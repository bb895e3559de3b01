import { assertLess } from "@std/assert";
import { weigh } from "../../testing/weighing.ts";
import type { Weight } from "./fixtures/many_peers.ts";

const PEERS = 10_000;

Deno.test("ten thousand peers are there in half a second and weigh two kilobytes each at most", async () => {
  const program = new URL("./fixtures/many_peers.ts", import.meta.url);
  const { configureMs, bytesPerPeer } = await weigh<Weight>(program, PEERS);
  assertLess(configureMs, 500);
  assertLess(bytesPerPeer, 2048);
});
