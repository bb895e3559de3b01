import { assertEquals, assertRejects } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { randomOf } from "../protocol/random.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { loadOrCreatePacketRelayKey } from "./packet_relay_key.ts";

const random = randomOf(crypto);

Deno.test("relays that are started at once without a key all have the one that was made", async () => {
  using directory = new TempDirectory();
  const path = directory.path("packet-relay.key"), clock = clockOf(globalThis);
  const keys = await Promise.all(
    Array.from({ length: 8 }, () => loadOrCreatePacketRelayKey(path, { random, clock })),
  );
  assertEquals(new Set(keys.map((key) => key.toHex())).size, 1);
});

Deno.test("a key that another has begun to make is waited for, but not for ever", async () => {
  using directory = new TempDirectory();
  await Deno.writeTextFile(directory.path(".relay.key.tmp"), "");
  const clock = new FakeClock();
  const loaded = assertRejects(
    () => loadOrCreatePacketRelayKey(directory.path("relay.key"), { random, clock }),
    CulvertError,
    "must not exist",
  );
  let isOver = false;
  void loaded.finally(() => isOver = true);
  while (!isOver) {
    clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await loaded;
});
