/** Real WireGuard devices that know of each other only a port of the relay. */

import { assert, assertEquals } from "@std/assert";
import { measureTcp, startIperf } from "../../bench/iperf.ts";
import { testWith } from "../../testing/requirements.ts";
import { culvertUserspace, wireguardGo, type WireGuardMaker } from "../../testing/wireguard_rig.ts";
import { RelayRig } from "../../bench/relay_rig.ts";

const needs = { netns: true, tools: ["wg", "ip", "ping"], files: ["/dev/net/tun"] };
const rivals = { ...needs, tools: [...needs.tools, "wireguard-go"] };

const pairs: readonly { readonly name: string; readonly client: WireGuardMaker; readonly exit: WireGuardMaker }[] = [
  { name: "ours at both ends", client: culvertUserspace(), exit: culvertUserspace() },
  { name: "wireguard-go as the client", client: wireguardGo(), exit: culvertUserspace() },
  { name: "wireguard-go as the exit", client: culvertUserspace(), exit: wireguardGo() },
];

for (const { name, ...makers } of pairs) {
  testWith(rivals, `two devices talk over the relay: ${name}`, async () => {
    await using rig = await RelayRig.open(makers);
    await rig.useRelay();
    const { a, b } = rig.rig;
    await b.run(["ping", "-c", "1", "-w", "10", a.inner[4]]);
    await a.run(["ping", "-c", "20", "-i", "0.01", "-s", "1392", b.inner[6]]);
    assertEquals((await a.peer(b)).endpoint, `10.81.0.1:${rig.port}`);
    assertEquals((await b.peer(a)).endpoint, `10.82.0.1:${rig.port}`);
    const counts = await rig.relay.ask("counts");
    assert(Number(counts.toExitBytes) > 20 * 1400 && Number(counts.toClientBytes) > 20 * 1400);
  });
}

testWith(needs, "a side that has moved to another address is found by its next handshake, either of them", async () => {
  await using rig = await RelayRig.open({ client: culvertUserspace(), exit: culvertUserspace() });
  await rig.useRelay();
  const { a, b } = rig.rig;
  const moves = [[a, rig.links.client, "10.81.0"], [b, rig.links.exit, "10.82.0"]] as const;
  for (const [end, link, network] of moves) {
    await end.run(["ip", "address", "del", `${network}.2/24`, "dev", link]);
    await end.run(["ip", "address", "add", `${network}.77/24`, "dev", link]);
    await end.expireKeys();
    await end.run(["ping", "-c", "1", "-w", "10", (end === a ? b : a).inner[4]]);
  }
});

const iperf = { ...needs, tools: [...needs.tools, "iperf3"] };

testWith(
  iperf,
  "where the way out is narrower than what comes in, batches go one by one and in fragments",
  async () => {
    await using rig = await RelayRig.open({ client: culvertUserspace(), exit: culvertUserspace() });
    await rig.namespace.run(["ip", "link", "set", rig.links.toExit, "mtu", "1280"]);
    await rig.rig.b.run(["ip", "link", "set", rig.links.exit, "mtu", "1280"]);
    await rig.useRelay();
    await rig.ping(1392);
    await using _server = await startIperf(rig.rig.b.namespace);
    const { gbitPerS } = await measureTcp(rig.rig.a.namespace, rig.rig.b.inner[4], { seconds: 1, warmS: 0 });
    assert(gbitPerS > 0.01, `${gbitPerS} Gbit/s`);
  },
);
