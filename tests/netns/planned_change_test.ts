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
  assertNothingLost(await flowWhile(vpn, () => vpn.ask("client", ["client", "rotate"])));
});

scenario("drain: an exit that stops loses no packet", { exits: 2 }, async (vpn) => {
  await vpn.startClient();
  const first = await vpn.exitInUse();
  const stopping: Promise<number>[] = [];
  assertNothingLost(await flowWhile(vpn, () => Promise.resolve(stopping.push(vpn.stopRole(exitName(first))))));
  assertEquals(await Promise.all(stopping), [0]);
});

scenario("drain: a client whose supernode leaves loses no packet", {}, async (vpn) => {
  await vpn.startClient(["--supernode", vpn.supernodeUrl(1)]);
  await vpn.exitInUse();
  const { supernodes } = vpn.topology;
  await using flow = await startFlow(vpn);
  await eventually("the flow arrives", async () => Object.keys(await flow.sources()).length > 0);
  await vpn.ask("sn-a", ["admin", "drain", "--within", "5s"]);
  await eventually("the client is at the other supernode", async () => !(await vpn.wayOf()).includes(supernodes[0].v4));
  assertNothingLost(await flow.stop());
});

scenario("upgrade from relay to direct loses no packet", {}, async (vpn) => {
  assertNothingLost(await flowOverUpgrade(vpn));
});
