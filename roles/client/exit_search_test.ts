import { assertEquals } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { searchExits } from "./exit_search.ts";

/** A client with so many supernodes, of which those at `has` have an exit for it. */
function setUp(count: number, { has = [] as number[], isOpen = true } = {}) {
  const clock = new FakeClock();
  const told: string[] = [];
  const client = { at: 0, isOpen, has: new Set(has), present: undefined as object | undefined };
  const say = (what: string) => void told.push(`${Math.floor(clock.now() / 1000)} ${what}`);
  const exits = {
    get present() {
      return client.present as never;
    },
    warm() {
      say(`asks ${client.at}`);
      if (!client.has.has(client.at)) return Promise.reject(new DialError("path_down", "There is no exit"));
      client.present = {};
      return Promise.resolve();
    },
  };
  const control = {
    get isOpen() {
      return client.isOpen;
    },
    get supernode() {
      return { url: "https://sn.example/", supernodeId: String(client.at) };
    },
    moveOn() {
      if (count === 1) return false;
      client.at = (client.at + 1) % count;
      say(`goes to ${client.at}`);
      // As a client does when its control stream is open.
      if (client.has.has(client.at)) client.present = {};
      return true;
    },
  };
  const stop = new AbortController();
  const random: Random = { fill: (into) => into, next: () => 0 };
  const options = { exits, control, supernodes: count, clock, random, log: silentLog };
  const searching = searchExits(options, stop.signal);
  return {
    clock,
    client,
    told,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await searching;
    },
  };
}

async function pass(clock: FakeClock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) await clock.advanceAsync(1000);
}

Deno.test("after half a minute without an exit it tries another supernode, and stays where there is one", async () => {
  await using rig = setUp(2, { has: [1] });
  await pass(rig.clock, 31);
  assertEquals(rig.told, []);
  await pass(rig.clock, 3600);
  assertEquals(rig.told, ["32 asks 0", "32 goes to 1"]);
});

Deno.test("where there is an exit after all it stays", async () => {
  await using rig = setUp(2);
  await pass(rig.clock, 20);
  rig.client.has.add(0);
  await pass(rig.clock, 3600);
  assertEquals(rig.told, ["32 asks 0"]);
});

Deno.test("a session that comes and goes starts the wait anew", async () => {
  await using rig = setUp(2);
  for (let turn = 0; turn < 20; turn++) {
    await pass(rig.clock, 25);
    rig.client.present = {};
    await pass(rig.clock, 4);
    rig.client.present = undefined;
  }
  assertEquals(rig.told, []);
});

Deno.test("where nobody has an exit it goes round ever more slowly", async () => {
  await using rig = setUp(2);
  await pass(rig.clock, 3600);
  const moves = rig.told.filter((what) => what.includes("goes")).map((what) => parseInt(what));
  const gaps = moves.map((at, index) => at - (moves[index - 1] ?? 0));
  assertEquals(gaps.slice(0, 10), [32, 32, 62, 62, 122, 122, 242, 242, 302, 302]);
});

Deno.test("a lone supernode is asked again", async () => {
  await using rig = setUp(1);
  await pass(rig.clock, 100);
  assertEquals(rig.told, ["32 asks 0", "94 asks 0"]);
});

Deno.test("one that cannot be reached is not this search's business", async () => {
  await using rig = setUp(2, { isOpen: false });
  await pass(rig.clock, 600);
  assertEquals(rig.told, []);
});
