import { assertEquals, assertLess } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { Weight } from "./fixtures/many_peers.ts";

const PEERS = 10_000;

Deno.test("ten thousand peers are there in half a second and weigh two kilobytes each at most", async () => {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-read",
      "--no-check",
      "--v8-flags=--expose-gc",
      fromFileUrl(new URL("./fixtures/many_peers.ts", import.meta.url)),
      String(PEERS),
    ],
  }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
  const { configureMs, bytesPerPeer }: Weight = JSON.parse(new TextDecoder().decode(stdout));
  assertLess(configureMs, 500);
  assertLess(bytesPerPeer, 2048);
});
