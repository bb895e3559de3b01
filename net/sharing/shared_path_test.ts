import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { Datagrams, Path, Stream } from "../../protocol/stream.ts";
import { type MemoryStream, memoryStreamPair } from "../memory.ts";
import { type ByteGate, kindOf, SharedPath } from "./shared_path.ts";

const TARGET = { host: "site.example", port: 443 };

/** So many bytes and no more; every second piece has to wait a moment, as for a disk. */
class Purse implements ByteGate {
  leftBytes: number;
  #turn = 0;

  constructor(bytes: number) {
    this.leftBytes = bytes;
  }

  take(bytes: number): boolean | Promise<boolean> {
    return this.#turn++ % 2 === 0 ? this.#take(bytes) : Promise.resolve().then(() => this.#take(bytes));
  }

  give(bytes: number): void {
    this.leftBytes += bytes;
  }

  #take(bytes: number): boolean {
    if (bytes > this.leftBytes) return false;
    this.leftBytes -= bytes;
    return true;
  }
}

/** A path whose targets are memory streams. */
function rig(leaveBytes: number) {
  const targets: MemoryStream[] = [];
  const onward: Path = {
    dial() {
      const [near, far] = memoryStreamPair();
      targets.push(far);
      return Promise.resolve(near as Stream);
    },
    close() {},
    [Symbol.dispose]() {},
  };
  const gate = new Purse(leaveBytes);
  return { targets, gate, shared: new SharedPath({ onward, gate, metrics: noMetrics }) };
}

async function readAll(stream: Stream): Promise<number> {
  const buffer = new Uint8Array(64);
  let total = 0;
  for (let count; (count = await stream.read(buffer)) !== null;) total += count;
  return total;
}

Deno.test("what passes is counted once, whichever way it goes", async () => {
  const { shared, targets, gate } = rig(1000);
  const stream = await shared.dial(TARGET);
  assertEquals(await stream.write(new Uint8Array(100)), 100);
  await targets[0]!.write(new Uint8Array(200));
  targets[0]!.close();
  assertEquals(await readAll(stream), 200);
  stream.close();
  stream.close();
  assertEquals(gate.leftBytes, 700);
  assertEquals(shared.traffic, { upBytes: 100, downBytes: 200, opened: { https: 1, http: 0, other: 0, udp: 0 } });
  assertEquals(shared.openStreams, 0);
});

Deno.test("the last byte that is allowed passes, and the next does not, either way", async () => {
  const { shared, targets, gate } = rig(150);
  const up = await shared.dial(TARGET);
  assertEquals(await up.write(new Uint8Array(100)), 100);
  const down = await shared.dial(TARGET);
  await targets[1]!.write(new Uint8Array(60));
  assertEquals(await down.read(new Uint8Array(60)), 50);
  assertEquals(gate.leftBytes, 0);
  await assertRejects(() => down.read(new Uint8Array(60)), Error, "shares no more");
  await assertRejects(() => up.write(new Uint8Array(1)), Error, "shares no more");
  assertEquals(shared.traffic.upBytes + shared.traffic.downBytes, 150);
  shared.close();
});

Deno.test("reads that wait together share what is left, and what came too late is thrown away", async () => {
  const { shared, targets } = rig(100);
  const streams = [await shared.dial(TARGET), await shared.dial(TARGET)];
  const reads = streams.map((stream) => stream.read(new Uint8Array(80)).catch(() => 0));
  for (const target of targets) await target.write(new Uint8Array(80));
  assertEquals((await Promise.all(reads)).reduce<number>((sum, count) => sum + (count ?? 0), 0), 80);
  assertEquals(shared.traffic.downBytes, 80);
  shared.close();
});

Deno.test("while it is closed nothing is dialled, and a dial that was under way is of no use", async () => {
  const { shared, targets } = rig(100);
  const late = shared.dial(TARGET);
  shared.closedBecause = "the schedule says so";
  const error = await assertRejects(() => late, DialError, "the schedule says so");
  assertEquals(error.code, "busy");
  await assertRejects(() => shared.dial(TARGET), DialError);
  assertEquals(targets.length, 1);
  await assertRejects(() => targets[0]!.write(new Uint8Array(1)));
  shared.closedBecause = undefined;
  (await shared.dial(TARGET)).close();
});

Deno.test("cutting ends what is open, and what waits hears of it", async () => {
  const { shared, targets, gate } = rig(100);
  const stream = await shared.dial(TARGET);
  const reading = stream.read(new Uint8Array(10));
  shared.cut();
  targets[0]!.close();
  await reading.catch(() => {}); // null or an error, as the stream below has it
  await assertRejects(() => stream.write(new Uint8Array(10)));
  assertEquals([shared.openStreams, gate.leftBytes], [0, 100]);
});

Deno.test("datagrams for which there is no leave are lost, both ways", async () => {
  const sent: number[] = [];
  const inbox = [30, 60, 20];
  const datagrams: Datagrams = {
    send: (datagram) => Promise.resolve(void sent.push(datagram.length)),
    receive: () => {
      const length = inbox.shift();
      return Promise.resolve(length === undefined ? null : { length, from: TARGET });
    },
    close() {},
    [Symbol.dispose]() {},
  };
  const onward: Path = {
    dial: () => Promise.reject(new Error("not asked for")),
    datagrams: () => Promise.resolve(datagrams),
    close() {},
    [Symbol.dispose]() {},
  };
  using shared = new SharedPath({ onward, gate: new Purse(100), metrics: noMetrics });
  const through = await shared.datagrams();
  await through.send(new Uint8Array(40), TARGET);
  await through.send(new Uint8Array(90), TARGET);
  assertEquals(sent, [40]);
  assertEquals((await through.receive(new Uint8Array(100)))?.length, 30);
  assertEquals((await through.receive(new Uint8Array(100)))?.length, 20);
  assertEquals(await through.receive(new Uint8Array(100)), null);
  assertEquals([shared.traffic.upBytes, shared.traffic.downBytes, shared.traffic.opened.udp], [40, 50, 1]);
});

Deno.test("an owner sees kinds, told by their ports", () => {
  assertEquals([443, 8443, 80, 8080, 22, 5228].map(kindOf), ["https", "https", "http", "http", "other", "other"]);
});
