import { assert, assertEquals, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { NEVER, PacketLine } from "./packet_line.ts";
import { PacketQueue } from "./packet_queue.ts";
import { PacketShaper } from "./packet_shaper.ts";
import { SeededRandom } from "./seeded_random.ts";

const random = () => new SeededRandom(1);

Deno.test("a line spaces packets out by its bandwidth, and drops what its queue does not hold", () => {
  const line = new PacketLine(random(), { bandwidthBitsPerS: 8000, queueBytes: 250, latencyMs: 5 });
  assertEquals([100, 100, 100, 100].map((bytes) => line.admit(bytes, 0)), [105, 205, NEVER, NEVER]);
  assertEquals(line.waitMs(0), 200);
  assertEquals(line.admit(100, 150), 305);
  assertEquals([line.admitted, line.dropped, line.lost], [3, 2, 0]);
});

Deno.test("a packet that finds the line free goes, however long it is", () => {
  const line = new PacketLine(random(), { bandwidthBitsPerS: 8000, queueBytes: 10 });
  assertEquals(line.admit(100, 0), 100);
});

Deno.test("loss takes its share, and what is lost has used the line", () => {
  const line = new PacketLine(random(), { bandwidthBitsPerS: 8e6, queueBytes: Infinity, loss: 0.2 });
  for (let packet = 0; packet < 1000; packet++) line.admit(1000, 0);
  assert(line.lost > 160 && line.lost < 240, `${line.lost}`);
  assertEquals(line.waitMs(0), 1000);
});

Deno.test("jitter delays packets and keeps their order", () => {
  const line = new PacketLine(random(), { latencyMs: 10, jitterMs: 20 });
  const arrivals = Array.from({ length: 100 }, (_, at) => line.admit(100, at));
  assertEquals(arrivals, arrivals.toSorted((a, b) => a - b));
  assert(arrivals.every((ms, at) => ms >= at + 10));
});

Deno.test("a line tells how long packets waited", () => {
  const line = new PacketLine(random(), { bandwidthBitsPerS: 8e6, queueBytes: Infinity });
  for (let packet = 0; packet < 100; packet++) line.admit(1000, 0);
  assertEquals([line.waitQuantileMs(0.5), line.waitQuantileMs(1)], [49, 99]);
  line.forget();
  assertEquals(line.waitQuantileMs(1), 0);
});

Deno.test("conditions that make no sense are refused", () => {
  assertThrows(() => new PacketLine(random(), { loss: 1 }), RangeError, "loss must be in [0, 1), got 1");
});

Deno.test("a queue gives packets back in order once they are due, round and round its ring", () => {
  const queue = new PacketQueue(1000);
  const chance = random();
  const waiting: { length: number; tag: number; dueMs: number }[] = [];
  let [tag, refused] = [0, 0];
  for (let nowMs = 0; nowMs < 5000; nowMs++) {
    const length = 1 + Math.floor(chance.next() * 300);
    const dueMs = nowMs + 5;
    if (queue.push(new Uint8Array(length).fill(tag & 0xff), tag, dueMs)) waiting.push({ length, tag, dueMs });
    else refused++;
    tag++;
    while (queue.take(nowMs)) {
      const expected = waiting.shift()!;
      assertEquals({ length: queue.end - queue.start, tag: queue.tag, dueMs: nowMs }, expected);
      assert(queue.bytes.subarray(queue.start, queue.end).every((byte) => byte === (queue.tag & 0xff)));
    }
    assertEquals(queue.count, waiting.length);
  }
  assert(refused > 0 && refused < 2500, `${refused}`);
});

Deno.test("datagrams go through a shaper and back, late, to whoever sent them", async () => {
  const clock = clockOf(globalThis);
  using target = listen();
  await using shaper = PacketShaper.start({ to: target.to, up: { latencyMs: 20 }, down: { latencyMs: 30 } });
  using one = listen();
  using two = listen();
  const startMs = clock.now();
  for (const [name, { socket }] of [one, two].entries()) {
    await socket.send(Uint8Array.of(name), { ...net(shaper.address), transport: "udp" });
  }
  for (let count = 0; count < 2; count++) {
    const [bytes, from] = await target.socket.receive();
    await target.socket.send(Uint8Array.of(bytes[0]! + 10), from);
  }
  assert(clock.now() - startMs >= 20);
  assertEquals((await one.socket.receive())[0], Uint8Array.of(10));
  assertEquals((await two.socket.receive())[0], Uint8Array.of(11));
  assert(clock.now() - startMs >= 50);
  assertEquals([shaper.up.admitted, shaper.down.admitted], [2, 2]);
});

function listen(): { socket: Deno.DatagramConn; to: { host: string; port: number } } & Disposable {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = socket.addr as Deno.NetAddr;
  return { socket, to: { host: hostname, port }, [Symbol.dispose]: () => socket.close() };
}

function net({ host, port }: { host: string; port: number }): { hostname: string; port: number } {
  return { hostname: host, port };
}
