import { assertEquals, assertRejects } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { makeCard, type PeerCard } from "../../protocol/peers/card.ts";
import { encodeTicket } from "../../protocol/peers/ticket.ts";
import { randomOf } from "../../protocol/random.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { PeerFinder } from "./find_peer.ts";
import { KnownPeers } from "./known_peers.ts";

const primitives = hostPrimitives();
const SECRET = "A".repeat(22);

function newIdentity(): Identity {
  return new Identity(generateSecrets(randomOf(crypto)), primitives);
}

function cardOf(identity: Identity, issuedAtMs: number, label = "alice"): PeerCard {
  return makeCard(identity, { label, addresses: ["192.0.2.1:1"], relays: [], capabilities: ["files"], issuedAtMs });
}

/** A finder whose trackers list what they are told to, or do not answer. */
class World implements Disposable {
  readonly #temp = new TempDirectory();
  readonly clock = new FakeClock();
  listed: ListedPeer[] = [];
  isUp = true;
  /** That there is more after this, however often that is asked for. */
  next: string | undefined;
  known!: KnownPeers;
  finder!: PeerFinder;

  static async make(): Promise<World> {
    const world = new World();
    const signal = new AbortController().signal;
    const tools = { clock: world.clock, signal, stateDir: world.#temp.path("state"), primitives };
    world.known = await KnownPeers.open(tools);
    const answer = <T>(value: T) =>
      world.isUp ? Promise.resolve(value) : Promise.reject(new CulvertError("http_failed", "no tracker answers"));
    world.finder = new PeerFinder({
      ...{ known: world.known, primitives, clock: world.clock, log: silentLog, ownId: "own" },
      trackers: {
        find: (peerId) => answer(world.listed.find(({ card }) => card.peerId === peerId)),
        list: () => answer({ peers: world.listed, ...world.next !== undefined && { next: world.next } }),
      },
    });
    return world;
  }

  list(card: PeerCard): void {
    this.listed.push({ card, observedAddress: "198.51.100.7", seenAtMs: 1 });
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

Deno.test("a peer is found by its id at a tracker, and again when that is gone", async () => {
  using world = await World.make();
  const card = cardOf(newIdentity(), 1);
  world.list(card);
  const found = { card, invitation: undefined, observedAddress: "198.51.100.7" };
  assertEquals(await world.finder.find(card.peerId), found);
  world.isUp = false;
  assertEquals(await world.finder.find(card.peerId), found);
  await assertRejects(() => world.finder.find(newIdentity().peerId), CulvertError, "was not met before");
});

Deno.test("of two cards the newest counts, wherever it is from", async () => {
  using world = await World.make();
  const identity = newIdentity();
  const [older, newer] = [cardOf(identity, 1), cardOf(identity, 2)];
  await world.known.remember({ card: newer, invitation: SECRET });
  world.list(older);
  const found = await world.finder.find(identity.peerId);
  assertEquals([found.card, found.invitation], [newer, SECRET]);
  const newest = cardOf(identity, 3);
  world.listed = [];
  world.list(newest);
  assertEquals((await world.finder.find(identity.peerId)).card, newest);
});

Deno.test("a ticket is enough by itself, is remembered, and may be older than what trackers know", async () => {
  using world = await World.make();
  const identity = newIdentity();
  const ticket = { card: cardOf(identity, 1), path: "films", invitation: SECRET };
  const text = encodeTicket(ticket, primitives);
  world.isUp = false;
  const { card, path, invitation } = await world.finder.find(` ${text.toLowerCase()}\n`);
  assertEquals({ card, path, invitation }, ticket);
  world.isUp = true;
  world.list(cardOf(identity, 2));
  const later = await world.finder.find(identity.peerId);
  assertEquals([later.card.issuedAtMs, later.invitation], [2, SECRET]);
  assertEquals((await world.finder.find(text)).card.issuedAtMs, 2);
});

Deno.test("a ticket that is of no use says why", async () => {
  using world = await World.make();
  const card = cardOf(newIdentity(), 1);
  const text = encodeTicket({ card, path: "", expiresAtMs: world.clock.wallNow() + 10 }, primitives);
  await assertRejects(() => world.finder.find(text.slice(0, -3)), CulvertError, "letters of it are missing");
  await world.finder.find(text);
  world.clock.advance(10);
  const error = await assertRejects(() => world.finder.find(text), CulvertError);
  assertEquals(error.code, "expired_ticket");
});

Deno.test("a label leads to the one of that name who was met, or to the only one there is", async () => {
  using world = await World.make();
  const [met, stranger, bob] = [cardOf(newIdentity(), 1), cardOf(newIdentity(), 1), cardOf(newIdentity(), 1, "bob")];
  for (const card of [stranger, bob]) world.list(card);
  assertEquals((await world.finder.find("alice")).card, stranger);
  assertEquals((await world.finder.find("bob")).card, bob);
  // Another of that name turns up, and whom we know is meant.
  using other = await World.make();
  await other.known.remember({ card: met });
  other.list(stranger);
  assertEquals((await other.finder.find("alice")).card, met);
  await other.known.remember({ card: stranger });
  const error = await assertRejects(() => other.finder.find("alice"), CulvertError, met.peerId);
  assertEquals(error.code, "ambiguous");
  await assertRejects(() => other.finder.find("nobody\x1b[2J"), CulvertError, String.raw`nobody\u001b[2J`);
});

Deno.test("a tracker that says for ever that there is more is not asked for ever", async () => {
  using world = await World.make();
  const card = cardOf(newIdentity(), 1);
  world.list(card);
  world.next = card.peerId;
  let seen = 0;
  for await (const _peer of world.finder.online()) if (++seen === 10) break;
  assertEquals(seen, 2);
});
