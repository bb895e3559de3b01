import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import type { PieceSet } from "../../protocol/files/piece_set.ts";
import { PIECE_BYTES } from "../../protocol/files/tree_hash.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { contentOf } from "./fixtures/fake_peer.ts";
import { isPartName, PartFile, partPaths } from "./part_file.ts";

const SIZE = 3 * PIECE_BYTES + 10;
const CONTENT = contentOf(SIZE);
const SUBJECT = { content: "c0ffee", size: SIZE };

function piece(number: number): Uint8Array {
  return CONTENT.subarray(number * PIECE_BYTES, Math.min(SIZE, (number + 1) * PIECE_BYTES));
}

function numbers(set: PieceSet): number[] {
  return Array.from({ length: set.pieces }, (_, at) => at).filter((at) => set.has(at));
}

async function write(path: string, pieces: readonly number[], options: { bootId?: string } = {}): Promise<void> {
  await using part = await PartFile.open(path, SUBJECT, options);
  for (const number of pieces) part.write(number, piece(number));
}

async function namesIn(folder: TempDirectory): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder.path("")), ({ name }) => name)).sort();
}

Deno.test("a file gets its name when it is whole, and nothing else is left", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [2, 0]);
  assertEquals(await namesIn(folder), [".film.culvert-journal", ".film.culvert-part"]);
  await using part = await PartFile.open(path, SUBJECT);
  assertEquals([numbers(part.had), numbers(part.doubtful)], [[0, 2], []]);
  await assertRejects(() => part.finish(), CulvertError, "missing");
  part.write(3, piece(3));
  part.write(1, piece(1));
  await part.finish(1e12);
  assertEquals(await namesIn(folder), ["film"]);
  assertEquals(await Deno.readFile(path), CONTENT);
  assertEquals((await Deno.stat(path)).mtime?.getTime(), 1e12);
});

Deno.test("after a power cut what was not synced is doubtful, and is there again once it has been checked", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [0, 1], { bootId: "yesterday" });
  {
    await using part = await PartFile.open(path, SUBJECT, { bootId: "today" });
    assertEquals([numbers(part.had), numbers(part.doubtful)], [[], [0, 1]]);
    const bytes = new Uint8Array(PIECE_BYTES);
    assert(part.read(1, bytes));
    assertEquals(bytes, piece(1));
    part.confirm(1);
  }
  await using part = await PartFile.open(path, SUBJECT, { bootId: "today" });
  assertEquals([numbers(part.had), numbers(part.doubtful)], [[1], [0]]);
});

Deno.test("what somebody else has touched is doubtful, and stays so", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [0, 1]);
  const { part: partPath } = partPaths(path);
  await Deno.utime(partPath, new Date(), new Date(Date.now() + 60_000));
  for (let turn = 0; turn < 2; turn++) {
    await using part = await PartFile.open(path, SUBJECT);
    assertEquals([numbers(part.had), numbers(part.doubtful)], [[], [0, 1]]);
  }
});

Deno.test("of another content, or without its file, a journal says nothing that counts", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [0, 3]);
  {
    await using part = await PartFile.open(path, { content: "other", size: SIZE - PIECE_BYTES });
    assertEquals([numbers(part.had), numbers(part.doubtful)], [[], [0]]);
  }
  await write(path, [0, 3]);
  await Deno.remove(partPaths(path).part);
  await using part = await PartFile.open(path, SUBJECT);
  assertEquals([numbers(part.had), numbers(part.doubtful)], [[], []]);
});

Deno.test("a journal whose end is spoilt is read as far as it makes sense, and written on from there", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [0, 3]);
  const { journal } = partPaths(path);
  const text = await Deno.readTextFile(journal);
  await Deno.writeTextFile(journal, text.slice(0, -2) + "\0\0\0");
  await write(path, [1]);
  await using part = await PartFile.open(path, SUBJECT);
  assertEquals(numbers(part.had), [0, 1]);
});

Deno.test("nothing is overwritten unless asked for, not even what came meanwhile", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  {
    await using part = await PartFile.open(path, SUBJECT);
    for (const number of [0, 1, 2, 3]) part.write(number, piece(number));
    await Deno.writeTextFile(path, "mine");
    const error = await assertRejects(() => part.finish(), CulvertError);
    assertEquals(error.code, "exists");
  }
  assertEquals(await Deno.readTextFile(path), "mine");
  await assertRejects(() => PartFile.open(path, SUBJECT), CulvertError, "something is there already");
  await using part = await PartFile.open(path, SUBJECT, { overwrite: true });
  await part.finish();
  assertEquals(await Deno.readFile(path), CONTENT);
});

Deno.test("nothing is written through a link that somebody has put there", async () => {
  using folder = new TempDirectory();
  await Deno.writeTextFile(folder.path("secret"), "mine");
  for (const kind of ["part", "journal"] as const) {
    const path = folder.path(`film whose ${kind} is a link`);
    const link = partPaths(path)[kind];
    await Deno.symlink(folder.path("secret"), link);
    await assertRejects(() => PartFile.open(path, SUBJECT), CulvertError, "must be a file of ours");
  }
  assertEquals(await Deno.readTextFile(folder.path("secret")), "mine");
});

Deno.test("a part that is a finished file as well is begun anew, and that file stays as it is", async () => {
  using folder = new TempDirectory();
  const path = folder.path("film");
  await write(path, [0]);
  const { part: partPath } = partPaths(path);
  await Deno.writeTextFile(partPath, "finished");
  await Deno.link(partPath, folder.path("elsewhere"));
  await write(path, [1]);
  assertEquals(await Deno.readTextFile(folder.path("elsewhere")), "finished");
  await using part = await PartFile.open(path, SUBJECT);
  assertEquals(numbers(part.had), [1]);
});

Deno.test("one program fetches to a place at a time", async () => {
  using folder = new TempDirectory();
  await using _part = await PartFile.open(folder.path("film"), SUBJECT);
  const error = await assertRejects(() => PartFile.open(folder.path("film"), SUBJECT), CulvertError);
  assertEquals(error.code, "busy");
});

Deno.test("an unfinished file has a name of its own however long the file's name is", async () => {
  using folder = new TempDirectory();
  const path = folder.path("x".repeat(255));
  await write(path, [0]);
  const names = await namesIn(folder);
  assertEquals([names.length, names.every(isPartName)], [2, true]);
});

Deno.test("what the disk did not take is fetched no further, and all of it is doubtful", async () => {
  for (const syncEvery of [2, 100]) {
    using folder = new TempDirectory();
    const path = folder.path("film");
    {
      using _disk = faultyDisk();
      await using part = await PartFile.open(path, SUBJECT, { syncEvery });
      for (const number of [0, 1]) part.write(number, piece(number));
      // The sync that is under way fails only after this.
      for (const number of [2, 3]) part.write(number, piece(number));
      const error = await assertRejects(() => part.finish(), CulvertError);
      assertEquals(error.code, "disk_full");
    }
    await using part = await PartFile.open(path, SUBJECT);
    assertEquals([numbers(part.had), numbers(part.doubtful)], [[], [0, 1, 2, 3]]);
  }
});

/** Until disposed of the first sync fails, and the others succeed as they do over what is lost. */
function faultyDisk(): Disposable {
  const { prototype } = Deno.FsFile;
  const { syncData } = prototype;
  let syncs = 0;
  prototype.syncData = () => {
    const full = Object.assign(new Error("The disk is full"), { code: "ENOSPC" });
    return ++syncs === 1 ? Promise.reject(full) : Promise.resolve();
  };
  return { [Symbol.dispose]: () => void (prototype.syncData = syncData) };
}
