import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import { encodeReflectionRequest, readReflection } from "../../protocol/packets/reflection.ts";
import { cookieFor, dataFor, initiationFor, responseFor } from "../../protocol/wireguard/fixtures/relayed_messages.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { UdpPeer } from "./fixtures/udp_peer.ts";
import { openRelay, type Relay, type RelaySide } from "./relay.ts";

const clientKey = new Uint8Array(32).fill(0xc1);
const exitKey = new Uint8Array(32).fill(0xe1);
const ANY = { firstPort: 0, lastPort: 0 };

/** A handshake through the relay, the exit first at its port. */
async function handshake(port: number, client: UdpPeer, exit: UdpPeer): Promise<void> {
  await exit.send(port, initiationFor(clientKey, 0xe0));
  await settled(port, exit);
  await client.send(port, initiationFor(exitKey, 0xc0));
  assertEquals((await exit.next())[0], 1);
  await exit.send(port, responseFor(clientKey, 0xe1, 0xc0));
  assertEquals((await client.next())[0], 2);
  await client.send(port, dataFor(0xe1));
  assertEquals(await exit.next(), dataFor(0xe1));
}

/** What was sent to the port before has been dealt with once an answer to this question comes. */
async function settled(port: number, peer: UdpPeer): Promise<void> {
  const id = crypto.getRandomValues(new Uint8Array(8));
  await peer.send(port, encodeReflectionRequest(id));
  assertEquals(readReflection(await peer.next())?.id, id);
}

Deno.test("two sides that know nothing but the port find each other, and data goes both ways", async () => {
  const learned: [string, RelaySide, Endpoint][] = [];
  await using relay = await openRelay({ ...ANY, onLearned: (...what) => learned.push(what) });
  const port = await relay.open({ sessionId: "s", clientKey, exitKey });
  await using client = new UdpPeer();
  await using exit = new UdpPeer();
  await handshake(port, client, exit);
  for (const bytes of [32, 33, 148, 1452, 9000, 65_000]) {
    await client.send(port, dataFor(0xe1, { bytes, mark: 7 }));
    assertEquals(await exit.next(), dataFor(0xe1, { bytes, mark: 7 }));
    await exit.send(port, dataFor(0xc0, { bytes, mark: 9 }));
    assertEquals(await client.next(), dataFor(0xc0, { bytes, mark: 9 }));
  }
  const bytes = 32 + 33 + 148 + 1452 + 9000 + 65_000;
  assertEquals(learned, [["s", "client", client.at], ["s", "exit", exit.at]]);
  const [{ toExitBytes, toClientBytes, clientAt, exitAt, ...counts }] = await relay.counts() as [Counts];
  assertEquals(counts, { sessionId: "s", port, droppedDatagrams: 1 });
  assertEquals({ clientAt, exitAt }, { clientAt: client.at, exitAt: exit.at });
  assertEquals([toExitBytes, toClientBytes], [bytes + 32, bytes]);
});

type Counts = Awaited<ReturnType<Relay["counts"]>>[number];

Deno.test("a placed side is sent to at once, over IPv4 and IPv6 in one session", async () => {
  await using relay = await openRelay(ANY);
  await using client = new UdpPeer("::1");
  await using exit = new UdpPeer();
  const port = await relay.open({ sessionId: "s", clientKey, exitKey });
  await relay.place("s", "exit", exit.at);
  await client.send(port, initiationFor(exitKey, 5));
  assertEquals(await exit.next(), initiationFor(exitKey, 5));
  await exit.send(port, responseFor(clientKey, 6, 5));
  assertEquals(await client.next(), responseFor(clientKey, 6, 5));
  assertEquals(client.lastFrom?.hostname, "::1");
  await client.send(port, dataFor(6));
  assertEquals(await exit.next(), dataFor(6));
  await exit.send(port, dataFor(5, { bytes: 64 }));
  assertEquals((await client.next()).length, 64);
  assertEquals((await relay.counts())[0]!.clientAt, client.at);
});

Deno.test("two relays in a row, each placed in the other's session, join two sides that know only their own", async () => {
  await using near = await openRelay(ANY);
  await using far = await openRelay(ANY);
  const loopback = parseIp("127.0.0.1")!;
  const nearPort = await near.open({ sessionId: "s", clientKey, exitKey });
  const clientAt = { address: loopback, port: nearPort };
  const farPort = await far.open({ sessionId: "s", clientKey, exitKey, clientAt });
  await near.place("s", "exit", { address: loopback, port: farPort });
  await using client = new UdpPeer();
  await using exit = new UdpPeer();
  await exit.send(farPort, initiationFor(clientKey, 0xe0));
  await settled(farPort, exit);
  await client.send(nearPort, initiationFor(exitKey, 0xc0));
  assertEquals(await exit.next(), initiationFor(exitKey, 0xc0));
  await exit.send(farPort, responseFor(clientKey, 0xe1, 0xc0));
  // Before it, the near relay may have had the exit's own initiation for a client it did not know.
  assertEquals(await client.next(), responseFor(clientKey, 0xe1, 0xc0));
  await client.send(nearPort, dataFor(0xe1, { bytes: 999 }));
  assertEquals(await exit.next(), dataFor(0xe1, { bytes: 999 }));
  await exit.send(farPort, dataFor(0xc0, { bytes: 1000 }));
  assertEquals(await client.next(), dataFor(0xc0, { bytes: 1000 }));
  assertEquals((await far.counts())[0]!.exitAt, exit.at);
});

Deno.test("a cookie finds its way to a side that is not known yet", async () => {
  await using relay = await openRelay(ANY);
  await using client = new UdpPeer();
  await using exit = new UdpPeer();
  const port = await relay.open({ sessionId: "s", clientKey, exitKey, exitAt: exit.at });
  await client.send(port, initiationFor(exitKey, 5));
  await exit.next();
  await exit.send(port, cookieFor(5));
  assertEquals(await client.next(), cookieFor(5));
});

Deno.test("whoever asks a port where it is seen is told", async () => {
  await using relay = await openRelay(ANY);
  const port = await relay.open({ sessionId: "s", clientKey, exitKey });
  for (const host of ["127.0.0.1", "::1"]) {
    await using peer = new UdpPeer(host);
    const id = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    await peer.send(port, encodeReflectionRequest(id));
    assertEquals(readReflection(await peer.next()), { id, at: peer.at }, host);
  }
});

Deno.test("a port is another session's, the system's, or none is left", async () => {
  await using relay = await openRelay({ ...ANY, maxSessions: 2 });
  const open = (sessionId: string, port?: number) =>
    relay.open({ sessionId, clientKey, exitKey, ...port === undefined ? {} : { port } });
  const first = await open("one");
  assertEquals((await assertRejects(() => open("one"), CulvertError)).code, "in_use");
  assertEquals((await assertRejects(() => open("two", first), CulvertError)).code, "in_use");
  assertNotEquals(await open("two"), first);
  assertEquals((await assertRejects(() => open("three"), CulvertError)).code, "busy");
  await relay.end("one");
  await relay.end("one");
  assertEquals(await open("one", first), first);
  assertEquals(
    (await assertRejects(() => relay.place("four", "exit", { address: parseIp("192.0.2.1")!, port: 1 }), CulvertError))
      .code,
    "no_session",
  );
  await using narrow = await openRelay({ firstPort: first, lastPort: first });
  assertEquals(
    (await assertRejects(() => narrow.open({ sessionId: "s", clientKey, exitKey }), CulvertError)).code,
    "no_port",
  );
});

Deno.test("a closed relay says so, and has ended without an error", async () => {
  const relay = await openRelay(ANY);
  await relay.open({ sessionId: "s", clientKey, exitKey });
  await relay.close();
  await relay.close();
  assertEquals(await relay.ended, undefined);
  assertEquals((await assertRejects(() => relay.counts(), CulvertError)).code, "closed");
});

Deno.test("what cannot be relayed is refused with the reason", async () => {
  await assertRejects(() => openRelay({ firstPort: 10, lastPort: 9 }), RangeError, "got 10 to 9");
  await assertRejects(() => openRelay({ ...ANY, maxSessions: 0 }), RangeError, "got 0");
  await using relay = await openRelay(ANY);
  const open = (session: object) => relay.open({ sessionId: "s", clientKey, exitKey, ...session });
  await assertRejects(() => open({ clientKey: new Uint8Array(31) }), RangeError, "32 bytes, got 31");
  await assertRejects(() => open({ clientKey: exitKey }), RangeError, "got the same");
  await assertRejects(() => open({ port: 65_536 }), RangeError, "got 65536");
  await assertRejects(
    () => open({ clientAt: { address: new Uint8Array(5), port: 1 } }),
    RangeError,
    "5 bytes and port 1",
  );
  assert((await relay.counts()).length === 0);
});
