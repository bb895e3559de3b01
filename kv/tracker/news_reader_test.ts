import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { entryOf, idOf } from "../../protocol/tracker/fixtures/entries.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { openKv } from "../open.ts";
import { ChangeWriter } from "./change_writer.ts";
import { TrackerKeys } from "./keys.ts";
import { NewsReader } from "./news_reader.ts";

const keys = new TrackerKeys("test");

function writerOn(kv: Deno.Kv, writer: string): ChangeWriter {
  return new ChangeWriter({ store: { kv, clock: new FakeClock() }, keys, writer, ttlMs: 60_000 });
}

Deno.test("the news of others are read once each, in their order, and one's own are not", async () => {
  using kv = await openKv(":memory:");
  const [one, other] = [writerOn(kv, "one"), writerOn(kv, "other")];
  await one.write({ kind: "left", peerId: idOf(0) });
  const reader = new NewsReader(kv, keys, "self");
  await reader.skip();
  assertEquals(await reader.read(), []);
  await Promise.all([
    one.write({ kind: "registered", entry: entryOf(1), said: {} }),
    one.write({ kind: "seen", peerId: idOf(2), said: { load: 0.5 } }),
  ]);
  await one.write({ kind: "left", peerId: idOf(1) });
  await other.write({ kind: "seen", peerId: idOf(3), said: {} });
  await writerOn(kv, "self").write({ kind: "left", peerId: idOf(4) });
  const news = (await reader.read())!;
  assertEquals(news.map(({ sequence }) => sequence), [2, 3, 1]);
  assertEquals([news[0]!.registered, news[0]!.seen], [[idOf(1)], [{ peerId: idOf(2), load: 0.5 }]]);
  assertEquals([news[1]!.left, news[2]!.seen], [[idOf(1)], [{ peerId: idOf(3) }]]);
  assertEquals(await reader.read(), []);
});

Deno.test("who has missed news is told so, and goes on with those that come", async () => {
  using kv = await openKv(":memory:");
  const writer = writerOn(kv, "one");
  const reader = new NewsReader(kv, keys, "self");
  for (const number of [1, 2, 3]) await writer.write({ kind: "left", peerId: idOf(number) });
  await kv.delete(keys.newsOf("one", 2));
  assertEquals(await reader.read(), undefined);
  assertEquals(await reader.read(), []);
  await writer.write({ kind: "left", peerId: idOf(4) });
  assertEquals((await reader.read())!.map(({ left }) => left), [[idOf(4)]]);
});

Deno.test("whoever waits for a commit that fails is told, and the next is tried", async () => {
  const kv = await openKv(":memory:");
  const writer = writerOn(kv, "one");
  kv.close();
  const error = await assertRejects(() => writer.write({ kind: "left", peerId: idOf(1) }), CulvertError);
  assertEquals(error.code, "store_closed");
  await assertRejects(() => writer.write({ kind: "left", peerId: idOf(1) }), CulvertError);
  await writer.idle();
});

Deno.test("many at once share commits, and all of them are kept", async () => {
  using kv = await openKv(":memory:");
  const writer = writerOn(kv, "one");
  const entries = Array.from({ length: 2000 }, (_, number) => entryOf(number));
  await Promise.all(entries.map((entry) => writer.write({ kind: "registered", entry, said: {} })));
  const kept = await Array.fromAsync(kv.list({ prefix: keys.peers }), ({ key }) => String(key.at(-1)));
  assertEquals(kept, entries.map(({ peerId }) => peerId).sort());
  const { value } = await kv.get<{ sequence: number }>([...keys.writers, "one"]);
  assertEquals(value!.sequence, 5, "commits of 450");
});
