import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError } from "../../protocol/errors.ts";
import { makeInvitation } from "../../protocol/peers/invitations.ts";
import { encodeKnock, peerPrologue } from "../../protocol/peers/knock.ts";
import { FIRST_BYTES } from "../../protocol/sealed_handshake.ts";
import { parseTarget, type Stream, writeAll } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { sealStream } from "../sealed_stream.ts";
import { SlabPool } from "../slab_pool.ts";
import {
  greetingOf,
  GuestBook,
  newIdentity,
  partsOf,
  startGuest,
  startHost,
  startRelay,
  type WorldHost,
} from "./fixtures/peer_world.ts";

async function connectTo(host: WorldHost): Promise<Deno.TcpConn> {
  const { host: hostname, port } = parseTarget(host.address!)!;
  return await Deno.connect({ hostname, port });
}

/** What comes before the end, however it ends. */
async function restOf(stream: Pick<Stream, "read">): Promise<number> {
  const buffer = new Uint8Array(4096);
  let bytes = 0;
  try {
    for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) bytes += count;
  } catch {
    // Reset is an end as well.
  }
  return bytes;
}

function invitationOf(host: WorldHost, wish: Parameters<typeof makeInvitation>[0] = {}) {
  const { random, primitives, clock } = partsOf(newIdentity());
  const made = makeInvitation(wish, { random, primitives, wallNowMs: clock.wallNow() });
  host.rules.change({ invitations: [made.invitation] });
  return made;
}

async function refusalOf(deed: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => within("an answer", deed), DialError)).message;
}

Deno.test("who is no peer is told nothing at all", async () => {
  await using host = startHost();
  for (
    const [what, bytes] of [["a browser", "GET / HTTP/1.1\r\nHost: a\r\n\r\n".padEnd(200)], ["zeros", "\0".repeat(200)]]
  ) {
    using conn = await connectTo(host);
    await writeAll(conn, new TextEncoder().encode(bytes!));
    assertEquals(await within(what!, restOf(conn)), 0);
  }
  assertEquals(host.host.guests, []);
});

Deno.test("who says nothing, or says it slowly, is let go of when its time is over", async () => {
  const clock = new FakeClock(Date.now());
  await using host = startHost({ clock });
  const silent = await connectTo(host);
  const slow = await connectTo(host);
  await writeAll(slow, new Uint8Array(FIRST_BYTES - 1));
  using connected = await connectTo(host);
  const told: number[] = [];
  for (const conn of [silent, slow, connected]) restOf(conn).then((bytes) => told.push(bytes));
  await eventually("they are gone", async () => {
    await clock.advanceAsync(1_000);
    return told.length === 3;
  });
  assertEquals(told, [0, 0, 0]);
  silent.close();
  slow.close();
});

Deno.test("strangers cannot keep others out: the oldest of one address gives way", async () => {
  await using host = startHost({ limits: { maxStrangersPerAddress: 2 } });
  const strangers = await Promise.all([1, 2, 3].map(() => connectTo(host)));
  await using guest = startGuest();
  await using connection = await within("its turn", guest.network.connect(host.card()));
  assertEquals(await greetingOf(connection), "hello");
  for (const each of strangers) each.close();
});

Deno.test("an address that comes too often is not listened to", async () => {
  await using host = startHost({ limits: { addressConnections: { perSecond: 0.001, burst: 1 } } });
  using first = await connectTo(host);
  using second = await connectTo(host);
  assertEquals(await within("its end", restOf(second)), 0);
  await writeAll(first, new Uint8Array(1)); // it is there still
});

Deno.test("a handshake that was recorded opens nothing when it is sent again", async () => {
  const book = new GuestBook();
  await using host = startHost(book);
  const parts = partsOf(newIdentity());
  const recorded: Uint8Array[] = [];
  const conn = await connectTo(host);
  const write = conn.write.bind(conn);
  conn.write = (bytes) => (recorded.push(bytes.slice()), write(bytes));
  const { wireguardPublicKey: publicKey } = parts.identity;
  const sealed = await sealStream(conn, {
    ...{ ...parts, slabs: new SlabPool(), role: "initiator" as const, prologue: peerPrologue(host.identity.peerId) },
    local: { privateKey: parts.identity.secrets().wireguardKey, publicKey },
    remote: decodeBase64(host.card().sealingKey)!,
  });
  await writeAll(sealed, encodeKnock(parts.identity));
  await eventually("the guest is in", () => book.guests.length === 1);
  using again = await connectTo(host);
  for (const bytes of recorded) await writeAll(again, bytes);
  await within("its end", restOf(again));
  sealed.close();
  await eventually("the guest has gone", () => host.host.guests.length === 0);
  assertEquals(book.guests.length, 1);
});

Deno.test("a knock in another's name, under one's own seal, is nobody's", async () => {
  await using host = startHost();
  const [eve, ada] = [partsOf(newIdentity()), newIdentity()];
  using conn = await connectTo(host);
  const sealed = await sealStream(conn, {
    ...{ ...eve, slabs: new SlabPool(), role: "initiator" as const, prologue: peerPrologue(host.identity.peerId) },
    local: { privateKey: eve.identity.secrets().wireguardKey, publicKey: eve.identity.wireguardPublicKey },
    remote: decodeBase64(host.card().sealingKey)!,
  });
  await writeAll(sealed, encodeKnock(ada));
  assertEquals(await within("its end", restOf(sealed)), 0);
  assertEquals(host.host.guests, []);
  sealed.abort();
});

Deno.test("only who is invited may come in, and sees what the invitation is for", async () => {
  const book = new GuestBook();
  await using host = startHost({ ...book, isOpen: false });
  const { secret } = invitationOf(host, { scope: "holidays", mayUpload: true, maxPeers: 1 });
  await using guest = startGuest();
  const { network } = guest;
  assert((await refusalOf(network.connect(host.card()))).includes("invited"));
  const wrong = "A".repeat(22);
  assert((await refusalOf(network.connect(host.card(), { invitation: wrong }))).includes("no such invitation"));
  await using connection = await network.connect(host.card(), { invitation: secret });
  assertEquals(await greetingOf(connection), "hello");
  assertEquals(book.guests, [{ peerId: guest.identity.peerId, way: "direct", scope: "holidays", mayUpload: true }]);
  await using other = startGuest();
  const late = refusalOf(other.network.connect(host.card(), { invitation: secret }));
  assert((await late).includes("as many as may use it"));
  await using same = startGuest({ identity: guest.identity });
  await using again = await same.network.connect(host.card(), { invitation: secret });
  assertEquals(await greetingOf(again), "hello");
});

Deno.test("whose invitation is revoked, and who is denied, is let go of at once", async () => {
  await using host = startHost({ isOpen: false });
  const { secret } = invitationOf(host);
  await using invited = startGuest();
  await using connection = await invited.network.connect(host.card(), { invitation: secret });
  await using listed = startGuest();
  const { peerId } = listed.identity;
  host.rules.change({ allowed: new Map([[peerId, { mayUpload: false }]]) });
  await using other = await listed.network.connect(host.card());
  host.rules.change({ invitations: [] });
  await within("the end of whose invitation is no more", connection.ended);
  assert(!other.isClosed);
  assert((await refusalOf(invited.network.connect(host.card(), { invitation: secret }))).includes("revoked"));
  host.rules.change({ denied: new Set([peerId]) });
  await within("the end of who is denied", other.ended);
});

Deno.test("an invitation that expires while its guest is there ends that guest's stay", async () => {
  const clock = new FakeClock(Date.now());
  await using host = startHost({ isOpen: false, clock });
  const { secret } = invitationOf(host, { expiresAtMs: clock.wallNow() + 60_000 });
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card(), { invitation: secret });
  assertEquals(await greetingOf(connection), "hello");
  await eventually("its end", async () => {
    await clock.advanceAsync(2_000);
    return connection.isClosed;
  });
});

Deno.test("there are so many guests, and so many connections of one", async () => {
  await using host = startHost({ limits: { maxGuests: 2, maxConnectionsPerPeer: 1 } });
  const identity = newIdentity();
  await using first = startGuest({ identity });
  const old = await first.network.connect(host.card());
  await using second = startGuest({ identity });
  await using renewed = await second.network.connect(host.card());
  await within("the end of the older", old.ended);
  await eventually("it is gone", () => host.host.guests.length === 1);
  await using third = startGuest();
  await using _other = await third.network.connect(host.card());
  await using fourth = startGuest();
  assert((await refusalOf(fourth.network.connect(host.card()))).includes("as many guests"));
  assertEquals(await greetingOf(renewed), "hello");
});

Deno.test("a guest opens so many streams at once, and no more", async () => {
  const streams: Stream[] = [];
  await using host = startHost({ limits: { maxStreams: 2 }, onStream: (stream) => streams.push(stream) });
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  const opened = await Promise.all([1, 2, 3].map(() => connection.open()));
  for (const stream of opened) await stream.write(Uint8Array.of(1)).catch(() => {});
  const error = await assertRejects(() => within("a refusal", opened[2]!.read(new Uint8Array(1))), DialError);
  assertEquals([error.code, streams.length], ["busy", 2]);
  for (const stream of [...opened, ...streams]) stream.close();
});

Deno.test("fifty peers come in at once, directly and by a relay", async () => {
  await using relay = startRelay({ limits: { maxLinksPerAddress: 100 } });
  await using host = startHost({ relays: [relay], limits: { maxStrangersPerAddress: 100 } });
  await host.met();
  const guests = Array.from({ length: 50 }, () => startGuest());
  const greetings = await Promise.all(guests.map(async ({ network }, at) => {
    const card = at % 2 === 0 ? host.card({ relays: [] }) : host.card({ addresses: [] });
    await using connection = await network.connect(card);
    return `${connection.way} ${await greetingOf(connection)}`;
  }));
  assertEquals(new Set(greetings), new Set(["direct hello", "relayed hello"]));
  for (const guest of guests) await guest[Symbol.asyncDispose]();
  await eventually("all have gone", () => host.host.guests.length === 0);
});
