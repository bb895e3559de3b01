import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { inNamespace } from "../../native/fixtures/in_namespace.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatCidr, formatIp, parseCidr, parseIp } from "../../protocol/ip.ts";
import { silentLog } from "../../protocol/log.ts";
import { parseQuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { NetLab } from "../../testing/netns.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { dnsText } from "../machine/dns.ts";
import { firewallTableOf, removeFirewall, setFirewall } from "../machine/firewall.ts";
import { guardTable } from "./guard.ts";
import { Journal } from "../machine/journal.ts";
import { tunnelMtu } from "./mtu.ts";
import { chooseMark, type Network, setNetwork } from "./network.ts";
import { planRoutes } from "./routing.ts";
import { undoAll } from "../machine/undo.ts";

const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

/** A kernel that notes what it is told. */
class FakeNetwork implements Network {
  readonly told: string[] = [];
  readonly links = new Map<
    string | number,
    { index: number; name: string; alias?: string; mtu: number; isUp: boolean }
  >();
  ways = new Map<string, { mtu?: number; linkIndex?: number }>();
  takenTables: number[] = [];
  refused = "";

  link(which: string | number): ReturnType<Network["link"]> {
    return this.links.get(which);
  }

  changeLink(index: number, change: { mtu?: number; up?: boolean }): void {
    this.#tell(`link ${index} mtu ${change.mtu} up ${change.up}`);
  }

  removeLink(index: number): boolean {
    this.#tell(`remove link ${index}`);
    return true;
  }

  addAddress(...[{ address, bits }]: Parameters<Network["addAddress"]>): void {
    this.#tell(`address ${formatIp(address)}/${bits}`);
  }

  addRoute(...[{ destination, table }]: Parameters<Network["addRoute"]>): void {
    this.#tell(`route ${formatCidr(destination)} table ${table}`);
  }

  removeRoute(...[{ destination, table }]: Parameters<Network["removeRoute"]>): boolean {
    this.#tell(`remove route ${formatCidr(destination)} table ${table}`);
    return true;
  }

  routes(...[{ table }]: Parameters<Network["routes"]>): ReturnType<Network["routes"]> {
    const destination = parseCidr("0.0.0.0/0")!;
    if (table === 254) return [{ destination, linkIndex: 2 }];
    return table !== undefined && this.takenTables.includes(table) ? [{ destination }] : [];
  }

  routeTo(...[address]: Parameters<Network["routeTo"]>): ReturnType<Network["routeTo"]> {
    const way = this.ways.get(formatIp(address));
    return way && { destination: parseCidr(formatIp(address))!, ...way };
  }

  rules(): ReturnType<Network["rules"]> {
    return [0, 1000, 32766].map((priority) => ({ family: 4, table: 254, priority }));
  }

  addRule(...[rule]: Parameters<Network["addRule"]>): void {
    this.#tell(`rule ${rule.family} ${rule.priority} ${rule.not ? "not marked" : "suppressing"} table ${rule.table}`);
  }

  removeRule(...[rule]: Parameters<Network["removeRule"]>): boolean {
    this.#tell(`remove rule ${rule.family} ${rule.priority}`);
    return true;
  }

  #tell(what: string): void {
    if (this.refused !== "" && what.startsWith(this.refused)) throw new CulvertError("EPERM", "no");
    this.told.push(what);
  }
}

async function settle(network: FakeNetwork, journal: Journal, text: string, log = silentLog): Promise<void> {
  const config = parseQuickConfig(text);
  network.links.set("wg0", { index: 9, name: "wg0", mtu: 1420, isUp: false });
  const settings = { interfaceName: "wg0", config, mtu: 1400, routes: planRoutes(config), mark: 51820 };
  await setNetwork(settings, { network, journal, log });
}

const TEXT = `[Interface]\nAddress = fd00::1/64\n[Peer]\nPublicKey = ${KEY}\nAllowedIPs = fd01::/64, fd00::2/128\n`;

Deno.test("addresses come first, then the link, then routes; what goes with the interface is not noted", async () => {
  using temp = new TempDirectory();
  using journal = (await Journal.take(temp.path("wg0.1")))!;
  const network = new FakeNetwork();
  await settle(network, journal, TEXT);
  assertEquals(network.told, ["address fd00::1/64", "link 9 mtu 1400 up true", "route fd01::/64 table undefined"]);
  assertEquals(journal.undos, []);
});

Deno.test("what was noted is undone last to first, and a failure keeps the notes", async () => {
  using temp = new TempDirectory();
  using journal = (await Journal.take(temp.path("wg0.1")))!;
  const network = new FakeNetwork();
  network.links.set("wg0", { index: 9, name: "wg0", alias: "culvert", mtu: 1420, isUp: true });
  await journal.record({ kind: "link", name: "wg0" });
  await journal.record({ kind: "rule", rule: { family: 4, table: 1, priority: 5 } });
  network.refused = "remove link";
  const log = new LogCollector();
  await assertRejects(() => undoAll(journal, network, log), CulvertError, "no");
  assertStringIncludes(log.text("error"), "what=link");
  assertEquals(journal.undos.length, 2);
  network.refused = "";
  await undoAll(journal, network, silentLog);
  assertEquals(network.told, ["remove rule 4 5", "remove rule 4 5", "remove link 9"]);
  assertEquals(journal.undos, []);
});

Deno.test("a link without our alias is left alone", async () => {
  using temp = new TempDirectory();
  using journal = (await Journal.take(temp.path("wg0.1")))!;
  const network = new FakeNetwork();
  network.links.set("wg0", { index: 9, name: "wg0", mtu: 1420, isUp: true });
  await journal.record({ kind: "link", name: "wg0" });
  await undoAll(journal, network, silentLog);
  assertEquals(network.told, []);
});

Deno.test("a setting is put back unless somebody has changed it since", async () => {
  using temp = new TempDirectory();
  for (const [found, want] of [["1\n", "0"], ["2\n", "2\n"]] as const) {
    const path = temp.path("setting");
    await Deno.writeTextFile(path, found);
    using journal = (await Journal.take(temp.path("wg0.1")))!;
    await journal.record({ kind: "setting", path, before: "0", after: "1" });
    await undoAll(journal, new FakeNetwork(), silentLog);
    assertEquals(await Deno.readTextFile(path), want);
  }
});

Deno.test("a setting that another tunnel needs too is put back by the last of them", async () => {
  using temp = new TempDirectory();
  const path = temp.path("setting");
  await Deno.writeTextFile(path, "1\n");
  const take = async (name: string) => (await Journal.take(temp.path(name)))!;
  using one = await take("wg0.1"), other = await take("wg1.1"), elsewhere = await take("wg0.2");
  for (const journal of [one, other, elsewhere]) {
    await journal.record({ kind: "setting", path, before: "0", after: "1" });
  }
  const values = [];
  for (const journal of [one, other]) {
    await undoAll(journal, new FakeNetwork(), silentLog);
    values.push((await Deno.readTextFile(path)).trim());
  }
  assertEquals(values, ["1", "0"]);
});

Deno.test("a refusal says which route or address it was", async () => {
  using temp = new TempDirectory();
  using journal = (await Journal.take(temp.path("wg0.1")))!;
  const network = new FakeNetwork();
  network.refused = "route";
  await assertRejects(() => settle(network, journal, TEXT), CulvertError, "Cannot add the route to fd01::/64: no");
});

Deno.test("the mark is the configured one, or the first with a free table", () => {
  const network = new FakeNetwork();
  network.takenTables = [51820, 51821];
  assertEquals(chooseMark({}, network), 51822);
  assertEquals(chooseMark({ fwmark: 7 }, network), 7);
});

Deno.test("the MTU fits the smallest way, a route's own before its link's", () => {
  const network = new FakeNetwork();
  network.links.set(2, { index: 2, name: "eth0", mtu: 9000, isUp: true });
  network.ways = new Map([["192.0.2.1", { linkIndex: 2 }], ["192.0.2.2", { linkIndex: 2, mtu: 1400 }]]);
  const to = (...hosts: string[]) => tunnelMtu(hosts.map((host) => ({ address: parseIp(host)!, port: 1 })), network);
  assertEquals(to("192.0.2.1"), 8920);
  assertEquals(to("192.0.2.1", "192.0.2.2"), 1320);
  assertEquals(to(), 8920, "the default route's");
  assertEquals(to("192.0.2.9"), 8920, "no way there: the default route's");
  network.links.clear();
  assertEquals(to(), 1420, "nothing known: Ethernet's");
});

Deno.test("resolvconf gets servers and search domains as in resolv.conf", () => {
  const config = parseQuickConfig("[Interface]\nDNS = 10.0.0.53, fd00::53, lan.example, example\n");
  assertEquals(dnsText(config), "nameserver 10.0.0.53\nnameserver fd00::53\nsearch lan.example example\n");
});

Deno.test("the firewall's table has a name that nftables takes", () => {
  assertEquals(firewallTableOf("wg-0.a"), "culvert_wgx2d0x2ea");
});

testWith({ netns: true, tools: ["ip", "nft"] }, "the firewall guards every address, and is taken away", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("firewall");
  const addresses = ["10.0.0.1", "fd00::1"].map((text) => ({ address: parseIp(text)!, bits: 32 }));
  const listed = async () => (await namespace.run(["nft", "list", "ruleset"])).stdout;
  const rules = { interfaceName: "wg0", addresses, mark: 51820 };
  inNamespace(namespace, () => setFirewall(guardTable(rules)));
  const text = await listed();
  for (
    const rule of [
      'iifname != "wg0" ip daddr 10.0.0.1 fib saddr type != local drop',
      'iifname != "wg0" ip6 daddr fd00::1 fib saddr type != local drop',
      "meta l4proto udp ct mark 0x0000ca6c meta mark set ct mark",
      "meta l4proto udp meta mark 0x0000ca6c ct mark set meta mark",
    ]
  ) assertStringIncludes(text, rule);
  for (let time = 0; time < 2; time++) inNamespace(namespace, () => removeFirewall("culvert_wg0"));
  assertEquals(await listed(), "");
});
