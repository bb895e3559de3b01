/** Pinging a KCP server in memory, through loss, a narrow path and with the wrong key. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { kcpModes } from "../../protocol/kcp/kcp_options.ts";
import type { CryptName } from "../../protocol/packet_layer/crypt.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { type PacketFate, PacketNetwork } from "../../testing/memory_carrier.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { findMtu, KcpPinger } from "./kcp_pinger.ts";
import { KcpServer } from "./kcp_server.ts";
import { openPacketSeal } from "./packet_seal.ts";

interface Scene {
  readonly clock: FakeClock;
  readonly network: PacketNetwork;
  readonly pinger: KcpPinger;
}

async function withServer(
  { crypt = "aes", isRightKey = true, ...fate }: Partial<PacketFate> & { crypt?: CryptName; isRightKey?: boolean },
  run: (scene: Scene) => Promise<void>,
): Promise<void> {
  const clock = new FakeClock();
  const random = new SeededRandom(5);
  const network = new PacketNetwork({ clock, random, ...fate });
  const key = new Uint8Array(32).fill(7);
  const sealOf = (key: Uint8Array<ArrayBuffer>) => openPacketSeal({ crypt, key, random, isPortable: true });
  using seal = await sealOf(key);
  using wrong = await sealOf(key.map((byte) => byte + 1));
  const server = new KcpServer({
    carrier: network.carrier("10.0.0.2", 2000),
    kcp: { ...kcpModes.fast3, mtuBytes: 1350, sendWindow: 128, receiveWindow: 128 },
    seal,
    clock,
    onLink: (link) => link.start({ fill: () => 0, onBytes() {}, wantsBytes: () => true, onClose() {} }),
  });
  await using carrier = network.carrier("10.0.0.1", 1000);
  const pinger = new KcpPinger({
    carrier,
    host: "10.0.0.2",
    port: 2000,
    seal: isRightKey ? seal : wrong,
    clock,
    random,
  });
  await run({ clock, network, pinger });
  server[Symbol.dispose]();
}

for (const crypt of ["aes", "none", "null", "aes-128-gcm"] as const) {
  Deno.test(`a server that speaks KCP answers, and how long it took is told (${crypt})`, async () => {
    await withServer({ crypt, delayMs: 20 }, async ({ clock, pinger }) => {
      for (let round = 0; round < 3; round++) {
        const pong = await clock.runUntil(pinger.ping({ timeoutMs: 1000 }));
        assert(pong && pong.roundTripMs >= 40 && pong.roundTripMs <= 55, `${pong?.roundTripMs}`);
      }
      const { most } = pinger.payloadRange;
      assertEquals((await clock.runUntil(pinger.ping({ payloadBytes: most, timeoutMs: 1000 })))?.payloadBytes, most);
    });
  });
}

Deno.test("with another key nobody answers", async () => {
  await withServer({ isRightKey: false }, async ({ clock, pinger }) => {
    assertEquals(await clock.runUntil(pinger.ping({ timeoutMs: 500 })), undefined);
    assertEquals(await clock.runUntil(findMtu(pinger)), undefined);
  });
});

Deno.test("the longest datagram is found, through loss too", async () => {
  const drops = (packet: Uint8Array) => packet.length > 1403;
  await withServer({ delayMs: 30, lossShare: 0.02, drops }, async ({ clock, pinger }) => {
    assertEquals(await clock.runUntil(findMtu(pinger)), 1403);
  });
});

Deno.test("whatever comes from there does no harm, and is no answer", async () => {
  const clock = new FakeClock();
  const random = new SeededRandom(7);
  const network = new PacketNetwork({ clock, random });
  await using near = network.carrier("10.0.0.1", 1000);
  await using far = network.carrier("10.0.0.2", 2000);
  using seal = await openPacketSeal({ crypt: "null", key: new Uint8Array(32), random, isPortable: true });
  const pinger = new KcpPinger({ carrier: near, host: "10.0.0.2", port: 2000, seal, clock, random });
  let asked = new Uint8Array(0);
  far.start({
    onPacket: (slab, start, end) => asked = slab.bytes.slice(start, end),
    onTurn() {},
    onClose() {},
  });
  const answered = pinger.ping({ timeoutMs: 10_000 });
  await clock.advanceAsync(1);
  const place = far.place("10.0.0.1", 1000);
  const send = (bytes: Uint8Array) => {
    const at = far.reserve(bytes.length);
    far.slab.bytes.set(bytes, at);
    far.commit(bytes.length, place);
    far.flush();
  };
  // An acknowledgement of the same conversation for another time, and what no KCP sends.
  const ack = asked.slice(0, 24);
  ack[4] = 82;
  ack[8]! ^= 1;
  for (let round = 0; round < 200; round++) send(random.fill(new Uint8Array(1 + round)));
  for (const bytes of [ack, asked, ack.slice(0, 20), Uint8Array.of(...ack, ...ack.slice(0, 7))]) send(bytes);
  const long = ack.slice();
  long.fill(255, 20);
  send(long);
  await clock.advanceAsync(10_000);
  assertEquals(await answered, undefined);
});

Deno.test("a ping ends with its signal, and with the carrier", async () => {
  await withServer({ lossShare: 1 }, async ({ clock, pinger }) => {
    const stop = new AbortController();
    const stopped = pinger.ping({ timeoutMs: 60_000, signal: stop.signal });
    stop.abort(new Error("enough"));
    await assertRejects(() => stopped, Error, "enough");
    const cut = pinger.ping({ timeoutMs: 60_000 });
    await clock.advanceAsync(10);
    await assertRejects(() => Promise.race([cut, pinger.ping({ payloadBytes: 5, timeoutMs: 10 })]), Error, "must be");
    await clock.advanceAsync(60_000);
    assertEquals(await cut, undefined);
  });
});
