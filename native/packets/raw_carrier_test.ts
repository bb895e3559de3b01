/** Raw carriers on loopback: each look, each way, both families. What goes over a real wire: tests/netns/raw_carrier_test.ts. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type CarrierOptions, isFlagged } from "../../protocol/carrier_options.ts";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PortSpan } from "../../protocol/port_span.ts";
import { randomOf } from "../../protocol/random.ts";
import { parseFlags } from "../../protocol/tcp_look/flags.ts";
import { type LookName, lookNames } from "../../protocol/tcp_look/look_name.ts";
import { CarrierListener, testPacketCarrierContract } from "../../testing/packet_carrier_contract.ts";
import { testWith } from "../../testing/requirements.ts";
import { openRawCarrier } from "./open_raw_carrier.ts";

const surroundings = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
const needs = { root: true };

function optionsOf(options: Partial<CarrierOptions>): CarrierOptions {
  return { kind: "raw", ...surroundings, ...options };
}

async function pair(host: string, options: Partial<CarrierOptions>, farPorts: CarrierOptions["listen"] = {}) {
  const far = await openRawCarrier(optionsOf({ ...options, listen: { host, ...farPorts } }));
  const span = { first: far.localPorts[0]!, count: far.localPorts.length };
  const near = await openRawCarrier(optionsOf({ ...options, peer: { host, ports: span } }));
  return {
    near,
    far,
    farHost: host,
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

const cases: readonly { look: LookName; send: "ip" | "packet"; host: string }[] = [
  ...lookNames.map((look) => ({ look, send: "ip" as const, host: "127.0.0.1" })),
  { look: "ours", send: "packet", host: "127.0.0.1" },
  { look: "paqet", send: "packet", host: "127.0.0.1" },
  { look: "ours", send: "packet", host: "::1" },
  { look: "ours", send: "ip", host: "::1" },
  { look: "paqet", send: "ip", host: "::1" },
];

for (const { look, send, host } of cases) {
  testPacketCarrierContract(`raw packets like ${look} by ${send}, ${host}`, {
    setUp: () => pair(host, { look, send }),
    test: (name, run) => testWith(needs, name, run),
  });
}

testWith(needs, "a raw server takes every port of its span, and answers from the one that was asked", async () => {
  await using ends = await pair("127.0.0.1", {}, { ports: freeSpan(4) });
  const { near, far } = ends;
  const nearEnd = new CarrierListener(near), farEnd = new CarrierListener(far);
  farEnd.onPacket = (bytes, from) => farEnd.send(bytes, from);
  for (const [index, port] of far.localPorts.entries()) {
    nearEnd.send(Uint8Array.of(index), near.place("127.0.0.1", port));
    await nearEnd.until(index + 1);
    assertEquals(nearEnd.places[index]!.port, port);
  }
  assertEquals(new Set(farEnd.places.map(({ key }) => key)).size, 4);
});

testWith(needs, "a raw server serves several clients, each answered at its own place", async () => {
  await using ends = await pair("127.0.0.1", {});
  const { far } = ends, peer = { host: "127.0.0.1", ports: far.localPorts[0]! };
  await using other = await openRawCarrier(optionsOf({ peer }));
  const farEnd = new CarrierListener(far);
  farEnd.onPacket = (bytes, from) => farEnd.send(bytes, from);
  for (const [index, near] of [ends.near, other].entries()) {
    const nearEnd = new CarrierListener(near);
    nearEnd.send(Uint8Array.of(index), near.place("127.0.0.1", far.localPorts[0]!));
    await nearEnd.until(1);
    assertEquals([...nearEnd.packets[0]!], [index]);
  }
  assertEquals(new Set(farEnd.places.map(({ key }) => key)).size, 2);
});

testWith(needs, "packets of one place carry the flags that were chosen for it", async () => {
  await using ends = await pair("127.0.0.1", { look: "paqet", flags: ["PA", "A"] });
  const { near, far } = ends;
  const nearEnd = new CarrierListener(near), farEnd = new CarrierListener(far);
  assert(isFlagged(near));
  const place = near.place("127.0.0.1", far.localPorts[0]!);
  near.useFlags(place, [parseFlags("FPA"), parseFlags("UA")]);
  for (let count = 1; count <= 3; count++) {
    nearEnd.send(Uint8Array.of(count), place);
    await farEnd.until(count);
  }
});

testWith(needs, "a packet too long for its way is lost, counted and told once", async () => {
  const told: string[] = [];
  const log = { ...silentLog, warn: (text: string) => void told.push(text) };
  await using ends = await pair("127.0.0.1", { send: "ip", log });
  const { near, far } = ends;
  const nearEnd = new CarrierListener(near), farEnd = new CarrierListener(far);
  const place = near.place("127.0.0.1", far.localPorts[0]!);
  // Loopback takes 65,536 bytes, IPv4 no more than 65,535.
  for (let count = 0; count < 2; count++) nearEnd.send(new Uint8Array(65_536), place);
  nearEnd.send(Uint8Array.of(7), place);
  await farEnd.until(1);
  assertEquals(farEnd.packets.map((packet) => packet.length), [1]);
  assertEquals(near.counters.lostPackets, 2);
  assertEquals(told.filter((text) => text.includes("does not fit")).length, 1);
});

testWith(needs, "a port that is in use is refused, with nothing left behind", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ports = (listener.addr as Deno.NetAddr).port;
  await assertRejects(() => openRawCarrier(optionsOf({ listen: { ports } })), CulvertError);
});

testWith(needs, "an interface that is not there is refused", async () => {
  await assertRejects(() => openRawCarrier(optionsOf({ interface: "nowhere0" })), CulvertError, "there must be one");
});

/** Ports in a row that are free now. */
function freeSpan(count: number): PortSpan {
  for (;;) {
    using stack = new DisposableStack();
    const listen = (port: number) =>
      (stack.use(Deno.listen({ hostname: "127.0.0.1", port })).addr as Deno.NetAddr).port;
    const first = listen(0);
    try {
      for (let port = first + 1; port < first + count; port++) listen(port);
      return { first, count };
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse || error instanceof TypeError)) throw error;
    }
  }
}
