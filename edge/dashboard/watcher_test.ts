import { assert, assertEquals } from "@std/assert";
import type { StreamEvent } from "../../protocol/event_stream.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { FakeSource } from "./fixtures/fake_source.ts";
import type { Inventory, NetworkSource } from "./inventory.ts";
import { AWAKE_MS, Watcher } from "./watcher.ts";

function startWatcher(overrides: Partial<NetworkSource> = {}, { log = silentLog } = {}) {
  const clock = new FakeClock();
  const source = Object.assign(new FakeSource({ clock }), overrides);
  const told: StreamEvent[] = [];
  const audience = { isWatched: false };
  const watcher = new Watcher({
    source,
    clock,
    log,
    metrics: noMetrics,
    isWatched: () => audience.isWatched,
    tell: (event) => void told.push(event),
  });
  watcher.wake();
  return { clock, source, told, audience, watcher, [Symbol.dispose]: () => watcher[Symbol.dispose]() };
}

Deno.test("it looks every two seconds, and every second while somebody watches", async () => {
  using started = startWatcher();
  const { clock, source, audience, watcher } = started;
  await clock.advanceAsync(20_000);
  assertEquals(source.asked, 11);
  audience.isWatched = true;
  await watcher.look();
  await clock.advanceAsync(20_000);
  assertEquals(source.asked, 32);
  const [, history] = watcher.state;
  assertEquals(JSON.parse(history!.data).points.length, 21);
});

Deno.test("it stops to look ten minutes after the last who watched, and goes on when it is woken", async () => {
  using started = startWatcher();
  const { clock, source, audience, watcher } = started;
  audience.isWatched = true;
  await watcher.look();
  await clock.advanceAsync(2 * AWAKE_MS);
  audience.isWatched = false;
  let before = source.asked;
  await clock.advanceAsync(2 * AWAKE_MS);
  // The first was still to come in a second.
  assertEquals([source.asked - before, clock.pendingTimers], [AWAKE_MS / 2000 + 1, 0]);
  before = source.asked;
  await clock.advanceAsync(AWAKE_MS);
  watcher.wake();
  watcher.wake();
  await clock.advanceAsync(1);
  assertEquals(source.asked - before, 1);
  await clock.advanceAsync(20_000);
  assertEquals(source.asked - before, 11);
});

Deno.test("a look that works while it is waited for is paid for as well", async () => {
  using started = startWatcher();
  const { clock, source, audience, watcher } = started;
  let asked = 0;
  const empty = { supernodes: [], peers: [], sessions: [], links: [], blocked: new Set<string>() };
  source.inventory = () => {
    asked++;
    const { promise, resolve } = Promise.withResolvers<Inventory>();
    clock.after(100, () => resolve(empty));
    return promise as unknown as Inventory;
  };
  audience.isWatched = true;
  await clock.runUntil(watcher.look());
  asked = 0;
  await clock.advanceAsync(36_000);
  assertEquals(asked, 10);
});

Deno.test("where a look takes long, looks are rarer: a thirty-fifth of the time at most, a hundredth unwatched", async () => {
  let tookMs = 0;
  const slow = (clock: FakeClock, inventory: () => Inventory) => () => {
    clock.advance(100);
    tookMs += 100;
    return inventory();
  };
  using started = startWatcher();
  const { clock, source, audience, watcher } = started;
  const empty = { supernodes: [], peers: [], sessions: [], links: [], blocked: new Set<string>() };
  source.inventory = slow(clock, () => empty);
  for (const [isWatched, share] of [[true, 1 / 35], [false, 1 / 100]] as const) {
    audience.isWatched = isWatched;
    await watcher.look();
    [tookMs] = [0];
    const beforeMs = clock.now();
    await clock.advanceAsync(100_000);
    assert(tookMs > 0 && tookMs <= share * (clock.now() - beforeMs) + 100, `${isWatched}: ${tookMs} ms`);
  }
});

Deno.test("all who ask for a look while there is one share it", async () => {
  using started = startWatcher();
  const { clock, source, watcher } = started;
  await clock.advanceAsync(1);
  const before = source.asked;
  await Promise.all([watcher.look(), watcher.look(), watcher.look()]);
  assertEquals(source.asked, before + 1);
  await clock.advanceAsync(1000);
  await watcher.snapshot();
  assertEquals(source.asked, before + 1);
});

Deno.test("a view is told when it is another, and not again when it is the same", async () => {
  using started = startWatcher({
    inventory: () => ({ supernodes: [], peers: [], sessions: [], links: [], blocked: new Set<string>() }),
  });
  await started.clock.advanceAsync(10_000);
  assertEquals(started.told.filter(({ event }) => event === "view").length, 1);
  assertEquals(started.told.filter(({ event }) => event === "point").length, 6);
});

Deno.test("a source that never answers is in trouble after five seconds, is asked again by and by, and is told of once in the log", async () => {
  const log = new LogCollector();
  let asked = 0;
  using started = startWatcher({ inventory: () => (asked++, new Promise<Inventory>(() => {})) }, { log });
  await started.clock.advanceAsync(5000);
  assertEquals(started.told.filter(({ event }) => event === "trouble"), [
    { event: "trouble", data: JSON.stringify({ text: "Cannot look at the network: no answer within 5000 ms" }) },
  ]);
  await started.clock.advanceAsync(100_000);
  assertEquals([asked, log.lines.length], [4, 1]);
  assertEquals(started.told.filter(({ event }) => event === "log").length, 1);
  assertEquals(await started.clock.runUntil(started.watcher.snapshot()), undefined);
});

Deno.test("a source that breaks while it is gone through is in trouble, and nothing else breaks", async () => {
  using started = startWatcher({
    inventory() {
      const peers = {
        [Symbol.iterator]() {
          throw new Error("gone");
        },
      };
      return { supernodes: [], peers, sessions: [], links: [], blocked: new Set<string>() };
    },
  });
  await started.clock.advanceAsync(1);
  assertEquals(started.told.map(({ event }) => event), ["trouble", "log"]);
});

Deno.test("what the source tells of itself is in the log as it comes", async () => {
  using started = startWatcher();
  await started.clock.advanceAsync(1);
  const atMs = started.clock.wallNow();
  started.source.tell({ atMs, kind: "audit", text: "alice drained supernode-1" });
  started.source.tell({ atMs, kind: "audit", text: "bob was refused", isBad: true });
  started.source.tell({ atMs, kind: "notice", text: "exit-1 is killed", isBad: true });
  started.source.tell({ atMs, kind: "notice", text: "exit-1 runs again" });
  started.source.tell({ atMs, kind: "notice", text: "streams come through again", tone: "good" });
  const tones = started.told.slice(-5).map(({ data }) => JSON.parse(data).lines[0].tone);
  assertEquals(tones, ["info", "bad", "bad", "warn", "good"]);
});

Deno.test("disposing it ends everything, also while it waits for an answer", async () => {
  const started = startWatcher({ inventory: () => new Promise<Inventory>(() => {}) });
  await started.clock.advanceAsync(1);
  started.watcher[Symbol.dispose]();
  await started.clock.advanceAsync(60_000);
  assertEquals([started.told.length, started.clock.pendingTimers], [0, 0]);
});
