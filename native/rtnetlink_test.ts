import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseCidr, parseIp } from "../protocol/ip.ts";
import { RouteType } from "../protocol/rtnetlink/route.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { Errno, SysError } from "./errno.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { openLibc } from "./libc.ts";
import { type LinkEvent, RtNetlink, type Rule } from "./rtnetlink.ts";

const needs = { netns: true, tools: ["ip"] };
const ip = (text: string) => parseIp(text)!;
const cidr = (text: string) => parseCidr(text)!;

/** A test with an empty namespace of its own, and our netlink in it. */
function testInNamespace(name: string, run: (net: RtNetlink, namespace: NetNamespace) => void | Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("netlink");
    using libc = openLibc();
    using net = inNamespace(namespace, () => new RtNetlink(libc));
    await run(net, namespace);
  });
}

/** What `ip` says of it, word by word. */
async function wordsOf(namespace: NetNamespace, ...args: string[]): Promise<string[]> {
  return (await namespace.run(["ip", ...args])).stdout.split(/\s+/);
}

function assertErrno(errno: number, words: string, run: () => void): void {
  const error = assertThrows(run, SysError, words);
  assertEquals(error.errno, errno);
}

testInNamespace("links are made, changed, found and removed", async (net, namespace) => {
  const made = net.createLink({ name: "cvt0", kind: "veth", mtu: 1400 });
  assertEquals(made, { index: made.index, name: "cvt0", kind: "veth", mtu: 1400, isUp: false });
  net.changeLink(made.index, { up: true, mtu: 1300, alias: "culvert" });
  const changed = { ...made, alias: "culvert", mtu: 1300, isUp: true };
  assertEquals(net.link("cvt0"), changed);
  assertEquals(net.link(made.index), changed);
  assertEquals(net.links().map((link) => link.name).toSorted(), ["cvt0", "lo", "veth0"]);
  const words = await wordsOf(namespace, "link", "show", "cvt0");
  for (const word of ["1300", "alias", "culvert"]) assert(words.includes(word), word);

  assertErrno(Errno.EEXIST, "create the link cvt0", () => net.createLink({ name: "cvt0", kind: "veth" }));
  assertErrno(Errno.EOPNOTSUPP, "Unknown device type", () => net.createLink({ name: "cvt1", kind: "nonsense" }));
  assertThrows(() => net.createLink({ name: "a name with spaces", kind: "veth" }), Error, "its name must be");

  assertEquals([net.removeLink(made.index), net.removeLink(made.index)], [true, false]);
  assertEquals([net.link("cvt0"), net.link(made.index), net.link("no/name")], [undefined, undefined, undefined]);
});

testInNamespace("addresses are added, listed and removed", async (net, namespace) => {
  const { index: linkIndex } = net.createLink({ name: "cvt0", kind: "veth" });
  const four = { linkIndex, address: ip("10.9.0.1"), bits: 24 };
  const six = { linkIndex, address: ip("fd00:9::1"), bits: 64 };
  net.addAddress(four);
  net.addAddress(six);
  assertEquals(net.addresses(linkIndex), [four, six]);
  assertErrno(Errno.EEXIST, "add an address", () => net.addAddress(four));
  const words = await wordsOf(namespace, "address", "show", "cvt0");
  for (const word of ["10.9.0.1/24", "fd00:9::1/64"]) assert(words.includes(word), word);
  assertEquals([net.removeAddress(four), net.removeAddress(four)], [true, false]);
  assertEquals(net.addresses(linkIndex), [six]);
});

testInNamespace("routes are added, looked up, listed by table and removed", (net) => {
  const { index: linkIndex } = net.createLink({ name: "cvt0", kind: "veth" });
  net.changeLink(net.link("veth0")!.index, { up: true });
  net.changeLink(linkIndex, { up: true });
  net.addAddress({ linkIndex, address: ip("10.9.0.1"), bits: 24 });

  const plain = { destination: cidr("10.10.0.0/16"), linkIndex, table: 51_820 };
  const other = {
    destination: cidr("0.0.0.0/0"),
    linkIndex,
    table: 51_820,
    metric: 5,
    mtu: 1300,
    gateway: ip("10.9.0.2"),
  };
  const six = { destination: cidr("::/0"), linkIndex, table: 51_820 };
  for (const route of [plain, other, six]) net.addRoute(route);
  assertEquals(net.routes({ family: 4, table: 51_820 }).toSorted((a, b) => b.destination.bits - a.destination.bits), [
    { ...plain, scope: 253, type: 1 },
    { ...other, scope: 0, type: 1 },
  ]);
  assertEquals(net.routes({ family: 6, table: 51_820 }).map((route) => route.destination), [six.destination]);
  assertEquals(net.routes({ family: 4, table: 99 }), [], "a table without routes");
  assertErrno(Errno.EEXIST, "add a route", () => net.addRoute(plain));
  net.addRoute({ ...plain, mtu: 1280 }, { replace: true });
  assertEquals(
    net.routes({ family: 4, table: 51_820 }).find((route) => route.mtu === 1280)?.destination,
    plain.destination,
  );
  assertErrno(Errno.ENETUNREACH, "gateway", () => net.addRoute({ ...plain, table: 7, gateway: ip("192.0.2.1") }));

  assertEquals(net.routeTo(ip("10.9.0.7"))?.linkIndex, linkIndex);
  assertEquals(net.routeTo(ip("10.9.0.7"))?.source, ip("10.9.0.1"));
  assertEquals(net.routeTo(ip("192.0.2.1")), undefined);
  for (const route of [plain, other, six]) {
    assertEquals([net.removeRoute(route), net.removeRoute(route)], [true, false]);
  }
});

testInNamespace("rules for one destination, one port and one interface, and routes that lead nowhere", (net) => {
  const before = net.rules(4);
  const destination = parseCidr("192.0.2.1/32")!;
  const rules = [
    { family: 4, table: 254, priority: 71, destination },
    { family: 4, table: 254, priority: 72, destination, tcpPort: 8443 },
    { family: 4, table: 51830, priority: 73, boundTo: "culvert0" },
  ] satisfies Rule[];
  for (const rule of rules) net.addRule(rule);
  assertEquals(net.rules(4).filter(({ priority }) => priority! > 70 && priority! < 80), rules);
  for (const { family, table, priority } of rules) net.removeRule({ family, table, priority });
  assertEquals(net.rules(4), before);
  for (const everything of [parseCidr("0.0.0.0/0")!, parseCidr("::/0")!]) {
    const family = everything.address.length === 4 ? 4 : 6;
    net.addRoute({ destination: everything, table: 51830, type: RouteType.unreachable, metric: 9 });
    const [route] = net.routes({ family, table: 51830 });
    assertEquals([route?.type, route?.metric], [RouteType.unreachable, 9]);
    assert(net.removeRoute({ destination: everything, table: 51830, metric: 9 }));
    assertEquals(net.routes({ family, table: 51830 }), []);
  }
});

testInNamespace("a default route by rules leaves out what carries the mark", (net) => {
  const { index: linkIndex } = net.createLink({ name: "cvt0", kind: "veth" });
  net.changeLink(net.link("veth0")!.index, { up: true });
  net.changeLink(linkIndex, { up: true });
  net.addAddress({ linkIndex, address: ip("10.9.0.1"), bits: 24 });
  net.addRoute({ destination: cidr("0.0.0.0/0"), linkIndex, table: 51_820 });
  const before = net.rules(4);
  const marked = { family: 4, table: 51_820, fwmark: 51_820, not: true } as const;
  const suppress = { family: 4, table: 254, suppressPrefixLength: 0 } as const;
  net.addRule(marked);
  net.addRule(suppress);
  const added = net.rules(4).filter((rule) => !before.some((one) => one.priority === rule.priority));
  assertEquals(added.map(({ priority: _, ...rule }) => rule), [suppress, marked], "the later one comes first");

  assertEquals(net.routeTo(ip("192.0.2.1"))?.table, 51_820);
  assertEquals(net.routeTo(ip("192.0.2.1"), { fwmark: 51_820 }), undefined);
  for (const rule of [marked, suppress]) assertEquals([net.removeRule(rule), net.removeRule(rule)], [true, false]);
  assertEquals(net.rules(4), before);
});

testInNamespace("a list far larger than one read comes whole", (net) => {
  const { index: linkIndex } = net.createLink({ name: "cvt0", kind: "veth" });
  net.changeLink(linkIndex, { up: true });
  for (let index = 0; index < 2000; index++) {
    net.addRoute({ destination: cidr(`10.${index >> 8}.${index & 255}.0/24`), linkIndex, table: 77 });
  }
  assertEquals(net.routes({ family: 4, table: 77 }).length, 2000);
});

testWith(needs, "changes of links are told as they happen, until the signal aborts", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("netlink");
  using libc = openLibc();
  const stop = new AbortController();
  const [net, events] = inNamespace(namespace, () => {
    const net = new RtNetlink(libc);
    return [net, net.watchLinks(stop.signal)];
  });
  using _net = net;
  const { index } = net.createLink({ name: "cvt0", kind: "veth" });
  net.removeLink(index);
  const seen: LinkEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (event.kind === "removed" && event.link.index === index) stop.abort();
  }
  assert(seen.some((event) => event.kind === "set" && event.link.name === "cvt0"));
  assertEquals(seen.at(-1)?.kind, "removed");
});

testWith(needs, "a watch that waits ends when the signal aborts", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("netlink");
  using libc = openLibc();
  using net = inNamespace(namespace, () => new RtNetlink(libc));
  const stop = new AbortController();
  const watch = inNamespace(namespace, () => net.watchLinks(stop.signal))[Symbol.asyncIterator]();
  const next = watch.next();
  stop.abort();
  assertEquals(await next, { done: true, value: undefined });
});
