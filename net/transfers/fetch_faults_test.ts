import { assert, assertEquals, assertGreater } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { fetchFile } from "./fetch_file.ts";
import { hastyClock, recordingTools } from "./fixtures/fetching.ts";
import { PartFile } from "./part_file.ts";
import { contentOf, FakePeer } from "./fixtures/fake_peer.ts";

const SIZE = 10 * PIECE_BYTES + 5;
const CONTENT = contentOf(SIZE, 3);
const fetchSlowly = fromFileUrl(import.meta.resolve("./fixtures/fetch_slowly.ts"));

function isContent(bytes: Uint8Array): boolean {
  return bytes.length === SIZE && bytes.every((byte, at) => byte === CONTENT[at]);
}

Deno.test("after kill -9 the next fetch asks for no piece that was there, and reads none of them again", async () => {
  using temp = new TempDirectory();
  await using peer = new FakePeer("a");
  peer.put("film", CONTENT);
  // The last pieces come only once the program is gone.
  const isKilled = Promise.withResolvers<void>();
  peer.onAsked = () => peer.asked.at(-1)!.endsWith(`-${SIZE - 1}`) ? isKilled.promise : undefined;
  const out = temp.path("film");
  const command = [Deno.execPath(), "run", "-A", fetchSlowly, String(peer.port), "film", out] as const;
  await using program = new Program(command, { quiet: true });
  let pieces = 0;
  while (pieces < 4) pieces = Number((await program.readJson())["pieces"]);
  Deno.kill(program.pid, "SIGKILL");
  isKilled.resolve();
  peer.onAsked = () => {};
  await program[Symbol.asyncDispose]();

  {
    // Nothing of what the journal says needs to be read to be believed.
    await using part = await PartFile.open(out, { content: peer.files.get("film")!.root, size: SIZE });
    assertEquals([part.had.size >= pieces, part.doubtful.size], [true, 0]);
  }
  peer.sentBytes = 0;
  const tools = recordingTools();
  using source = peer.remote(tools.clock);
  await fetchFile(source, [], { path: "film", out }, tools);
  assert(isContent(await Deno.readFile(out)));
  const { keptBytes } = tools.starts[0]!;
  assertGreater(keptBytes, (pieces - 1) * PIECE_BYTES);
  assertEquals(peer.sentBytes, SIZE - keptBytes);
});

Deno.test("killed again and again, a fetch still comes to its end, and every byte is right", async () => {
  using temp = new TempDirectory();
  await using peer = new FakePeer("a");
  peer.put("film", CONTENT);
  const out = temp.path("film");
  const command = [Deno.execPath(), "run", "-A", fetchSlowly, String(peer.port), "film", out] as const;
  for (let kill = 0; kill < 3; kill++) {
    // It is killed with the first piece that comes, whatever else is on its way by then.
    await using program = new Program(command, { quiet: true });
    await program.readJson();
    Deno.kill(program.pid, "SIGKILL");
  }
  const tools = recordingTools();
  using source = peer.remote(tools.clock);
  await fetchFile(source, [], { path: "film", out }, tools);
  assert(isContent(await Deno.readFile(out)));
});

testWith(
  { root: true, tools: ["unshare", "mount"] },
  "a full disk is said to be full, and what has come is kept for when there is room",
  async () => {
    using temp = new TempDirectory();
    await using peer = new FakePeer("a");
    peer.put("film", CONTENT);
    await Deno.mkdir(temp.path("disk"));
    // In a mount namespace of its own, so that the disk is gone when the program is.
    const script = 'mount -t tmpfs -o size=6m culvert-test "$1" && "$2" run -A "$3" "$4" film "$1/film" && ' +
      'mount -o remount,size=16m "$1" && exec "$2" run -A "$3" "$4" film "$1/film"';
    const command = ["unshare", "--mount", "sh", "-c", script, "sh", temp.path("disk")] as const;
    await using program = new Program([...command, Deno.execPath(), fetchSlowly, String(peer.port)], { quiet: true });
    const lastWord = async () => {
      for (let pieces = 0;;) {
        const said = await program.readJson();
        if (said["pieces"] === undefined) return { pieces, said };
        pieces = Number(said["pieces"]);
      }
    };
    const full = await lastWord();
    assertEquals(full.said, { code: "disk_full" });
    assertGreater(full.pieces, 2);
    const rest = await lastWord();
    assertEquals(rest, { pieces: 11 - full.pieces, said: { done: true } });
  },
);

Deno.test("a source that is stopped, as by its machine going to sleep, is not waited for", async () => {
  using temp = new TempDirectory();
  await using stopped = new FakePeer("stopped");
  await using other = new FakePeer("other");
  for (const peer of [stopped, other]) peer.put("film", CONTENT);
  const forEver = Promise.withResolvers<void>();
  let asked = 0;
  stopped.onAsked = () => ++asked > 2 ? forEver.promise : undefined;
  const tools = recordingTools();
  using first = stopped.remote(hastyClock(), 50_000);
  using second = other.remote(tools.clock);
  await fetchFile(first, [second], { path: "film", out: temp.path("film") }, tools);
  assert(isContent(await Deno.readFile(temp.path("film"))));
  forEver.resolve();
});
