import { assert, assertEquals, assertRejects } from "@std/assert";
import { CulvertError, DialError, type DialFailure } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import type { PeerWay } from "./peer_connection.ts";
import type { PeerLine, Way } from "./peer_ways.ts";
import { raceWays } from "./race_ways.ts";
import { TurnedAwayError } from "./sealed_knock.ts";

const HEAD_START_MS = 250;
const forever = new AbortController().signal;

/** What comes of a way after so long; what happened to it is told in `log`. */
type Outcome = "opens" | "turned away" | DialFailure;

function rig() {
  const clock = new FakeClock();
  const log: string[] = [];
  const way = (kind: PeerWay, via: string, afterMs: number, outcome: Outcome): Way => ({
    way: kind,
    via,
    open: (signal) =>
      new Promise((resolve, reject) => {
        const timer = clock.after(afterMs, () => {
          if (outcome === "opens") resolve(lineOf(kind, via, log));
          else if (outcome === "turned away") reject(new TurnedAwayError("denied"));
          else reject(new DialError(outcome, `${via} is ${outcome}`));
        });
        signal.addEventListener("abort", () => {
          timer.cancel();
          log.push(`${via} given up`);
          reject(signal.reason);
        });
      }),
  });
  const race = (...ways: Way[]) =>
    clock.runUntil(raceWays(ways, { clock, headStartMs: HEAD_START_MS, signal: forever }));
  return { clock, log, way, race };
}

function lineOf(way: PeerWay, via: string, log: string[]): PeerLine {
  return { way, via, close: () => log.push(`${via} closed`) } as unknown as PeerLine;
}

Deno.test("which way wins, and when", async () => {
  const table: [what: string, ways: [PeerWay, number, Outcome][], winner: number, atMs: number][] = [
    ["one direct way", [["direct", 10, "opens"]], 0, 10],
    ["one relay", [["relayed", 10, "opens"]], 0, 10],
    ["the faster of two direct ways", [["direct", 20, "opens"], ["direct", 10, "opens"]], 1, 10],
    ["a direct way that comes after a relay, in time", [["relayed", 5, "opens"], ["direct", 240, "opens"]], 1, 240],
    ["a relay, when the direct way takes too long", [["relayed", 5, "opens"], ["direct", 300, "opens"]], 0, 250],
    ["a relay, once every direct way has failed", [["relayed", 5, "opens"], ["direct", 40, "refused"]], 0, 40],
    ["a relay that comes after all that", [["relayed", 400, "opens"], ["direct", 40, "refused"]], 0, 400],
    [
      "a direct way that comes after its head start, before a relay",
      [
        ["relayed", 900, "opens"],
        ["direct", 500, "opens"],
      ],
      1,
      500,
    ],
  ];
  for (const [what, ways, winner, atMs] of table) {
    const { clock, way, race } = rig();
    const line = await race(...ways.map(([kind, afterMs, outcome], at) => way(kind, String(at), afterMs, outcome)));
    assertEquals([line.via, clock.now()], [String(winner), atMs], what);
    assertEquals(clock.pendingTimers, 0, what);
  }
});

Deno.test("the rest are given up, and what was held back is closed", async () => {
  const { log, way, race } = rig();
  const line = await race(
    way("relayed", "held", 5, "opens"),
    way("relayed", "late", 50, "opens"),
    way("direct", "winner", 100, "opens"),
    way("direct", "slow", 900, "opens"),
  );
  assertEquals(line.via, "winner");
  assert(log.includes("held closed") && log.includes("late closed") && log.includes("slow given up"));
  assert(!log.includes("winner closed"));
});

Deno.test("the peer's own no ends the race, whichever way it came", async () => {
  const { clock, log, way, race } = rig();
  const racing = race(way("relayed", "relay", 20, "turned away"), way("direct", "slow", 900, "opens"));
  await assertRejects(() => racing, TurnedAwayError);
  assertEquals(clock.now(), 20);
  assert(log.includes("slow given up"));
});

Deno.test("when no way leads there, the most telling of what was met with is told", async () => {
  const { way, race } = rig();
  const racing = race(
    way("direct", "one", 10, "network_unreachable"),
    way("direct", "other", 20, "refused"),
    way("relayed", "relay", 5, "path_down"),
  );
  const error = await assertRejects(() => racing, DialError, "other is refused");
  assertEquals(error.code, "refused");
});

Deno.test("whoever gives up gives all ways up, and there is no race without a way", async () => {
  const { clock, log, way, race } = rig();
  const stop = new AbortController();
  const ways = [way("direct", "one", 900, "opens"), way("relayed", "other", 5, "opens")];
  const racing = raceWays(ways, { clock, headStartMs: HEAD_START_MS, signal: stop.signal });
  await clock.advanceAsync(10);
  stop.abort(new CulvertError("closed", "enough"));
  await assertRejects(() => racing, CulvertError, "enough");
  assert(log.includes("one given up") && log.includes("other closed"));
  assertEquals(clock.pendingTimers, 0);
  const error = await assertRejects(() => race(), DialError);
  assertEquals(error.code, "unresolved");
});
