import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { NetlinkWriter, NLMSG_ERROR } from "../protocol/netlink.ts";
import { ct, fib, iifname, ip, ip6, mark, masked, not, oifname, skuid, tcp, udp } from "../protocol/nftables/fields.ts";
import { goldenRules } from "../protocol/nftables/fixtures/golden_rules.ts";
import { comment, rule } from "../protocol/nftables/rule.ts";
import type { NamedMap, NamedSet } from "../protocol/nftables/sets.ts";
import {
  accept,
  counter,
  dnat,
  drop,
  jump,
  limit,
  lookup,
  masquerade,
  meter,
  setConnectionMark,
  verdictOf,
} from "../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../protocol/nftables/table.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { Errno, SysError } from "./errno.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { type Libc, openLibc } from "./libc.ts";
import { Nft } from "./nft.ts";

const needs = { netns: true, tools: ["ip", "nft"] };

/** A test with an empty namespace of its own, and our tables in it. */
function testInNamespace(name: string, run: (nft: Nft, namespace: NetNamespace) => void | Promise<void>): void {
  testWith(needs, name, async () => {
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("nft");
    using libc = openLibc();
    using nft = inNamespace(namespace, () => new Nft(libc));
    await run(nft, namespace);
  });
}

async function ruleset(namespace: NetNamespace): Promise<string> {
  return (await namespace.run(["nft", "list", "ruleset"])).stdout;
}

/** Without the tabs and lines that `nft` sets it in. */
function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

const forward: BaseChain = { type: "filter", hook: "forward", priority: Priority.filter };

/** The parts of issue 5: NAT, MSS, rate limit and kill switch in one table. */
const example: Table = {
  name: "culvert_example",
  comment: "made by culvert",
  sets: [
    { name: "closed", key: "ipv4_addr", hasIntervals: true, elements: ["10.0.0.0/8", "240.0.0.0/4", "127.0.0.0/8"] },
    { name: "closed6", key: "ipv6_addr", hasIntervals: true, elements: ["fc00::/7"] },
    { name: "rates", key: "ipv4_addr", dynamic: { maxElements: 1024, timeoutMs: 60_000 } },
    { name: "marks", key: "mark", elements: [51_820] },
    { name: "users", key: "uid", elements: [65_534] },
    { name: "names", key: "ifname", elements: ["eth0"] },
    { name: "ports", key: "inet_service", hasIntervals: true, elements: [25, { from: 6000, to: 6063 }] },
    { name: "hosts", key: "ipv4_addr", value: "ipv4_addr", entries: [["10.1.0.1", "10.2.0.1"]] },
    { name: "ways", key: "ipv4_addr", value: "verdict", hasIntervals: true, entries: [["10.1.0.0/24", jump("other")]] },
  ],
  chains: [
    { name: "other", rules: [rule(counter(), comment("other ways"))] },
    {
      name: "postrouting",
      base: { type: "nat", hook: "postrouting", priority: Priority.srcnat },
      rules: [rule(ip.saddr("10.201.0.0/16"), oifname("eth0"), counter(), masquerade({ fullyRandom: true }))],
    },
    {
      name: "prerouting",
      base: { type: "nat", hook: "prerouting", priority: Priority.dstnat },
      rules: [rule(udp.dport(54), dnat({ address: lookup(ip.daddr, "hosts") }))],
    },
    {
      name: "output",
      base: { type: "filter", hook: "output", priority: Priority.raw, policy: "drop" },
      rules: [
        rule(mark(masked(0x100, 0xff00)), accept()),
        rule(mark({ inSet: "marks" }), accept()),
        rule(skuid({ inSet: "users" }), oifname({ inSet: "names" }), accept()),
        rule(ip6.daddr({ inSet: "closed6" }), drop()),
        rule(tcp.dport(not({ inSet: "ports" })), setConnectionMark(mark)),
      ],
    },
    {
      name: "guard",
      base: { type: "filter", hook: "prerouting", priority: Priority.raw },
      rules: [
        rule(iifname(not("wg0")), ip.daddr("10.78.0.1"), fib.saddr(not("local")), drop()),
        rule(verdictOf(ip.daddr, "ways")),
        rule(meter("rates", ip.saddr, limit({ bytes: 1_000_000, per: "second", over: true })), drop()),
      ],
    },
  ],
};

testInNamespace("nft lists what we set, as it is meant", async (nft, namespace) => {
  nft.replaceTable(example);
  const listed = await ruleset(namespace);
  assertEquals(lines(listed), lines(await Deno.readTextFile(new URL("fixtures/example_table.nft", import.meta.url))));
});

testWith(needs, "every rule is taken, and listed as the same rule of nft is", async () => {
  await using lab = await NetLab.open();
  const [ours, theirs] = [await lab.namespace("ours"), await lab.namespace("theirs")];
  const sets: NamedSet[] = [
    { name: "clients", key: "ipv4_addr", hasIntervals: true },
    { name: "meters", key: "ipv4_addr", dynamic: { maxElements: 1000 } },
  ];
  const chains = goldenRules.map(({ rule, at, nft }, index) => {
    const base = { ...forward, ...at };
    const text = `chain c${index} { type ${base.type} hook ${base.hook} priority ${base.priority}; ${nft};\n}`;
    return { name: `c${index}`, base, rules: [rule], text };
  });
  using libc = openLibc();
  using nft = inNamespace(ours, () => new Nft(libc));
  nft.replaceTable({ name: "culvert_golden", sets, chains: [{ name: "other", rules: [] }, ...chains] });
  const script = [
    "table inet culvert_golden {",
    "set clients { type ipv4_addr; flags interval; }",
    "set meters { type ipv4_addr; size 1000; flags dynamic; }",
    "chain other {\n}",
    ...chains.map(({ text }) => text),
    "}",
  ];
  await theirs.run(["nft", script.join("\n")]);
  assertEquals(await ruleset(ours), await ruleset(theirs));
});

testInNamespace("replacing and deleting leave what others have made as it was", async (nft, namespace) => {
  await namespace.run(["nft", "add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }"]);
  await namespace.run(["nft", "add table ip culvert_ip4"]);
  const before = await ruleset(namespace);
  nft.replaceTable(example);
  const first = await ruleset(namespace);
  nft.replaceTable(example);
  assertEquals(await ruleset(namespace), first);
  nft.replaceTable({ name: example.name, chains: [] });
  assertEquals(lines((await ruleset(namespace)).replace(before, "")), ["table inet culvert_example {", "}"]);
  assertEquals([nft.deleteTable(example.name), nft.deleteTable(example.name)], [true, false]);
  assertEquals(await ruleset(namespace), before);
});

testInNamespace("tables, chains, rules and counters are listed, ours only", async (nft, namespace) => {
  await namespace.run(["nft", "add table inet theirs"]);
  nft.replaceTable(example);
  nft.replaceTable({ name: "culvert_b", chains: [] });
  assertEquals(nft.tables(), [
    { name: "culvert_example", isOwned: false, comment: "made by culvert" },
    { name: "culvert_b", isOwned: false },
  ]);
  assertEquals(nft.tables("culvert_b").map(({ name }) => name), ["culvert_b"]);
  assertEquals(nft.chains("culvert_b"), []);
  assertEquals(nft.chains("culvert_example").slice(0, 2), [{ table: "culvert_example", name: "other" }, {
    table: "culvert_example",
    name: "postrouting",
    base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
  }]);
  assertEquals(nft.rules("culvert_b"), []);
  const rules = nft.rules("culvert_example");
  assertEquals(rules.length, 11);
  const [other] = rules;
  assertEquals({ ...other, handle: 0 }, {
    table: "culvert_example",
    chain: "other",
    handle: 0,
    comment: "other ways",
    counter: { packets: 0, bytes: 0 },
  });
  assertEquals(nft.elements("culvert_example", "hosts").map(({ key }) => key.join(".")), ["10.1.0.1"]);
});

testInNamespace("sets change in place, all at once", async (nft, namespace) => {
  const plain: NamedSet = { name: "plain", key: "ipv4_addr", elements: ["10.0.0.1"] };
  const ranges: NamedSet = { name: "ranges", key: "ipv4_addr", hasIntervals: true };
  const touching: NamedSet = { ...ranges, name: "touching", elements: ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"] };
  const empty: NamedMap = { name: "empty", key: "mark", value: "verdict" };
  nft.replaceTable({ name: "culvert_sets", sets: [plain, ranges, touching, empty], chains: [] });
  nft.changeSet("culvert_sets", plain, { add: ["10.0.0.2", "10.0.0.3"], remove: ["10.0.0.1"] });
  nft.changeSet("culvert_sets", ranges, { add: ["10.0.0.0/8", "192.168.0.0/16"] });
  nft.changeSet("culvert_sets", ranges, { add: ["1.0.0.0/8"], remove: ["10.0.0.0/8"] });
  nft.changeSet("culvert_sets", touching, { add: ["11.0.0.0/9"], remove: ["11.0.0.0/8"] });
  assertStringIncludes(await ruleset(namespace), "10.0.0.0/8, 11.0.0.0/9,");
  nft.changeSet("culvert_sets", touching, { remove: ["11.0.0.0/9", "10.0.0.0/8"] });
  assertStringIncludes(await ruleset(namespace), "elements = { 12.0.0.0/8 }");
  const keys = nft.elements("culvert_sets", "plain").map(({ key }) => key.join("."));
  assertEquals(keys.toSorted(), ["10.0.0.2", "10.0.0.3"]);
  assertStringIncludes(await ruleset(namespace), "elements = { 1.0.0.0/8, 192.168.0.0/16 }");

  const error = assertThrows(
    () => nft.changeSet("culvert_sets", plain, { add: ["10.0.0.9"], remove: ["10.0.0.7"] }),
    SysError,
    "for what is removed from set plain",
  );
  assertEquals(error.errno, Errno.ENOENT);
  assertEquals(nft.elements("culvert_sets", "plain").length, 2, "nothing of it was done");
});

testInNamespace("thousands of networks are taken at once", (nft) => {
  const elements = Array.from({ length: 5000 }, (_, index) => `${index >> 8}.${index & 255}.0.0/17`);
  const set: NamedSet = { name: "many", key: "ipv4_addr", hasIntervals: true, elements };
  nft.replaceTable({ name: "culvert_many", sets: [set], chains: [] });
  assertEquals(nft.elements("culvert_many", "many").length, 10_000, "beginnings and ends");
});

testInNamespace("a refusal names what was refused, and nothing is changed", async (nft, namespace) => {
  nft.replaceTable({ name: "culvert_a", chains: [{ name: "kept", rules: [] }] });
  const before = await ruleset(namespace);
  const refused = (table: Omit<Table, "name">) =>
    assertThrows(() => nft.replaceTable({ ...table, name: "culvert_a" }), SysError);
  const jumping = refused({ chains: [{ name: "c", rules: [rule(accept()), rule(jump("nowhere"))] }] });
  assertEquals(jumping.message, "Cannot set the table culvert_a: netlink gave ENOENT (for rule 2 of chain c)");
  const nat = refused({ chains: [{ name: "c", base: forward, rules: [rule(masquerade())] }] });
  assertStringIncludes(nat.message, "EOPNOTSUPP");
  const many = refused({ chains: [{ name: "c", rules: Array(2000).fill(rule(jump("nowhere"))) }] });
  assertStringIncludes(many.message, "for rule 1 of chain c");
  assertEquals(await ruleset(namespace), before);
  nft.replaceTable({
    name: "culvert_a",
    chains: [{ name: "c", rules: Array(2000).fill(rule(ct.state("new"), drop())) }],
  });
  assertEquals(nft.rules("culvert_a").length, 2000);
});

testWith(needs, "an owned table goes with its owner, and nobody else can change it", async () => {
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("nft");
  using libc = openLibc();
  using other = inNamespace(namespace, () => new Nft(libc));
  const table: Table = { name: "culvert_own", isOwned: true, chains: [{ name: "c", rules: [rule(drop())] }] };
  other.replaceTable({ ...table, isOwned: false });
  {
    using owner = inNamespace(namespace, () => new Nft(libc));
    owner.replaceTable(table);
    owner.replaceTable(table);
    assertEquals(other.tables(), [{ name: "culvert_own", isOwned: true }]);
    for (const run of [() => other.replaceTable(table), () => other.deleteTable("culvert_own")]) {
      const error = assertThrows(run, SysError, "which another process owns");
      assertEquals(error.errno, Errno.EPERM);
    }
    await namespace.run(["nft", "flush", "ruleset"]);
    assertEquals(owner.rules("culvert_own").length, 1);
  }
  assertEquals(other.tables(), []);
});

/** A C library whose kernel answers every request with one refusal, of its first message. */
function refusingLibc(errnoOf: (messageType: number) => number, socketErrno = 0): Libc {
  let answer: Bytes | undefined;
  const call = {
    socket: () => socketErrno === 0 ? 3 : -1,
    close: () => 0,
    connect: () => 0,
    setsockopt: () => 0,
    send(_fd: number, message: Bytes) {
      const view = new DataView(message.buffer);
      answer = new NetlinkWriter(NLMSG_ERROR, 0x100).rawU32(-errnoOf(view.getUint16(4, true)) >>> 0)
        .rawU32(0).rawU32(0).rawU32(0).rawU32(0).finish();
      new DataView(answer.buffer).setUint32(8, view.getUint32(8, true), true);
      return message.length;
    },
    recv(_fd: number, into: Bytes) {
      if (!answer) return -1;
      const { length } = answer;
      into.set(answer);
      answer = undefined;
      return length;
    },
  };
  const errno = () => socketErrno || Errno.EAGAIN;
  const error = (action: string, syscall: string) => new SysError(action, syscall, errno());
  return { call, errno, error, [Symbol.dispose]() {} } as unknown as Libc;
}

const isBatch = (type: number) => type === 16;

Deno.test("without the right, the error says which is needed", () => {
  using nft = new Nft(refusingLibc(() => Errno.EPERM));
  const error = assertThrows(() => nft.replaceTable(example), SysError);
  assertEquals(
    error.message,
    "Cannot set the table culvert_example: netlink gave EPERM (it takes CAP_NET_ADMIN)",
  );
  assertEquals(assertThrows(() => nft.tables(), SysError).errno, Errno.EPERM);
});

Deno.test("a kernel without nf_tables is told from one that refuses", () => {
  const code = (run: () => unknown) => assertThrows(run, CulvertError).code;
  assertEquals(code(() => new Nft(refusingLibc(() => 0, Errno.EPROTONOSUPPORT))), "no_nftables");
  using without = new Nft(refusingLibc((type) => isBatch(type) ? Errno.EOPNOTSUPP : Errno.EINVAL));
  assertEquals(code(() => without.replaceTable(example)), "no_nftables");
  assertEquals(code(() => without.deleteTable("culvert_a")), "no_nftables");
  assertEquals(code(() => without.tables()), "no_nftables");
  using refusing = new Nft(refusingLibc((type) => isBatch(type) ? Errno.EOPNOTSUPP : 0));
  assertEquals(code(() => refusing.replaceTable(example)), "EOPNOTSUPP");
});

Deno.test("a busy kernel is an error that says so", () => {
  using nft = new Nft(refusingLibc(() => Errno.EBUSY));
  assertEquals(assertThrows(() => nft.deleteTable("culvert_a"), SysError).code, "EBUSY");
});
