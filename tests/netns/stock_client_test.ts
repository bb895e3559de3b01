/**
 * Any WireGuard can be the client: wireguard-go, configured by hand with `wg` from what a supernode offers, and wg-quick
 * with the file that an administrator exports.
 */

import { assertEquals } from "@std/assert";
import type { SessionOffer } from "../../protocol/control/commands.ts";
import { eventually } from "../../testing/waiting.ts";
import { scenario } from "./fixtures/scenario.ts";
import { exitName, supernodeName } from "./fixtures/topology.ts";
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

for (const supernodes of [2, 1] as const) {
  const by = supernodes === 2 ? "two supernodes" : "one supernode";
  scenario(
    `a stock client: wg-quick with an exported file comes out at the exit, by ${by}`,
    { supernodes },
    async (vpn) => {
      const { exits, internet } = vpn.topology;
      await using _tunnel = await upWithExported(vpn);
      assertEquals([await vpn.seenAs(), await vpn.seenAs({ isV6: true })], [exits[0]!.v4, exits[0]!.v6]);
      assertEquals((await vpn.fetch(`http://${internet.v4}/bytes/1000000`)).length, 1_000_000);
      assertEquals(await vpn.wayOf(), [vpn.topology.supernodes[0].v4]);
    },
  );
}

scenario("a stock client: an exit that was gone serves the same file again", { supernodes: 1 }, async (vpn) => {
  {
    await using _tunnel = await upWithExported(vpn);
    await vpn.kill(exitName(0));
    await vpn.startExit(0);
    assertEquals(await vpn.exitInUse(), 0);
  }
  await using _tunnel = await upWithExported(vpn, ["--renew"]);
  assertEquals(await vpn.exitInUse(), 0);
});

const TERMINATING = { exits: 2, supernodes: 1, supernodeFlags: ["--terminate"] } as const;
scenario("a stock client: with a terminated tunnel it goes on when its exit stops", TERMINATING, async (vpn) => {
  await using tunnel = await upWithExported(vpn, ["--relay", "terminate"]);
  const first = await vpn.exitInUse();
  const before = await exported(vpn);
  await vpn.kill(exitName(first));
  assertEquals(await vpn.exitInUse(), 1 - first);
  const after = await exported(vpn);
  assertEquals(after.replaceAll(/^#.*$/gm, ""), before.replaceAll(/^#.*$/gm, ""), "the file is as good as before");
  await tunnel[Symbol.asyncDispose]();
  await using _again = await upWithExported(vpn, ["--renew"]);
  assertEquals(await vpn.exitInUse(), 1 - first);
  await vpn.startExit(first); // which clears up what the killed one has left
});

/** What `export-config` prints. */
async function exported(vpn: Vpn, flags: readonly string[] = []): Promise<string> {
  return await vpn.ask(supernodeName(0), ["admin", "export-config", "--peer", "phone", ...flags]);
}

/** As its user would: the file, and `wg-quick up`; disposing takes it down again. */
async function upWithExported(vpn: Vpn, flags: readonly string[] = []): Promise<AsyncDisposable> {
  const { client: { machine } } = vpn.topology;
  let text = "";
  await eventually("an exit that carries packets", async () => {
    text = await exported(vpn, flags).catch(() => "");
    return text !== "";
  });
  const file = machine.path(`${INTERFACE}.conf`);
  await Deno.writeTextFile(file, text, { mode: 0o600 });
  const env = { WG_QUICK_USERSPACE_IMPLEMENTATION: "wireguard-go" };
  await machine.run(["wg-quick", "up", file], { env });
  let isUp = true;
  return {
    async [Symbol.asyncDispose]() {
      if (!isUp) return;
      isUp = false;
      await machine.run(["wg-quick", "down", file], { env });
      // The one thing that wg-quick leaves as it has set it.
      await machine.run(["sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=0"]);
    },
  };
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
