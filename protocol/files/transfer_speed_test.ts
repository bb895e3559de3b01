import { assertAlmostEquals, assertEquals } from "@std/assert";
import { TransferSpeed } from "./transfer_speed.ts";

Deno.test("the speed is that of the last seconds", () => {
  const speed = new TransferSpeed(1000);
  assertEquals([speed.bytesPerSecond(1000), speed.remainingMs(10, 1000)], [0, undefined]);
  for (let ms = 1100; ms <= 3000; ms += 100) speed.add(100, ms);
  assertAlmostEquals(speed.bytesPerSecond(3000), 1000, 1);
  assertAlmostEquals(speed.remainingMs(5000, 3000)!, 5000, 10);
  for (let ms = 3100; ms <= 13_000; ms += 100) speed.add(200, ms);
  assertAlmostEquals(speed.bytesPerSecond(13_000), 2000, 200);
});

Deno.test("what has stopped has no speed soon after", () => {
  const speed = new TransferSpeed(0);
  for (let ms = 100; ms <= 2000; ms += 100) speed.add(100, ms);
  assertEquals(speed.bytesPerSecond(20_000), 0);
  assertEquals(speed.remainingMs(1, 20_000), undefined);
});
