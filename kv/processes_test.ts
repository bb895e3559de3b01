import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { clockOf } from "../protocol/clock.ts";
import { Program } from "../testing/program.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { createKvAudit } from "./audit.ts";
import { createKvBlocks } from "./blocks.ts";
import { createKvDirectory } from "./directory.ts";
import { peerId } from "./fixtures/records.ts";
import { ENTRIES, NONCES, shareOfWork, type Work } from "./fixtures/work.ts";
import { openKv } from "./open.ts";

const otherProcess = fromFileUrl(import.meta.resolve("./fixtures/other_process.ts"));

Deno.test("two processes on one store lose nothing of each other's, and hear of each other's blocks", async () => {
  using temp = new TempDirectory();
  const path = temp.path("store.db");
  using kv = await openKv(path);
  const clock = clockOf(globalThis);
  await using other = new Program([Deno.execPath(), "run", "-A", "--unstable-kv", otherProcess, path]);
  await other.readJson();

  const stop = new AbortController();
  const blocks = createKvBlocks(kv, clock, { space: "test" }).watch(stop.signal)[Symbol.asyncIterator]();
  let list = (await blocks.next()).value;
  const ours = await shareOfWork(kv, clock, 1);
  const theirs = await other.readJson() as unknown as Work;
  while (!list.has("peer", peerId(7))) list = (await blocks.next()).value;
  stop.abort();
  await blocks.return!();

  const all = [...ours.nonces, ...theirs.nonces].sort((a, b) => a - b);
  assertEquals(all, Array.from({ length: NONCES }, (_, nonce) => nonce));
  const entries = await createKvAudit(kv, clock, { space: "test" }).list({ limit: 1000 });
  assertEquals(entries.length, 2 * ENTRIES);
  const supernodes = await createKvDirectory(kv, clock, { space: "test" }).supernodes.list();
  assertEquals(supernodes.map(({ supernodeId }) => supernodeId), [peerId(1), peerId(2)]);
  assert(list.size === 1);
});
