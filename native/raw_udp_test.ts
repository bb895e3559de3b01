import { assert, assertEquals } from "@std/assert";
import { formatIp, parseIp } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import { NetLab, type NetNamespace } from "../testing/netns.ts";
import { testWith } from "../testing/requirements.ts";
import { eventually } from "../testing/waiting.ts";
import { inNamespace } from "./fixtures/in_namespace.ts";
import { type Libc, openLibc } from "./libc.ts";
import { type RawDatagram, RawUdp } from "./raw_udp.ts";
import { RAW_PAYLOAD_BYTES } from "./raw_udp_socket.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import { UDP_RECEIVE_BYTES, UdpSocket } from "./udp_socket.ts";

const needs = { netns: true, tools: ["ip", "ethtool", "cat"] };
const PORT = 51_820;
const families = [
  { isV6: false, here: "10.77.0.1", there: "10.77.0.2", also: "10.77.0.3", bits: 24 },
  { isV6: true, here: "fd77::1", there: "fd77::2", also: "fd77::3", bits: 64 },
];

/** The owner of a port: hears what comes, in a buffer of its own. */
class Owner implements Disposable {
  readonly socket: UdpSocket;
  readonly heard: Uint8Array[] = [];
  readonly sources: string[] = [];
  readonly #slab = new Slab(UDP_RECEIVE_BYTES);

  constructor(libc: Libc, isV6: boolean) {
    this.socket = new UdpSocket(libc, { isV6, port: PORT });
  }

  send(to: string, datagrams: readonly Uint8Array[]): void {
    const endpoint = UdpEndpoint.from({ address: parseIp(to)!, port: PORT });
    let at = 0;
    for (const bytes of datagrams) {
      this.#slab.bytes.set(bytes, at);
      this.socket.sender.queue(this.#slab, at, bytes.length, bytes.length, endpoint, 0);
      at += bytes.length;
    }
    assert(this.socket.sender.flush());
  }

  /** How many have come so far. */
  count(): number {
    for (let length = this.socket.receive(this.#slab, 0); length > 0; length = this.socket.receive(this.#slab, 0)) {
      for (let at = 0; at < length; at += this.socket.segmentBytes) {
        this.heard.push(this.#slab.bytes.slice(at, Math.min(length, at + this.socket.segmentBytes)));
        this.sources.push(formatIp(this.socket.source().address));
      }
    }
    return this.heard.length;
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

interface Scene {
  readonly libc: Libc;
  readonly here: Owner;
  readonly there: Owner;
  /** Beside the owner `there`. */
  readonly raw: RawUdp;
  readonly seen: RawDatagram[];
  readonly inThere: NetNamespace;
  readonly inHere: NetNamespace;
  readonly names: typeof families[number];
}

function testBeside(name: string, run: (scene: Scene) => Promise<void>): void {
  for (const names of families) {
    testWith(needs, `beside a port of ${names.isV6 ? "IPv6" : "IPv4"}, ${name}`, async () => {
      await using lab = await NetLab.open();
      const [inHere, inThere] = [await lab.namespace("here"), await lab.namespace("there")];
      await lab.connect(inHere, `${names.here}/${names.bits}`, inThere, `${names.there}/${names.bits}`);
      const flags = names.isV6 ? ["nodad"] : [];
      await inThere.run(["ip", "address", "add", `${names.also}/${names.bits}`, "dev", "eth0", ...flags]);
      using libc = openLibc();
      using here = inNamespace(inHere, () => new Owner(libc, names.isV6));
      using there = inNamespace(inThere, () => new Owner(libc, names.isV6));
      const seen: RawDatagram[] = [];
      const onDatagram = (datagram: RawDatagram) => void seen.push(datagram);
      await using raw = inNamespace(inThere, () => new RawUdp(libc, { port: PORT, onDatagram }));
      await run({ libc, here, there, raw, seen, inThere, inHere, names });
    });
  }
}

function bytesOf(first: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => at === 0 ? first : at);
}

testBeside(
  "what begins with our byte is seen, and answered from that port and the address that was asked",
  async (scene) => {
    const { here, there, raw, seen, names } = scene;
    for (const [index, address] of [names.there, names.also].entries()) {
      here.send(address, [bytesOf(0xc3, 48 + index)]);
      await eventually("a datagram", () => seen.length === index + 1);
      const { bytes, from } = seen[index]!;
      assertEquals(bytes, bytesOf(0xc3, 48 + index));
      assertEquals([formatIp(from.address), from.port], [names.here, PORT]);
      // The kernel of the other side drops what has a wrong checksum.
      assert(raw.send(bytesOf(0xc2, 33 + index), from));
      await eventually("an answer", () => here.count() === index + 1);
      assertEquals(here.heard[index], bytesOf(0xc2, 33 + index));
      assertEquals(here.sources[index], address);
    }
    assertEquals(there.count(), 2);
  },
);

testBeside("what is sent first leaves from the address that the routes give", async ({ here, raw, names }) => {
  const to = { address: parseIp(names.here)!, port: PORT };
  const source = formatIp(raw.sources.to(to)!);
  // Of two addresses as good, IPv6 takes the newer.
  assertEquals(source, names.isV6 ? names.also : names.there);
  assert(raw.send(bytesOf(0xc1, RAW_PAYLOAD_BYTES), to));
  await eventually("it", () => here.count() === 1);
  assertEquals([here.heard[0]!.length, here.sources[0]], [RAW_PAYLOAD_BYTES, source]);
});

testBeside("a datagram too long, or to where no route leads, does not go", async ({ raw, names }) => {
  const [to, nowhere] = [names.here, names.isV6 ? "2001:db8::1" : "192.0.2.1"].map((text) => parseIp(text)!);
  assert(!raw.send(bytesOf(0xc1, RAW_PAYLOAD_BYTES + 1), { address: to!, port: PORT }));
  assertEquals(raw.sources.to({ address: nowhere! }), undefined);
  assert(!raw.send(bytesOf(0xc1, 32), { address: nowhere!, port: PORT }));
  await raw[Symbol.asyncDispose]();
  assert(!raw.send(bytesOf(0xc1, 32), { address: to!, port: PORT }));
});

testBeside(
  "bulk and what is for other ports stays in the kernel",
  async ({ here, there, seen, inThere, names, libc }) => {
    for (let round = 0; round < 50; round++) here.send(names.there, Array(40).fill(bytesOf(4, 1000)));
    here.send(names.there, [new Uint8Array(0), bytesOf(0xbf, 64)]);
    using other = inNamespace(inThere, () => new UdpSocket(libc, { isV6: names.isV6, port: 0 }));
    const slab = new Slab(64);
    slab.bytes[0] = 0xc3;
    const elsewhere = UdpEndpoint.from({ address: parseIp(names.there)!, port: other.port });
    here.socket.sender.queue(slab, 0, 48, 48, elsewhere, 0);
    here.socket.sender.flush();
    here.send(names.there, [bytesOf(0xc0, 1)]);
    await eventually("the last", () => seen.length > 0);
    assertEquals(seen.map(({ bytes }) => bytes), [bytesOf(0xc0, 1)]);
    await eventually("the bulk at its owner", () => there.count() >= 2000);
  },
);

testBeside(
  "datagrams in the middle of bulk are not taken for a part of it",
  async ({ here, there, seen, ...scene }) => {
    // What comes within this time is joined, as on a busy card.
    const held = "echo 5000000 > /sys/class/net/eth0/gro_flush_timeout";
    await scene.inThere.run(["sh", "-c", `ethtool -K eth0 gro on && ${held}`]);
    // Only then does a veth ask whether there is something to join.
    await scene.inHere.run(["ethtool", "-K", "eth0", "tso", "off"]);
    const onDatagram = () => {};
    await using from = inNamespace(scene.inHere, () => new RawUdp(scene.libc, { port: PORT, onDatagram }));
    const to = { address: parseIp(scene.names.there)!, port: PORT };
    const ROUNDS = 10;
    for (let round = 0; round < ROUNDS; round++) {
      // A shorter one behind longer ones of its flow is what the kernel would join to them.
      for (let at = 0; at < 8; at++) here.send(scene.names.there, [bytesOf(4, 300)]);
      assert(from.send(bytesOf(0xc3, 48), to));
      for (let at = 0; at < 8; at++) here.send(scene.names.there, [bytesOf(4, 30)]);
      await eventually("it", () => seen.length > round);
    }
    assertEquals(seen.map(({ bytes }) => bytes.length), Array(ROUNDS).fill(48));
    await eventually("the bulk", () => there.count() >= 17 * ROUNDS);
  },
);

testWith({ tools: ["setpriv"], root: true }, "without the capability it says which is missing", async () => {
  const program = `
    import { openLibc } from "${import.meta.resolve("./libc.ts")}";
    import { RawUdp } from "${import.meta.resolve("./raw_udp.ts")}";
    using libc = openLibc();
    try { new RawUdp(libc, { port: 1, onDatagram() {} }); } catch (error) { console.log(error.message); }`;
  const without = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", Deno.execPath()];
  const { stdout } = await new Deno.Command("setpriv", { args: [...without, "eval", program] }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assertEquals(text, "Cannot share UDP port 1: socket gave EPERM (it needs CAP_NET_RAW)");
});

testWith({ netns: true, tools: ["ip"] }, "a mark is on what is sent, and routed by", async () => {
  await using lab = await NetLab.open();
  const [a, b] = [await lab.namespace("a"), await lab.namespace("b")];
  await lab.connect(a, "10.77.0.1/24", b, "10.77.0.2/24");
  await a.run(["ip", "route", "add", "198.51.100.0/24", "via", "10.77.0.2", "table", "77"]);
  await a.run(["ip", "rule", "add", "fwmark", "7", "lookup", "77"]);
  using libc = openLibc();
  const open = (mark?: number) =>
    inNamespace(a, () => new RawUdp(libc, { port: PORT, onDatagram() {}, ...mark && { mark } }));
  await using marked = open(7);
  await using plain = open();
  const to = { address: parseIp("198.51.100.1")!, port: 9 };
  assertEquals([marked.send(bytesOf(0xc1, 32), to), plain.send(bytesOf(0xc1, 32), to)], [true, false]);
});
