/** What is planned costs nobody a packet: a flow of 100 Mbit/s goes on while its way changes, and none of it is lost. */

import { assertEquals, assertGreater } from "@std/assert";
import { eventually } from "../../testing/waiting.ts";
import { DatagramFlow, type FlowResult } from "./fixtures/datagram_flow.ts";
import { cutOff, mend } from "./fixtures/faults.ts";
import { scenario } from "./fixtures/scenario.ts";
import { exitName } from "./fixtures/topology.ts";
import type { Vpn } from "./fixtures/vpn.ts";

/** A flow while something happens, which has it come out at another exit. */
async function flowWhile(vpn: Vpn, change: () => Promise<unknown>): Promise<FlowResult> {
  await using flow = await startFlow(vpn);
  await eventually("the flow arrives", async () => Object.keys(await flow.sources()).length === 1);
  await change();
  await eventually("the flow comes from elsewhere", async () => Object.keys(await flow.sources()).length === 2);
  return await flow.stop();
}

function startFlow(vpn: Vpn): Promise<DatagramFlow> {
  const { client, internet } = vpn.topology;
  return DatagramFlow.start({ from: client.machine, to: { machine: internet.machine, address: internet.v4 } });
}

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
  const { client, exits, supernodes } = vpn.topology;
  const { v4, v6 } = exits[0]!;
  await cutOff(client, [v4]);
  await vpn.startClient();
  await vpn.exitInUse();
  await using flow = await startFlow(vpn);
  await eventually("the flow arrives", async () => Object.keys(await flow.sources()).length > 0);
  assertEquals(await vpn.wayOf(), [supernodes[0].v4]);
  await mend(client);
  await eventually("the way is direct", async () => {
    const way = await vpn.wayOf();
    return way.length === 1 && (way[0] === v4 || way[0] === v6);
  });
  assertNothingLost(await flow.stop());
});
