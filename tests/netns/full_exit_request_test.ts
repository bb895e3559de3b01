/**
 * The acceptance test of the operational specification: a client asks for an exit that accepts nothing from outside, is
 * given one behind relays, and everything that it does leaves there.
 */

import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { measureTcp, startIperf } from "../../bench/iperf.ts";
import { scenario } from "./fixtures/scenario.ts";
import type { Vpn } from "./fixtures/vpn.ts";

for (const supernodes of [2, 1] as const) {
  const by = supernodes === 2 ? "two supernodes" : "one supernode";
  scenario(
    `full exit request with relay by ${by}: ping, iperf3, source address, names, v6`,
    { supernodes },
    async (vpn) => {
      const { client, exits, internet, supernodes: relays } = vpn.topology;
      const exit = exits[0]!;
      await vpn.startClient(["--no-direct"]);
      assertEquals(await vpn.exitInUse(), 0);
      assertEquals(await vpn.seenAs({ isV6: true }), exit.v6);
      assertEquals(await vpn.wayOf(), [relays[0].v4]);
      for (const host of [internet.v4, internet.v6]) await client.machine.run(["ping", "-c3", "-i0.2", "-W2", host]);
      await assertNamesThrough(vpn, [exit.v4, exit.v6]);
      await assertBulk(vpn);
      assertStringIncludes(await vpn.ask("client", ["client", "status"]), vpn.role("exit1").peerId);
    },
  );
}

/** The page's name is asked for, by nobody but the exit. */
async function assertNamesThrough(vpn: Vpn, addresses: readonly string[]): Promise<void> {
  const { machine, v4 } = vpn.topology.internet;
  const queries = async () => JSON.parse((await machine.run(["curl", "-sS", `http://${v4}/queries`])).stdout);
  await queries();
  assert(addresses.includes(JSON.parse(await vpn.fetch("http://page.test/")).address));
  const asked = (await queries() as { name: string; from: string }[]).filter(({ name }) => name === "page.test");
  assertGreater(asked.length, 0);
  for (const { from } of asked) assert(addresses.includes(from), `${from} has asked for the name`);
}

/** Both ways, as packets of full size would get lost where the MTU is wrong. */
async function assertBulk(vpn: Vpn): Promise<void> {
  const { client, internet } = vpn.topology;
  await using _server = await startIperf(internet.machine.namespace);
  for (const direction of ["forward", "reverse"] as const) {
    for (const host of [internet.v4, internet.v6]) {
      const { gbitPerS } = await measureTcp(client.machine.namespace, host, { seconds: 1, warmS: 0, direction });
      assertGreater(gbitPerS, 0.02, `${direction} to ${host}`);
    }
  }
}
