import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createMetrics } from "../../edge/metrics.ts";
import { CELL_BYTES, CellCommand, CircuitStatus, encodeCreate } from "../../protocol/circuit/cell.ts";
import { HopInitiator } from "../../protocol/circuit/handshake.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { Slab } from "../../protocol/slab.ts";
import { writeAll } from "../../protocol/stream.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { eventually } from "../../testing/waiting.ts";
import { CircuitNetwork, CircuitOwnerEnd, gatewayHop, newIdentity, relayHop } from "./fixtures/circuit_network.ts";
import { relayPlaces } from "../relay_places.ts";
import { row, withEcho } from "./fixtures/relay_row.ts";

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

Deno.test("only relays of the directory have a relay's link, and only gateways with keys of their own a gateway's", async () => {
  await using network = new CircuitNetwork();
  const { identity: entry } = network.addRelay();
  const { url } = network.directory.find("relay", entry.peerId)!;
  const suite = portableWireGuardCrypto;
  const as = (role: "relay" | "gateway") => CircuitOwnerEnd.link(url, { entry, identity: newIdentity(), suite, role });
  await assertRejects(() => as("relay"), CulvertError, "busy");
  await assertRejects(() => as("gateway"), CulvertError, "403");
});
