import { assertEquals } from "@std/assert";
import { settle } from "../../../testing/fake_clock.ts";
import { type Watcher, watchFolder } from "./folder_watch.ts";

/** A watcher that says what a test wants. */
function scripted(events: readonly Partial<Deno.FsEvent>[]): Watcher {
  return {
    close() {},
    async *[Symbol.asyncIterator]() {
      for (const event of events) yield await Promise.resolve({ kind: "modify", paths: [], ...event } as Deno.FsEvent);
    },
  };
}

async function toldOf(events: readonly Partial<Deno.FsEvent>[], hidden = false): Promise<string[]> {
  const told: string[] = [];
  using _ = watchFolder({ folder: "/shared", hidden }, {
    changed: (paths) => told.push(...paths),
    overflowed: () => told.push("somewhere"),
    lost: (reason) => told.push(reason),
  }, () => scripted(events));
  await settle();
  await settle();
  return told.slice(0, -1);
}

Deno.test("changes are told by their path in the folder, and where is not known if it is not", async () => {
  const events = [
    { paths: ["/shared/a/b", "/shared/c"] },
    { kind: "access", paths: ["/shared/read"] },
    { kind: "other", flag: "rescan", paths: ["/shared"] },
    { paths: ["/shared", "/elsewhere/d", "/shared2/e"] },
  ] as const;
  assertEquals(await toldOf(events.map((event) => ({ ...event, paths: [...event.paths] }))), ["a/b", "c", "somewhere"]);
});

Deno.test("what is hidden is not told of, unless it is shared too", async () => {
  const events = [{ paths: ["/shared/.drafts/1"] }, { paths: ["/shared/a/.b", "/shared/a/c"] }];
  assertEquals(await toldOf(events), ["a/c"]);
  assertEquals(await toldOf(events, true), [".drafts/1", "a/.b", "a/c"]);
});

Deno.test("a watcher that ends is lost, and one that is closed is not", async () => {
  const lost: string[] = [];
  const news = { changed() {}, overflowed() {}, lost: (reason: string) => void lost.push(reason) };
  using ended = watchFolder({ folder: "/shared", hidden: false }, news, () => scripted([]));
  await settle();
  assertEquals(lost.length, 1);
  const closed = watchFolder({ folder: "/shared", hidden: false }, news, () => scripted([{}]));
  closed[Symbol.dispose]();
  await settle();
  await settle();
  assertEquals(lost.length, 1);
  ended[Symbol.dispose]();
});
