import { assert, assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { holderOf, Journal, takeWhenFree, type Undo } from "./journal.ts";

const RULE: Undo = { kind: "rule", rule: { family: 6, priority: 7, table: 51820, fwmark: 51820, not: true } };
const LINK: Undo = { kind: "link", name: "wg0" };

Deno.test("what one run recorded and did not finish, the next one finds in its order", async () => {
  using temp = new TempDirectory();
  const path = temp.path("run/wg0.1");
  {
    using journal = (await Journal.take(path))!;
    assert(!journal.wasLeft);
    await journal.record(LINK);
    await journal.record(RULE);
  }
  using next = (await Journal.take(path))!;
  assert(next.wasLeft);
  assertEquals(next.undos, [LINK, RULE]);
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
});

Deno.test("only one holds it, and who that is can be asked", async () => {
  using temp = new TempDirectory();
  const path = temp.path("wg0.1");
  assertEquals(await holderOf(path), undefined);
  using journal = (await Journal.take(path))!;
  assertEquals(await Journal.take(path), undefined);
  assertEquals(await holderOf(path), Deno.pid);
  const waiting = takeWhenFree(path, { clock: clockOf(globalThis), signal: AbortSignal.timeout(5000) });
  await journal.record(LINK);
  await journal.finish();
  using next = (await waiting)!;
  assertEquals(next.undos, []);
  assert(!next.wasLeft, "it was finished, so nothing of it is left");
});

Deno.test("a wait for it ends with its signal", async () => {
  using temp = new TempDirectory();
  using _journal = await Journal.take(temp.path("wg0.1"));
  const signal = AbortSignal.timeout(30);
  assertEquals(await takeWhenFree(temp.path("wg0.1"), { clock: clockOf(globalThis), signal }), undefined);
});

Deno.test("clearing forgets what was undone, finishing removes the file", async () => {
  using temp = new TempDirectory();
  const path = temp.path("wg0.1");
  const journal = (await Journal.take(path))!;
  await journal.record(LINK);
  await journal.clear();
  assertEquals(journal.undos, []);
  assertEquals(await Deno.readTextFile(path), `{"pid":${Deno.pid}}\n`);
  await journal.finish();
  assertEquals([...Deno.readDirSync(temp.path("."))], []);
});

Deno.test("a torn last line and lines nobody knows are passed over, and what follows is kept whole", async () => {
  using temp = new TempDirectory();
  const path = temp.path("wg0.1");
  const lines = [{ pid: 1 }, { undo: LINK }, { undo: { kind: "later" } }].map((line) => JSON.stringify(line));
  await Deno.writeTextFile(path, lines.join("\n") + '\n{"undo":{"kind":"ru');
  {
    using journal = (await Journal.take(path))!;
    assertEquals(journal.undos, [LINK]);
    await journal.record(RULE);
  }
  using next = (await Journal.take(path))!;
  assertEquals(next.undos, [LINK, RULE]);
  assertEquals(await holderOf(path), Deno.pid);
});
