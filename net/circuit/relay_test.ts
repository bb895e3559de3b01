import { assert, assertEquals, assertLessOrEqual, assertMatch, assertRejects } from "@std/assert";
import { createMetrics } from "../../edge/metrics.ts";
import { CELL_BYTES, CellCommand, CircuitEnd, CircuitStatus, encodeCreate } from "../../protocol/circuit/cell.ts";
import { FAULT } from "../../protocol/circuit/hop.ts";
import { HopInitiator } from "../../protocol/circuit/handshake.ts";
import { MAX_RELAY_GATEWAYS } from "../../protocol/directory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { Slab } from "../../protocol/slab.ts";
import { type Path, readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { portableWireGuardCrypto, type WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { LazyOwner } from "../../bench/load/lazy_owner.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { memoryStreamPair } from "../memory.ts";
import { CircuitNetwork, CircuitOwnerEnd, gatewayHop, newIdentity, relayHop } from "./fixtures/circuit_network.ts";
import { relayPlaces } from "../relay_places.ts";
import { FIRST_WINDOW_BYTES } from "./circuit_mux.ts";
import type { RelayLimits } from "./relay.ts";
import { echoPath, floodPath } from "./fixtures/targets.ts";

const TARGET = { host: "secret-target.example", port: 4711 };

async function withEcho(path: Path, text: string): Promise<string> {
  using stream = await path.dial(TARGET);
  await writeAll(stream, new TextEncoder().encode(text));
  const back = new Uint8Array(text.length);
  assert(await readFull(stream, back));
  return new TextDecoder().decode(back);
}

/** Relays in a row, and a gateway that has a link to the last. */
async function row(network: CircuitNetwork, count: number, options: { onward?: Path; limits?: RelayLimits } = {}) {
  const { onward = echoPath(), limits = {} } = options;
  const relays = Array.from({ length: count }, () => network.addRelay({ limits }));
  const gateway = network.addGateway(onward, { relays: [relays.at(-1)!.identity.peerId] });
  await eventually("the gateway's link", () => gateway.server.relaysUp().length === 1);
  const hops = [...relays.map(({ identity }) => relayHop(identity)), gatewayHop(gateway.identity)];
  return { relays, gateway, hops };
}

for (const count of [1, 2, 10]) {
  Deno.test(`streams and datagrams go both ways through ${count} relays and a gateway`, async () => {
    await using network = new CircuitNetwork();
    const { relays, gateway, hops } = await row(network, count);
    const owner = await network.addOwner(relays[0]!.identity);
    const path = owner.path(hops);
    assertEquals(await withEcho(path, "hello there"), "hello there");
    using stream = await path.dial(TARGET);
    const sent = new SeededRandom(count).fill(new Uint8Array(300_000));
    const back = new Uint8Array(sent.length);
    await Promise.all([writeAll(stream, sent), readFull(stream, back)]);
    assertEquals(back, sent);
    using datagrams = await path.datagrams();
    await datagrams.send(Uint8Array.of(1, 2, 3), TARGET);
    const packet = await datagrams.receive(new Uint8Array(2000));
    assertEquals([packet?.length, packet?.from], [3, TARGET]);
    assertEquals([relays[0]!.server.circuitCount, gateway.server.circuitCount], [1, 1]);
  });
}

Deno.test("circuits of many clients share one link for each pair of relays", async () => {
  await using network = new CircuitNetwork();
  const { relays: [first, second, third], gateway, hops } = await row(network, 3);
  const owners = await Promise.all(Array.from({ length: 8 }, () => network.addOwner(first!.identity)));
  const paths = owners.flatMap((owner) => [owner.path(hops), owner.path(hops)]);
  assertEquals(
    await Promise.all(paths.map((path, at) => withEcho(path, `number ${at}`))),
    paths.map((_, at) => `number ${at}`),
  );
  assertEquals([first!.server, second!.server, third!.server].map((relay) => relay.linkCount("relay")), [1, 2, 1]);
  assertEquals([first!.server.linkCount("client"), third!.server.linkCount("gateway")], [8, 1]);
  assertEquals([first!.server.circuitCount, gateway.server.circuitCount], [16, 16]);
  // The other way round the link that is there does too.
  const back = [second!, first!].map(({ identity }) => relayHop(identity));
  const { stream } = await (await network.addOwner(second!.identity)).build(back);
  assertEquals(first!.server.linkCount("relay"), 1);
  stream.abort();
});

Deno.test("when a relay in the middle is lost both sides hear of it at once, and nothing is left", async () => {
  await using network = new CircuitNetwork();
  const { relays: [first, second, third], gateway, hops } = await row(network, 3, { onward: floodPath() });
  const owner = await network.addOwner(first!.identity);
  const path = owner.path(hops);
  using stream = await path.dial(TARGET);
  assert(await readFull(stream, new Uint8Array(1_000_000)));
  second!.server.close();
  const buffer = new Uint8Array(65_536);
  const error = await within(
    "the end of the stream",
    (async () => {
      for (;;) await stream.read(buffer);
    })().catch((error) => error),
  );
  assert(error instanceof CulvertError);
  path.close();
  for (const { server } of [first!, third!, gateway]) {
    await eventually("no circuit left", () => server.circuitCount === 0);
  }
});

Deno.test("the hop before one that is lost tells the owner so, in a cell that only the owner can read", async () => {
  await using network = new CircuitNetwork();
  const { relays: [first, second], hops } = await row(network, 2);
  const { stream, owner, ends } = await (await network.addOwner(first!.identity)).build(hops);
  second!.server.close();
  const slab = new Slab(CELL_BYTES);
  while (await stream.readable(CELL_BYTES)) {
    stream.readNow(slab.bytes);
    if (owner.open(slab, 1) === FAULT) break;
  }
  assertEquals(ends, [`hop 1: ${CircuitEnd.LOST}`]);
  owner[Symbol.dispose]();
});

Deno.test("a gateway that is lost and comes back is reached again, and is told of only while it is there", async () => {
  await using network = new CircuitNetwork();
  const { relays: [first, last], gateway, hops } = await row(network, 2);
  const owner = await network.addOwner(first!.identity);
  assertEquals(last!.server.gateways().map(({ gatewayId }) => gatewayId), [gateway.identity.peerId]);
  let changes = 0;
  last!.server.onGateways = () => changes++;
  gateway.server.close();
  await eventually("it is gone", () => last!.server.linkCount("gateway") === 0);
  assertEquals([last!.server.gateways(), changes], [[], 1]);
  await assertRejects(() => owner.build(hops), Error, `hop 3: ${CircuitStatus.UNKNOWN_HOP}`);
  const again = network.addGateway(echoPath(), { identity: gateway.identity, relays: [last!.identity.peerId] });
  await eventually("it is back", () => again.server.relaysUp().length === 1);
  assertEquals(await withEcho(owner.path(hops), "back"), "back");
});

Deno.test("a gateway keeps as many links as it is to, and dials another relay when one leaves the directory", async () => {
  await using network = new CircuitNetwork();
  for (let count = 0; count < 4; count++) network.addRelay();
  const { server } = network.addGateway(echoPath(), { links: 3 });
  await eventually("three links", () => server.relaysUp().length === 3);
  const left = server.relaysUp()[0]!;
  const { server: leaving } = network.relays.find(({ identity }) => identity.peerId === left)!;
  leaving.close();
  network.directory.remove(left);
  await eventually("three others", () => server.relaysUp().length === 3 && !server.relaysUp().includes(left));
});

Deno.test("an EXTEND to the relay itself, back to where it came from, or to nobody is refused, and counted", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const first = network.addRelay();
  const second = network.addRelay({ metrics });
  const owner = await network.addOwner(first.identity);
  const [one, two] = [relayHop(first.identity), relayHop(second.identity)];
  const rows = [
    { name: "itself", next: two, status: CircuitStatus.REFUSED },
    { name: "back", next: one, status: CircuitStatus.REFUSED },
    { name: "an unknown relay", next: relayHop(newIdentity()), status: CircuitStatus.UNKNOWN_HOP },
    { name: "an unknown gateway", next: gatewayHop(newIdentity()), status: CircuitStatus.UNKNOWN_HOP },
    { name: "a relay as a gateway", next: gatewayHop(first.identity), status: CircuitStatus.REFUSED },
  ];
  for (const { name, next, status } of rows) {
    await assertRejects(() => owner.build([one, two, next]), Error, `hop 3: ${status}`, name);
  }
  assertMatch(await metrics.text(), /circuit_relay_extends_total{status="refused"} 3\n/);
  assertMatch(await metrics.text(), /circuit_relay_extends_total{status="unknown_hop"} 2\n/);
  await eventually("no circuit left", () => second.server.circuitCount === 0);
});

Deno.test("a relay of the directory that cannot be reached is told as such, within the time for it", async () => {
  await using network = new CircuitNetwork();
  const { identity } = network.addRelay({ limits: { extendTimeoutMs: 200 } });
  const owner = await network.addOwner(identity);
  const [nobody, dumb] = [newIdentity(), newIdentity()];
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  network.directory.add(dumb, `http://127.0.0.1:${port}`);
  network.directory.add(nobody, "http://127.0.0.1:1");
  const accepted = listener.accept();
  const status = `hop 2: ${CircuitStatus.UNREACHABLE}`;
  await assertRejects(() => owner.build([relayHop(identity), relayHop(nobody)]), Error, status);
  const building = assertRejects(() => owner.build([relayHop(identity), relayHop(dumb)]), Error, status);
  (await accepted).close();
  await building;
});

Deno.test("a relay that is known by a public address does not dial what is listed at a private one", async () => {
  await using network = new CircuitNetwork();
  const resolver = { resolve: () => Promise.resolve([]) };
  const locate = relayPlaces({ near: ["https://8.8.8.8"], resolver });
  const { identity } = network.addRelay({ locate });
  const owner = await network.addOwner(identity);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const bait = newIdentity();
  network.directory.add(bait, `http://127.0.0.1:${port}`);
  let isReached = false;
  const accepting = listener.accept().then(() => isReached = true, () => {});
  const status = `hop 2: ${CircuitStatus.UNREACHABLE}`;
  await assertRejects(() => owner.build([relayHop(identity), relayHop(bait)]), Error, status);
  listener.close();
  await accepting;
  assertEquals(isReached, false);
});

Deno.test("what is no CREATE, a handshake for another, or none in time is refused, and the link goes on", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { identity, server } = network.addRelay({ metrics, limits: { handshakeTimeoutMs: 100 } });
  const owner = await network.addOwner(identity);
  const random = new SeededRandom(1);
  const garbage = owner.connection.open();
  await writeAll(garbage, random.fill(new Uint8Array(5000)));
  await assertRejects(() => garbage.readable(1), CulvertError, "cut");
  const silent = owner.connection.open();
  await writeAll(silent, Uint8Array.of(1));
  await assertRejects(() => silent.readable(1), CulvertError, "cut");
  await assertRejects(() => owner.build([relayHop(newIdentity())]), Error, `hop 1: ${CircuitStatus.REFUSED}`);
  // A position beyond what a relay may have.
  using initiator = new HopInitiator({ crypto: portableWireGuardCrypto, random }, relayHop(identity), 11);
  const beyond = owner.connection.open();
  await writeAll(beyond, encodeCreate(initiator.first!));
  assert(await beyond.readable(4));
  const answer = new Uint8Array(4);
  beyond.readNow(answer);
  assertEquals(answer[1], CircuitStatus.REFUSED);
  assertMatch(await metrics.text(), /circuit_relay_refused_total{reason="no_create"} 2\n/);
  assertMatch(await metrics.text(), /circuit_relay_refused_total{reason="refused"} 2\n/);
  const { stream } = await owner.build([relayHop(identity)]);
  assertEquals(server.circuitCount, 1);
  stream.close();
});

Deno.test("cells that are garbage, or against the rules, end their circuit and no other", async () => {
  const metrics = createMetrics();
  await using network = new CircuitNetwork();
  const { relays, hops } = await row(network, 1);
  const first = network.addRelay({ metrics });
  const owner = await network.addOwner(first.identity);
  const good = owner.path([relayHop(first.identity), ...hops]);
  assertEquals(await withEcho(good, "before"), "before");
  const toFirst = [relayHop(first.identity)];
  const garbage = await owner.build([...toFirst, relayHop(relays[0]!.identity)]);
  await writeAll(garbage.stream, new SeededRandom(2).fill(new Uint8Array(3 * CELL_BYTES)));
  await assertRejects(() => garbage.stream.readable(1), CulvertError, "cut");
  const slab = new Slab(2 * CELL_BYTES);
  const data = await owner.build(toFirst);
  data.owner.sealCell(slab, 0, { command: CellCommand.DATA, body: Uint8Array.of(1) });
  await writeAll(data.stream, slab.bytes.subarray(0, CELL_BYTES));
  await assertRejects(() => data.stream.readable(1), CulvertError, "cut");
  await eventually("they are over", () => first.server.circuitCount === 1);
  assertMatch(await metrics.text(), /circuit_relay_circuits_total{outcome="broken"} 2\n/);
  assertEquals(await withEcho(good, "after"), "after");
  for (const { owner } of [garbage, data]) owner[Symbol.dispose]();
});

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

Deno.test("only relays of the directory have a relay's link, and only gateways with keys of their own a gateway's", async () => {
  await using network = new CircuitNetwork();
  const { identity: entry } = network.addRelay();
  const { url } = network.directory.find("relay", entry.peerId)!;
  const suite = portableWireGuardCrypto;
  const as = (role: "relay" | "gateway") => CircuitOwnerEnd.link(url, { entry, identity: newIdentity(), suite, role });
  await assertRejects(() => as("relay"), CulvertError, "busy");
  await assertRejects(() => as("gateway"), CulvertError, "403");
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

Deno.test("a relay learns neither the target nor a byte of what is said; the gateway does", async () => {
  const seenByRelays: Uint8Array[] = [];
  const seenByGateway: Uint8Array[] = [];
  await using network = new CircuitNetwork();
  const tools = (seen: Uint8Array[]) => ({ crypto: recording(seen), random: new SeededRandom(9) });
  const relays = [1, 2].map(() => network.addRelay({ tools: tools(seenByRelays) }));
  const last = relays[1]!.identity;
  const gateway = network.addGateway(echoPath(), { relays: [last.peerId], tools: tools(seenByGateway) });
  await eventually("the gateway's link", () => gateway.server.relaysUp().length === 1);
  const owner = await network.addOwner(relays[0]!.identity);
  const hops = [...relays.map(({ identity }) => relayHop(identity)), gatewayHop(gateway.identity)];
  const words = "these words are for the target alone";
  assertEquals(await withEcho(owner.path(hops), words), words);
  for (const text of [TARGET.host, words]) {
    assert(!seenByRelays.some((bytes) => includes(bytes, text)), text);
    assert(seenByGateway.some((bytes) => includes(bytes, text)), text);
  }
});

/** Crypto that keeps what it has opened. */
function recording(seen: Uint8Array[]): WireGuardCrypto {
  return {
    ...portableWireGuardCrypto,
    aead(key) {
      const inner = portableWireGuardCrypto.aead(key);
      return {
        seal: (slab, offset, length, counter) => inner.seal(slab, offset, length, counter),
        open(slab, offset, length, counter) {
          const ok = inner.open(slab, offset, length, counter);
          seen.push(slab.bytes.slice(offset, offset + length));
          return ok;
        },
        [Symbol.dispose]: () => inner[Symbol.dispose](),
      };
    },
  };
}

function includes(bytes: Uint8Array, text: string): boolean {
  return new TextDecoder("latin1").decode(bytes).includes(text);
}

Deno.test("a relay that shuts down takes no more circuits, and waits for those there are", async () => {
  await using network = new CircuitNetwork();
  const { relays: [first], hops } = await row(network, 2);
  const owner = await network.addOwner(first!.identity);
  const path = owner.path(hops);
  const stream: Stream = await path.dial(TARGET);
  const patience = new AbortController();
  const ending = first!.server.shutdown(patience.signal);
  await assertRejects(() => owner.build(hops), Error, `hop 1: ${CircuitStatus.DRAINING}`);
  await assertRejects(() => network.addOwner(first!.identity));
  await writeAll(stream, Uint8Array.of(7));
  assert(await readFull(stream, new Uint8Array(1)));
  stream.close();
  path.close();
  await within("the end of the shutdown", ending);
});
