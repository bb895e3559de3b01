/** Golden bytes: what `ip` of iproute2 6.1 sends for the same, captured by strace, with the sequence set to 0. */

import { assert, assertEquals } from "@std/assert";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import fc from "fast-check";
import { parseCidr, parseIp } from "../ip.ts";
import { NetlinkWriter, readNetlinkMessages } from "../netlink.ts";
import type { Bytes } from "../primitives.ts";
import { encodeAddAddress, encodeRemoveAddress, readAddress } from "./address.ts";
import {
  encodeChangeLink,
  encodeCreateLink,
  encodeRemoveLink,
  isLinkName,
  readLink,
  readLinkEvent,
  readLinkHardware,
} from "./link.ts";
import { encodeListNeighbours, readNeighbour } from "./neighbour.ts";
import { encodeAddRoute, encodeRemoveRoute, encodeRouteTo, readRoute } from "./route.ts";
import { encodeAddRule, readRule } from "./rule.ts";

const linkIndex = 2;
const ip = (text: string) => parseIp(text)!;
const cidr = (text: string) => parseCidr(text)!;

const golden: readonly (readonly [command: string, ours: Bytes, hex: string])[] = [
  [
    "link add wg0 type wireguard",
    encodeCreateLink({ name: "wg0", kind: "wireguard" }),
    "3c000000100005060000000000000000000000000000000000000000000000000800030077673000140012000d000100776972656775617264000000",
  ],
  [
    "link set tun9 up",
    encodeChangeLink(linkIndex, { up: true }),
    "2000000010000500000000000000000000000000020000000100000001000000",
  ],
  [
    "link set tun9 mtu 1380",
    encodeChangeLink(linkIndex, { mtu: 1380 }),
    "28000000100005000000000000000000000000000200000000000000000000000800040064050000",
  ],
  [
    "link set tun9 alias culvert",
    encodeChangeLink(linkIndex, { alias: "culvert" }),
    "2c000000100005000000000000000000000000000200000000000000000000000b00140063756c7665727400",
  ],
  [
    "link del tun9",
    encodeRemoveLink(linkIndex),
    "2000000011000500000000000000000000000000020000000000000000000000",
  ],
  [
    "address add 10.9.0.1/24 dev tun9",
    encodeAddAddress({ linkIndex, address: ip("10.9.0.1"), bits: 24 }),
    "280000001400050600000000000000000218000002000000080002000a090001080001000a090001",
  ],
  [
    "address add fd00:9::1/64 dev tun9 nodad",
    encodeAddAddress({ linkIndex, address: ip("fd00:9::1"), bits: 64 }),
    "400000001400050600000000000000000a4002000200000014000200fd00000900000000000000000000000114000100fd000009000000000000000000000001",
  ],
  [
    "address del 10.9.0.1/24 dev tun9",
    encodeRemoveAddress({ linkIndex, address: ip("10.9.0.1"), bits: 24 }),
    "280000001500050000000000000000000218000002000000080002000a090001080001000a090001",
  ],
  [
    "route add 10.10.0.0/16 dev tun9",
    encodeAddRoute({ destination: cidr("10.10.0.0/16"), linkIndex }),
    "2c00000018000506000000000000000002100000fe03fd0100000000080001000a0a00000800040002000000",
  ],
  [
    "route add 10.11.0.0/16 dev tun9 table 51820",
    encodeAddRoute({ destination: cidr("10.11.0.0/16"), linkIndex, table: 51820 }),
    "34000000180005060000000000000000021000000003fd0100000000080001000a0b000008000f006cca00000800040002000000",
  ],
  [
    "route add 10.12.0.0/16 via 10.9.0.2 dev tun9 metric 77",
    encodeAddRoute({ destination: cidr("10.12.0.0/16"), linkIndex, gateway: ip("10.9.0.2"), metric: 77 }),
    "3c00000018000506000000000000000002100000fe03000100000000080001000a0c0000080005000a090002080006004d0000000800040002000000",
  ],
  [
    "-6 route add fd00:10::/48 dev tun9",
    encodeAddRoute({ destination: cidr("fd00:10::/48"), linkIndex }),
    "380000001800050600000000000000000a300000fe0300010000000014000100fd0000100000000000000000000000000800040002000000",
  ],
  [
    "route add 10.13.0.0/16 dev tun9 mtu 1300",
    encodeAddRoute({ destination: cidr("10.13.0.0/16"), linkIndex, mtu: 1300 }),
    "3800000018000506000000000000000002100000fe03fd0100000000080001000a0d000008000400020000000c0008000800020014050000",
  ],
  [
    "route del 10.10.0.0/16 dev tun9",
    encodeRemoveRoute({ destination: cidr("10.10.0.0/16"), linkIndex }),
    "2c00000019000500000000000000000002100000fe00ff0000000000080001000a0a00000800040002000000",
  ],
  [
    "route get 10.10.0.1 mark 5 (we also ask for an acknowledgement)",
    encodeRouteTo(ip("10.10.0.1"), { fwmark: 5 }),
    "2c0000001a0005000000000000000000022000000000000000100000080001000a0a00010800100005000000",
  ],
  [
    "-6 route get fd00:10::1, but for a flag that strict kernels refuse",
    encodeRouteTo(ip("fd00:10::1")),
    "300000001a0005000000000000000000" + "0a80000000000000" + "00000000" + "14000100fd000010000000000000000000000001",
  ],
  [
    "-4 rule add not fwmark 51820 table 51820",
    encodeAddRule({ family: 4, not: true, fwmark: 51820, table: 51820 }),
    "2c00000020000506000000000000000002000000000000010200000008000a006cca000008000f006cca0000",
  ],
  [
    "-4 rule add table main suppress_prefixlength 0",
    encodeAddRule({ family: 4, table: 254, suppressPrefixLength: 0 }),
    "2400000020000506000000000000000002000000fe0000010000000008000e0000000000",
  ],
  [
    "-6 rule add not fwmark 51820 table 51820",
    encodeAddRule({ family: 6, not: true, fwmark: 51820, table: 51820 }),
    "2c0000002000050600000000000000000a000000000000010200000008000a006cca000008000f006cca0000",
  ],
];

for (const [command, ours, hex] of golden) {
  Deno.test(`we send what ip does: ${command}`, () => assertEquals(ours.toHex(), hex));
}

const only = (message: Bytes) => readNetlinkMessages(message)[0]!;

// The kernel tells of a thing in the message that makes it, so what we write to make one can be read as one.
Deno.test("links, addresses, routes and rules are read as they were written", () => {
  const link = { name: "wg0", kind: "wireguard", mtu: 1420 };
  assertEquals(readLink(only(encodeCreateLink(link))), { ...link, index: 0, isUp: false });
  assertEquals(readLinkEvent(only(encodeCreateLink(link)))?.kind, "set");

  const address = { linkIndex, address: ip("fd00::7"), bits: 64 };
  assertEquals(readAddress(only(encodeAddAddress(address))), address);

  const route = {
    destination: cidr("fd00::/8"),
    linkIndex,
    gateway: ip("fe80::1"),
    table: 70_000,
    metric: 9,
    scope: 0,
    mtu: 1280,
    source: ip("fd00::7"),
    type: 1,
  };
  assertEquals(readRoute(only(encodeAddRoute(route))), route);
  assertEquals(readRoute(only(encodeAddRoute({ destination: cidr("0.0.0.0/0"), linkIndex }))), {
    destination: cidr("0.0.0.0/0"),
    linkIndex,
    table: 254,
    scope: 253,
    type: 1,
  });

  const rule = { family: 6, table: 51820, priority: 5, fwmark: 1, not: true, suppressPrefixLength: 0 } as const;
  assertEquals(readRule(only(encodeAddRule(rule))), rule);
  const particular = {
    family: 4,
    table: 254,
    priority: 7,
    destination: { address: Uint8Array.of(192, 0, 2, 1), bits: 32 },
    tcpPort: 8443,
    boundTo: "culvert0",
  } as const;
  assertEquals(readRule(only(encodeAddRule(particular))), particular);
  const names = { family: 4, table: 7, priority: 8, fwmark: 9, not: true, udpPort: 53 } as const;
  assertEquals(readRule(only(encodeAddRule(names))), names);
});

Deno.test("a removed link is told as removed", () => {
  const created = encodeCreateLink({ name: "wg0", kind: "wireguard" });
  new DataView(created.buffer).setUint16(4, 17, true);
  assertEquals(readLinkEvent(only(created))?.kind, "removed");
});

/** As the kernel tells of them. */
function neighbour(state: number, hasMac: boolean): Bytes {
  const writer = new NetlinkWriter(28, 0).raw(2, 0, 0, 0).rawU32(linkIndex).raw(state, 0, 0, 1);
  writer.bytes(1, ip("10.9.0.2"));
  if (hasMac) writer.bytes(2, Uint8Array.of(2, 0, 0, 0, 0, 7));
  return writer.finish();
}

function hardware(kind: number): Bytes {
  const writer = new NetlinkWriter(16, 0).raw(0, 0, kind & 0xff, kind >> 8).rawU32(linkIndex).rawU32(0).rawU32(0);
  return writer.bytes(1, Uint8Array.of(2, 0, 0, 0, 0, 9)).finish();
}

Deno.test("a neighbour is known, asked for, or silent", () => {
  const base = { linkIndex, address: ip("10.9.0.2") };
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 7);
  const reachable = 0x02, stale = 0x04, permanent = 0x80, incomplete = 0x01, failed = 0x20, none = 0;
  for (const state of [reachable, permanent]) {
    assertEquals(readNeighbour(only(neighbour(state, true))), { ...base, state: "known", mac });
  }
  assertEquals(readNeighbour(only(neighbour(stale, true))), { ...base, state: "known", isOld: true, mac });
  for (const state of [none, incomplete]) {
    assertEquals(readNeighbour(only(neighbour(state, false))), { ...base, state: "asking" });
  }
  assertEquals(readNeighbour(only(neighbour(failed, true))), { ...base, state: "silent" }, "what it was is no use");
  assertEquals(readNeighbour(only(encodeListNeighbours(4))), undefined);
});

Deno.test("the hardware of a link is told apart", () => {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
  assertEquals(readLinkHardware(only(hardware(1))), { kind: "ethernet", mac });
  assertEquals(readLinkHardware(only(hardware(772))), { kind: "loopback", mac });
  assertEquals(readLinkHardware(only(hardware(65_534))), { kind: "other" });
});

Deno.test("any bytes are read without harm", () => {
  const valid = fc.constantFrom(...golden.map(([, message]) => message), neighbour(0x02, true), hardware(1));
  assertDecoderSurvives((input) => {
    for (const message of readNetlinkMessages(input.slice())) {
      for (const read of [readLink, readLinkHardware, readAddress, readRoute, readRule, readNeighbour]) read(message);
    }
  }, { valid });
});

Deno.test("the names of links are those the kernel takes", () => {
  for (const name of ["wg0", "a", "tunnel.5-x_y=z", "123456789012345"]) assert(isLinkName(name), name);
  for (const name of ["", ".", "..", "a/b", "a b", "a:b", "1234567890123456", "wg\0", "ü"]) {
    assert(!isLinkName(name), name);
  }
});
