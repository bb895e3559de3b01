/**
 * Three peers, a tracker and a relay, each a process: what one shares another fetches, by the relay and directly, from one source
 * and from several, while parts of it fail; and whoever sits before the tracker or the relay learns nothing of it.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Program } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import { FilesWorld, type WorldPeer } from "./fixtures/files_world.ts";

const MIB = 1024 ** 2;
const WORDS = "what only peers may read, and nobody between them\n";

/** Not to be made smaller, and easy to look for. */
function filmOf(bytes: number): Uint8Array {
  const film = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(film.subarray(at, Math.min(bytes, at + 65_536)));
  for (let at = 0; at < bytes; at += MIB) film.set(new TextEncoder().encode(WORDS), at);
  return film;
}

/** The files of a peer as it tells its owner, once all of them are known by content. */
async function indexed({ url }: WorldPeer): Promise<void> {
  await eventually("a peer that knows what it shares", async () => {
    const { index } = await (await fetch(`${url}api/self`)).json();
    return index.files > 0 && index.pending === 0;
  });
}

async function others({ url }: WorldPeer): Promise<{ readonly peerId: string; readonly isOnline: boolean }[]> {
  return (await (await fetch(`${url}api/peers`)).json()).peers;
}

/** A dozen programs start one after another, some of them twice. */
const TIME_LIMIT_MS = 180_000;
const scenario = {
  name: "three peers, a tracker and a relay: files go from peer to peer, whatever fails",
  timeout: TIME_LIMIT_MS,
};

Deno.test(scenario, async () => {
  await using world = await FilesWorld.start();
  const film = filmOf(24 * MIB);
  world.put("ada", "films/holiday.mkv", film);
  world.put("ada", "notes/list.txt", WORDS);
  world.put("ada", "private/diary.txt", "not for tickets\n");
  world.put("bob", "copies/same.mkv", film);
  const list = world.directory.path("friends.txt");
  Deno.writeTextFileSync(list, "# nobody yet\n");

  // Ada opens no port: only the relay leads to her. Bob listens; both let in friends.
  const ada = await world.startPeer("ada", "--no-direct", "--allow-file", list, "--guest-rate", "8MiB");
  const bob = await world.startPeer("bob", "--listen", "127.0.0.1:0", "--allow-file", list, "--no-relays");
  const cleo = await world.startPeer("cleo", "--listen", "127.0.0.1:0");
  await Promise.all([indexed(ada), indexed(bob)]);
  await eventually("all are listed", async () => (await others(cleo)).filter(({ isOnline }) => isOnline).length === 2);

  // Whoever is not invited is told so; a ticket opens what it is for, and nothing else.
  const uninvited = await world.say("cleo", "ls", ada.peerId, "/");
  assertEquals(uninvited.code, 1);
  assertStringIncludes(uninvited.err, "it lets in only whom it knows or has invited");
  const shared = JSON.parse(await world.ask("ada", "share", "notes", "--json", "--uses", "1"));
  const notes = world.directory.path("notes");
  await world.ask("cleo", "get", shared.ticket, "--out", notes);
  assertEquals(Deno.readTextFileSync(`${notes}/list.txt`), WORDS);
  const diary = await world.say("cleo", "get", shared.ticket, "private/diary.txt", "--out", notes);
  assertEquals(diary.code, 1, diary.out);

  // By the relay, which carries all of it and reads none.
  Deno.writeTextFileSync(list, `${cleo.peerId} # Cleo\n`);
  await eventually("Cleo is a friend", async () => (await world.say("cleo", "ls", ada.peerId, "films")).code === 0);
  const first = world.directory.path("first.mkv");
  const told = await world.say("cleo", "get", ada.peerId, "films/holiday.mkv", "--out", first, "--json");
  assertEquals(told.code, 0, told.err);
  assertStringIncludes(told.out, "relayed");
  assertEquals(Deno.readFileSync(first), film);
  assert(world.beforeRelay.seen.byteCount >= film.length, "the relay has carried it");

  // From both at once.
  const second = world.directory.path("second.mkv");
  const both = await world.say(
    "cleo",
    "get",
    bob.peerId,
    "copies/same.mkv",
    "--from",
    ada.peerId,
    "--out",
    second,
    "--json",
  );
  assertEquals(both.code, 0, both.err);
  assertEquals(Deno.readFileSync(second), film);
  assertStringIncludes(both.out, "direct");

  // The tracker is gone: those who have met go on.
  await world.killTracker();
  const third = world.directory.path("third.mkv");
  await world.ask("cleo", "get", bob.peerId, "copies/same.mkv", "--out", third);
  assertEquals(Deno.readFileSync(third), film);
  await world.startTracker();
  await eventually("all are listed again", async () => {
    return (await others(cleo)).filter(({ isOnline }) => isOnline).length === 2;
  });

  // Killed in the middle, a fetch goes on where it was; when a source is killed in the middle, the other brings the rest.
  await world.stopPeer("bob");
  const slow = await world.startPeer("bob", "--listen", "127.0.0.1:0", "--open", "--no-relays", "--guest-rate", "4MiB");
  await indexed(slow);
  const fourth = world.directory.path("fourth.mkv");
  const cut = world.begin("cleo", "get", slow.peerId, "copies/same.mkv", "--out", fourth, "--json");
  await eventually("some of it is there", () => partBytes(world.directory.path("")) >= 4 * MIB);
  cut.crash();
  await cut.stop();
  const before = partBytes(world.directory.path(""));
  const wish = [slow.peerId, "copies/same.mkv", "--from", ada.peerId, "--out", fourth, "--json"];
  await using rest = world.begin("cleo", "get", ...wish);
  await eventually("more of it is there", () => partBytes(world.directory.path("")) >= before + 2 * MIB);
  await world.killPeer("bob");
  const brought = (await sourcesOf(rest)).get(ada.peerId)!;
  assert(brought > 0 && brought < film.length, `ada has brought what was missing, and not all of it: ${brought}`);
  assertEquals(await rest.ended(), 0);
  assertEquals(Deno.readFileSync(fourth), film);

  // What those between have seen: of contents nothing, at the tracker not even names.
  for (const seen of [world.beforeTracker.seen, world.beforeRelay.seen]) {
    for (const words of [WORDS.slice(0, 20), "holiday", "diary", "same.mkv"]) assert(!seen.has(words), words);
  }
  assert(world.beforeTracker.seen.byteCount < MIB, "the tracker has seen introductions alone");
  assertEquals(await world.stopPeer("ada"), 0);
});

/** How much each source has brought, once a fetch says that it is done. */
async function sourcesOf(fetching: Program): Promise<ReadonlyMap<string, number>> {
  for (;;) {
    const { event, sources } = await fetching.readJson();
    if (event !== "done") continue;
    return new Map((sources as { peerId: string; bytes: number }[]).map(({ peerId, bytes }) => [peerId, bytes]));
  }
}

/** How much there is of a file that is not whole yet. */
function partBytes(folder: string): number {
  let bytes = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    if (name.includes("fourth.mkv") && name !== "fourth.mkv") bytes += allocated(`${folder}/${name}`);
  }
  return bytes;
}

function allocated(path: string): number {
  try {
    return (Deno.statSync(path).blocks ?? 0) * 512;
  } catch {
    return 0; // it has just become the file
  }
}
