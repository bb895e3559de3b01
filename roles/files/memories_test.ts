import { assertEquals, assertRejects } from "@std/assert";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { makeCard, type PeerCard, type PeerClaims } from "../../protocol/peers/card.ts";
import { makeInvitation, usedInvitation } from "../../protocol/peers/invitations.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { StateDirectory } from "../state.ts";
import { InvitationStore } from "./invitation_store.ts";
import { KnownLiars } from "./known_liars.ts";
import { KnownPeers } from "./known_peers.ts";
import { rememberedTrackers, rememberTrackers } from "./tracker_memory.ts";

const primitives = hostPrimitives();
const random = randomOf(crypto);
const signal = new AbortController().signal;

function toolsIn(temp: TempDirectory, clock = new FakeClock()) {
  return { clock, signal, stateDir: temp.path("state"), primitives };
}

function cardOf(identity: Identity, claims: Partial<PeerClaims> = {}): PeerCard {
  return makeCard(identity, { label: "alice", addresses: [], relays: [], capabilities: [], issuedAtMs: 1, ...claims });
}

function newIdentity(): Identity {
  return new Identity(generateSecrets(random), primitives);
}

Deno.test("a liar is remembered across restarts, once, and forgotten after a season or when told so", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const [one, two] = [newIdentity().peerId, newIdentity().peerId];
  const liars = await KnownLiars.open(tools);
  await liars.add(one, "a");
  await liars.add(two, "b");
  await liars.add(one, "c");
  const again = await KnownLiars.open(tools);
  assertEquals((await again.list()).map(({ peerId, what }) => [peerId, what]), [[one, "c"], [two, "b"]]);
  await again.forget(one);
  assertEquals((await again.list()).map(({ peerId }) => peerId), [two]);
  tools.clock.advance(91 * 86_400_000);
  assertEquals(await again.list(), []);
});

Deno.test("of a peer the newest card is remembered, and how it lets us in", async () => {
  using temp = new TempDirectory();
  const known = await KnownPeers.open(toolsIn(temp));
  const identity = newIdentity();
  const [older, newer] = [cardOf(identity), cardOf(identity, { issuedAtMs: 2, label: "alice at home" })];
  await known.remember({ card: newer, invitation: "A".repeat(22) });
  await known.remember({ card: older, observedAddress: "192.0.2.1" });
  const found = await known.find(identity.peerId);
  assertEquals([found?.card, found?.invitation, found?.observedAddress], [newer, "A".repeat(22), "192.0.2.1"]);
  assertEquals((await known.list()).length, 1);
  assertEquals(await known.find(newIdentity().peerId), undefined);
});

Deno.test("a card that somebody has changed in its file is not remembered", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const known = await KnownPeers.open(tools);
  const identity = newIdentity();
  await known.remember({ card: cardOf(identity) });
  const path = `${tools.stateDir}/peer-${identity.peerId}.json`;
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("alice", "mallory"));
  assertEquals([await known.find(identity.peerId), await known.list()], [undefined, []]);
});

Deno.test("invitations are kept without their secrets, and are gone when they are revoked", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const store = await InvitationStore.open(tools);
  const make = (expiresAtMs?: number) =>
    makeInvitation({ scope: "films", expiresAtMs }, { random, primitives, wallNowMs: tools.clock.wallNow() });
  const { invitation, secret } = make();
  await store.add(invitation);
  assertEquals(await store.list(), [invitation]);
  for await (const { name } of Deno.readDir(tools.stateDir)) {
    assertEquals((await Deno.readTextFile(`${tools.stateDir}/${name}`)).includes(secret), false);
  }
  assertEquals([await store.revoke("aaaaaaaa"), await store.revoke("../x"), await store.revoke(invitation.id)], [
    false,
    false,
    true,
  ]);
  await store.update(usedInvitation(invitation, newIdentity().peerId));
  assertEquals(await store.list(), []);
  // Making one clears away those that have run out.
  await store.add(make(tools.clock.wallNow() + 1000).invitation);
  tools.clock.advance(2000);
  const lasting = make().invitation;
  await store.add(lasting);
  assertEquals(await store.list(), [lasting]);
});

Deno.test("a peer that runs follows invitations, and nobody uses one twice while that is written down", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const [running, other] = [await InvitationStore.open(tools), await InvitationStore.open(tools)];
  const seen: string[][] = [];
  const invitation = makeInvitation({}, { random, primitives, wallNowMs: 1 }).invitation;
  await other.add(invitation);
  await using _following = running.follow(
    (invitations) => seen.push(invitations.map(({ id, usedBy }) => `${id} ${usedBy.length}`)),
    { clock: tools.clock, log: new LogCollector() },
  );
  const looks = async (count: number) => {
    await eventually(`${count} changes`, async () => {
      tools.clock.advance(1000);
      await settle();
      return seen.length >= count;
    });
  };
  await looks(1);
  const writing = running.update(usedInvitation(invitation, newIdentity().peerId));
  assertEquals((await running.list())[0]!.usedBy.length, 1);
  await writing;
  await looks(2);
  await other.revoke(invitation.id);
  await looks(3);
  assertEquals(seen, [[`${invitation.id} 0`], [`${invitation.id} 1`], []]);
});

Deno.test("two who use an invitation at once are both written down", async () => {
  using temp = new TempDirectory();
  const tools = { ...toolsIn(temp), clock: clockOf(globalThis) };
  const [running, other] = [await InvitationStore.open(tools), await InvitationStore.open(tools)];
  const { invitation } = makeInvitation({ maxPeers: 2 }, { random, primitives, wallNowMs: 1 });
  await running.add(invitation);
  const peers = [newIdentity().peerId, newIdentity().peerId];
  // Neither has heard of the other.
  await Promise.all(peers.map((peerId) => running.update(usedInvitation(invitation, peerId))));
  for (const store of [running, other]) assertEquals((await store.list()).map(({ usedBy }) => usedBy), [peers]);
});

Deno.test("a file of the state directory that makes no sense is named", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const store = await InvitationStore.open(tools);
  await Deno.writeTextFile(`${tools.stateDir}/invitation-aaaaaaaa.json`, "{}", { mode: 0o600 });
  await assertRejects(() => store.list(), CulvertError, "invitation-aaaaaaaa.json");
});

Deno.test("trackers that were given are remembered, and those that are given later take their place", async () => {
  using temp = new TempDirectory();
  const tools = toolsIn(temp);
  const state = await StateDirectory.open(tools.stateDir);
  assertEquals(await rememberedTrackers(state), []);
  for (const url of ["https://one.example/", "https://two.example/base"]) {
    await rememberTrackers(state, [new URL(url)], tools);
    assertEquals((await rememberedTrackers(state)).map(({ href }) => href), [url]);
  }
});
