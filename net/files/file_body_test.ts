import { assert, assertEquals, assertRejects } from "@std/assert";
import { FileAnswer } from "./file_answer.ts";
import { GUEST, numbered, SharedFolder } from "./fixtures/shared_folder.ts";

const MIB = 1024 * 1024;
const BROKEN_OFF = "Cannot send the file";

/** A few reads' worth. */
function large(): SharedFolder {
  return new SharedFolder({ "large.bin": numbered(2 * MIB) });
}

async function reading(
  shared: SharedFolder,
  path = "/content/large.bin",
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  return (await shared.ask(path)).body!.getReader();
}

async function rest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number> {
  for (let length = 0;;) {
    const { value } = await reader.read();
    if (!value) return length;
    length += value.length;
  }
}

Deno.test("bodies: a file that becomes shorter breaks off", async () => {
  await using shared = large();
  const reader = await reading(shared);
  await reader.read();
  Deno.truncateSync(shared.path("large.bin"), MIB);
  await assertRejects(() => rest(reader), Error, BROKEN_OFF);
});

Deno.test("bodies: a file that is emptied and written anew breaks off, whatever its length", async () => {
  await using shared = large();
  const reader = await reading(shared);
  await reader.read();
  shared.write("large.bin", numbered(2 * MIB).reverse());
  await assertRejects(() => rest(reader), Error, BROKEN_OFF);
});

Deno.test("bodies: one byte written into a file breaks it off before its end", async () => {
  await using shared = large();
  const reader = await reading(shared);
  await reader.read();
  using file = Deno.openSync(shared.path("large.bin"), { write: true });
  file.writeSync(new Uint8Array(1));
  await assertRejects(() => rest(reader), Error, BROKEN_OFF);
});

Deno.test("bodies: a range of a file that was written to breaks off too, and so do several", async () => {
  await using shared = large();
  for (const range of ["bytes=0-1048575", "bytes=0-9,500000-1500000"]) {
    const reader = (await shared.ask("/content/large.bin", { headers: { range } })).body!.getReader();
    await reader.read();
    Deno.utimeSync(shared.path("large.bin"), new Date(), new Date(Date.now() - 50_000 - range.length));
    await assertRejects(() => rest(reader), Error, BROKEN_OFF);
  }
});

Deno.test("bodies: a file that is replaced goes on as it was, to its end", async () => {
  await using shared = large();
  const response = await shared.ask("/content/large.bin");
  shared.write("other.bin", "other");
  Deno.renameSync(shared.path("other.bin"), shared.path("large.bin"));
  assertEquals(await response.bytes(), numbered(2 * MIB));
  assertEquals(await (await shared.ask("/content/large.bin")).text(), "other");
});

Deno.test("bodies: a file that is removed goes on to its end", async () => {
  await using shared = large();
  const response = await shared.ask("/content/large.bin");
  Deno.removeSync(shared.path("large.bin"));
  assertEquals((await response.bytes()).length, 2 * MIB);
});

Deno.test("bodies: nothing is read before it is wanted, and what is not read any more is closed", async () => {
  await using shared = large();
  const before = openFiles();
  const reader = await reading(shared);
  const { value } = await reader.read();
  assertEquals(value!.length, 256 * 1024);
  assertEquals(openFiles() - before, 1);
  await reader.cancel();
  assertEquals(openFiles() - before, 0);
});

Deno.test("bodies: who stops reading is cut off, who reads slowly is not", async () => {
  await using shared = new SharedFolder({ "large.bin": numbered(2 * MIB) }, { limits: { stallMs: 1000 } });
  const before = openFiles();
  const [slow, stalled] = [await reading(shared), await reading(shared)];
  await stalled.read();
  for (let turn = 0; turn < 4; turn++) {
    await slow.read();
    await shared.clock.advanceAsync(500);
  }
  await assertRejects(() => rest(stalled), Error, BROKEN_OFF);
  assertEquals(await rest(slow), MIB);
  assertEquals(openFiles() - before, 0);
});

Deno.test("bodies: a socket that takes a little of a piece now and then is not cut off", async () => {
  await using shared = new SharedFolder({ "large.bin": numbered(2 * MIB) }, { limits: { stallMs: 1000 } });
  const headers = new Headers({ host: "127.0.0.1:1" });
  const answer = await shared.server.handleFile({
    method: "GET",
    url: "http://127.0.0.1:1/content/large.bin",
    headers,
  });
  assert(answer instanceof FileAnswer);
  let sentBytes = 0;
  const socket = {
    async write(from: Uint8Array) {
      await shared.clock.advanceAsync(500);
      const count = Math.min(from.length, 100_000);
      sentBytes += count;
      return count;
    },
    close() {},
  };
  await answer.file.sendTo(socket, new Uint8Array(MIB));
  assertEquals(sentBytes, 2 * MIB);
});

Deno.test("bodies: only so many are under way at once, and fewer of one guest", async () => {
  const limits = { maxTransfers: 3, maxGuestTransfers: 1 };
  await using shared = new SharedFolder({ "large.bin": numbered(2 * MIB) }, { limits });
  const ask = (guest?: typeof GUEST) => shared.ask("/content/large.bin", {}, guest);
  const first = await ask(GUEST);
  const refused = await ask(GUEST);
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  const others = [await ask(), await ask({ ...GUEST, peerId: "c".repeat(26) })];
  assertEquals((await ask()).status, 503);
  await first.body!.cancel();
  const again = await ask(GUEST);
  assertEquals(again.status, 200);
  for (const response of [...others, again]) await response.body!.cancel();
});

Deno.test("bodies: a rate is kept, to each guest", async () => {
  const limits = { guestBytesPerS: MIB };
  await using shared = new SharedFolder({ "large.bin": numbered(3 * MIB) }, { limits });
  const reader = (await shared.ask("/content/large.bin", {}, GUEST)).body!.getReader();
  let [length, isOver] = [0, false];
  const reading = (async () => {
    for (;;) {
      const { value } = await reader.read();
      if (!value) break;
      length += value.length;
    }
    isOver = true;
  })();
  await shared.clock.advanceAsync(0);
  assertEquals(Math.round(length / MIB * 10), 10, "at once comes what has gathered");
  await shared.clock.advanceAsync(1000);
  assertEquals(Math.round(length / MIB * 10), 20, "then as much each second");
  assert(!isOver);
  // Others are not slowed down by it.
  assertEquals((await (await shared.ask("/content/large.bin")).bytes()).length, 3 * MIB);
  await shared.clock.advanceAsync(1100);
  await reading;
  assertEquals(length, 3 * MIB);
});

Deno.test("bodies: where the disk is slow, reads are made elsewhere, and the bytes are the same", async () => {
  await using shared = large();
  const content = numbered(2 * MIB);
  const { clock } = shared;
  const now = clock.now.bind(clock);
  // Every look at the clock is late by more than a read may take.
  let lateMs = 0;
  clock.now = () => now() + (lateMs += 10);
  const reader = await reading(shared);
  const { value } = await reader.read();
  const next = await reader.read();
  assertEquals([value!, next.value!], [content.slice(0, 262_144), content.slice(262_144, 524_288)]);
  assertEquals(await rest(reader), 2 * MIB - 524_288);
});

/** Of this process, by the system's count. */
function openFiles(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}
