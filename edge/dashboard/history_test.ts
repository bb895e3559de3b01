import { assertEquals } from "@std/assert";
import { FakeClock } from "../../testing/fake_clock.ts";
import { HISTORY_POINTS, HISTORY_STEP_MS } from "./api.ts";
import { FakeSource } from "./fixtures/fake_source.ts";
import { History } from "./history.ts";
import type { Inventory } from "./inventory.ts";
import { snapshotOf } from "./snapshot.ts";

function startHistory() {
  const clock = new FakeClock();
  const source = new FakeSource({ clock, supernodes: 2 });
  const history = new History();
  /** Both have carried so many bytes by now. */
  const note = (rxBytes: number, txBytes: number) => {
    const inventory = source.inventory() as Inventory;
    for (const supernode of source.supernodes) supernode.traffic = { rxBytes, txBytes };
    return history.note(snapshotOf(inventory, clock.wallNow()));
  };
  return { clock, source, history, note };
}

Deno.test("throughput is what was carried since the point before, and unknown at first", () => {
  const { clock, note } = startHistory();
  const first = note(1_000_000, 500_000);
  assertEquals([first?.rxMbps, first?.txMbps, first?.sessions, first?.peers], [null, null, 12, 21]);
  clock.advance(HISTORY_STEP_MS);
  const second = note(2_000_000, 500_000);
  assertEquals([second?.rxMbps, second?.txMbps], [8, 0]);
});

Deno.test("a supernode that was started again is left out of one point", () => {
  const { clock, source, note, history } = startHistory();
  note(1_000_000, 1_000_000);
  clock.advance(HISTORY_STEP_MS);
  const inventory = source.inventory() as Inventory;
  source.supernodes[0]!.traffic = { rxBytes: 10, txBytes: 10 };
  source.supernodes[1]!.traffic = { rxBytes: 2_000_000, txBytes: 2_000_000 };
  assertEquals(history.note(snapshotOf(inventory, clock.wallNow()))?.rxMbps, 4);
  clock.advance(HISTORY_STEP_MS);
  for (const supernode of source.supernodes) supernode.traffic = { rxBytes: -1, txBytes: NaN };
  const none = history.note(snapshotOf({ ...inventory, peers: [] }, clock.wallNow()));
  assertEquals([none?.rxMbps, none?.rttP50Ms, none?.rttP95Ms], [null, null, null]);
});

Deno.test("between two points there is time, and only so many are kept", () => {
  const { clock, note, history } = startHistory();
  note(0, 0);
  clock.advance(HISTORY_STEP_MS / 2);
  assertEquals(note(0, 0), undefined);
  for (let count = 0; count < 2 * HISTORY_POINTS; count++) {
    clock.advance(HISTORY_STEP_MS);
    note(count, count);
  }
  assertEquals(history.points.length, HISTORY_POINTS);
  assertEquals(history.points.at(-1)!.atMs, clock.wallNow());
});

Deno.test("round trips are those that can be, half of them and nineteen of twenty below", () => {
  const { source, note } = startHistory();
  const all = [...source.peers.values()];
  source.inventory = () => ({
    supernodes: source.supernodes,
    peers: all,
    sessions: [],
    links: [],
    blocked: new Set<string>(),
  });
  for (const [index, peer] of all.entries()) peer.rttMs = index + 1;
  Object.assign(all.at(-1)!, { rttMs: 1e300 });
  const point = note(0, 0);
  assertEquals([point?.rttP50Ms, point?.rttP95Ms], [11, 20]);
});
