/** The network of namespaces does what the other tests here take for granted, with nothing of ours running on it. */

import { assertEquals, assertRejects } from "@std/assert";
import { DatagramFlow } from "./fixtures/datagram_flow.ts";
import { blackHole, cutOff, mend, unplug } from "./fixtures/faults.ts";
import { scenario } from "./fixtures/scenario.ts";
import { TcpProbe } from "./fixtures/tcp_probe.ts";

const startsItself = true;

scenario("whoever is behind a NAT reaches the internet and is seen as the NAT", { startsItself }, async (vpn) => {
  const { client } = vpn.topology;
  assertEquals(await vpn.seenAs(), client.v4);
  assertEquals(await vpn.seenAs({ isV6: true }), client.v6);
  assertEquals(JSON.parse(await vpn.fetch("http://page.test/")).address, client.v4);
});

scenario("a flow over no tunnel loses nothing, and in a black hole TCP goes on", { startsItself }, async (vpn) => {
  const { client, internet } = vpn.topology;
  await using flow = await DatagramFlow.start({
    from: client.machine,
    to: { machine: internet.machine, address: internet.v4 },
  });
  await using probe = await TcpProbe.start(client.machine, internet.v4);
  await probe.worksAgain(Date.now());
  const { sent, lost, bySource } = await flow.stop();
  assertEquals({ lost, bySource }, { lost: 0, bySource: { [client.v4]: sent } });

  await blackHole(client);
  const { address } = await probe.worksAgain(Date.now());
  assertEquals(address, client.v4);
  await assertRejects(() => vpn.fetch("http://page.test/"));
  await mend(client);
  await vpn.fetch("http://page.test/");

  await cutOff(client, [internet.v4]);
  await assertRejects(() => vpn.fetch("http://page.test/"));
  await mend(client);
  await vpn.fetch("http://page.test/");

  await unplug(client);
  await assertRejects(() => vpn.fetch(`http://${internet.v4}/`, { timeoutS: 1 }));
  const pluggedMs = Date.now();
  await mend(client);
  await probe.worksAgain(pluggedMs);
});
