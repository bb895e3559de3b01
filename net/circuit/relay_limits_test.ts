import { assert, assertEquals, assertLessOrEqual, assertMatch, assertRejects } from "@std/assert";
import { createMetrics } from "../../edge/metrics.ts";
import { CELL_BYTES, CircuitStatus } from "../../protocol/circuit/cell.ts";
import { MAX_RELAY_GATEWAYS } from "../../protocol/directory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { type Path, readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { LazyOwner } from "../../bench/load/lazy_owner.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { memoryStreamPair } from "../memory.ts";
import { CircuitNetwork, CircuitOwnerEnd, gatewayHop, newIdentity, relayHop } from "./fixtures/circuit_network.ts";
import { FIRST_WINDOW_BYTES } from "./circuit_mux.ts";
import { echoPath, floodPath } from "./fixtures/targets.ts";
import { row, TARGET } from "./fixtures/relay_row.ts";

Deno.test("what is beyond a limit is refused as busy, and counted", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { identity } = network.addRelay({ metrics, limits: { maxCircuits: 2, maxCircuitsPerAddress: 2 } });
  const owner = await network.addOwner(identity);
  const hops = [relayHop(identity)];
  const held = [await owner.build(hops), await owner.build(hops)];
  await assertRejects(() => owner.build(hops), Error, `hop 1: ${CircuitStatus.BUSY}`);
  assertMatch(await metrics.text(), /circuit_relay_refused_total{reason="busy"} 1\n/);
  for (const { stream } of held) stream.close();
  const other = network.addRelay({ limits: { clientCircuits: { perSecond: 0.001, burst: 1, slots: 8 } } });
  const fast = await network.addOwner(other.identity);
  const one = await fast.build([relayHop(other.identity)]);
  await assertRejects(() => fast.build([relayHop(other.identity)]), Error, `hop 1: ${CircuitStatus.BUSY}`);
  const entry = network.addRelay();
  const next = network.addRelay({ limits: { relayCircuits: { perSecond: 0.001, burst: 1, slots: 8 } } });
  const through = await network.addOwner(entry.identity);
  const both = [relayHop(entry.identity), relayHop(next.identity)];
  const two = await through.build(both);
  await assertRejects(() => through.build(both), Error, `hop 2: ${CircuitStatus.BUSY}`);
  for (const { stream } of [one, two]) stream.close();
});

Deno.test("one address cannot have more than half of a relay's circuits, under however many names", async () => {
  await using network = new CircuitNetwork();
  const { identity, server } = network.addRelay({ limits: { maxCircuits: 4 } });
  const hops = [relayHop(identity)];
  const held = [];
  for (let count = 0; count < 2; count++) held.push(await (await network.addOwner(identity)).build(hops));
  const third = await network.addOwner(identity);
  await assertRejects(() => third.build(hops), Error, `hop 1: ${CircuitStatus.BUSY}`);
  held[0]!.stream.close();
  await eventually("one is over", () => server.circuitCount === 1);
  held.push(await third.build(hops));
  for (const { stream, owner } of held) {
    stream.close();
    owner[Symbol.dispose]();
  }
});

Deno.test("a relay that has as many gateways as it may tell of takes no others, and goes on to tell of these", async () => {
  await using network = new CircuitNetwork();
  const { identity, server } = network.addRelay();
  const relays = [identity.peerId];
  const first = Array.from({ length: MAX_RELAY_GATEWAYS }, () => network.addGateway(echoPath(), { relays }));
  await eventually("all have links", () => server.linkCount("gateway") === MAX_RELAY_GATEWAYS);
  const { url } = network.directory.find("relay", identity.peerId)!;
  const stranger = {
    entry: identity,
    identity: newIdentity(),
    suite: portableWireGuardCrypto,
    role: "gateway",
  } as const;
  await assertRejects(() => CircuitOwnerEnd.link(url, stranger), CulvertError, "busy");
  assertEquals(
    new Set(server.gateways().map(({ gatewayId }) => gatewayId)),
    new Set(first.map(({ identity: { peerId } }) => peerId)),
  );
});

Deno.test("a client's link on which there are no circuits is closed in the end", async () => {
  await using network = new CircuitNetwork();
  const { identity, server } = network.addRelay({ limits: { idleLinkMs: 50 } });
  const owner = await network.addOwner(identity);
  await within("its end", owner.connection.ended);
  assertEquals(server.linkCount("client"), 0);
});

Deno.test("links beyond what one client, one address or all may have are refused, and counted", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { identity } = network.addRelay({ metrics, limits: { maxLinksPerPeer: 1, maxLinksPerAddress: 2 } });
  const client = newIdentity();
  await network.addOwner(identity, client);
  await assertRejects(() => network.addOwner(identity, client), CulvertError, "busy");
  await network.addOwner(identity);
  await assertRejects(() => network.addOwner(identity), CulvertError, "busy");
  const full = network.addRelay({ metrics, limits: { maxClientLinks: 0 } });
  await assertRejects(() => network.addOwner(full.identity), CulvertError, "busy");
  const asked = network.addRelay({ metrics, limits: { addressRequests: { perSecond: 0.001, burst: 1 } } });
  await network.addOwner(asked.identity);
  await assertRejects(() => network.addOwner(asked.identity), CulvertError, "busy");
  const blocking = network.addRelay({ metrics, limits: { isBlocked: (peerId) => peerId === client.peerId } });
  await assertRejects(() => network.addOwner(blocking.identity, client), CulvertError, "403");
  for (const reason of ["links_of_peer", "links_of_address", "links", "requests_of_address", "blocked"]) {
    assertMatch(await metrics.text(), new RegExp(`circuit_relay_links_refused_total{reason="${reason}"} 1\n`));
  }
});

Deno.test("links that come at the same time are held to the limits too", async () => {
  await using network = new CircuitNetwork();
  const { identity, server } = network.addRelay({ limits: { maxLinksPerPeer: 2 } });
  const client = newIdentity();
  const coming = Array.from({ length: 8 }, () => network.addOwner(identity, client));
  const owners = (await Promise.allSettled(coming)).flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
  const open = () => owners.filter(({ connection }) => !connection.closed).length;
  await eventually("two are left", () => open() === 2 && server.linkCount("client") === 2);
  for (const owner of owners) await owner.end();
  await eventually("none is", () => server.linkCount("client") === 0);
});

Deno.test("a circuit that nobody extends, and one on which nothing moves, end after a while", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { relays: [last], hops } = await row(network, 1);
  const halfBuilt = network.addRelay({ metrics, limits: { buildTimeoutMs: 500 } });
  const idle = network.addRelay({ metrics, limits: { idleTimeoutMs: 500 } });
  const one = await (await network.addOwner(halfBuilt.identity)).build([relayHop(halfBuilt.identity)]);
  await assertRejects(() => one.stream.readable(1), CulvertError, "cut");
  const two = await (await network.addOwner(idle.identity)).build([relayHop(idle.identity), ...hops]);
  await assertRejects(() => two.stream.readable(2 * CELL_BYTES), CulvertError, "cut");
  assertMatch(await metrics.text(), /circuit_relay_circuits_total{outcome="limit"} 2\n/);
  await eventually("the rest of it too", () => last!.server.circuitCount === 0);
});

Deno.test("an owner that never reads is held up by itself: little is kept for it, and others go on", async () => {
  await using network = new CircuitNetwork();
  let writtenBytes = 0;
  const { relays: [first, second], hops } = await row(network, 2, {
    onward: floodPath((count) => writtenBytes += count),
    limits: { windowBytes: 0 },
  });
  const lazy = await network.addOwner(first!.identity);
  using owner = new LazyOwner(lazy.linkOver(await lazy.build(hops)));
  await within("the first bytes", owner.ask(TARGET));
  let before = -1;
  await eventually("the target is held up", () => before === (before = writtenBytes));
  for (const { server } of [first!, second!]) assertLessOrEqual(server.bufferedBytes, FIRST_WINDOW_BYTES);
  const other = lazy.path(hops);
  using stream = await other.dial(TARGET);
  assert(await readFull(stream, new Uint8Array(1_000_000)));
});

Deno.test("a circuit whose owner does not read is cut after a while", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { relays: [last], hops } = await row(network, 1, { onward: floodPath() });
  const entry = network.addRelay({ metrics, limits: { stallTimeoutMs: 100 } });
  const lazy = await network.addOwner(entry.identity);
  using owner = new LazyOwner(lazy.linkOver(await lazy.build([relayHop(entry.identity), ...hops])));
  await owner.ask(TARGET);
  await eventually("it is over", () => entry.server.circuitCount + last!.server.circuitCount === 0);
  assertMatch(await metrics.text(), /circuit_relay_circuits_total{outcome="limit"} 1\n/);
});

Deno.test("a gateway ends the circuits that make it keep the most when that is too much, and no others", async () => {
  await using network = new CircuitNetwork();
  const { identity } = network.addRelay();
  const echo = echoPath();
  const deaf: Stream[] = [];
  const onward: Path = {
    ...echo,
    dial(target) {
      if (target.host !== "deaf") return echo.dial(target);
      const [near, far] = memoryStreamPair();
      deaf.push(far);
      return Promise.resolve(near);
    },
  };
  const limits = { maxBufferedBytes: 128 * 1024 };
  const gateway = network.addGateway(onward, { relays: [identity.peerId], limits });
  await eventually("the gateway's link", () => gateway.server.relaysUp().length === 1);
  const hops = [relayHop(identity), gatewayHop(gateway.identity)];
  const owner = await network.addOwner(identity);
  const [good, bad] = [owner.path(hops), owner.path(hops)];
  using talk = await good.dial(TARGET);
  using flood = await bad.dial({ host: "deaf", port: 1 });
  await assertRejects(() => within("its end", writeAll(flood, new Uint8Array(8_000_000))), CulvertError);
  await writeAll(talk, Uint8Array.of(7));
  assert(await readFull(talk, new Uint8Array(1)));
  for (const stream of deaf) stream.close();
});
