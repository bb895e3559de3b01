/** What is planned costs nobody a packet: a flow of 100 Mbit/s goes on while its way changes, and none of it is lost. */

import { assertEquals, assertGreater } from "@std/assert";
import { eventually } from "../../testing/waiting.ts";
import type { FlowResult } from "./fixtures/datagram_flow.ts";
import { flowOverUpgrade, flowWhile, startFlow } from "./fixtures/flows.ts";
import { scenario } from "./fixtures/scenario.ts";
import { exitName } from "./fixtures/topology.ts";

function assertNothingLost(flow: FlowResult): void {
  const { sent, lost, duplicates } = flow;
  assertGreater(sent, 1000);
  assertEquals({ lost, duplicates }, { lost: 0, duplicates: 0 }, JSON.stringify(flow));
}

scenario("planned rotation by the client loses no packet", { exits: 2 }, async (vpn) => {
  await vpn.startClient();
  await vpn.exitInUse();
  for (let turn = 0; turn < 2; turn++) {
    assertNothingLost(await flowWhile(vpn, () => vpn.ask("client", ["client", "rotate"])));
  }
});

scenario("drain: an exit that stops loses no packet, one after the other", { exits: 2 }, async (vpn) => {
  await vpn.startClient();
  await vpn.exitInUse();
  for (let turn = 0; turn < 2; turn++) {
    await vpn.ask("client", ["client", "rotate"]);
    const first = await vpn.exitInUse();
    const stopping: Promise<number>[] = [];
    assertNothingLost(await flowWhile(vpn, () => Promise.resolve(stopping.push(vpn.stopRole(exitName(first))))));
    assertEquals(await Promise.all(stopping), [0]);
    await vpn.startExit(first);
    await vpn.hasExits(2);
  }
});

for (const flags of [["--no-direct"], []]) {
  const way = flags.length > 0 ? "by the relay" : "directly";
  scenario(`drain: a client whose supernode leaves loses no packet, ${way}`, {}, async (vpn) => {
    await vpn.startClient(["--supernode", vpn.supernodeUrl(1), ...flags]);
    await vpn.exitInUse();
    if (flags.length === 0) await vpn.logged("client", "Direct to the exit");
    await using flow = await startFlow(vpn);
    await eventually("the flow arrives", async () => Object.keys(await flow.sources()).length > 0);
    await vpn.ask("sn-a", ["admin", "drain", "--within", "5s"]);
    // At the same exit, by way of the other supernode.
    await vpn.logged("client", "Streams leave through an exit", 2);
    await eventually("the client does not use the first supernode", async () => {
      const way = await vpn.wayOf();
      return way.length === 1 && way[0] !== vpn.topology.supernodes[0].v4;
    });
    assertNothingLost(await flow.stop());
  });
}

scenario("upgrade from relay to direct loses no packet", {}, async (vpn) => {
  assertNothingLost(await flowOverUpgrade(vpn));
});
