/**
 * A peer, or the supernode, that has vanished without a word: nothing is closed, and nothing comes. Each end finds out by
 * itself, in the time that docs/control-protocol.md gives, and sessions move. The clock is fake; the same over real
 * sockets is in `tests/chaos/half_open_test.ts`.
 */

import { assert, assertEquals } from "@std/assert";
import { CrashWorld, haveExit } from "../fixtures/crash_world.ts";

/** How long a control stream, and a data link, may be silent. */
const STREAM_MS = 30_000;
const LINK_MS = 4_000;
/** Streams are looked at every second, links every half. */
const LATE_MS = 1_500;

/** A supernode with two exits, a client, and the session it has at one of them. */
async function start(world: CrashWorld) {
  await world.start();
  const exits = [await world.addPeer("exit"), await world.addPeer("exit")];
  const client = await world.addPeer("client");
  await world.until("links", () => [...exits, client].every((peer) => peer.isOpen && peer.isLinked));
  await haveExit(world, client);
  const [sessionId] = client.sessions;
  const used = exits.find((exit) => exit.sessions.has(sessionId!))!;
  return { client, used, other: exits.find((exit) => exit !== used)!, sessionId: sessionId! };
}

Deno.test("of an exit that has vanished the data link is given up first and its sessions move, then the control stream", async () => {
  await using world = new CrashWorld();
  const { client, used, other, sessionId } = await start(world);
  const { supernode, clock } = world;
  const link = () => supernode!.links.linkOf({ kind: "peer", id: used.peerId });
  world.silence(used);
  const sinceMs = clock.now();
  await world.until("a link that is given up", () => !link());
  assert(clock.now() - sinceMs <= LINK_MS + LATE_MS);
  await world.until("a session elsewhere", () => other.sessions.size === 1 && !client.sessions.has(sessionId));
  assert(clock.now() - sinceMs <= LINK_MS + 2 * LATE_MS);
  assert(supernode!.streams.get(used.peerId));
  await world.until("a stream that is given up", () => !supernode!.streams.get(used.peerId));
  const silentMs = clock.now() - sinceMs;
  assert(silentMs > STREAM_MS - 15_000 && silentMs <= STREAM_MS + LATE_MS, `${silentMs} ms`);
});

Deno.test("a peer whose supernode has vanished gives both up as well, and is let in again on new connections", async () => {
  await using world = new CrashWorld();
  const { client, used } = await start(world);
  world.silence(client);
  const sinceMs = world.clock.now();
  await world.until("a link that is given up", () => !client.isLinked);
  assert(world.clock.now() - sinceMs <= LINK_MS + LATE_MS);
  await world.until("a stream that is given up", () => !client.isOpen);
  assert(world.clock.now() - sinceMs <= STREAM_MS + LATE_MS);
  await world.until("new connections", () => client.isOpen && client.isLinked);
  await world.untilAgreed(client);
  assertEquals(used.sessions.size, 1);
});
