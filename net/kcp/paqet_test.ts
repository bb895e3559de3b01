import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import type { FlaggedCarrier } from "../../protocol/carrier_options.ts";
import { clockOf } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PacketPlace } from "../../protocol/packet_carrier.ts";
import { randomOf } from "../../protocol/random.ts";
import {
  type Datagrams,
  type DialOptions,
  type Path,
  readFull,
  type Stream,
  type Target,
  writeAll,
} from "../../protocol/stream.ts";
import { memoryStreamPair } from "../memory.ts";
import { MemoryCarrier, PacketNetwork } from "../../testing/memory_carrier.ts";
import { MemoryDatagrams } from "../../testing/memory_datagrams.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { within } from "../../testing/waiting.ts";
import { openPaqet, type PaqetOptions, type PaqetPath } from "./paqet_client.ts";
import { type PaqetServer, type PaqetServerOptions, servePaqet } from "./paqet_server.ts";

const clock = clockOf(globalThis);
const common = { clock, random: randomOf(crypto), log: silentLog, metrics: noMetrics, key: "testkey" } as const;
const SERVER = { host: "10.9.9.9", port: 9999 };

class FlagCarrier extends MemoryCarrier implements FlaggedCarrier {
  readonly used: [string, number[]][] = [];

  useFlags(place: PacketPlace, flags: readonly number[]): void {
    this.used.push([place.host, [...flags]]);
  }
}

/** Targets by their ports; whatever datagram is sent comes back. */
class Targets implements Path {
  readonly talks = new Map<number, (stream: Stream) => Promise<void>>();

  dial(target: Target, { signal }: DialOptions = {}): Promise<Stream> {
    if (target.host === "hangs") {
      return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
    }
    const talk = this.talks.get(target.port);
    if (!talk) return Promise.reject(new DialError("refused", "Nobody is there"));
    const [near, far] = memoryStreamPair();
    talk(far).catch(() => {}).finally(() => far.close());
    return Promise.resolve(near);
  }

  datagrams(): Promise<Datagrams> {
    const socket: MemoryDatagrams = new MemoryDatagrams({
      local: { host: "192.0.2.1", port: 1 },
      send: (datagram, to) => socket.deliver(datagram.slice(), to),
      onClose: () => {},
    });
    return Promise.resolve(socket);
  }

  close(): void {}

  [Symbol.dispose](): void {}
}

/** A paqet client and server over a network in memory. */
class Rig implements AsyncDisposable {
  readonly packets = new PacketNetwork({ clock, random: new SeededRandom(3), delayMs: 1 });
  readonly targets = new Targets();
  readonly ports: number[] = [];
  carrier!: FlagCarrier;
  server!: PaqetServer;
  path!: PaqetPath;

  static async open(options: Partial<PaqetOptions> = {}, server: Partial<PaqetServerOptions> = {}): Promise<Rig> {
    const rig = new Rig();
    await rig.serve(server);
    rig.path = openPaqet({
      ...common,
      ...SERVER,
      openCarrier: () => {
        const port = 40_000 + rig.ports.length;
        rig.ports.push(port);
        return Promise.resolve(rig.packets.carrier("10.1.1.1", port));
      },
      ...options,
    });
    return rig;
  }

  async serve(options: Partial<PaqetServerOptions> = {}): Promise<void> {
    this.carrier = new FlagCarrier(this.packets, { ...SERVER, key: "10.9.9.9:9999" });
    this.packets.attach(this.carrier);
    this.server = await servePaqet({ ...common, carrier: this.carrier, onward: this.targets, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.path.close();
    await within("the path closes", this.path.closed());
    this.server.close();
    await within("the server closes", this.server.closed());
    this.packets[Symbol.dispose]();
  }
}

async function echo(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(4096);
  for (let count; (count = await stream.read(buffer)) !== null;) await writeAll(stream, buffer.subarray(0, count));
}

async function exchange(rig: Rig, bytes = 50_000): Promise<void> {
  const ended = Promise.withResolvers<void>();
  rig.targets.talks.set(80, (stream) => echo(stream).finally(ended.resolve));
  {
    using stream = await within("a dial", rig.path.dial({ host: "192.0.2.2", port: 80 }));
    const sent = crypto.getRandomValues(new Uint8Array(bytes));
    const got = new Uint8Array(bytes);
    const [all] = await within("an echo", Promise.all([readFull(stream, got), writeAll(stream, sent)]));
    assert(all);
    assertEquals(got, sent);
  }
  await within("the target hears the end", ended.promise);
}

for (const block of ["aes", "none", "null", "aes-128-gcm", "salsa20", "xor"] as const) {
  for (const shards of [{}, { dshard: 5, pshard: 2 }]) {
    Deno.test(`streams are carried: ${block} ${JSON.stringify(shards)}`, async () => {
      await using rig = await Rig.open({ block, ...shards, mode: "fast3" }, { block, ...shards, mode: "fast3" });
      await exchange(rig);
    });
  }
}

Deno.test("the end of what a program says does not cut off what it is answered", async () => {
  await using rig = await Rig.open();
  rig.targets.talks.set(80, async (stream) => {
    const asked = new Uint8Array(3);
    await readFull(stream, asked);
    await writeAll(stream, new Uint8Array(20_000).fill(7));
  });
  using stream = await rig.path.dial({ host: "192.0.2.2", port: 80 });
  await writeAll(stream, Uint8Array.of(1, 2, 3));
  await stream.closeWrite();
  const answer = new Uint8Array(20_000);
  assert(await within("the answer", readFull(stream, answer)));
  assertEquals(await within("its end", stream.read(new Uint8Array(1))), null);
});

Deno.test("a target that refuses ends the stream", async () => {
  await using rig = await Rig.open();
  using stream = await rig.path.dial({ host: "192.0.2.2", port: 81 });
  assertEquals(await within("the end", stream.read(new Uint8Array(1))), null);
});

Deno.test("a target that does not answer in time ends the stream", async () => {
  await using rig = await Rig.open({}, { limits: { dialTimeoutMs: 100 } });
  using stream = await rig.path.dial({ host: "hangs", port: 80 });
  assertEquals(await within("the end", stream.read(new Uint8Array(1))), null);
});

Deno.test("a stream whose target has said all, and on which nothing moves, is ended for it as well", async () => {
  await using rig = await Rig.open({}, { limits: { halfClosedTimeoutMs: 100 } });
  const ended = Promise.withResolvers<number | null>();
  rig.targets.talks.set(80, async (stream) => {
    await stream.closeWrite();
    await stream.read(new Uint8Array(1)).then(ended.resolve, () => ended.resolve(null));
  });
  using _stream = await rig.path.dial({ host: "192.0.2.2", port: 80 });
  assertEquals(await within("the target hears the end", ended.promise), null);
});

Deno.test("flags that are none are not used", async () => {
  await using rig = await Rig.open({ serverFlags: [0, 0x18, 0x200] });
  await exchange(rig, 100);
  assertEquals(rig.carrier.used, [["10.1.1.1", [0x18]]]);
});

Deno.test("the server's packets get the flags that the client wishes, for as long as it is there", async () => {
  await using rig = await Rig.open({ serverFlags: [0x18, 0x10] });
  await exchange(rig, 100);
  assertEquals(rig.carrier.used, [["10.1.1.1", [0x18, 0x10]]]);
  rig.server.close();
  await rig.server.closed();
  assertEquals(rig.carrier.used, [["10.1.1.1", [0x18, 0x10]], ["10.1.1.1", []]]);
});

Deno.test("datagrams keep their borders, whatever their lengths, to several places at once", async () => {
  await using rig = await Rig.open();
  using datagrams = await within("a socket", rig.path.datagrams());
  const into = new Uint8Array(5000);
  for (const length of [1, 700, 4096, 1500, 13]) {
    for (const port of [53, 54]) {
      const sent = crypto.getRandomValues(new Uint8Array(length));
      await datagrams.send(sent, { host: "192.0.2.2", port });
      const got = await within("the datagram comes back", datagrams.receive(into));
      assertEquals(got, { length, from: { host: "192.0.2.2", port } });
      assertEquals(into.subarray(0, length), sent);
    }
  }
  await assertRejects(() => datagrams.send(new Uint8Array(4097), { host: "192.0.2.2", port: 53 }), DialError, "4096");
});

Deno.test("a wrong key is told as such, in time", async () => {
  await using rig = await Rig.open({ key: "another", answerTimeoutMs: 300 });
  const error = await within("the dial fails", assertRejects(() => rig.path.dial({ host: "a", port: 1 }), DialError));
  assertEquals(error.code, "path_down");
  assertMatch(error.message, /key or block is not ours/);
  assertEquals(rig.server.size, 0);
});

Deno.test("a server that was restarted is found again by the next dial, from another port", async () => {
  await using rig = await Rig.open({ answerTimeoutMs: 1500, freshMs: 0 });
  await exchange(rig, 100);
  const { server } = rig;
  // Gone without a word, as by kill -9: what its links would say on closing is lost.
  rig.packets.fate.lossShare = 1;
  server.close();
  await server.closed();
  rig.packets.fate.lossShare = 0;
  await rig.serve();
  await exchange(rig, 100);
  assertEquals(rig.ports, [40_000, 40_001]);
});

Deno.test("streams that are no paqet are ended, and others go on", async () => {
  await using rig = await Rig.open();
  await exchange(rig, 10);
  const connection = rig.path.tunnels[0]!.keeper.connection!;
  const random = new SeededRandom(8);
  for (let round = 0; round < 50; round++) {
    using stream = connection.open();
    const junk = random.fill(new Uint8Array(1 + round));
    if (round % 2) junk.set([0x50, 1, round % 8, 0, round % 30].slice(0, junk.length));
    await writeAll(stream, junk).catch(() => {});
  }
  await exchange(rig, 10);
});

Deno.test("what a client sends first is as paqet sends it", async () => {
  const first: Uint8Array[] = [];
  await using rig = await Rig.open({ block: "none", mode: "fast3", serverFlags: [0x18] }, { block: "none" });
  rig.packets.fate.drops = (packet, from) => {
    if (from.host === "10.1.1.1") first.push(packet);
    return false;
  };
  await exchange(rig, 1);
  const datagram = first[0]!;
  const view = new DataView(datagram.buffer, 20);
  assertEquals([view.getUint8(4), view.getUint8(5), view.getUint16(6, true)], [81, 0, 512]); // PUSH, its window
  assertEquals([view.getUint32(12, true), view.getUint32(16, true)], [0, 0]);
  // smux 2: SYN of stream 3, its window, the header in a frame of its own; in the next, a ping.
  const frames = encodeHex(concat(first.map((packet) => packet.subarray(44))));
  assertMatch(frames, /^0200000003000000/);
  assertMatch(frames, /0202080003000000500103000301/);
  assertMatch(frames, /02020500050000005001010000/);
});

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
