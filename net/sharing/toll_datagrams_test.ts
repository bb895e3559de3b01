import { assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import type { Datagrams, Received, Target } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { BoothDouble } from "./fixtures/toll_double.ts";
import { TollDatagrams } from "./toll_datagrams.ts";

const TARGET = { host: "192.0.2.1", port: 53 };

/** Gives back what was sent, in the same order. */
class EchoDatagrams implements Datagrams {
  readonly sent: Target[] = [];
  readonly #lengths: number[] = [];
  isClosed = false;

  send(datagram: Uint8Array, to: Target): Promise<void> {
    this.sent.push(to);
    this.#lengths.push(datagram.length);
    return Promise.resolve();
  }

  receive(): Promise<Received | null> {
    const length = this.isClosed ? undefined : this.#lengths.shift();
    return Promise.resolve(length === undefined ? null : { length, from: TARGET });
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function tolled(leftBytes?: number) {
  const inner = new EchoDatagrams();
  const booth = new BoothDouble(leftBytes);
  const admitted: Target[] = [];
  const watch = {
    clock: new FakeClock(),
    bytes: 0,
    ends: 0,
    carried(_direction: "up" | "down", bytes: number) {
      watch.bytes += bytes;
      return undefined;
    },
    paceMs: () => 0,
    ended: () => void watch.ends++,
    admitTarget(to: Target) {
      admitted.push(to);
      if (to.port === 25) throw new DialError("denied", "port 25 is closed");
    },
  };
  return { inner, booth, watch, admitted, datagrams: new TollDatagrams(inner, booth.toll(), watch) };
}

Deno.test("Datagrams are paid for both ways, and a received one counts once the next is asked for", async () => {
  const { booth, watch, datagrams } = tolled(1000);
  await datagrams.send(new Uint8Array(100), TARGET);
  assertEquals(booth.passed, { up: 100, down: 0 });
  assertEquals((await datagrams.receive(new Uint8Array(1500)))?.length, 100);
  assertEquals([booth.passed.down, booth.asideBytes], [0, 100]);
  assertEquals(await datagrams.receive(new Uint8Array(1500)), null);
  assertEquals([booth.passed.down, booth.asideBytes, watch.bytes], [100, 0, 200]);
  datagrams.close();
});

Deno.test("A datagram there is no money for is not sent, and ends the socket", async () => {
  const { inner, booth, watch, datagrams } = tolled(150);
  await datagrams.send(new Uint8Array(100), TARGET);
  const error = await assertRejects(() => datagrams.send(new Uint8Array(100), TARGET), DialError);
  assertEquals(error.code, "unpaid");
  assertEquals([inner.sent.length, inner.isClosed, watch.ends], [1, true, 1]);
  assertEquals([booth.passed.up, booth.leftBytes, booth.openTolls, booth.asideBytes], [100, 50, 0, 0]);
});

Deno.test("A datagram waits for money, and is sent whole", async () => {
  const { inner, booth, datagrams } = tolled(50);
  booth.refills.push(30, 1000);
  await datagrams.send(new Uint8Array(100), TARGET);
  assertEquals([inner.sent.length, booth.passed.up], [1, 100]);
  datagrams.close();
});

Deno.test("Every destination is looked at, and one that is refused ends nothing", async () => {
  const { inner, admitted, datagrams } = tolled();
  for (let turn = 0; turn < 3; turn++) await datagrams.send(new Uint8Array(1), TARGET);
  await assertRejects(() => datagrams.send(new Uint8Array(1), { host: "192.0.2.1", port: 25 }), DialError);
  await datagrams.send(new Uint8Array(1), TARGET);
  assertEquals([inner.sent.length, admitted.length], [4, 2]);
  datagrams.close();
});

Deno.test("What was received and not taken is not charged when the socket closes", async () => {
  const { booth, datagrams } = tolled(1000);
  await datagrams.send(new Uint8Array(100), TARGET);
  await datagrams.receive(new Uint8Array(1500));
  datagrams.close();
  assertEquals([booth.passed.down, booth.leftBytes, booth.openTolls], [0, 900, 0]);
});
