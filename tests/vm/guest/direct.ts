/**
 * The kernel's devices become direct: the probes go beside their port, and they are set until they stay there.
 */

import { assertEquals } from "@std/assert";
import { INNER, PUBLIC, PunchScene } from "../../../roles/packets/fixtures/punch_scene.ts";
import { eventually } from "../../../testing/waiting.ts";

Deno.test("two devices of the kernel leave their relay", async () => {
  await using scene = await PunchScene.open({ client: "none", exit: "none", backend: "kernel" });
  const ping = ["ping", "-c3", "-i0.2", "-W5", INNER.exit];
  await scene.hosts.client.run(ping);
  await scene.upgrade();
  assertEquals(await scene.nextWay(), { way: "direct", at: `${PUBLIC.exit}:51002` });
  // An emulated machine may be so slow that the way is given up and found again.
  await eventually("packets that do not pass the relay", async () => {
    const before = await scene.relayed();
    await scene.hosts.client.run(ping);
    return await scene.relayed() === before;
  }, { limitMs: 240_000 });
  assertEquals(await scene.endpointOf("exit"), `${PUBLIC.client}:51001`);
});
