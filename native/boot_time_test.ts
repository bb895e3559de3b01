import { assertAlmostEquals, assertGreater } from "@std/assert";
import { bootTimeMs } from "./boot_time.ts";
import { openLibc } from "./libc.ts";

Deno.test("the time since boot is the kernel's, to the millisecond, and goes forward", async () => {
  using libc = openLibc();
  const nowMs = bootTimeMs(libc);
  const uptimeS = Number((await Deno.readTextFile("/proc/uptime")).split(" ")[0]);
  assertAlmostEquals(nowMs() / 1000, uptimeS, 5);
  const before = nowMs();
  while (nowMs() === before);
  assertGreater(nowMs(), before);
});
