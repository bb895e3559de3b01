import { assert, assertEquals, assertGreater, assertLessOrEqual, assertMatch, assertThrows } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { Slab } from "../protocol/slab.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { Errno, SysError } from "./errno.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { Iovec } from "./iovec.ts";
import { type Libc, openLibc } from "./libc.ts";
import { POLLERR, POLLIN, PollSet } from "./poll.ts";
import { Tun, TUN_READ_BYTES, VNET_HEADER_BYTES } from "./tun.ts";

const needs = { netns: true, tools: ["ip"], files: ["/dev/net/tun"] };
const WAIT_MS = 5_000;
const MTU = 1_420;

function openIn(libc: Libc, namespace: NetNamespace, offload = true): Tun {
  return inNamespace(namespace, () => Tun.open(libc, { name: "wg%d", offload }));
}

async function bringUp(namespace: NetNamespace, tun: Tun, address: string): Promise<void> {
  // The kernel would speak IPv6 on it first, and nobody here listens to that.
  await namespace.run(["sysctl", "-qw", `net.ipv6.conf.${tun.name()}.disable_ipv6=1`]);
  await namespace.run(["ip", "address", "add", address, "dev", tun.name()]);
  await namespace.run(["ip", "link", "set", tun.name(), "mtu", String(MTU), "up"]);
}

/** Sends one UDP datagram into the interface from its own system. */
function sayHello(namespace: NetNamespace, to: string): Promise<unknown> {
  return namespace.run(["bash", "-c", `echo -n hello > /dev/udp/${to}/9`]);
}

testWith(needs, "a TUN device has the name the kernel chose, follows a renaming, and its MTU can be set", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  using tun = openIn(libc, namespace);
  using other = openIn(libc, namespace);
  assertEquals([tun.name(), other.name()], ["wg0", "wg1"]);
  await namespace.run(["ip", "link", "set", "wg0", "name", "tunnel"]);
  assertEquals(tun.name(), "tunnel");
  assertEquals(other.name(), "wg1");
  await namespace.run(["ip", "link", "set", "wg1", "mtu", "1380"]);
});

testWith(needs, "the MTU and the queue of a TUN device are those of the interface", () => {
  using libc = openLibc();
  using tun = Tun.open(libc, { name: "cvt-test%d" });
  tun.setMtu(MTU);
  assertEquals(tun.mtu(), MTU);
  tun.setQueueLength(1_000);
  assertEquals(Deno.readTextFileSync(`/sys/class/net/${tun.name()}/tx_queue_len`).trim(), "1000");
  const error = assertThrows(() => tun.setMtu(10), SysError, "Cannot set the MTU of cvt-test");
  assertEquals(error.errno, Errno.EINVAL);
});

testWith(needs, "a name that is taken, or none at all, is refused with its reason", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  using tun = openIn(libc, namespace);
  const taken = assertThrows(
    () => inNamespace(namespace, () => Tun.open(libc, { name: tun.name() })),
    SysError,
    "Cannot make the interface wg0",
  );
  assertEquals(taken.errno, Errno.EBUSY);
  for (const name of ["", "a/b", "sixteen-letters-", "a b", "..", "ünïcödé-ünïcödé"]) {
    assertThrows(() => Tun.open(libc, { name }), CulvertError, "its name must be 1 to 15 bytes");
  }
});

for (const offload of [true, false]) {
  const how = offload ? "with offload" : "without offload";

  testWith(needs, `what the system sends arrives behind a virtio header at any offset, ${how}`, async () => {
    using libc = openLibc();
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("a");
    using tun = openIn(libc, namespace, offload);
    await bringUp(namespace, tun, "10.88.0.1/24");
    assertEquals(tun.offload.tcp, offload);
    const slab = new Slab(100_000);
    for (const offset of [0, 1, 2, 4_095]) {
      slab.bytes.fill(0xee);
      assertEquals(tun.read(slab, offset), 0);
      await sayHello(namespace, "10.88.0.2");
      assertEquals(tun.read(slab, offset), 20 + 8 + 5);
      const at = offset + VNET_HEADER_BYTES;
      assertEquals([...slab.bytes.subarray(at, at + 4)], [0x45, 0, 0, 33]);
      assertEquals([...slab.bytes.subarray(at + 12, at + 20)], [10, 88, 0, 1, 10, 88, 0, 2]);
      assertEquals(new TextDecoder().decode(slab.bytes.subarray(at + 28, at + 33)), "hello");
      assertEquals(slab.bytes[offset + 1], 0, "no segmentation is asked for");
      assertEquals(slab.bytes[at + 33], 0xee, "nothing is written behind the packet");
      if (offset > 0) assertEquals(slab.bytes[offset - 1], 0xee, "nothing is written before the header");
    }
    assertEquals(tun.counters.readPackets, 4);
  });

  testWith({ ...needs, tools: ["ip", "ping"] }, `an answer written in pieces is taken, ${how}`, async () => {
    using libc = openLibc();
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("a");
    using tun = openIn(libc, namespace, offload);
    await bringUp(namespace, tun, "10.88.0.1/24");
    const ping = namespace.run(["ping", "-c1", "-W5", "10.88.0.2"]);
    const slab = new Slab(TUN_READ_BYTES), poll = new PollSet(libc);
    poll.add(tun.fd);
    assertEquals(poll.wait(WAIT_MS), 1);
    const length = tun.read(slab, 2);
    answerPing(slab, 12);
    const pieces = new Iovec();
    for (const [at, bytes] of [[2, 14], [16, 1], [17, 0], [17, length - 5]] as const) pieces.add(slab, at, bytes);
    assertEquals(pieces.bytes, VNET_HEADER_BYTES + length);
    assert(tun.write(pieces));
    assertMatch((await ping).stdout, /1 received/);
    assertEquals(tun.counters.writtenPackets, 1);
  });
}

/** Turns an ICMP echo request into its reply: the addresses change places, and the checksum moves by the type. */
function answerPing(slab: Slab, at: number): void {
  const from = slab.bytes.slice(at + 12, at + 16);
  slab.bytes.copyWithin(at + 12, at + 16, at + 20);
  slab.bytes.set(from, at + 16);
  slab.bytes[at + 20] = 0;
  const sum = slab.view.getUint16(at + 22) + 0x0800;
  slab.view.setUint16(at + 22, (sum & 0xffff) + (sum >> 16));
}

for (const offload of [true, false]) {
  const how = offload ? "in pieces larger than the MTU" : "packet by packet where the kernel refuses more";

  testWith({ ...needs, tools: ["ip", "iperf3"] }, `TCP crosses two TUN devices ${how}`, async () => {
    using libc = openLibc();
    await using lab = await NetLab.open();
    const [near, far] = [await lab.namespace("near"), await lab.namespace("far")];
    using nearTun = openIn(libc, near, offload);
    using farTun = openIn(libc, far, offload);
    await bringUp(near, nearTun, "10.88.0.1/24");
    await bringUp(far, farTun, "10.88.0.2/24");
    const relay = new Relay(libc, nearTun, farTun);
    const server = far.spawn(["iperf3", "-s", "-1", "--forceflush"], { stdout: "piped", stderr: "null" });
    const started = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assertMatch((await started.read()).value ?? "", /-----/);
    const client = near.run(["iperf3", "-c", "10.88.0.2", "-n", "20M"]);
    await relay.runUntil(client);
    assertMatch((await client).stdout, /receiver/);
    await relay.runUntil(server.status);
    while (!(await started.read()).done);
    if (offload) assertGreater(relay.longest, 10_000);
    else assertLessOrEqual(relay.longest, MTU);
    assertEquals(nearTun.counters.refusedPackets + farTun.counters.refusedPackets, 0);
  });
}

/** Carries packets, with what their headers ask for, from each of two devices to the other. */
class Relay {
  longest = 0;
  readonly #poll: PollSet;
  readonly #ways: readonly (readonly [Tun, Tun])[];
  readonly #slab = new Slab(TUN_READ_BYTES);
  readonly #packet = new Iovec(1);

  constructor(libc: Libc, one: Tun, other: Tun) {
    this.#poll = new PollSet(libc);
    this.#poll.add(one.fd);
    this.#poll.add(other.fd);
    this.#ways = [[one, other], [other, one]];
  }

  async runUntil(end: Promise<unknown>): Promise<void> {
    let goesOn = true;
    const stop = () => void (goesOn = false);
    end.then(stop, stop);
    while (goesOn) {
      if (this.#poll.wait(1) > 0) { for (const [from, to] of this.#ways) this.#carry(from, to); }
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  #carry(from: Tun, to: Tun): void {
    for (let length; (length = from.read(this.#slab, 0)) > 0;) {
      this.longest = Math.max(this.longest, length);
      this.#packet.clear();
      this.#packet.add(this.#slab, 0, VNET_HEADER_BYTES + length);
      to.write(this.#packet);
    }
  }
}

testWith(needs, "an interface that is down refuses packets and takes them again when it is up", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  using tun = openIn(libc, namespace);
  await bringUp(namespace, tun, "10.88.0.1/24");
  await sayHello(namespace, "10.88.0.2");
  const slab = new Slab(TUN_READ_BYTES), packet = new Iovec(1);
  const length = tun.read(slab, 0);
  packet.add(slab, 0, VNET_HEADER_BYTES + length);
  await namespace.run(["ip", "link", "set", tun.name(), "down"]);
  assert(!tun.write(packet));
  assertEquals(tun.lastErrno, Errno.EIO);
  assertEquals(tun.read(slab, 0), 0);
  assert(!tun.ended);
  await namespace.run(["ip", "link", "set", tun.name(), "up"]);
  assert(tun.write(packet));
  assertEquals(tun.counters.refusedPackets, 1);
});

for (const offload of [true, false]) {
  testWith(needs, `a packet that is none is refused and counted, ${offload ? "with" : "without"} offload`, async () => {
    using libc = openLibc();
    await using lab = await NetLab.open();
    const namespace = await lab.namespace("a");
    using tun = openIn(libc, namespace, offload);
    await bringUp(namespace, tun, "10.88.0.1/24");
    const slab = new Slab(64), packet = new Iovec(2);
    packet.add(slab, 0, VNET_HEADER_BYTES + 20);
    assert(!tun.write(packet), "neither IPv4 nor IPv6");
    packet.clear();
    packet.add(slab, 0, 4);
    assert(!tun.write(packet), "shorter than its header");
    assertEquals(tun.counters.refusedPackets, 2);
    assert(!tun.ended);
  });
}

testWith(needs, "removing the interface ends the device", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  using tun = openIn(libc, namespace);
  await bringUp(namespace, tun, "10.88.0.1/24");
  const poll = new PollSet(libc);
  const at = poll.add(tun.fd);
  assertEquals(poll.wait(0), 0);
  await namespace.run(["ip", "link", "delete", tun.name()]);
  assertEquals(poll.wait(WAIT_MS), 1);
  assert(poll.has(at, POLLIN | POLLERR));
  assertEquals(tun.read(new Slab(TUN_READ_BYTES), 0), 0);
  assert(tun.ended);
  assertEquals(tun.lastErrno, Errno.EBADFD);
  assertThrows(() => tun.name(), SysError, "EBADFD");
});

testWith(needs, "closing the device removes the interface", async () => {
  using libc = openLibc();
  await using lab = await NetLab.open();
  const namespace = await lab.namespace("a");
  const tun = openIn(libc, namespace);
  const name = tun.name();
  tun[Symbol.dispose]();
  tun[Symbol.dispose]();
  assertEquals((await namespace.run(["ip", "link", "show", name], { mayFail: true })).code, 1);
});

testWith(needs, "a read without room is refused before the kernel could write behind the slab", () => {
  using libc = openLibc();
  using tun = Tun.open(libc, { name: "cvt-test%d" });
  assertThrows(() => tun.read(new Slab(TUN_READ_BYTES), 4), RangeError, "there must be room for 65545 bytes");
});
