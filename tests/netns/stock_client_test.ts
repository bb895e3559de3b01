/** Any WireGuard can be the client: wireguard-go, configured by hand with `wg` from what a supernode offers. */

import { assertEquals } from "@std/assert";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import { scenario } from "./fixtures/scenario.ts";
import type { Vpn } from "./fixtures/vpn.ts";

const INTERFACE = "wg0";

for (const supernodes of [2, 1] as const) {
  const by = supernodes === 2 ? "two supernodes" : "one supernode";
  scenario(`a stock client: wireguard-go comes out at the exit, by ${by}`, { supernodes }, async (vpn) => {
    const { client: { machine }, exits, internet } = vpn.topology;
    await using asking = machine.startDeno("tests/netns/fixtures/offer.ts", [vpn.supernodeUrl(0), "south"]);
    const { privateKey, offer } = await asking.readJson() as { privateKey: string; offer: SessionOffer };
    await using _device = machine.start(["wireguard-go", "-f", INTERFACE], { quiet: true });
    await configure(vpn, privateKey, offer);

    await machine.run(["ping", "-c3", "-i0.2", "-W5", internet.v4]);
    assertEquals(await vpn.seenAs(), exits[0]!.v4);
    assertEquals(await vpn.seenAs({ isV6: true }), exits[0]!.v6);
    assertEquals((await vpn.fetch(`http://${internet.v4}/bytes/1000000`)).length, 1_000_000);
  });
}

/** As a person would with `wg` and `ip`, with nothing but the internet's host routed through the tunnel. */
async function configure(vpn: Vpn, privateKey: string, { exit, packets }: SessionOffer): Promise<void> {
  const { client: { machine }, internet } = vpn.topology;
  const { endpoint, addresses, mtu } = packets!;
  const peer = `[Peer]\nPublicKey = ${exit.wireguardKey}\nEndpoint = ${endpoint}\nAllowedIPs = 0.0.0.0/0, ::/0\n`;
  await Deno.writeTextFile(
    machine.path("wg0.conf"),
    `[Interface]\nPrivateKey = ${privateKey}\n${peer}PersistentKeepalive = 20\n`,
  );
  const setConf = `until wg setconf ${INTERFACE} "$1"; do sleep 0.05; done 2>/dev/null`;
  await machine.run(["sh", "-c", setConf, "sh", machine.path("wg0.conf")]);
  for (const address of addresses) {
    await machine.run(["ip", "address", "add", address, "dev", INTERFACE, ...address.includes(":") ? ["nodad"] : []]);
  }
  await machine.run(["ip", "link", "set", INTERFACE, "mtu", `${mtu}`, "up"]);
  for (const host of [internet.v4, internet.v6]) await machine.run(["ip", "route", "add", host, "dev", INTERFACE]);
}
