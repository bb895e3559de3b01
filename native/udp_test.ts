import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { parseIp } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { Errno, SysError } from "./errno.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { type Libc, openLibc } from "./libc.ts";
import { PollSet } from "./poll.ts";
import { UdpPort } from "./udp.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import { UDP_RECEIVE_BYTES, UdpSocket } from "./udp_socket.ts";

const WAIT_MS = 5_000;

function endpoint(address: string, port: number): Endpoint {
  return { address: parseIp(address)!, port };
}

/** Bytes that tell where they belong. */
function fill(slab: Slab, offset: number, length: number): void {
  for (let at = 0; at < length; at++) slab.bytes[offset + at] = at * 7 + (at >> 8);
}

/** Receives until `bytes` have come; gives the sizes of the datagrams, their bytes are put behind one another. */
function receiveAll(libc: Libc, socket: UdpSocket, bytes: number): { sizes: number[]; content: Uint8Array } {
  const poll = new PollSet(libc);
  poll.add(socket.fd);
  const slab = new Slab(UDP_RECEIVE_BYTES), content = new Uint8Array(bytes), sizes: number[] = [];
  let got = 0;
  while (got < bytes) {
    if (poll.wait(WAIT_MS) === 0) throw new Error(`Cannot receive ${bytes} bytes: only ${got} came`);
    const length = socket.receive(slab, 0);
    if (length < 0) continue;
    for (let at = 0; at < length; at += socket.segmentBytes) sizes.push(Math.min(socket.segmentBytes, length - at));
    content.set(slab.bytes.subarray(0, length), got);
    got += length;
  }
  return { sizes, content };
}

for (const [family, address] of [["IPv4", "127.0.0.1"], ["IPv6", "::1"]] as const) {
  for (const offload of [true, false]) {
    const how = `over ${family} ${offload ? "with" : "without"} offload`;

    Deno.test(`a batch ${how} arrives as the datagrams it was made of`, () => {
      using libc = openLibc();
      using near = new UdpPort(libc, { offload }), far = new UdpPort(libc, { offload });
      const farSocket = (family === "IPv6" ? far.v6 : far.v4)!;
      const slab = new Slab(200_000);
      fill(slab, 3, 100_000);
      assert(near.send(slab, 3, 100_000, 1_452, endpoint(address, far.port)));
      const { sizes, content } = receiveAll(libc, farSocket, 100_000);
      assertEquals(content, slab.bytes.slice(3, 100_003));
      assertEquals(sizes, [...new Array(68).fill(1_452), 100_000 - 68 * 1_452]);
      const sender = (family === "IPv6" ? near.v6 : near.v4)!.sender;
      assertEquals(sender.counters, { sentDatagrams: 69, sentBytes: 100_000, refusedDatagrams: 0 });
      assertEquals(farSocket.counters, { receivedDatagrams: 69, receivedBytes: 100_000 });
    });
  }
}

Deno.test("a port is the same in both families, and one that is taken is refused", () => {
  using libc = openLibc();
  using port = new UdpPort(libc);
  assertEquals(port.v4?.port, port.port);
  assertEquals(port.v6?.port, port.port);
  const error = assertThrows(() => new UdpPort(libc, { port: port.port }), SysError, "Cannot listen on UDP port");
  assertEquals(error.errno, Errno.EADDRINUSE);
  assertThrows(() => new UdpPort(libc, { port: 65_536 }), CulvertError, "the port must be 0 to 65535");
});

Deno.test("a port that only one family has free is refused, or passed over when any will do", () => {
  using libc = openLibc();
  using v6 = new UdpSocket(libc, { isV6: true, port: 0 });
  assertThrows(() => new UdpPort(libc, { port: v6.port }), SysError, "for IPv6");
  using other = new UdpPort(libc);
  assertNotEquals(other.port, v6.port);
});

Deno.test("a source is the same object until it changes, and an answer reaches it", () => {
  using libc = openLibc();
  using one = new UdpPort(libc);
  using two = new UdpPort(libc);
  using server = new UdpPort(libc);
  const to = endpoint("127.0.0.1", server.port);
  const sourceOf = (port: UdpPort) => {
    assert(port.send(new Slab(8), 0, 5, 5, to));
    receiveAll(libc, server.v4!, 5);
    return server.v4!.source();
  };
  const [first, second] = [sourceOf(one), sourceOf(two)];
  assertStrictEquals(sourceOf(one), first);
  assertStrictEquals(server.v4!.source(), first);
  assertStrictEquals(sourceOf(two), second);
  assertEquals([first.address, first.port, first.scopeId], [to.address, one.port, undefined]);
  assertEquals(second.port, two.port);
  assert(server.send(new Slab(8), 0, 3, 3, second));
  assertEquals(receiveAll(libc, two.v4!, 3).sizes, [3]);
});

Deno.test("datagrams of several sizes to several peers go by one flush, in order", () => {
  using libc = openLibc();
  using near = new UdpPort(libc);
  using one = new UdpPort(libc);
  using two = new UdpPort(libc);
  const slab = new Slab(200 * 100);
  fill(slab, 0, slab.size);
  const peers = [endpoint("127.0.0.1", one.port), endpoint("::1", one.port), endpoint("127.0.0.1", two.port)];
  const expected: number[] = [];
  for (let index = 0; index < 200; index++) {
    if (index % 3 === 0) expected.push(20 + index % 80);
    assert(near.queue(slab, index * 100, 20 + index % 80, 20 + index % 80, peers[index % 3]!));
  }
  assert(near.flush());
  const total = expected.reduce((sum, bytes) => sum + bytes);
  assertEquals(receiveAll(libc, one.v4!, total).sizes, expected);
  assertEquals(near.v4!.sender.counters.sentDatagrams + near.v6!.sender.counters.sentDatagrams, 200);
  assert(near.flush(), "an empty flush is no failure");
});

Deno.test("an answer leaves from the address that the question came to", () => {
  using libc = openLibc();
  using client = new UdpPort(libc);
  using server = new UdpPort(libc);
  client.send(new Slab(8), 0, 5, 5, endpoint("127.0.0.77", server.port));
  receiveAll(libc, server.v4!, 5);
  const source = server.v4!.source();
  assert(source.hasOurAddress);
  server.send(new Slab(8), 0, 5, 5, source, 0x88);
  receiveAll(libc, client.v4!, 5);
  assertEquals(client.v4!.source().address, parseIp("127.0.0.77"));
  client.send(new Slab(8), 0, 5, 5, endpoint("127.0.0.1", server.port));
  receiveAll(libc, server.v4!, 5);
  assertNotEquals(server.v4!.source(), source, "an endpoint is also where its datagrams came to");
});

Deno.test("an address of ours that is gone is left out, and a batch stays a batch", () => {
  using libc = openLibc();
  using client = new UdpPort(libc);
  using server = new UdpPort(libc);
  for (const family of ["v4", "v6"] as const) {
    const to = UdpEndpoint.from(endpoint(family === "v4" ? "127.0.0.1" : "::1", client.port));
    to.words[to.nameWords] = 0x010200c0;
    assert(to.hasOurAddress);
    assert(server.send(new Slab(4_000), 0, 4_000, 1_000, to));
    assertEquals(receiveAll(libc, client[family]!, 4_000).sizes, [1_000, 1_000, 1_000, 1_000]);
    assert(!to.hasOurAddress);
    assertEquals(to.plainBatches, 0);
  }
});

Deno.test("where segmentation is refused the datagrams go one by one, and it is tried again later", () => {
  using libc = openLibc();
  using near = new UdpPort(libc);
  using far = new UdpPort(libc);
  const to = UdpEndpoint.from(endpoint("127.0.0.1", far.port));
  // Without checksums there is no segmentation: EINVAL, as from a path with a smaller MTU.
  setNoChecksum(libc, near.v4!, true);
  const slab = new Slab(4_000);
  for (let round = 0; round < 2; round++) {
    assert(near.send(slab, 0, 4_000, 1_300, to));
    assertEquals(receiveAll(libc, far.v4!, 4_000).sizes, [1_300, 1_300, 1_300, 100]);
  }
  assertGreater(to.plainBatches, 0);
  setNoChecksum(libc, near.v4!, false);
  while (to.plainBatches > 0) near.queue(slab, 0, 2, 1, to);
  near.flush();
  assertEquals(near.v4!.sender.counters.refusedDatagrams, 0);
  assert(near.send(slab, 0, 4_000, 1_300, to));
  assertEquals(to.plainBatches, 0);
});

function setNoChecksum(libc: Libc, socket: UdpSocket, on: boolean): void {
  const [SOL_SOCKET, SO_NO_CHECK] = [1, 11];
  libc.call.setsockopt(socket.fd, SOL_SOCKET, SO_NO_CHECK, new Uint8Array([on ? 1 : 0, 0, 0, 0]), 4);
}

Deno.test("what cannot be sent is counted with its reason and stops nothing behind it", () => {
  using libc = openLibc();
  using near = new UdpPort(libc);
  using far = new UdpPort(libc);
  const slab = new Slab(70_000), good = endpoint("127.0.0.1", far.port);
  near.queue(slab, 0, 5, 5, good);
  near.queue(slab, 0, 66_000, 66_000, good);
  near.queue(slab, 0, 5, 5, endpoint("127.0.0.1", 0));
  near.queue(slab, 0, 6, 6, good);
  assert(!near.flush());
  assertEquals(receiveAll(libc, far.v4!, 11).sizes, [5, 6]);
  assertEquals(near.v4!.sender.counters, { sentDatagrams: 2, sentBytes: 11, refusedDatagrams: 2 });
  assertEquals(near.v4!.sender.lastErrno, Errno.EINVAL);
  near.queue(slab, 0, 5, 5, endpoint("127.0.0.1", 0));
  for (let more = 0; more < 100; more++) near.queue(slab, 0, 5, 5, good);
  assert(!near.flush(), "also when a full queue sent it before");
  assert(near.flush());
});

Deno.test("an empty datagram is one, and nothing is -1", () => {
  using libc = openLibc();
  using port = new UdpPort(libc);
  const slab = new Slab(UDP_RECEIVE_BYTES), poll = new PollSet(libc);
  poll.add(port.v4!.fd);
  assertEquals(port.v4!.receive(slab, 0), -1);
  assert(port.send(slab, 0, 0, 0, endpoint("127.0.0.1", port.port)));
  assertEquals(poll.wait(WAIT_MS), 1);
  assertEquals(port.v4!.receive(slab, 0), 0);
  assertEquals(port.v4!.receive(slab, 0), -1);
  assertThrows(() => port.v4!.receive(slab, 4), RangeError, "there must be room for 65536 bytes");
});

Deno.test("a port nobody listens on does not disturb the socket that sent there", () => {
  using libc = openLibc();
  using near = new UdpPort(libc);
  const gone = new UdpPort(libc);
  const to = endpoint("127.0.0.1", gone.port);
  gone[Symbol.dispose]();
  const slab = new Slab(UDP_RECEIVE_BYTES);
  for (let round = 0; round < 3; round++) assert(near.send(slab, 0, 8, 8, to));
  assertEquals(near.v4!.receive(slab, 0), -1);
});

testWith({ netns: true, tools: ["ip"] }, "a path with a smaller MTU, marks, and a link-local peer", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const [a, b] = [await lab.namespace("a"), await lab.namespace("b")];
  const [nameA] = await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  using near = inNamespace(a, () => new UdpPort(libc, { fwmark: 7 }));
  using far = inNamespace(b, () => new UdpPort(libc));
  const slab = new Slab(20_000), to = endpoint("10.77.0.2", far.port);

  assert(near.send(slab, 0, 20_000, 1_472, to));
  assertEquals(receiveAll(libc, far.v4!, 20_000).sizes.length, 14);
  await a.run(["ip", "link", "set", nameA, "mtu", "1280"]);
  assert(near.send(slab, 0, 20_000, 1_472, to), "the kernel fragments what it does not segment");
  assertEquals(receiveAll(libc, far.v4!, 20_000).sizes.length, 14);

  await a.run(["ip", "rule", "add", "fwmark", "7", "prohibit"]);
  assert(!near.send(slab, 0, 100, 100, to));
  near.setFwmark(0);
  assert(near.send(slab, 0, 100, 100, to));
  receiveAll(libc, far.v4!, 100);

  const addresses = await b.run(["ip", "-6", "-o", "address", "show", "scope", "link", "dev", "eth0"]);
  const linkLocal = /inet6 (\S+)\//.exec(addresses.stdout)![1]!;
  const scopeId = Number(/^(\d+):/.exec((await a.run(["ip", "-o", "link", "show", nameA])).stdout)![1]);
  await waitForLinkLocal(a, b);
  assert(near.send(slab, 0, 100, 100, { ...endpoint(linkLocal, far.port), scopeId }));
  receiveAll(libc, far.v6!, 100);
  assertGreater(far.v6!.source().scopeId!, 0);
  assert(far.send(slab, 0, 50, 50, far.v6!.source()));
  receiveAll(libc, near.v6!, 50);
  assertEquals(near.v6!.source().address, parseIp(linkLocal));
});

/** A link-local address is not used before nobody else turned out to have it. */
async function waitForLinkLocal(...namespaces: NetNamespace[]): Promise<void> {
  for (const namespace of namespaces) {
    const show = ["ip", "-6", "address", "show", "tentative"];
    while ((await namespace.run(show)).stdout !== "") await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

testWith({ netns: true, tools: ["ip"] }, "a system without IPv6 is served by IPv4 alone", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  await namespace.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
  using port = inNamespace(namespace, () => new UdpPort(libc));
  const slab = new Slab(UDP_RECEIVE_BYTES);
  assert(port.send(slab, 0, 5, 5, endpoint("127.0.0.1", port.port)));
  receiveAll(libc, port.v4!, 5);
  assert(!port.send(slab, 0, 5, 5, endpoint("2001:db8::1", port.port)));
});

testWith({ netns: true, tools: ["ip", "tc"] }, "a full send buffer is waited for, though not for long", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const [a, b] = [await lab.namespace("a"), await lab.namespace("b")];
  const [nameA] = await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  using near = inNamespace(a, () => new UdpPort(libc));
  using far = inNamespace(b, () => new UdpPort(libc));
  const { sender } = near.v4!, slab = new Slab(1_400), to = endpoint("10.77.0.2", far.port);
  assert(near.send(slab, 0, 1_400, 1_400, to), "the address is resolved before the line is slow");
  const [SOL_SOCKET, SO_SNDBUF] = [1, 7];
  libc.call.setsockopt(near.v4!.fd, SOL_SOCKET, SO_SNDBUF, new Uint8Array([0, 20, 0, 0]), 4);
  const shape = (rate: string) => {
    const bucket = ["tbf", "rate", rate, "burst", "3000", "limit", "1000000"];
    return a.run(["tc", "qdisc", "replace", "dev", nameA, "root", ...bucket]);
  };
  await shape("20mbit");
  for (let index = 0; index < 20; index++) near.queue(slab, 0, 1_400, 1_400, to);
  assert(near.flush());
  receiveAll(libc, far.v4!, 21 * 1_400);
  assertEquals(sender.counters.refusedDatagrams, 0);
  await shape("8kbit");
  const start = performance.now();
  for (let index = 0; index < 40; index++) near.queue(slab, 0, 1_400, 1_400, to);
  assert(!near.flush());
  assertLess(performance.now() - start, 2_000);
  assertGreater(sender.counters.refusedDatagrams, 20);
  assertEquals(sender.lastErrno, Errno.EAGAIN);
});
