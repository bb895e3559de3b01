import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { greetingOf, GuestBook, startGuest, startHost, startRelay } from "./fixtures/peer_world.ts";

/** Nobody listens there: the port was free a moment ago. */
function deadAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

async function failureOf(deed: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => deed, DialError)).code;
}

Deno.test("a peer is reached directly, and says who it is and what one may see", async () => {
  const book = new GuestBook();
  await using host = startHost(book);
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  assertEquals([connection.peerId, connection.way, connection.via], [host.identity.peerId, "direct", host.address]);
  assertEquals(await greetingOf(connection), "hello");
  assertEquals(book.guests, [{ peerId: guest.identity.peerId, way: "direct", scope: "", mayUpload: false }]);
});

Deno.test("a peer that listens nowhere is reached by a relay", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  await host.met();
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  assertEquals([connection.way, connection.via], ["relayed", relay.place.url]);
  assertEquals(await greetingOf(connection), "hello");
});

Deno.test("whoever asks again at the moment the last has given up is connected", async () => {
  await using host = startHost();
  await using guest = startGuest();
  const impatient = new AbortController();
  const given = guest.network.connect(host.card(), { signal: impatient.signal });
  impatient.abort(new CulvertError("stopped", "I have no time"));
  const seeming = given.catch((error) => error.code as string);
  assertEquals(await seeming, "stopped");
  await using connection = await guest.network.connect(host.card());
  assertEquals(await greetingOf(connection), "hello");
});

Deno.test("where both ways lead there, the direct one wins; where only the relay does, it wins at once", async () => {
  await using relay = startRelay();
  await using host = startHost({ relays: [relay] });
  await host.met();
  const clock = new FakeClock(Date.now()); // whose head start never ends
  await using guest = startGuest({ headStartMs: 3_600_000, clock });
  const direct = await within("a direct way", guest.network.connect(host.card()));
  assertEquals(direct.way, "direct");
  direct.close();
  await using other = startGuest({ headStartMs: 3_600_000 });
  const relayed = await within("a relayed way", other.network.connect(host.card({ addresses: [deadAddress()] })));
  assertEquals(relayed.way, "relayed");
  relayed.close();
});

Deno.test("a peer to whom many ways lead has one guest in the end, and that one stays", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  const { port } = host.host.listen({ hostname: "0.0.0.0", port: 0 });
  await host.met();
  await using guest = startGuest();
  const addresses = [1, 2, 3, 4, 5, 6, 7, 8].map((last) => `127.0.0.${last}:${port}`);
  await using connection = await guest.network.connect(host.card({ addresses }));
  await eventually("the others have gone", () => host.host.guests.length === 1);
  assertEquals([connection.isClosed, await greetingOf(connection)], [false, "hello"]);
});

Deno.test("a direct way that does not answer is waited for no longer than its head start", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using relay = startRelay();
  await using host = startHost({ relays: [relay] });
  await host.met();
  await using guest = startGuest({ headStartMs: 30 });
  const card = host.card({ addresses: [`127.0.0.1:${silent.addr.port}`] });
  await using connection = await within("a relayed way", guest.network.connect(card));
  assertEquals(connection.way, "relayed");
});

Deno.test("all who want one peer share a connection, also while it is being made", async () => {
  const book = new GuestBook();
  await using host = startHost(book);
  await using guest = startGuest();
  const card = host.card();
  const both = await Promise.all([guest.network.connect(card), guest.network.connect(card)]);
  await using third = await guest.network.connect(card);
  assertEquals(book.guests.length, 1);
  both[0]!.close();
  assert(both[0]!.isClosed && !third.isClosed);
  assertEquals(await failureOf(both[0]!.open()), "path_down");
  assertEquals(await greetingOf(third), "hello");
  both[1]!.close();
});

Deno.test("whoever gives up waiting keeps nobody else from it, and the last one ends the attempt", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using host = startHost();
  await using guest = startGuest();
  const card = host.card({ addresses: [`127.0.0.1:${silent.addr.port}`] });
  const [one, other] = [new AbortController(), new AbortController()];
  const first = guest.network.connect(card, { signal: one.signal });
  const second = guest.network.connect(card, { signal: other.signal });
  one.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  using knocking = await silent.accept();
  other.abort(new Error("enough"));
  await assertRejects(() => second, Error, "enough");
  const buffer = new Uint8Array(4096);
  while (await knocking.read(buffer).catch(() => null) !== null); // it is closed
});

Deno.test("a card that is not its peer's own leads nowhere", async () => {
  await using host = startHost();
  await using guest = startGuest();
  const card = host.card();
  const forged: PeerCard = { ...card, addresses: [...card.addresses, "192.0.2.1:1"] };
  assertEquals(await failureOf(guest.network.connect(forged)), "unauthorized");
});

Deno.test("somebody else at the address of a peer is not taken for it", async () => {
  await using host = startHost();
  await using imposter = startHost();
  await using guest = startGuest();
  const code = await failureOf(guest.network.connect(host.card({ addresses: [imposter.address!] })));
  assert(code !== "busy", code);
  assertEquals(imposter.host.guests, []);
});

Deno.test("a peer with no way to it, and one that is nowhere, cannot be reached", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false });
  await using guest = startGuest();
  assertEquals(await failureOf(guest.network.connect(host.card())), "unresolved");
  assertEquals(await failureOf(guest.network.connect(host.card({ addresses: [deadAddress()] }))), "refused");
  assertEquals(await failureOf(guest.network.connect(host.card({ relays: [relay.place] }))), "unresolved");
});

Deno.test("the peer's own no is the answer at once, though other ways have not been heard of", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using host = startHost({ isOpen: false });
  await using guest = startGuest({ connectTimeoutMs: 3_600_000 });
  const card = host.card({ addresses: [`127.0.0.1:${silent.addr.port}`, host.address!] });
  const error = await assertRejects(() => within("its answer", guest.network.connect(card)), DialError, "invited");
  assertEquals(error.code, "unauthorized");
});

Deno.test("an address without a host is where the peer was observed", async () => {
  await using host = startHost();
  await using guest = startGuest();
  const card = host.card({ addresses: [host.address!.replace("127.0.0.1", "0.0.0.0")] });
  assertEquals(await failureOf(guest.network.connect(card)), "unresolved");
  await using connection = await guest.network.connect(card, { observedAddress: "127.0.0.1" });
  assertEquals(await greetingOf(connection), "hello");
});

Deno.test("a relayed connection gives way to a direct one when that comes, and streams go on", async () => {
  await using relay = startRelay();
  await using host = startHost({ relays: [relay] });
  await host.met();
  const clock = new FakeClock(Date.now());
  const cards: PeerCard[] = [];
  // It knows an old card, from when the host was elsewhere; the host tells where it is now.
  await using guest = startGuest({ clock, onCard: (card) => cards.push(card) });
  const old = host.card({ addresses: [deadAddress()], issuedAtMs: 1 });
  await using connection = await within("a way", guest.network.connect(old));
  assertEquals(connection.way, "relayed");
  assertEquals(cards, [host.card()]);
  const before = await connection.open();
  await eventually("it is direct", async () => {
    await clock.advanceAsync(1_000);
    return connection.way === "direct";
  });
  assertEquals(connection.via, host.address);
  assertEquals(await greetingOf(connection), "hello");
  const buffer = new Uint8Array(5);
  assertEquals(await before.read(buffer), 5);
  before.close();
  await eventually("the relay carries nothing any more", async () => {
    await clock.advanceAsync(1_000);
    return relay.relay.streamCount === 0;
  });
});

Deno.test("when a relay is killed its connections end, and the next goes another way", async () => {
  const first = startRelay();
  await using second = startRelay();
  const streams: Stream[] = [];
  await using host = startHost({ listens: false, relays: [first, second], onStream: (stream) => streams.push(stream) });
  await host.met();
  await using guest = startGuest();
  const connection = await guest.network.connect(host.card({ relays: [first.place] }));
  using stream = await connection.open();
  await writeAll(stream, new Uint8Array(1));
  await eventually("the stream is there", () => streams.length === 1);
  await first[Symbol.asyncDispose]();
  await within("its end", connection.ended);
  await assertRejects(() => stream.read(new Uint8Array(1)), CulvertError);
  await using again = await guest.network.connect(host.card());
  assertEquals(again.via, second.place.url);
  for (const each of streams) each.close();
});

Deno.test("a connection that nobody uses goes after a while, and one with a stream on it does not", async () => {
  const clock = new FakeClock(Date.now());
  await using host = startHost();
  await using guest = startGuest({ clock, idleMs: 60_000 });
  const connection = await guest.network.connect(host.card());
  const stream = await connection.open();
  connection.close();
  await eventually("the stream is there", () => host.host.guests.length === 1);
  let passedMs = 0;
  await eventually("more than a minute has passed", async () => {
    await clock.advanceAsync(2_000); // in small steps: the signs of life of its mux are to be answered
    return (passedMs += 2_000) > 70_000;
  });
  assertEquals(guest.network.size, 1);
  stream.close();
  await eventually("it is gone", async () => {
    await clock.advanceAsync(1_000);
    return guest.network.size === 0;
  });
});
