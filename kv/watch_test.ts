import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { FakeClock, settle } from "../testing/fake_clock.ts";
import { openKv } from "./open.ts";
import { watchKey } from "./watch.ts";

/** The store as a process sees it that hears no events, as on a SQLite file that another one writes to. */
function deaf(kv: Deno.Kv, get: Deno.Kv["get"] = (key) => kv.get(key)): Deno.Kv {
  return { get, watch: () => new ReadableStream() } as unknown as Deno.Kv;
}

function watchOf(kv: Deno.Kv, clock: FakeClock, signal: AbortSignal, source = kv): AsyncIterator<unknown> {
  const read = async () => (await kv.get(["a"])).value;
  return watchKey(source, ["a"], { read, clock, signal, pollMs: 1000 });
}

/** Lets seconds pass until the promise settles; how many it took. */
async function secondsUntil(promise: Promise<unknown>, clock: FakeClock): Promise<number> {
  let isSettled = false;
  promise.finally(() => isSettled = true);
  for (let seconds = 0;; seconds++) {
    // A read of the store is done by the host, not by promises alone.
    while (!isSettled && clock.pendingTimers === 0) await settle();
    if (isSettled) return seconds;
    clock.advance(1000);
  }
}

Deno.test("who hears no events looks every so often", async () => {
  using kv = await openKv(":memory:");
  const clock = new FakeClock();
  const stop = new AbortController();
  const watch = watchOf(kv, clock, stop.signal, deaf(kv));
  assertEquals((await watch.next()).value, null);
  const next = watch.next();
  await kv.set(["a"], 1);
  assertEquals(await secondsUntil(next, clock) <= 1, true);
  assertEquals((await next).value, 1);
  const last = watch.next();
  stop.abort();
  assertEquals([(await last).done, clock.pendingTimers], [true, 0]);
});

Deno.test("who hears events does not wait for the next look", async () => {
  using kv = await openKv(":memory:");
  const clock = new FakeClock();
  const stop = new AbortController();
  const watch = watchOf(kv, clock, stop.signal);
  await watch.next();
  const next = watch.next();
  await kv.set(["a"], 1);
  assertEquals((await next).value, 1);
  stop.abort();
  await watch.return!();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("a store that cannot be read for a while does not end the watch", async () => {
  using kv = await openKv(":memory:");
  const clock = new FakeClock();
  const stop = new AbortController();
  let failures = 3;
  const get = ((key: Deno.KvKey) => {
    return failures-- > 0 ? Promise.reject(new TypeError("database is locked")) : kv.get(key);
  }) as Deno.Kv["get"];
  const watch = watchOf(kv, clock, stop.signal, deaf(kv, get));
  const first = watch.next();
  assertEquals(await secondsUntil(first, clock), 3);
  assertEquals((await first).value, null);
  stop.abort();
  await watch.return!();
});

Deno.test("a store that was closed ends the watch with an error", async () => {
  const kv = await openKv(":memory:");
  const clock = new FakeClock();
  const watch = watchOf(kv, clock, new AbortController().signal);
  await watch.next();
  kv.close();
  const next = watch.next();
  const error = await assertRejects(() => next, CulvertError);
  assertEquals([error.code, clock.pendingTimers], ["store_closed", 0]);
});
