import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { parseCidr, parseIp } from "../ip.ts";
import { Attributes, NetlinkWriter, readNetlinkMessages } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import { batchOf, changeSet, deleteTable, replaceTable, type Step } from "./batch.ts";
import { iifname, ip, ip6, ipOf, l4proto, mark, masked, not, oifname, tcp, udp } from "./fields.ts";
import { goldenRules } from "./fixtures/golden_rules.ts";
import { Command, encodeComment, NftWriter, readComment, typeOf } from "./message.ts";
import { type Clause, comment, rule } from "./rule.ts";
import { type NamedMap, type NamedSet, pointsOf, readElements } from "./sets.ts";
import {
  accept,
  counter,
  dnat,
  drop,
  jump,
  limit,
  lookup,
  meter,
  redirect,
  setMark,
  snat,
  verdictOf,
} from "./statements.ts";
import { type Chain, Priority, readChain, readRule, readTable, type Table } from "./table.ts";
import { extentOf, nextAfter, valueTypes } from "./values.ts";

const typeOfMessage = (message: Bytes) => new DataView(message.buffer).getUint16(4, true);
const hexOf = (steps: readonly Step[], ...commands: number[]) =>
  steps.map(({ message }) => message)
    .filter((message) => commands.length === 0 || commands.map(typeOf).includes(typeOfMessage(message)))
    .map((message) => message.toHex());

const sets: readonly NamedSet[] = [
  { name: "clients", key: "ipv4_addr", hasIntervals: true, elements: ["10.0.0.0/8", "192.168.0.0/16"] },
  { name: "meters", key: "ipv4_addr", dynamic: { maxElements: 1000, timeoutMs: 60_000 } },
];

for (const { nft, rule, at, hex } of goldenRules) {
  Deno.test(`we send what nft does: ${nft}`, () => {
    const base = { type: "filter", hook: "forward", priority: 0, ...at } as const;
    const table: Table = {
      name: "culvert",
      sets: sets.filter(({ name }) => nft.includes(`@${name}`)),
      chains: [{ name: "other", rules: [] }, { name: "c", base, rules: [rule] }],
    };
    assertEquals(hexOf(replaceTable(table), Command.newElements, Command.newRule), hex);
  });
}

// Captured as the rules are. nft sends all of a table's chains before its sets.
Deno.test("we send what nft does: a table with its chains and sets", () => {
  const chain = (name: string, base: Chain["base"]): Chain => ({ name, rules: [], ...base && { base } });
  const table: Table = {
    name: "culvert_a",
    comment: "hello",
    chains: [
      chain("nat", { type: "nat", hook: "postrouting", priority: Priority.srcnat }),
      chain("dn", { type: "nat", hook: "prerouting", priority: Priority.dstnat, policy: "accept" }),
      chain("forwarding", { type: "filter", hook: "forward", priority: Priority.filter, policy: "drop" }),
      chain("other", undefined),
    ],
  };
  const [, , ...made] = hexOf(replaceTable(table));
  assertEquals(made, [
    "38000000000a01040000000000000000010000000e00010063756c766572745f6100000008000200000000000c000600000668656c6c6f00",
    "50000000030a01040000000000000000010000000e00010063756c766572745f61000000080003006e617400080007006e61740008000500000000011400048008000100000000040800020000000064",
    "50000000030a01040000000000000000010000000e00010063756c766572745f6100000007000300646e0000080007006e617400080005000000000114000480080001000000000008000200ffffff9c",
    "5c000000030a01040000000000000000010000000e00010063756c766572745f610000000f000300666f7277617264696e6700000b00070066696c746572000008000500000000001400048008000100000000020800020000000000",
    "30000000030a01040000000000000000010000000e00010063756c766572745f610000000a0003006f74686572000000",
  ]);
});

const goldenSets: readonly (readonly [set: NamedSet | NamedMap, ...hex: string[]])[] = [
  [
    sets[0]!,
    "5c000000090a01040000000000000000010000000e00010063756c766572745f610000000c000200636c69656e74730008000300000000040800040000000007080005000000000408000a00000000010a000d000004020000000000",
    "a40000000c0a01040000000000000000010000000e00010063756c766572745f610000000c000200636c69656e74730008000400000000016c0003801800018008000300000000010c0001800800010000000000100002800c000180080001000a0000001800038008000300000000010c000180080001000b000000100004800c00018008000100c0a800001800058008000300000000010c00018008000100c0a90000",
  ],
  [
    { name: "marks", key: "mark", elements: [5] },
    "5c000000090a01040000000000000000010000000e00010063756c766572745f610000000a0002006d61726b7300000008000300000000000800040000000013080005000000000408000a00000000010a000d000004010000000000",
    "4c0000000c0a01040000000000000000010000000e00010063756c766572745f610000000a0002006d61726b73000000080004000000000114000380100001800c0001800800010005000000",
  ],
  [
    { name: "ports", key: "inet_service", hasIntervals: true, elements: [{ from: 80, to: 90 }, 5] },
    "5c000000090a01040000000000000000010000000e00010063756c766572745f610000000a000200706f7274730000000800030000000004080004000000000d080005000000000208000a00000000010a000d000004020000000000",
    "a40000000c0a01040000000000000000010000000e00010063756c766572745f610000000a000200706f72747300000008000400000000016c0003801800018008000300000000010c0001800600010000000000100002800c00018006000100000500001800038008000300000000010c0001800600010000060000100004800c00018006000100005000001800058008000300000000010c00018006000100005b0000",
  ],
  [
    { name: "meter4", key: "ipv4_addr", dynamic: { maxElements: 1000, timeoutMs: 60_000 } },
    "74000000090a01040000000000000000010000000e00010063756c766572745f610000000b0002006d6574657234000008000300000000300800040000000007080005000000000408000a00000000010c00098008000100000003e80c000b00000000000000ea600a000d000004020000000000",
  ],
];

for (const [set, ...hex] of goldenSets) {
  Deno.test(`we send what nft does: the set ${set.name}`, () => {
    const steps = replaceTable({ name: "culvert_a", sets: [set], chains: [] });
    assertEquals(hexOf(steps, Command.newSet, Command.newElements), hex);
  });
}

Deno.test("a set is changed as nft changes it, removals first", () => {
  const set = { name: "c", key: "ipv4_addr", hasIntervals: true } as const;
  assertEquals(hexOf(changeSet("culvert_a", set, { add: ["10.0.0.0/8"], remove: ["10.0.0.0/8"] })), [
    "580000000e0a01000000000000000000010000000e00010063756c766572745f6100000006000200630000002c000380100001800c000180080001000a0000001800028008000300000000010c000180080001000b000000",
    "580000000c0a01040000000000000000010000000e00010063756c766572745f6100000006000200630000002c000380100001800c000180080001000a0000001800028008000300000000010c000180080001000b000000",
  ]);
  assertEquals(changeSet("culvert_a", set, {}), []);
});

Deno.test("a batch has a beginning and an end, and its last step asks for an acknowledgement", () => {
  const messages = batchOf(deleteTable("culvert_a"));
  assertEquals(messages.map((message) => message.toHex()), [
    "140000001000010000000000000000000000000a",
    "24000000020a05000000000000000000010000000e00010063756c766572745f61000000",
    "140000001100010000000000000000000000000a",
  ]);
});

Deno.test("elements that overlap or touch become one; those of a map must not overlap", () => {
  const extents = (...values: (string | { from: number; to: number })[]) =>
    values.map((value) =>
      [extentOf(typeof value === "string" ? valueTypes.ipv4_addr : valueTypes.inet_service, value)] as const
    );
  const keys = (type: typeof valueTypes.ipv4_addr, ...values: Parameters<typeof extents>) =>
    pointsOf({ type, hasIntervals: true, isAnonymous: true }, extents(...values)).map(({ key, isEnd }) =>
      `${isEnd ? "-" : "+"}${key.join(".")}`
    );
  assertEquals(keys(valueTypes.ipv4_addr, "10.1.0.0/16", "10.0.0.0/8", "11.0.0.0/8", "255.0.0.0/8"), [
    "+10.0.0.0",
    "-12.0.0.0",
    "+255.0.0.0",
  ]);
  assertEquals(
    keys(valueTypes.inet_service, { from: 7, to: 9 }, { from: 1, to: 8 }, { from: 65_535, to: 65_535 }),
    ["+0.1", "-0.10", "+255.255"],
  );
  const map = (...keys: string[]): NamedMap => ({
    name: "m",
    key: "ipv4_addr",
    value: "verdict",
    hasIntervals: true,
    entries: keys.map((key) => [key, drop()]),
  });
  const build = (map: NamedMap) => replaceTable({ name: "culvert_m", sets: [map], chains: [] });
  build(map("10.0.0.0/8", "11.0.0.0/8"));
  assertThrows(() => build(map("10.0.0.0/8", "10.1.0.0/16")), Error, "must not overlap");
});

Deno.test("intervals hold what their values hold, and nothing else", () => {
  const ports = fc.tuple(fc.nat(300), fc.nat(40)).map(([from, length]) => ({ from, to: Math.min(from + length, 300) }));
  fc.assert(fc.property(fc.array(ports, { minLength: 1, maxLength: 8 }), (ranges) => {
    const type = valueTypes.inet_service;
    const points = pointsOf(
      { type, hasIntervals: true, isAnonymous: true },
      ranges.map((range) => [extentOf(type, range)] as const),
    );
    const numbers = points.map(({ key }) => key[0]! << 8 | key[1]!);
    assertEquals(numbers, [...new Set(numbers)].toSorted((a, b) => a - b));
    for (let port = 0; port <= 310; port++) {
      const isIn = points.findLast((_, index) => numbers[index]! <= port)?.isEnd === undefined &&
        numbers[0]! <= port;
      assertEquals(isIn, ranges.some(({ from, to }) => from <= port && port <= to), `port ${port}`);
    }
  }));
});

Deno.test("many elements are sent in several messages", () => {
  const elements = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  const steps = replaceTable({ name: "culvert_m", sets: [{ name: "s", key: "ipv4_addr", elements }], chains: [] });
  const messages = steps.filter(({ message }) => typeOfMessage(message) === typeOf(Command.newElements));
  assertEquals(messages.length, 5);
  const read = messages.flatMap(({ message }) => readElements(readNetlinkMessages(message)[0]!));
  assertEquals(read.map(({ key }) => key.join(".")), elements);
});

Deno.test("the next after a number is one more, up to the last", () => {
  assertEquals(nextAfter(new Uint8Array([1, 255, 255])), new Uint8Array([2, 0, 0]));
  assertEquals(nextAfter(new Uint8Array([255, 255])), undefined);
});

Deno.test("addresses are taken as text, bytes or networks, and their family is found", () => {
  const addresses = ["10.0.0.0/8", parseCidr("10.0.0.0/8")!];
  const [text, parsed] = addresses.map((address) => hexOf(tableWith(rule(ip.saddr(address), drop()))));
  assertEquals(text, parsed);
  assert(ipOf(parseIp("10.0.0.1")!) === ip && ipOf(parseCidr("fd00::/8")!) === ip6);
});

function tableWith(...rules: ReturnType<typeof rule>[]): Step[] {
  return replaceTable({ name: "culvert_t", chains: [{ name: "c", rules }] });
}

Deno.test("what cannot be meant is refused in words", () => {
  const of = (...clauses: Clause[]) => () => tableWith(rule(...clauses));
  const table = (change: Partial<Table>) => () => replaceTable({ name: "culvert_t", chains: [], ...change });
  const rows: readonly (readonly [name: string, run: () => unknown, message: string])[] = [
    ["an address that is none", () => ip.saddr("10.0.0"), 'ipv4_addr must be an IPv4 address or network, got "10.0.0"'],
    ["the other family's", () => ip6.saddr("10.0.0.1"), "ipv6_addr must be an IPv6 address"],
    ["a port too high", () => udp.dport(65_536), "inet_service must be a whole number up to 65535, got 65536"],
    ["a range backwards", () => tcp.dport({ from: 9, to: 1 }), 'got {"from":9,"to":1}'],
    [
      "a set that is not there",
      of(ip.saddr({ inSet: "s" })),
      "Cannot build rule 1 of chain c: its table must have the set",
    ],
    ["none of several", () => tcp.dport([]), "there must be at least one"],
    ["a name too long", () => iifname("a-name-of-16-byte"), "ifname must be the name of an interface"],
    ["beginnings among several names", () => oifname(["wg*", "eth0"]), "each ifname of several"],
    ["a mark that is negative", () => mark(-1), "mark must be"],
    ["a mask too wide", () => mark(masked(1, 2 ** 32)), "mark must be"],
    ["two families", of(ip.saddr("10.0.0.1"), ip6.daddr("::1")), "must be of one protocol"],
    ["two protocols", of(l4proto("tcp"), udp.dport(5)), "must be of one protocol"],
    ["a limit of nothing", () => limit({ packets: 0, per: "second" }), "rate must be a whole number from 1"],
    ["a burst too large", () => limit({ bytes: 1, per: "second", burst: 2 ** 32 }), "burst must be"],
    [
      "a meter that drops",
      of(meter("m", ip.saddr, { expressions: () => [] })),
      "must be a limit, a count of connections or a counter",
    ],
    ["NAT to a network", () => snat({ address: "10.0.0.0/8" }), "NAT must be to one IP address"],
    ["NAT to a bad port", () => dnat({ address: "10.0.0.1", port: -1 }), "inet_service must be"],
    ["no port", () => redirect(1.5), "inet_service must be"],
    ["a mark that is no number", () => tableWith(rule(setMark(NaN))), "mark must be"],
    ["verdicts where addresses go", of(dnat({ address: lookup(ip.daddr, [["10.0.0.1", drop()]]) })), "all verdicts"],
    ["an address where verdicts go", of(verdictOf(ip.daddr, [["10.0.0.1", "10.0.0.2"]])), "all verdicts"],
    ["a comment with a quote", () => comment('"'), "its comment must be plain text"],
    ["a comment too long", () => comment("x".repeat(128)), "its comment must be plain text"],
    ["a table's comment", table({ comment: "a\nb" }), "its comment must be plain text"],
    [
      "another's table",
      table({ name: "filter" }),
      'must begin with culvert and be of letters, digits and _, got "filter"',
    ],
    ["a table's name", table({ name: "culvert-1" }), 'got "culvert-1"'],
    ["another's table to delete", () => deleteTable("nat"), "must begin with culvert"],
    ["another's set", () => changeSet("nat", sets[0]!, {}), "must begin with culvert"],
    ["a chain's name", table({ chains: [{ name: "1", rules: [] }] }), "the name of a chain"],
    ["two chains of one name", table({ chains: ["a", "a"].map((name) => ({ name, rules: [] })) }), "be used once"],
    ["a set's name", table({ sets: [{ name: "a b", key: "mark" }] }), "the name of a set"],
    [
      "networks in a set without",
      table({ sets: [{ name: "s", key: "ipv4_addr", elements: ["10.0.0.0/8"] }] }),
      "single",
    ],
    [
      "intervals of marks",
      table({ sets: [{ name: "s", key: "mark", hasIntervals: true }] }),
      "a mark must be a single",
    ],
  ];
  for (const [name, run, message] of rows) assertThrows(run, Error, message, name);
});

// The kernel tells of a thing in the message that makes it, so what we write to make one can be read as one.
Deno.test("tables, chains and rules are read as they were written", () => {
  const base = { type: "nat", hook: "prerouting", priority: -100, policy: "accept" } as const;
  const steps = replaceTable({
    name: "culvert_t",
    comment: "für alle",
    chains: [{ name: "c", base, rules: [rule(tcp.dport(5), comment("five"), drop()), rule(accept())] }, {
      name: "plain",
      rules: [rule(jump("c"))],
    }],
  });
  const messages = steps.map(({ message }) => readNetlinkMessages(message)[0]!);
  const all = <T>(read: (message: typeof messages[number]) => T | undefined) =>
    messages.map(read).filter((value) => value !== undefined);
  assertEquals(all(readTable).at(-1), { name: "culvert_t", comment: "für alle", isOwned: false });
  assertEquals(all(readChain), [{ table: "culvert_t", name: "c", base }, { table: "culvert_t", name: "plain" }]);
  assertEquals(all(readRule), [
    { table: "culvert_t", chain: "c", handle: 0, comment: "five" },
    { table: "culvert_t", chain: "c", handle: 0 },
    { table: "culvert_t", chain: "plain", handle: 0 },
  ]);
});

/** A rule as the kernel tells of it, with a counter that has counted. */
function countedRule(): Bytes {
  const writer = new NftWriter(Command.newRule, 0).text(1, "culvert_t").text(2, "c").be64(3, 17);
  writer.nested(
    4,
    () => writer.nested(1, () => writer.text(1, "counter").nested(2, () => writer.be64(1, 2 ** 40).be64(2, 9))),
  );
  return writer.bytes(7, encodeComment("all")).finish();
}

Deno.test("a rule's counter and handle are read", () => {
  const rule = readRule(readNetlinkMessages(countedRule())[0]!);
  const counter = { packets: 9, bytes: 2 ** 40 };
  assertEquals(rule, { table: "culvert_t", chain: "c", handle: 17, comment: "all", counter });
});

Deno.test("comments are read past what others keep beside them", () => {
  assertEquals(readComment(new Uint8Array([7, 2, 1, 2, ...encodeComment("x")])), "x");
  for (const cut of [[], [0], [0, 5, 65], [7, 1, 1]]) assertEquals(readComment(new Uint8Array(cut)), undefined);
});

Deno.test("any bytes are read without harm", () => {
  const messages = [
    ...replaceTable({
      name: "culvert_t",
      comment: "x",
      sets: [...sets],
      chains: [{
        name: "c",
        base: { type: "filter", hook: "input", priority: 0 },
        rules: [rule(ip.saddr(not(["10.0.0.1"])), counter(), comment("y"), drop())],
      }],
    }).map(({ message }) => message),
    countedRule(),
  ];
  assertDecoderSurvives((input) => {
    for (const message of readNetlinkMessages(input.slice())) {
      for (const read of [readTable, readChain, readRule, readElements]) read(message);
      readComment(message.payload);
    }
  }, { valid: fc.constantFrom(...messages) });
});

Deno.test("a message of another subsystem or family is none of ours", () => {
  const route = new NetlinkWriter(16, 0).raw(1, 0, 0, 0).text(1, "culvert_t").finish();
  const arp = replaceTable({ name: "culvert_t", chains: [] })[0]!.message;
  arp[16] = 3;
  for (const message of [route, arp]) assertEquals(readTable(readNetlinkMessages(message)[0]!), undefined);
  assertEquals(new Attributes(new Uint8Array(0)).list(1), []);
});
