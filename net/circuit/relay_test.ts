import { assert, assertEquals, assertRejects } from "@std/assert";
import { CELL_BYTES, CircuitEnd, CircuitStatus } from "../../protocol/circuit/cell.ts";
import { FAULT } from "../../protocol/circuit/hop.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { Slab } from "../../protocol/slab.ts";
import { readFull, type Stream, writeAll } from "../../protocol/stream.ts";
import { portableWireGuardCrypto, type WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { CircuitNetwork, gatewayHop, relayHop } from "./fixtures/circuit_network.ts";
import { echoPath, floodPath } from "./fixtures/targets.ts";
import { row, TARGET, withEcho } from "./fixtures/relay_row.ts";

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
