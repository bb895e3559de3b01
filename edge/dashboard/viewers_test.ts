import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventStreamReader, KEEP_ALIVE, type StreamEvent } from "../../protocol/event_stream.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { Problem } from "../problem.ts";
import { KEEP_ALIVE_MS, MAX_VIEWERS, Viewers } from "./viewers.ts";

const FOREVER = { session: "one", expiresAtMs: 8.64e15 };

/** Reads a piece when it is told to, and holds nothing itself. */
class SlowReader {
  readonly #reader;
  readonly #events = new EventStreamReader(1_000_000);

  constructor(opened: Response | Problem) {
    assert(opened instanceof Response);
    this.#reader = opened.body!.getReader();
  }

  /** The events of one piece; undefined at the end. */
  async read(): Promise<readonly StreamEvent[] | undefined> {
    const { done, value } = await this.#reader.read();
    return done ? undefined : this.#events.push(new TextDecoder().decode(value))!;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}

function startViewers() {
  const clock = new FakeClock();
  const counts: number[] = [];
  let newest = 0;
  const viewers = new Viewers({
    clock,
    state: () => [{ event: "state", data: String(newest) }],
    onChange: (count) => void counts.push(count),
  });
  return {
    clock,
    counts,
    viewers,
    tell: (number: number) => {
      newest = number;
      viewers.tell({ event: "number", data: String(number) });
    },
  };
}

Deno.test("who comes is told all there is, and then what happens, in order", async () => {
  const { viewers, tell, counts } = startViewers();
  tell(1);
  const reader = new SlowReader(viewers.open(FOREVER));
  assertEquals(await reader.read(), []);
  assertEquals(await reader.read(), [{ event: "state", data: "1" }]);
  for (const number of [2, 3, 4]) tell(number);
  for (const number of [2, 3, 4]) assertEquals(await reader.read(), [{ event: "number", data: String(number) }]);
  await reader.cancel();
  assertEquals(counts, [1, 0]);
});

Deno.test("who is far behind misses what there is too much of, and is told all there is again", async () => {
  const { viewers, tell } = startViewers();
  const [slow, quick] = [new SlowReader(viewers.open(FOREVER)), new SlowReader(viewers.open(FOREVER))];
  for (const reader of [slow, quick]) {
    await reader.read();
    await reader.read();
  }
  for (let number = 1; number <= 10_000; number++) {
    tell(number);
    assertEquals(await quick.read(), [{ event: "number", data: String(number) }]);
  }
  // One was on its way already; all that came after it is told as one.
  assertEquals(await slow.read(), [{ event: "number", data: "1" }]);
  assertEquals(await slow.read(), [{ event: "state", data: "10000" }]);
  tell(10_001);
  assertEquals(await slow.read(), [{ event: "number", data: "10001" }]);
  await Promise.all([slow.cancel(), quick.cancel()]);
});

Deno.test("there are so many viewers and no more, and a place is free again when one goes", async () => {
  const { viewers, clock } = startViewers();
  const readers = Array.from({ length: MAX_VIEWERS }, () => new SlowReader(viewers.open(FOREVER)));
  const refused = viewers.open(FOREVER);
  assertEquals(refused instanceof Problem && refused.code, "busy");
  await readers[0]!.cancel();
  readers[0] = new SlowReader(viewers.open(FOREVER));
  viewers[Symbol.dispose]();
  assertEquals([viewers.size, clock.pendingTimers], [0, 0]);
  for (const reader of readers) await reader.cancel();
});

Deno.test("a comment comes every 15 seconds, and ends no event", async () => {
  const { viewers, clock } = startViewers();
  const reader = (viewers.open(FOREVER) as Response).body!.getReader();
  const text = async () => new TextDecoder().decode((await reader.read()).value);
  assertEquals(await text(), KEEP_ALIVE);
  await text();
  for (let time = 0; time < 3; time++) {
    await clock.advanceAsync(KEEP_ALIVE_MS);
    assertEquals(await text(), KEEP_ALIVE);
  }
  await reader.cancel();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("who reads nothing for a minute is let go, who has nothing to read is not", async () => {
  const { viewers, clock, tell } = startViewers();
  const [stuck, quiet] = [new SlowReader(viewers.open(FOREVER)), new SlowReader(viewers.open(FOREVER))];
  const read: (readonly StreamEvent[])[] = [];
  const reading = (async () => {
    for (let piece = await quiet.read(); piece; piece = await quiet.read()) read.push(piece);
  })();
  await settle();
  tell(1);
  await clock.advanceAsync(90_000);
  assertEquals(viewers.size, 1);
  tell(2);
  await settle();
  assertEquals(read.at(-1), [{ event: "number", data: "2" }]);
  viewers[Symbol.dispose]();
  await reading;
  assertEquals(read.at(-1), [{ event: "bye", data: "{}" }]);
  // Nothing of what it was given is waited for.
  await assertRejects(() => stuck.read(), Error, "read nothing for too long");
});

Deno.test("a stream ends with the session it was opened with", async () => {
  const { viewers, clock } = startViewers();
  const reader = new SlowReader(viewers.open({ session: "short", expiresAtMs: clock.wallNow() + 20_000 }));
  await reader.read();
  await reader.read();
  await clock.advanceAsync(KEEP_ALIVE_MS);
  assertEquals(await reader.read(), []);
  await clock.advanceAsync(KEEP_ALIVE_MS);
  assertEquals(await reader.read(), undefined);
  assertEquals(viewers.size, 0);
});

Deno.test("a session that was ended takes its streams with it and no others", async () => {
  const { viewers } = startViewers();
  const [one, other] = [viewers.open(FOREVER), viewers.open({ ...FOREVER, session: "other" })].map((opened) =>
    new SlowReader(opened)
  ) as [SlowReader, SlowReader];
  for (const reader of [one, other]) await reader.read();
  viewers.end("one");
  assertEquals(viewers.size, 1);
  while (await one.read());
  assertEquals(await other.read(), [{ event: "state", data: "0" }]);
  await other.cancel();
});
