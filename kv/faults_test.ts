import { assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { DatabaseSync } from "node:sqlite";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { Program } from "../testing/program.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { createKvBlocks } from "./blocks.ts";
import { peerId } from "./fixtures/records.ts";
import { createKvNonces } from "./nonces.ts";
import { openKv } from "./open.ts";

// Takes five seconds: so long is waited for the lock.
Deno.test("a store that another program holds says so, and works again once it is let go", async () => {
  using temp = new TempDirectory();
  using kv = await openKv(temp.path("store.db"));
  const clock = clockOf(globalThis);
  const nonces = createKvNonces(kv, clock, { space: "test" });
  const blocks = createKvBlocks(kv, clock, { space: "test" });
  await nonces.remember("a", clock.wallNow() + 60_000);
  const stop = new AbortController();
  const watch = blocks.watch(stop.signal)[Symbol.asyncIterator]();
  await watch.next();
  const next = watch.next();

  const holder = new DatabaseSync(temp.path("store.db"));
  holder.exec("BEGIN IMMEDIATE");
  const error = await assertRejects(() => nonces.remember("b", clock.wallNow() + 60_000), CulvertError, "is locked");
  assertEquals(error.code, "store_locked");
  assertEquals(await blocks.find("peer", peerId(1)), undefined);
  holder.exec("COMMIT");
  holder.close();

  assertEquals(await nonces.remember("b", clock.wallNow() + 60_000), true);
  assertEquals(await nonces.remember("a", clock.wallNow() + 60_000), false);
  await blocks.block({ kind: "peer", peerId: peerId(1), by: "admin", reason: "", sinceMs: 1 });
  assertEquals((await next).value.has("peer", peerId(1)), true);
  stop.abort();
  await watch.return!();
});

const smallDisk = fromFileUrl(import.meta.resolve("./fixtures/small_disk.ts"));

testWith(
  { root: true, tools: ["unshare", "mount"] },
  "a full disk is said to be full, reading goes on, and so does writing once there is room",
  async () => {
    using temp = new TempDirectory();
    await Deno.mkdir(temp.path("disk"));
    // In a mount namespace of its own, so that the disk is gone when the program is.
    const script = 'mount -t tmpfs -o size=4m culvert-test "$1" && exec "$2" run -A --unstable-kv "$3" "$1"';
    const command = ["unshare", "--mount", "sh", "-c", script, "sh", temp.path("disk")] as const;
    await using program = new Program([...command, Deno.execPath(), smallDisk]);
    assertEquals(await program.readJson(), { nonce: true, queue: "saved", read: true });
    assertEquals(await program.readJson(), { nonce: "store_full", queue: "store_full", read: true });
    assertEquals(await program.readJson(), { nonce: true, queue: "saved", read: true });
  },
);
