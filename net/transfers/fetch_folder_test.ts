import { assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { fetchFolder } from "./fetch_folder.ts";
import { recordingTools } from "./fixtures/fetching.ts";
import { contentOf, FakePeer } from "./fixtures/fake_peer.ts";
import { refusalOfName, shownName } from "./local_names.ts";

const FILES: Readonly<Record<string, number>> = {
  "docs/readme.md": 100,
  "docs/empty": 0,
  "docs/films/long": 2 * PIECE_BYTES + 5,
  "docs/films/short": 5,
  "docs/films/older/ümläut é": 70_000,
  "elsewhere": 10,
};

function peerWithFiles(): FakePeer {
  const peer = new FakePeer("a");
  let seed = 0;
  for (const [path, size] of Object.entries(FILES)) peer.put(path, contentOf(size, ++seed));
  return peer;
}

async function filesIn(folder: string, under = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${under}${name}`;
    if (isDirectory) paths.push(...await filesIn(`${folder}/${name}`, `${path}/`));
    else paths.push(path);
  }
  return paths.sort();
}

async function fetch(peer: FakePeer, out: string, tools = recordingTools()) {
  using source = peer.remote(tools.clock);
  return await fetchFolder(source, [], { path: "docs", out }, tools);
}

Deno.test("a folder comes with all that is in it, and nothing else", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  const summary = await fetch(peer, temp.path("docs"));
  const inside = Object.keys(FILES).filter((path) => path.startsWith("docs/"));
  assertEquals([summary.files, summary.wereHere, summary.leftOutCount], [inside.length, 0, 0]);
  assertEquals(await filesIn(temp.path("")), inside.sort());
  for (const path of inside) assertEquals(await Deno.readFile(temp.path(path)), peer.files.get(path)!.bytes, path);
});

Deno.test("a folder that is fetched again goes on where it was, and is then complete", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  const file = peer.files.get("docs/films/short")!;
  peer.fault = (path) => path === "docs/films/short" ? { kind: "status", status: 403 } : undefined;
  const first = await fetch(peer, temp.path("docs"));
  assertEquals([first.files, first.leftOut.map(({ path }) => path)], [4, ["docs/films/short"]]);
  peer.fault = () => undefined;
  peer.sentBytes = 0;
  const second = await fetch(peer, temp.path("docs"));
  assertEquals([second.files, second.wereHere, peer.sentBytes], [5, 4, file.bytes.length]);
  assertEquals((await filesIn(temp.path("docs"))).length, 5);
});

Deno.test("a peer that is busy all the time is asked again until all of it has come, each file with one request", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  let asked = 0;
  peer.fault = () => asked++ % 3 < 2 ? { kind: "status", status: 429, retryAfter: 1 } : undefined;
  const { files, leftOutCount } = await fetch(peer, temp.path("docs"));
  assertEquals([files, leftOutCount], [5, 0]);
  peer.asked.length = 0;
  peer.fault = () => undefined;
  await fetch(peer, temp.path("again"));
  assertEquals(peer.asked.filter((request) => !request.includes("long")).length, 4);
});

Deno.test("what was changed here meanwhile is neither taken for fetched nor overwritten", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  peer.fault = (path) => path === "docs/films/short" ? { kind: "status", status: 403 } : undefined;
  await fetch(peer, temp.path("docs"));
  await Deno.writeTextFile(temp.path("docs/readme.md"), "mine");
  const { leftOut } = await fetch(peer, temp.path("docs"));
  assertEquals(leftOut.map(({ path }) => path).sort(), ["docs/films/short", "docs/readme.md"]);
  assertEquals(await Deno.readTextFile(temp.path("docs/readme.md")), "mine");
});

Deno.test("names that lead elsewhere, and links here, are left out", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  for (const name of ["..", "a\\b", "a\nb", ".x.culvert-part", "."]) peer.put(`docs/${name}`, contentOf(3));
  await Deno.mkdir(temp.path("docs"));
  await Deno.mkdir(temp.path("private"));
  await Deno.symlink(temp.path("private"), temp.path("docs/films"));
  const { leftOutCount, files } = await fetch(peer, temp.path("docs"));
  assertEquals([leftOutCount, files], [6, 2]);
  assertEquals(await filesIn(temp.path("private")), []);
});

Deno.test("a peer that is gone ends it, and says so", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  peer.onAsked = () => peer.die();
  await assertRejects(() => fetch(peer, temp.path("docs")), CulvertError, "nothing listens");
});

Deno.test("whoever has lied about one file is asked for no other", async () => {
  using temp = new TempDirectory();
  await using liar = new FakePeer("liar");
  await using honest = new FakePeer("honest");
  const names = Array.from({ length: 20 }, (_, number) => `file ${number}`);
  for (const [number, name] of names.entries()) {
    for (const peer of [liar, honest]) peer.put(`docs/${name}`, contentOf(50 + number, number));
  }
  for (const peer of [liar, honest]) peer.put("docs/long", contentOf(2 * PIECE_BYTES));
  liar.fault = () => ({ kind: "wrong byte", at: 1 });
  const tools = recordingTools();
  using source = liar.remote(tools.clock);
  using other = honest.remote(tools.clock);
  const { files, leftOutCount } = await fetchFolder(source, [other], { path: "docs", out: temp.path("docs") }, tools);
  assertEquals([files, leftOutCount], [21, 0]);
  // So many are under way when the first lie is found.
  assertLessOrEqual(liar.asked.length, 4);
  for (const name of [...names, "long"]) {
    const path = `docs/${name}`;
    assertEquals((await Deno.readFile(temp.path(path))).toHex(), honest.files.get(path)!.bytes.toHex(), name);
  }
  const alone = fetchFolder(source, [], { path: "docs", out: temp.path("again") }, tools);
  assertEquals((await assertRejects(() => alone, CulvertError)).code, "lied");
});

Deno.test("a listing that has no end ends it, and says so", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  peer.next = "again";
  const error = await assertRejects(() => fetch(peer, temp.path("docs")), CulvertError, "has no end");
  assertEquals(error.code, "bad_answer");
});

Deno.test("a file that has no place here does not keep the others from it", async () => {
  using temp = new TempDirectory();
  await using peer = peerWithFiles();
  await Deno.mkdir(temp.path("docs/readme.md"), { recursive: true });
  const tools = recordingTools();
  using source = peer.remote(tools.clock);
  const wish = { path: "docs", out: temp.path("docs"), overwrite: true };
  const { files, leftOut } = await fetchFolder(source, [], wish, tools);
  assertEquals([files, leftOut.map(({ path }) => path)], [4, ["docs/readme.md"]]);
});

Deno.test("a name from elsewhere may be one here, or not", () => {
  const fine = ["a", "a b", "ä", "...", ".hidden", "x".repeat(255), "a:b"];
  const bad = ["", ".", "..", "a/b", "a\\b", "a\0", "\x7f", "x".repeat(256), "\ud800", ".a.culvert-part", ".Culvert-x"];
  assertEquals(fine.map(refusalOfName), fine.map(() => undefined));
  assertEquals(bad.map((name) => refusalOfName(name) !== undefined), bad.map(() => true));
  assertEquals([".ssh", "...", "a.b", "..a."].map(shownName), ["_ssh", "_", "a.b", "_a."]);
});
