/**
 * While a client is up, and from when it is killed until it is up again, nothing leaves its machine but WireGuard and
 * control, whatever happens to it or to its exit and however loudly its programs try.
 */

import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { Capture, leaksIn } from "./fixtures/capture.ts";
import { blackHole, mend } from "./fixtures/faults.ts";
import { scenario } from "./fixtures/scenario.ts";
import { exitName } from "./fixtures/topology.ts";
import type { Vpn } from "./fixtures/vpn.ts";

const LAN_NEIGHBOUR = "192.168.41.1";

scenario(
  "nothing leaks while the exit dies, and the client rotates, drains, is killed and is restarted",
  { exits: 2 },
  async (vpn, test) => {
    const { client, internet, exits } = vpn.topology;
    await vpn.startClient();
    let exit = await vpn.exitInUse();
    await using noise = client.machine.startDeno("tests/netns/fixtures/noise.ts", [
      internet.v4,
      internet.v6,
      LAN_NEIGHBOUR,
    ]);
    await noise.readJson();
    const step = (name: string, act: () => Promise<unknown>) => test.step(name, () => withoutLeak(vpn, act));
    const changed = async () => {
      const before = exit;
      exit = await vpn.exitInUse();
      assertEquals(exit, 1 - before);
    };

    await step("the client is up", () => vpn.fetch("http://page.test/"));
    await step("the exit is killed", async () => {
      await vpn.kill(exitName(exit));
      await changed();
      await vpn.startExit(1 - exit);
    });
    await step("the exit drops datagrams", async () => {
      await blackHole(exits[exit]!);
      await changed();
      await mend(exits[1 - exit]!);
    });
    await step("the client is rotated", async () => {
      await vpn.ask("client", ["client", "rotate"]);
      await changed();
    });
    await step("the exit drains", async () => {
      await vpn.stopRole(exitName(exit));
      await changed();
    });
    await step("the client is killed", async () => {
      await vpn.kill("client");
      await assertRejects(() => vpn.fetch(`http://${internet.v4}/`, { timeoutS: 1 }));
      await assertRejects(() => vpn.fetch(`http://[${internet.v6}]/`, { timeoutS: 1 }));
    });
    await step("the client is started again", async () => {
      await vpn.startClient(["--keep-lock"]);
      await vpn.exitInUse();
    });
    await step("the client stops and keeps the lock", async () => {
      await vpn.stopRole("client");
      await assertRejects(() => vpn.fetch(`http://${internet.v4}/`, { timeoutS: 1 }));
    });
    await noise.stop();
    await vpn.ask("client", ["client", "down"]);
    assertEquals(await vpn.seenAs(), client.v4);
  },
);

/** Nothing that should not leave does so meanwhile; and something does. */
async function withoutLeak(vpn: Vpn, act: () => Promise<unknown>): Promise<void> {
  await using capture = await Capture.start(vpn.topology.client.machine);
  await act();
  const packets = await capture.stop();
  assertGreater(packets.length, 0);
  assertEquals(leaksIn(packets, vpn.underlay), []);
}

scenario("what is allowed past the tunnel is reached, and nothing else", {}, async (vpn) => {
  const { client, internet } = vpn.topology;
  await vpn.startClient(["--allow", `${LAN_NEIGHBOUR}/32`]);
  await vpn.exitInUse();
  await client.machine.run(["ping", "-c1", "-W2", LAN_NEIGHBOUR]);
  await vpn.stopRole("client");

  await vpn.startClient(["--exclude", `${internet.v4}/32`]);
  assertEquals(await vpn.seenAs(), client.v4, "excluded from the tunnel");
  assertEquals(await vpn.seenAs({ isV6: true }), vpn.topology.exits[0]!.v6);
  await vpn.stopRole("client");

  await vpn.startClient(["--include", `${internet.v4}/32`]);
  await vpn.exitInUse();
  assertEquals(await vpn.seenAs({ isV6: true }), client.v6, "not included in the tunnel");
});
