/** Routes over relays without sockets, in no time: how they are got, renewed, and found again. */

import { assert, assertEquals, assertLessOrEqual, assertNotEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { clientKeys, clientSecret } from "../../protocol/sealed_route/access.ts";
import {
  placeOf,
  PureRelay,
  type PureRelayOptions,
  RoutedNetwork,
} from "../../protocol/sealed_route/fixtures/routed_network.ts";
import { RouteStatus } from "../../protocol/sealed_route/question.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { assertDecoderSurvives } from "../../testing/fuzz.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { CarrierNetwork, type NetworkCarrier } from "./fixtures/network_carrier.ts";
import { ReturningCarrier } from "./returning_carrier.ts";
import { RoutedCarrier } from "./routed_carrier.ts";

const CLIENT = "192.0.2.10:4000", SERVER = "198.51.100.20:7000";
const R1 = "192.0.2.1:9000", R2 = "192.0.2.2:9000", R3 = "192.0.2.3:9000";
const key = (seed: number) => new SeededRandom(seed).fill(new Uint8Array(32));

/** A client and a server that echoes, on a network of relays. */
class Rig implements Disposable {
  readonly clock = new FakeClock();
  readonly random = new SeededRandom(3);
  readonly net = new RoutedNetwork();
  readonly carriers = new CarrierNetwork(this.net, this.clock);
  readonly inner: NetworkCarrier = this.carriers.carrier(CLIENT);
  readonly server = new ReturningCarrier(this.carriers.carrier(SERVER), { mostHops: 4 });
  readonly client: RoutedCarrier;
  readonly heard: string[] = [];
  /** The keys of the places that the server heard of. */
  readonly clients = new Set<string>();
  #place: PacketPlace | undefined;

  constructor(hops: readonly (readonly string[])[]) {
    this.client = new RoutedCarrier(this.inner, {
      hops: hops.map((addresses, index) => ({
        keys: clientKeys(clientSecret(key(index + 1), "alice")),
        addresses: addresses.map(placeOf),
      })),
      ...{ clock: this.clock, random: this.random, log: silentLog, metrics: noMetrics },
      suite: portableWireGuardCrypto,
    });
    this.client.start(receiver(this.client, (text) => void this.heard.push(text)));
    this.server.start(receiver(this.server, (text, from) => {
      this.clients.add(from.key);
      sendText(this.server, text, from);
    }));
  }

  relay(at: string, keySeed: number, options: Partial<PureRelayOptions> = {}): PureRelay {
    const relay = new PureRelay({ relayKey: key(keySeed), random: this.random, ...options });
    this.net.relays.set(at, relay);
    return relay;
  }

  say(text: string): void {
    this.#place ??= this.client.place("198.51.100.20", 7000);
    sendText(this.client, text, this.#place);
  }

  /** Says something every 100 ms, and gives after how many milliseconds it was echoed. */
  echoedAfterMs(): number {
    const startMs = this.clock.now(), mark = crypto.randomUUID();
    for (let turn = 0; turn < 300; turn++) {
      this.say(mark);
      this.clock.advance(100);
      if (this.heard.includes(mark)) return this.clock.now() - startMs;
    }
    throw new Error("Nothing was echoed in 30 s");
  }

  [Symbol.dispose](): void {
    this.client.close();
    this.server.close();
    assertEquals(this.clock.pendingTimers, 0);
  }
}

function receiver(carrier: PacketCarrier, hear: (text: string, from: PacketPlace) => void): CarrierHandlers {
  return {
    onPacket: (slab, start, end, from) => hear(new TextDecoder().decode(slab.bytes.subarray(start, end)), from),
    onTurn: () => carrier.flush(),
    onClose() {},
  };
}

function sendText(carrier: PacketCarrier, text: string, to: PacketPlace): void {
  const bytes = new TextEncoder().encode(text);
  carrier.slab.bytes.set(bytes, carrier.reserve(bytes.length));
  carrier.commit(bytes.length, to);
  carrier.flush();
}

for (const hops of [[[R1]], [[R1], [R2]], [[R1], [R2], [R3], ["192.0.2.4:9000"]]]) {
  Deno.test(`what is said first waits for its route: ${hops.length} relays`, () => {
    using rig = new Rig(hops);
    hops.forEach(([at], index) => rig.relay(at!, index + 1));
    for (const text of ["one", "two"]) rig.say(text);
    rig.clock.advance(200);
    rig.say("three");
    rig.clock.advance(50);
    assertEquals(rig.heard, ["one", "two", "three"]);
    assertEquals(rig.clients.size, 1);
  });
}

Deno.test("tickets are renewed while a route is used, and the server knows the client by one name", () => {
  using rig = new Rig([[R1], [R2]]);
  const relays = [rig.relay(R1, 1, { lifetimeMs: 60_000 }), rig.relay(R2, 2, { lifetimeMs: 60_000 })];
  let said = 0;
  for (let ms = 0; ms < 600_000; ms += 500) {
    rig.say(`${said++}`);
    rig.clock.advance(500);
  }
  rig.clock.advance(100);
  assertEquals(rig.heard.length, said);
  assertEquals(rig.clients.size, 1);
  for (const { desk } of relays) assert(desk.answered[RouteStatus.granted]! > 15);
});

Deno.test("a relay that starts again with its key loses what was under way and nothing else", () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1);
  rig.echoedAfterMs();
  rig.net.relays.delete(R1);
  rig.say("lost");
  rig.clock.advance(100);
  const relay = rig.relay(R1, 1);
  assertEquals(rig.echoedAfterMs(), 100);
  assertEquals(relay.desk.answered[RouteStatus.granted], 0);
});

Deno.test("when our address changes or another relay of the key has to take over, it takes seconds", () => {
  const faults: readonly (readonly [string, (rig: Rig) => void])[] = [
    ["our address", (rig) => rig.inner.address = "203.0.113.5:999"],
    ["the first relay", (rig) => rig.net.relays.delete(R1)],
    ["the second relay", (rig) => rig.net.relays.delete(R2)],
  ];
  for (const [what, fault] of faults) {
    using rig = new Rig([[R1, "192.0.2.101:9000"], [R2, "192.0.2.102:9000"]]);
    for (const at of [R1, "192.0.2.101:9000"]) rig.relay(at, 1);
    for (const at of [R2, "192.0.2.102:9000"]) rig.relay(at, 2);
    rig.echoedAfterMs();
    fault(rig);
    assertLessOrEqual(rig.echoedAfterMs(), 5000, what);
    assertEquals(rig.clients.size, 1);
  }
});

Deno.test("after an hour in which nobody used it, a route is had again at once", () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1);
  rig.echoedAfterMs();
  rig.clock.advance(3_600_000);
  rig.inner.address = "203.0.113.5:999";
  assertLessOrEqual(rig.echoedAfterMs(), 1000);
});

Deno.test("nothing is asked while nobody uses a route", () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1);
  rig.echoedAfterMs();
  rig.clock.advance(30_000);
  const { sentPackets } = rig.inner.counters;
  rig.clock.advance(3_600_000);
  assertEquals(rig.inner.counters.sentPackets, sentPackets);
});

Deno.test("a place that a relay does not lead to is refused in words", async () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1, { rules: ["203.0.113.0/24"] });
  const reached = rig.client.reach("198.51.100.20", 7000);
  rig.clock.advance(100);
  const error = await assertRejects(() => reached, CulvertError, "does not lead to 198.51.100.20:7000");
  assertEquals(error.code, "route_closed");
});

Deno.test("a relay that is not there is a timeout, and a clock that is wrong is no matter", async () => {
  using rig = new Rig([[R1]]);
  const reached = rig.client.reach("198.51.100.20", 7000);
  rig.clock.advance(11_000);
  assertEquals((await assertRejects(() => reached, CulvertError)).code, "timeout");
  const relay = rig.relay(R1, 1);
  const receive = relay.receive.bind(relay);
  relay.receive = (bytes, from, time) => receive(bytes, from, { ...time, wallMs: time.wallMs + 7_200_000 });
  assertLessOrEqual(rig.echoedAfterMs(), 2000);
  assertNotEquals(relay.desk.answered[RouteStatus.clock], 0);
});

Deno.test("no bytes disturb either end", () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1);
  rig.echoedAfterMs();
  const [client, server] = [...rig.carriers.carriers];
  assertDecoderSurvives((bytes) => client!.deliver(bytes, R1), { maxLength: 300 });
  assertDecoderSurvives((bytes) => server!.deliver(bytes, R1), { maxLength: 300 });
  assertEquals(rig.echoedAfterMs(), 100);
});

Deno.test("made-up clients drive out none that was answered", () => {
  using rig = new Rig([[R1]]);
  rig.relay(R1, 1);
  rig.server.start(receiver(rig.server, (text, from) => {
    if (text !== "made up") sendText(rig.server, text, from);
  }));
  rig.echoedAfterMs();
  const [, server] = [...rig.carriers.carriers];
  const text = new TextEncoder().encode("made up");
  for (let count = 0; count < 5000; count++) {
    const bytes = rig.random.fill(new Uint8Array(72 + text.length));
    bytes[0] = 0b00_001_001;
    bytes.set(text, 72);
    server!.deliver(bytes, R2);
  }
  assertEquals(rig.echoedAfterMs(), 100);
});
