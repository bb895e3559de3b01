import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { assertDecoderSurvives } from "../testing/fuzz.ts";
import { parseIp } from "./ip.ts";
import { type NetlinkMessage, NetlinkWriter, readNetlinkMessages } from "./netlink.ts";
import { encodeListBound, encodeListConnections, readBoundSocket, readConnection } from "./socket_diag.ts";

const SOCK_DIAG = 20;

/** What Linux 6.18 answered, sockets numbered anew. */
const listening = answer(
  "020a00006db000007f000001000000000000000000000000000000000000000000000000000000000000000004000000000000000000000000000000" +
    "ff010000e803000067120000 0500080000000000 08000f0000000000 0c0015000100000000000000 0600160052000000",
);
const listeningOnV6 = answer(
  "0a0a00006db10000000000000000000000000000000000010000000000000000000000000000000000000000050000000000000000000000000000" +
    "00ff010000e803000068120000 0500080000000000 05000b0001000000 08000f0000000000 0c0015000100000000000000 0600160012000000",
);
const boundUdp = answer(
  "020700006db300007f000001000000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000" +
    "0000000000000000fca30200 0500080000000000 08000f0000000000 0c0015000100000000000000 0600160040000000",
);
/** 1,000 bytes have come in, 3,000 have gone out. */
const connected = answer(
  "020100006db08fda7f0000010000000000000000000000007f00000100000000000000000000000000000000080000000000000000000000000000000000" +
    "000000000000fea30200 0500080000000000 08000f0000000000 0c0015000100000000000000 0600160052000000 1c010200 010000000007aa01" +
    "e01c0300409c0000c4000000e8030000000000000000000000000000000000000000000008000000000000000800000008000000ffff00001d12010011" +
    "00000009000000ffffff7f0b000000cbff00000300000000000000cbff0000000000007324c2790b000000ffffffffffffffffb80b000000000000e803" +
    "000000000000" + "00".repeat(284 - 4 - 136),
);

function answer(hex: string): NetlinkMessage {
  return { type: SOCK_DIAG, flags: 2, sequence: 1, portId: 1, payload: Uint8Array.fromHex(hex.replaceAll(" ", "")) };
}

Deno.test("lists are asked for by protocol, family and state", () => {
  const rows = [
    ["those that listen", encodeListBound("tcp", 4), "02060000 00040000"],
    ["the same of IPv6", encodeListBound("tcp", 6), "0a060000 00040000"],
    ["bound UDP", encodeListBound("udp", 4), "02110000 80000000"],
    ["connections, with tcp_info", encodeListConnections(4, new Set()), "02060200 32010000"],
  ] as const;
  for (const [name, request, head] of rows) {
    const [message] = readNetlinkMessages(request);
    assertEquals([message?.type, message?.payload.length], [SOCK_DIAG, 56], name);
    assertEquals(message?.payload.subarray(0, 8).toHex(), head.replace(" ", ""), name);
  }
});

Deno.test("sockets that wait are read as the kernel tells them", () => {
  const loopback = parseIp("127.0.0.1")!;
  assertEquals(readBoundSocket("tcp", listening), {
    kind: "tcp",
    address: loopback,
    port: 28080,
    uid: 1000,
    inode: 4711,
  });
  assertEquals(readBoundSocket("tcp", listeningOnV6), {
    kind: "tcp",
    address: parseIp("::1")!,
    port: 28081,
    uid: 1000,
    inode: 4712,
    isV6Only: true,
  });
  assertEquals(readBoundSocket("udp", boundUdp), {
    kind: "udp",
    address: loopback,
    port: 28083,
    uid: 0,
    inode: 173052,
  });
});

Deno.test("a connection is read with what has gone over it, if its port is asked for and somebody holds it", () => {
  const want = { id: 8, localPort: 28080, inBytes: 1000, outBytes: 3000 };
  assertEquals(readConnection(connected, new Set([28080])), want);
  assertEquals(readConnection(connected, new Set([36826])), undefined);
  const unaccepted = { ...connected, payload: connected.payload.slice() };
  unaccepted.payload.fill(0, 68, 72);
  assertEquals(readConnection(unaccepted, new Set([28080])), undefined);
});

Deno.test("an older kernel, whose tcp_info is shorter, tells no bytes", () => {
  const old = new NetlinkWriter(SOCK_DIAG, 0).raw(...connected.payload.subarray(0, 72)).bytes(2, new Uint8Array(104));
  const [message] = readNetlinkMessages(old.finish());
  assertEquals(readConnection(message!, new Set([28080])), { id: 8, localPort: 28080 });
});

Deno.test("any answer is read without harm", () => {
  const valid = fc.constantFrom(listening, listeningOnV6, boundUdp, connected).map(({ payload }) => payload);
  const ports = new Set(Array.from({ length: 65_536 }, (_, port) => port));
  assertDecoderSurvives((input) => {
    const message = { ...connected, payload: input.slice() };
    readBoundSocket("tcp", message);
    readConnection(message, ports);
  }, { valid });
});
