/** The tables as the kernel has them and `nft` shows them; what they do to packets: `tunnel_machine_test.ts`. */

import { assertEquals } from "@std/assert";
import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { openLibc } from "../../../native/libc.ts";
import { Nft } from "../../../native/nft.ts";
import { parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { Table } from "../../../protocol/nftables/table.ts";
import { NetLab } from "../../../testing/netns.ts";
import { testWith } from "../../../testing/requirements.ts";
import { LOCK_TABLE } from "../../machine/firewall.ts";
import { guardTable } from "./guard.ts";
import { type LockPlan, lockTable } from "./lock.ts";

const needs = { netns: true, tools: ["ip", "nft"] };
const MARK = 0xca94;
const interfaces = ["culvert0", "culvert1"] as const;
const cidrs = (...texts: string[]) => texts.map((text) => parseCidr(text)!);
const ips = (...texts: string[]) => texts.map((text) => parseIp(text)!);

/** The rules of each chain as `nft` writes them, without what they have counted. */
async function shown(table: Table): Promise<string[]> {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  using libc = openLibc();
  using nft = inNamespace(namespace, () => new Nft(libc));
  nft.replaceTable(table);
  const { stdout } = await namespace.run(["nft", "list", "table", "inet", table.name]);
  return stdout.split("\n").map((line) => line.trim().replace(/ packets \d+ bytes \d+/, ""))
    .filter((line) => line !== "" && line !== "}" && !/^(table|comment)/.test(line));
}

const plan: LockPlan = {
  interfaces,
  mark: MARK,
  supernodes: [{ address: ips("192.0.2.1")[0]!, port: 8443 }, { address: ips("2001:db8::1")[0]!, port: 443 }],
  open: [],
  opensLan: false,
  include: [],
  keepsDns: true,
};

const PASSING = [
  'oifname "lo" accept',
  'oifname "culvert0" accept',
  'oifname "culvert1" accept',
  "meta l4proto udp meta mark 0x0000ca94 accept",
  'ip daddr 192.0.2.1 tcp dport 8443 accept comment "supernode"',
  'ip6 daddr 2001:db8::1 tcp dport 443 accept comment "supernode"',
  "udp sport 68 udp dport 67 accept",
  "udp sport 546 udp dport 547 accept",
  "icmpv6 type { mld-listener-report, mld-listener-done, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, " +
  "nd-neighbor-advert, mld2-listener-report } accept",
];

testWith(needs, "the kill switch passes what there is to pass, and drops the rest", async () => {
  assertEquals(await shown(lockTable(plan)), [
    "chain out {",
    "type filter hook postrouting priority filter; policy drop;",
    ...PASSING,
    'counter drop comment "kept in"',
  ]);
});

testWith(needs, "what is open passes the kill switch; before there is a mark nothing passes for its sake", async () => {
  const open = cidrs("192.168.0.0/16", "fe80::/10");
  assertEquals((await shown(lockTable({ ...plan, open, mark: undefined }))).slice(2), [
    ...PASSING.filter((rule) => !rule.includes("meta mark")),
    'ip daddr 192.168.0.0/16 accept comment "open"',
    'ip6 daddr fe80::/10 accept comment "open"',
    'counter drop comment "kept in"',
  ]);
});

testWith(
  needs,
  "where private networks are open, their name servers are not unless names are looked up there",
  async () => {
    const lines = (await shown(lockTable({ ...plan, opensLan: true }))).slice(2 + PASSING.length);
    assertEquals(lines.slice(0, 3), [
      'udp dport 53 counter drop comment "kept in"',
      'tcp dport 53 counter drop comment "kept in"',
      'ip daddr 10.0.0.0/8 accept comment "open"',
    ]);
    assertEquals(lines.at(-1), 'counter drop comment "kept in"');
    const without = await shown(lockTable({ ...plan, opensLan: true, keepsDns: false }));
    assertEquals(without.slice(2 + PASSING.length), lines.slice(2));
  },
);

testWith(needs, "with included networks the kill switch keeps those in, and questions for names", async () => {
  assertEquals(await shown(lockTable({ ...plan, include: cidrs("198.51.100.0/24", "2001:db8:7::/48") })), [
    "chain out {",
    "type filter hook postrouting priority filter; policy accept;",
    ...PASSING,
    'udp dport 53 counter drop comment "kept in"',
    'tcp dport 53 counter drop comment "kept in"',
    'ip daddr 198.51.100.0/24 counter drop comment "kept in"',
    'ip6 daddr 2001:db8:7::/48 counter drop comment "kept in"',
  ]);
  assertEquals(LOCK_TABLE, "culvert_lock");
});

testWith(needs, "the guard sends questions for names to the exit, and drops what comes in for the tunnel", async () => {
  const dns = { servers: ips("10.201.0.1"), exclude: cidrs("192.168.9.0/24"), takesAll: true };
  const addresses = ips("10.201.0.2", "fd77::2");
  const foreign = 'iifname != "culvert0" iifname != "culvert1"';
  assertEquals(await shown(guardTable({ table: "culvert_tunnel", interfaces, mark: MARK, addresses, dns })), [
    "chain guard {",
    "type filter hook prerouting priority raw; policy accept;",
    `${foreign} ip daddr 10.201.0.2 fib saddr type != local counter drop`,
    `${foreign} ip6 daddr fd77::2 fib saddr type != local counter drop`,
    "chain recall {",
    "type filter hook prerouting priority mangle; policy accept;",
    "meta l4proto udp ct mark 0x0000ca94 meta mark set ct mark",
    "chain remember {",
    "type filter hook postrouting priority mangle; policy accept;",
    "meta l4proto udp meta mark 0x0000ca94 ct mark set meta mark",
    "chain names {",
    "type nat hook output priority -100; policy accept;",
    "ip daddr 192.168.9.0/24 return",
    'meta nfproto ipv4 udp dport 53 oifname != "lo" dnat ip to 10.201.0.1',
    'meta nfproto ipv4 tcp dport 53 oifname != "lo" dnat ip to 10.201.0.1',
    "chain unnamed {",
    "type filter hook output priority filter; policy accept;",
    "ip daddr 192.168.9.0/24 return",
    'meta nfproto ipv6 udp dport 53 oifname != "lo" oifname != "culvert0" oifname != "culvert1" counter reject',
    'meta nfproto ipv6 tcp dport 53 oifname != "lo" oifname != "culvert0" oifname != "culvert1" counter reject',
    "chain from_tunnel {",
    "type nat hook postrouting priority srcnat; policy accept;",
    'oifname "culvert0" ct status dnat masquerade',
    'oifname "culvert1" ct status dnat masquerade',
  ]);
});

testWith(
  needs,
  "where resolvconf knows the exit's name servers only what would go around the tunnel is sent there",
  async () => {
    const dns = { servers: ips("10.201.0.1", "fd77::1"), exclude: [], takesAll: false };
    const lines = await shown(guardTable({ table: "culvert_tunnel", interfaces, mark: MARK, addresses: [], dns }));
    const around = 'oifname != "lo" oifname != "culvert0" oifname != "culvert1"';
    assertEquals(lines.filter((line) => line.includes("dnat") && line.includes("dport")), [
      `meta nfproto ipv4 udp dport 53 ${around} dnat ip to 10.201.0.1`,
      `meta nfproto ipv4 tcp dport 53 ${around} dnat ip to 10.201.0.1`,
      `meta nfproto ipv6 udp dport 53 ${around} dnat ip6 to fd77::1`,
      `meta nfproto ipv6 tcp dport 53 ${around} dnat ip6 to fd77::1`,
    ]);
  },
);
