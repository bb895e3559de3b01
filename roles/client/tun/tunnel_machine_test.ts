/** What a client's packet mode does to a machine: `fixtures/lab.ts`. */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../../testing/requirements.ts";
import { HOST, needs, TunnelLab } from "./fixtures/lab.ts";

testWith(needs, "everything goes through the tunnel, and afterwards the machine is as it was", async () => {
  await using lab = await TunnelLab.open();
  const before = await lab.picture();
  const run = await lab.run();
  assertEquals((await run.until("taken"))["interface"], "culvert0");
  const { stdout } = await lab.client.run(["ping", "-c1", "-W3", HOST]);
  assertMatch(stdout, /1 received/);
  await run.say("stop", "over");
  assertEquals(await lab.picture(), before);
});
