import { assert, assertEquals, assertRejects } from "@std/assert";
import { dirname } from "@std/path";
import { clockOf } from "../../../protocol/clock.ts";
import { createMemoryKnownContents } from "../../../kv/files/known_contents.ts";
import { EMPTY_ROOT, PIECE_BYTES, TreeHasher } from "../../../protocol/files/tree_hash.ts";
import { portablePrimitives } from "../../../protocol/primitives.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { LogCollector } from "../../../testing/log_collector.ts";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { eventually, within } from "../../../testing/waiting.ts";
import { FolderIndex, type FolderIndexOptions } from "./folder_index.ts";
import type { FolderReader, FolderSettings, SeenFile } from "./folder_reader.ts";
import type { WatchFolder } from "./folder_watch.ts";
import { LocalReader } from "./local_reader.ts";

const { sha256 } = portablePrimitives;
const LONG_AGO = new Date(Date.UTC(2020, 0, 1));

/** A shared folder, and an index of it whose reader a test looks over the shoulder of. */
class Share implements AsyncDisposable {
  readonly #directory = new TempDirectory();
  readonly log = new LogCollector();
  /** Files that were read for what they contain. */
  readonly reads: string[] = [];

  constructor() {
    Deno.mkdirSync(this.path(""));
  }

  path(name: string): string {
    return this.#directory.path(`shared/${name}`);
  }

  outside(name: string): string {
    return this.#directory.path(name);
  }

  /** Written as if long ago, so that nobody waits until it was left alone. */
  write(name: string, content: string | Uint8Array, modified = LONG_AGO): void {
    Deno.mkdirSync(dirname(this.path(name)), { recursive: true });
    Deno.writeFileSync(this.path(name), typeof content === "string" ? new TextEncoder().encode(content) : content);
    Deno.utimeSync(this.path(name), modified, modified);
  }

  open(options: Partial<FolderIndexOptions> & { readonly openWatcher?: WatchFolder } = {}): Promise<FolderIndex> {
    const clock = options.clock ?? clockOf(globalThis);
    const openReader = (settings: FolderSettings) => this.#reader(settings, options.openWatcher ?? silent);
    return FolderIndex.open({ folder: this.path(""), clock, log: this.log, openReader, ...options });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#directory[Symbol.dispose]();
    return Promise.resolve();
  }

  #reader(settings: FolderSettings, openWatcher: WatchFolder): FolderReader {
    const local = new LocalReader({ ...settings, clock: clockOf(globalThis), sha256, restShare: 0, openWatcher });
    return {
      look: (paths, onSeen) => local.look(paths, onSeen),
      read: (files: readonly SeenFile[], onRead) => {
        this.reads.push(...files.map(({ path }) => path));
        return local.read(files, onRead);
      },
      watch: (news) => local.watch(news),
      [Symbol.dispose]: () => local[Symbol.dispose](),
    };
  }
}

/** Notices of nothing. */
function silent(): ReturnType<WatchFolder> {
  const end = Promise.withResolvers<IteratorResult<Deno.FsEvent>>();
  const events = { next: () => end.promise };
  return { close: () => end.resolve({ done: true, value: undefined }), [Symbol.asyncIterator]: () => events };
}

function rootOf(content: Uint8Array | string): string {
  const hasher = new TreeHasher(sha256);
  hasher.update(typeof content === "string" ? new TextEncoder().encode(content) : content);
  return hasher.finish().root;
}

function stampOf(path: string): { size: number; modifiedMs: number } {
  const { size, mtime } = Deno.statSync(path);
  return { size, modifiedMs: mtime!.getTime() + 0.25 };
}

Deno.test("files are found by what they contain, and by their names", async () => {
  await using share = new Share();
  const large = new Uint8Array(PIECE_BYTES + 1).fill(7);
  share.write("one.txt", "one");
  share.write("folder/copy of one.txt", "one");
  share.write("folder/large.bin", large);
  share.write("nothing", "");
  await using index = await share.open();
  await within("all is read", index.idle());
  assertEquals(index.status, { files: 4, bytes: PIECE_BYTES + 7, pending: 0 });
  assertEquals(index.rootOf("one.txt", stampOf(share.path("one.txt"))), rootOf("one"));
  assertEquals(index.rootOf("nothing", stampOf(share.path("nothing"))), EMPTY_ROOT);
  assertEquals(index.locate(rootOf("one")).map(({ path }) => path).sort(), ["folder/copy of one.txt", "one.txt"]);
  assertEquals(index.pieces(rootOf("one"))?.toHex(), rootOf("one"));
  assertEquals(index.pieces(rootOf(large))?.length, 64);
  assertEquals(index.pieces(EMPTY_ROOT)?.length, 0);
  assertEquals(index.pieces(rootOf("two")), undefined);
  const { found, pending } = index.search({ q: "one", limit: 10 }, "");
  assertEquals([found.map(({ path, root }) => [path, root]), pending], [
    [["one.txt", rootOf("one")], ["folder/copy of one.txt", rootOf("one")]],
    0,
  ]);
  assertEquals(index.search({ q: "one", limit: 10 }, "folder").found.length, 1);
  assertEquals(index.search({ q: "one", limit: 10 }, "one.txt").found.length, 1);
});

Deno.test("a file that is not as it was when it was read has no root", async () => {
  await using share = new Share();
  share.write("file", "before");
  await using index = await share.open();
  await within("all is read", index.idle());
  const stamp = stampOf(share.path("file"));
  assertEquals(index.rootOf("file", stamp), rootOf("before"));
  assertEquals(index.rootOf("file", { ...stamp, size: 7 }), undefined);
  assertEquals(index.rootOf("file", { ...stamp, modifiedMs: stamp.modifiedMs + 1 }), undefined);
  assertEquals(index.rootOf("other", stamp), undefined);
});

Deno.test("what is hidden and what leaves the folder is not there; links that stay inside count as files", async () => {
  await using share = new Share();
  share.write("folder/real.txt", "real");
  share.write(".hidden", "hidden");
  share.write(".secret/key", "key");
  share.write("folder/.culvert-upload", "ours");
  Deno.writeTextFileSync(share.outside("outside.txt"), "outside");
  Deno.symlinkSync("folder/real.txt", share.path("to real"));
  Deno.symlinkSync("../outside.txt", share.path("to outside"));
  Deno.symlinkSync(".secret/key", share.path("to hidden"));
  Deno.symlinkSync("folder", share.path("to folder"));
  Deno.symlinkSync("..", share.path("up"));
  Deno.symlinkSync("nowhere", share.path("to nothing"));
  await using index = await share.open();
  await within("all is read", index.idle());
  const { found } = index.search({ q: "real", limit: 10 }, "");
  assertEquals(found.map(({ path }) => path), ["folder/real.txt", "to real"]);
  assertEquals(index.status.files, 2);
  assertEquals(index.locate(rootOf("real")).length, 2);
  assertEquals(index.locate(rootOf("outside")), []);
  assertEquals(index.locate(rootOf("key")), []);
  await using whole = await share.open({ hidden: true });
  await within("all is read", whole.idle());
  assertEquals(whole.status.files, 5);
});

Deno.test("after a restart only what has changed is read again, and moved files are recognised", async () => {
  await using share = new Share();
  const known = createMemoryKnownContents();
  const large = new Uint8Array(2 * PIECE_BYTES + 1).fill(7);
  share.write("same", "same");
  share.write("changes", "before");
  share.write("moves", large);
  share.write("goes", "goes");
  await using first = await share.open({ known });
  await within("all is read", first.idle());
  await first[Symbol.asyncDispose]();
  assertEquals(share.reads.splice(0).sort(), ["changes", "goes", "moves", "same"]);

  Deno.mkdirSync(share.path("new"));
  Deno.renameSync(share.path("moves"), share.path("new/moved"));
  Deno.removeSync(share.path("goes"));
  share.write("changes", "after!", new Date(LONG_AGO.getTime() + 1));
  await using second = await share.open({ known });
  await within("all is read", second.idle());
  assertEquals(share.reads, ["changes"]);
  assertEquals(second.locate(rootOf(large)).map(({ path }) => path), ["new/moved"]);
  assertEquals(second.pieces(rootOf(large))?.length, 96);
  assertEquals(second.rootOf("changes", stampOf(share.path("changes"))), rootOf("after!"));
  await second[Symbol.asyncDispose]();
  const { contents } = await known.load();
  assertEquals(contents.map(({ root }) => root).sort(), [rootOf("same"), rootOf("after!"), rootOf(large)].sort());
});

Deno.test("a file is read once it has been left alone", async () => {
  await using share = new Share();
  const clock = new FakeClock(LONG_AGO.getTime() + 500);
  share.write("fresh", "fresh");
  share.write("of the future", "future", new Date(LONG_AGO.getTime() + 86_400_000));
  await using index = await share.open({ clock });
  await eventually("the other is read", () => index.locate(rootOf("future")).length === 1);
  assertEquals(share.reads, ["of the future"]);
  assertEquals(index.status.pending, 1);
  clock.advance(1499);
  assertEquals(share.reads.length, 1);
  clock.advance(1);
  await within("it is read", index.idle());
  assertEquals(index.locate(rootOf("fresh")).length, 1);
});

Deno.test("where no changes are told the folder is looked through every so often, and that is said", async () => {
  await using share = new Share();
  share.write("one", "one");
  const clock = new FakeClock(Date.now());
  const openWatcher = () => {
    throw new Error("No space left on device (os error 28)");
  };
  await using index = await share.open({ clock, openWatcher, rescanMs: 30_000 });
  await within("all is read", index.idle());
  assertEquals(share.log.lines.map(({ level, message }) => [level, message]), [
    ["warn", "Changes of the shared folder are not told: it is looked through every so often"],
  ]);
  let tellings = 0;
  using _ = index.subscribe(() => tellings++);
  share.write("two", "two");
  await clock.advanceAsync(30_200);
  await eventually("it is found", () => index.locate(rootOf("two")).length === 1);
  clock.advance(300);
  assert(tellings > 0);
});

Deno.test("of more files than it takes the index says so", async () => {
  await using share = new Share();
  for (let number = 0; number < 5; number++) share.write(`${number}`, `${number}`);
  await using index = await share.open({ maxFiles: 3 });
  await within("all is read", index.idle());
  assertEquals(index.status.files, 3);
  assertEquals(share.log.lines.map(({ message }) => message), [
    "The shared folder has more files than the index takes",
  ]);
});

Deno.test("what cannot be remembered is read at each start, and that is said once", async () => {
  await using share = new Share();
  share.write("one", "one");
  share.write("two", "two");
  const broken = () => Promise.reject(new Error("the disk is full"));
  await using index = await share.open({ known: { load: broken, save: broken, forget: broken } });
  await within("all is read", index.idle());
  assertEquals(index.status, { files: 2, bytes: 6, pending: 0 });
  await index[Symbol.asyncDispose]();
  assertEquals(share.log.lines.map(({ message, fields }) => [message.split(":")[0], fields["reason"]]), [
    ["What files contain is not remembered", "the disk is full"],
    ["What files contain cannot be kept", "the disk is full"],
  ]);
});

Deno.test("a disk that is away for a while costs no reading when it is back", async () => {
  await using share = new Share();
  const known = createMemoryKnownContents();
  share.write("one", "one");
  const away = share.outside("away");
  for (const isAway of [false, true, false]) {
    if (isAway) Deno.renameSync(share.path("one"), away);
    await using index = await share.open({ known });
    await within("all is read", index.idle());
    assertEquals(index.status.files, isAway ? 0 : 1);
    if (isAway) Deno.renameSync(away, share.path("one"));
  }
  assertEquals(share.reads, ["one"]);
});

Deno.test("there is no index of a folder that is not there", async () => {
  await using share = new Share();
  await assertRejects(() => share.open({ folder: share.path("none") }), Deno.errors.NotFound);
});

Deno.test("in its Worker it follows what happens in the folder", async () => {
  await using share = new Share();
  share.write("old.txt", "old");
  share.write("folder/stays.txt", "stays");
  const clock = clockOf(globalThis);
  await using index = await FolderIndex.open({ folder: share.path(""), clock, log: share.log, restShare: 0 });
  await within("all is read", index.idle());
  let tellings = 0;
  using _ = index.subscribe(() => tellings++);

  share.write("added/deep/down.txt", "down");
  await eventually("what is added is found", () => index.locate(rootOf("down")).length === 1);
  await eventually("changes are told", () => tellings > 0);
  Deno.renameSync(share.path("folder"), share.path("moved"));
  await eventually("what is moved is found", () => index.locate(rootOf("stays"))[0]?.path === "moved/stays.txt");
  Deno.removeSync(share.path("old.txt"));
  share.write("moved/stays.txt", "changed", new Date(LONG_AGO.getTime() + 1));
  await eventually("what is gone is gone", () => index.locate(rootOf("old")).length === 0);
  await eventually("what has changed is read", () => index.locate(rootOf("changed")).length === 1);
  assertEquals(index.locate(rootOf("stays")), []);
  Deno.removeSync(share.path("added"), { recursive: true });
  await eventually("a folder that is gone is gone", () => index.status.files === 1);
  assertEquals(share.log.lines, []);
});
