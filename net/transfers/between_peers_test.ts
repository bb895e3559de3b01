import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import { randomOf } from "../../protocol/random.ts";
import { silentLog } from "../../protocol/log.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { openDoor } from "../files/doors.ts";
import { serveFiles } from "../files/file_server.ts";
import { FolderIndex } from "../files/index/folder_index.ts";
import { GuestDoors } from "../peers/guest_doors.ts";
import {
  startGuest,
  startHost,
  startRelay,
  type WorldGuest,
  type WorldHost,
  type WorldRelay,
} from "../peers/fixtures/peer_world.ts";
import { fetchFile } from "./fetch_file.ts";
import { fetchFolder } from "./fetch_folder.ts";
import { recordingTools } from "./fixtures/fetching.ts";
import { contentOf } from "./fixtures/fake_peer.ts";
import { RemoteFiles } from "./remote_files.ts";

const clock = clockOf(globalThis);
const LONG_AGO = new Date(Date.UTC(2020, 0, 1));
const FILM = contentOf(9 * PIECE_BYTES + 99, 9);

/** A peer as it is run: a folder, its index, its file server, a door for each guest. */
class Sharing implements AsyncDisposable {
  readonly #held = new AsyncDisposableStack();
  readonly #folder = this.#held.use(new TempDirectory());
  host!: WorldHost;
  index!: FolderIndex;

  static async start(options: { relays?: WorldRelay[]; listens?: boolean } = {}): Promise<Sharing> {
    const sharing = new Sharing();
    const held = sharing.#held;
    sharing.write("films/film", FILM);
    sharing.write("films/ümläut ✓.txt", contentOf(100));
    sharing.write("other", contentOf(5));
    const folder = sharing.#folder.path("");
    const index = sharing.index = held.use(await FolderIndex.open({ folder, clock, log: silentLog, restShare: 0 }));
    const self = { peerId: "a".repeat(26), label: "host", version: "0.0.0", capabilities: ["files"] };
    const server = held.use(
      serveFiles({ folder, self, index, clock, random: randomOf(crypto), makesFolderPage: false }),
    );
    const doors = held.use(new GuestDoors({ clock, log: silentLog, open: (guest) => openDoor(server, { guest }) }));
    const { onGuest, onLeave, onStream } = doors;
    sharing.host = held.use(startHost({ ...options, onGuest, onLeave, onStream }));
    await eventually("everything is in the index", () => index.status.pending === 0 && index.status.files === 3);
    if (options.relays) await sharing.host.met();
    return sharing;
  }

  write(path: string, bytes: Uint8Array): void {
    const at = this.#folder.path(path);
    Deno.mkdirSync(at.slice(0, at.lastIndexOf("/")), { recursive: true });
    Deno.writeFileSync(at, bytes);
    Deno.utimeSync(at, LONG_AGO, LONG_AGO);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

function remoteOf(guest: WorldGuest, card: PeerCard): RemoteFiles {
  return new RemoteFiles({
    peerId: card.peerId,
    clock,
    connect: (signal) => guest.network.connect(card, { signal }),
  });
}

function isFilm(bytes: Uint8Array): boolean {
  return bytes.length === FILM.length && bytes.every((byte, at) => byte === FILM[at]);
}

Deno.test("a file comes from two peers, directly from one and by a relay from the other", async () => {
  using temp = new TempDirectory();
  await using relay = startRelay();
  await using direct = await Sharing.start();
  await using relayed = await Sharing.start({ relays: [relay], listens: false });
  await using guest = startGuest();
  using one = remoteOf(guest, direct.host.card());
  using two = remoteOf(guest, relayed.host.card());
  await two.self();
  const tools = recordingTools({ clock });
  await fetchFile(one, [two], { path: "films/film", out: temp.path("film") }, tools);
  assert(isFilm(await Deno.readFile(temp.path("film"))));
  assertEquals([one.http.way, two.http.way], ["direct", "relayed"]);
  assertEquals([tools.starts[0]!.isVerified, tools.liars], [true, []]);
  assertEquals([...tools.brought.values()].reduce((sum, bytes) => sum + bytes), FILM.length);
});

Deno.test("a folder comes with the names it has, and other requests do what they say", async () => {
  using temp = new TempDirectory();
  await using sharing = await Sharing.start();
  await using guest = startGuest();
  using source = remoteOf(guest, sharing.host.card());
  const tools = recordingTools({ clock });
  const { files, leftOut } = await fetchFolder(source, [], { path: "films", out: temp.path("films") }, tools);
  assertEquals([files, leftOut], [2, []]);
  assert(isFilm(await Deno.readFile(temp.path("films/film"))));
  assertEquals(await Deno.readFile(temp.path("films/ümläut ✓.txt")), contentOf(100));
  assertEquals([await source.describe("films"), await source.describe("nothing")], [undefined, undefined]);
  assertEquals((await source.search({ q: "umlaut" })).found.map(({ path }) => path), ["films/ümläut ✓.txt"]);
  const film = await source.describe("films/film");
  assertEquals((await source.locate(film!.root!))?.paths, ["films/film"]);
  assertEquals(await source.locate("0".repeat(64)), undefined);
});

Deno.test("when the peer that one is fetched from goes, another takes over", async () => {
  using temp = new TempDirectory();
  await using first = await Sharing.start();
  await using second = await Sharing.start();
  await using guest = startGuest();
  using one = remoteOf(guest, first.host.card());
  using two = remoteOf(guest, second.host.card());
  const tools = recordingTools({ clock });
  let brought = 0;
  const listening = {
    ...tools,
    onBytes: (peerId: string, bytes: number) => {
      tools.onBytes!(peerId, bytes);
      if (++brought === 2) void first.host.host[Symbol.asyncDispose]();
    },
  };
  await fetchFile(one, [two], { path: "films/film", out: temp.path("film") }, listening);
  assert(isFilm(await Deno.readFile(temp.path("film"))));
  assertGreater(tools.brought.get(two.peerId) ?? 0, 0);
});

Deno.test("what is not shared cannot be fetched", async () => {
  using temp = new TempDirectory();
  await using sharing = await Sharing.start();
  await using guest = startGuest();
  using source = remoteOf(guest, sharing.host.card());
  const wish = { path: "../secret", out: temp.path("secret") };
  await assertRejects(() => fetchFile(source, [], wish, recordingTools({ clock })), CulvertError);
});
