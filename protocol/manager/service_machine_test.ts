import { assert, assertEquals } from "@std/assert";
import type { ServiceAction, ServiceEvent, ServiceNews } from "./service_events.ts";
import { ServiceMachine } from "./service_machine.ts";
import { defaultWatchdogSettings, type WatchdogSettings } from "./watchdog_settings.ts";

/** A machine, its time and what it has done. */
class Watched {
  nowMs = 1_000;
  readonly machine: ServiceMachine;
  readonly news: ServiceNews[] = [];

  constructor(settings: Partial<WatchdogSettings> = {}) {
    this.machine = new ServiceMachine({ ...defaultWatchdogSettings, ...settings }, this.nowMs);
  }

  /** What is done about it, without what is told. */
  on(event: ServiceEvent): string[] {
    return this.#take(this.machine.handle(event, this.nowMs));
  }

  /** All that is done until then, each with when: `5000 spawn`. */
  pass(ms: number): string[] {
    const untilMs = this.nowMs + ms;
    const startMs = this.nowMs;
    const done: string[] = [];
    let calls = 0;
    for (let dueMs; (dueMs = this.machine.nextAtMs) !== undefined && dueMs <= untilMs;) {
      assert(++calls < 1_000, "it wants to be called for ever");
      this.nowMs = Math.max(this.nowMs, dueMs);
      done.push(...this.#take(this.machine.tick(this.nowMs)).map((action) => `${this.nowMs - startMs} ${action}`));
    }
    this.nowMs = untilMs;
    return done;
  }

  /** From stopped, or from a wait that is over. */
  run(): this {
    this.on({ is: "start" });
    return this.came();
  }

  /** A spawn gives a process that does all it should. */
  came(): this {
    this.on({ is: "spawned" });
    this.pass(2_000);
    this.on({ is: "verified" });
    assertEquals(this.machine.state, "running");
    return this;
  }

  crash(how = "exit code 1"): string[] {
    return [...this.on({ is: "exited", how, atMs: this.nowMs }), ...this.on({ is: "swept" })];
  }

  told(): string[] {
    return this.news.splice(0).map(({ level, event }) => `${level} ${event}`);
  }

  #take(actions: readonly ServiceAction[]): string[] {
    for (const action of actions) if (action.do === "tell") this.news.push(action.news);
    return actions.map((action) => action.do).filter((action) => action !== "tell");
  }
}

Deno.test("a start counts once the process has lived for two seconds and all has been verified", () => {
  const it = new Watched();
  assertEquals(it.on({ is: "start" }), ["spawn"]);
  assertEquals(it.machine.state, "starting");
  it.on({ is: "spawned" });
  assertEquals([it.on({ is: "verified" }), it.machine.state], [[], "starting"]);
  assertEquals(it.pass(5_000), ["2000 verify"]);
  it.on({ is: "verified" });
  assertEquals([it.machine.state, it.machine.sinceMs], ["running", it.nowMs]);
  assertEquals(it.told(), ["info starting", "info started"]);
});

Deno.test("a process that dies before it counts as started is started again", () => {
  const it = new Watched();
  it.on({ is: "start" });
  it.on({ is: "spawned" });
  it.pass(500);
  assertEquals(it.crash("SIGSEGV"), ["sweep"]);
  assertEquals([it.machine.state, it.machine.reason], ["stopped", "It ended by itself: SIGSEGV"]);
  assertEquals(it.pass(10_000), ["5000 spawn"]);
});

Deno.test("what cannot be spawned is tried again as if it had crashed", () => {
  const it = new Watched();
  it.on({ is: "start" });
  it.pass(100);
  it.on({ is: "unspawned", reason: "Port 1080 is taken by nginx (pid 7)" });
  assertEquals([it.machine.state, it.machine.reason], ["stopped", "Port 1080 is taken by nginx (pid 7)"]);
  assertEquals(it.pass(10_000), ["5000 spawn"]);
  assertEquals(it.machine.recentRestarts(it.nowMs), 1);
});

Deno.test("a start that takes too long is ended by SIGTERM, then SIGKILL, and counts as failed", () => {
  const it = new Watched();
  it.on({ is: "start" });
  it.on({ is: "spawned" });
  it.on({ is: "unverified", reason: "Nothing listens on 127.0.0.1:1080" });
  assertEquals(it.pass(70_000), ["2000 verify", "30000 terminate", "60000 kill"]);
  assertEquals(it.machine.reason, "It did not start within 30 s: Nothing listens on 127.0.0.1:1080");
  it.crash("SIGKILL");
  assertEquals([it.machine.state, it.machine.nextStartAtMs], ["stopped", it.nowMs + 5_000]);
  assertEquals(it.machine.reason, "It did not start within 30 s: Nothing listens on 127.0.0.1:1080");
});

Deno.test("a manager that was held up looks at a start before it finds it too late", () => {
  const it = new Watched();
  it.on({ is: "start" });
  it.on({ is: "spawned" });
  it.nowMs += 100_000;
  assertEquals(it.pass(0), ["0 verify"]);
  it.on({ is: "verified" });
  assertEquals(it.machine.state, "running");
});

Deno.test("a stop is SIGTERM, thirty seconds, SIGKILL; stopped is when nothing is left", () => {
  const it = new Watched().run();
  assertEquals(it.on({ is: "stop" }), ["terminate"]);
  assertEquals(it.pass(30_500), ["30000 kill"]);
  assertEquals(it.on({ is: "exited", how: "SIGKILL", atMs: it.nowMs }), ["sweep"]);
  assertEquals(it.machine.state, "stopping");
  assertEquals(it.on({ is: "swept" }), []);
  assertEquals([it.machine.state, it.machine.reason, it.machine.lastExit], ["stopped", undefined, "SIGKILL"]);
  assertEquals([it.pass(1_000_000), it.machine.restarts], [[], 0]);
});

Deno.test("what SIGKILL does not end is killed again, and told", () => {
  const it = new Watched().run();
  it.on({ is: "stop" });
  it.told();
  assertEquals(it.pass(90_000), ["30000 kill", "60000 kill", "90000 kill"]);
  assertEquals(it.told(), ["alert will_not_end"]);
});

Deno.test("a restart that is asked for waits for the end and no longer", () => {
  const it = new Watched().run();
  assertEquals(it.on({ is: "restart" }), ["terminate"]);
  it.pass(700);
  assertEquals(it.crash("exit code 0"), ["sweep", "spawn"]);
  assertEquals([it.machine.state, it.machine.restarts], ["starting", 0]);
});

Deno.test("what is asked while it stops is done once it has stopped, the last word counting", () => {
  for (
    const [asked, after] of [
      [["start"], "starting"],
      [["restart"], "starting"],
      [["start", "stop"], "stopped"],
      [["stop", "start"], "starting"],
    ] as const
  ) {
    const it = new Watched().run();
    it.on({ is: "stop" });
    for (const is of asked) assertEquals(it.on({ is }), []);
    it.crash();
    assertEquals(it.machine.state, after, asked.join());
  }
});

Deno.test("a stop while the process is coming gives up on it, and ends one that comes all the same", () => {
  const it = new Watched();
  it.on({ is: "start" });
  assertEquals([it.on({ is: "stop" }), it.machine.state], [["abandon"], "stopping"]);
  assertEquals(it.on({ is: "spawned" }), ["terminate"]);
  assertEquals(it.pass(30_000), ["30000 kill"]);
  it.crash();
  assertEquals(it.machine.state, "stopped");

  it.on({ is: "start" });
  it.on({ is: "stop" });
  it.on({ is: "unspawned", reason: "aborted" });
  assertEquals([it.machine.state, it.machine.reason, it.pass(1e6)], ["stopped", undefined, []]);
});

Deno.test("the waits double from 5 s, counted from the process's end, and after five it is given up", () => {
  const it = new Watched().run();
  const waits: number[] = [];
  for (let n = 0; n < 5; n++) {
    const endedAtMs = it.nowMs;
    it.pass(20); // until somebody hears of it
    it.on({ is: "exited", how: "exit code 1", atMs: endedAtMs });
    it.pass(1_000); // until nothing is left
    it.on({ is: "swept" });
    it.nowMs = it.machine.nextStartAtMs!;
    waits.push(it.nowMs - endedAtMs);
    assertEquals(it.pass(0), ["0 spawn"]);
    it.came();
  }
  assertEquals(waits, [5_000, 10_000, 20_000, 40_000, 80_000]);
  assertEquals([it.machine.restarts, it.machine.recentRestarts(it.nowMs)], [5, 5]);
  it.told();
  it.crash();
  assertEquals([it.machine.state, it.machine.gaveUp, it.pass(1e9)], ["stopped", true, []]);
  assertEquals(it.told(), ["alert gave_up"]);
});

Deno.test("a start by hand takes back a give-up, and begins afresh", () => {
  const it = new Watched({ maxRestarts: 0 }).run();
  it.crash();
  assertEquals([it.machine.gaveUp, it.machine.state], [true, "stopped"]);
  it.on({ is: "stop" });
  assertEquals(it.machine.gaveUp, true);
  assertEquals(it.on({ is: "start" }), ["spawn"]);
  assertEquals([it.machine.gaveUp, it.machine.reason], [false, undefined]);
  it.came();
});

Deno.test("what an operator starts begins with all of its restarts, without having been given up", () => {
  const it = new Watched().run();
  for (let n = 0; n < 3; n++) {
    it.crash();
    it.pass(5_000 * 2 ** n);
    it.came();
  }
  it.on({ is: "restart" });
  assertEquals(it.machine.recentRestarts(it.nowMs), 3);
  it.crash();
  assertEquals([it.machine.recentRestarts(it.nowMs), it.machine.restarts], [0, 3]);
  it.came().crash();
  assertEquals(it.pass(5_000), ["5000 spawn"]);
});

Deno.test("a wait that is too short for leftovers lasts until they are gone", () => {
  const it = new Watched().run();
  it.on({ is: "exited", how: "exit code 1", atMs: it.nowMs });
  assertEquals(it.pass(60_000), []);
  assertEquals(it.on({ is: "swept" }), ["spawn"]);
});

Deno.test("a start by hand ends a wait; a stop by hand ends it for good", () => {
  const it = new Watched().run();
  it.crash();
  assertEquals(it.on({ is: "start" }), ["spawn"]);
  it.came().crash();
  it.on({ is: "stop" });
  assertEquals([it.pass(1e6), it.machine.state, it.machine.nextStartAtMs], [[], "stopped", undefined]);
});

Deno.test("restarts count no more once it has run for the window, and only running counts", () => {
  const it = new Watched().run();
  it.crash();
  it.pass(5_000);
  it.came();
  it.pass(299_999);
  assertEquals(it.machine.recentRestarts(it.nowMs), 1);
  it.pass(1);
  assertEquals([it.machine.recentRestarts(it.nowMs), it.machine.restarts], [0, 1]);

  const slow = new Watched({ restartWindowMs: 60_000 });
  slow.on({ is: "start" });
  for (let n = 0; n < 5; n++) {
    slow.on({ is: "spawned" });
    slow.pass(30_000); // and it has not started
    slow.crash();
    assertEquals(slow.pass(5_000 * 2 ** n), [`${5_000 * 2 ** n} spawn`]);
  }
  slow.on({ is: "unspawned", reason: "No such program" });
  assertEquals(slow.machine.gaveUp, true);
});

Deno.test("somebody is told from the third restart on", () => {
  const it = new Watched().run();
  it.told();
  for (let n = 0; n < 4; n++) {
    it.crash();
    it.pass(5_000 * 2 ** n);
    it.came();
  }
  const restarts = it.told().filter((line) => line.endsWith("restarting"));
  assertEquals(restarts, ["warn restarting", "warn restarting", "alert restarting", "alert restarting"]);
});

Deno.test("without the watchdog a crash is told and not mended", () => {
  const it = new Watched({ enabled: false }).run();
  it.told();
  it.crash("exit code 3");
  assertEquals([it.machine.state, it.machine.gaveUp, it.pass(1e6)], ["stopped", false, []]);
  assertEquals([it.told(), it.machine.reason], [["alert crashed"], "It ended by itself: exit code 3"]);
  assertEquals(it.on({ is: "start" }), ["spawn"]);

  const waits = new Watched().run();
  waits.crash();
  waits.machine.configure({ ...defaultWatchdogSettings, enabled: false });
  assertEquals(waits.pass(1e6), []);
});

Deno.test("what fails is ended and started again after its wait", () => {
  const it = new Watched().run();
  assertEquals(it.on({ is: "failing", reason: "No answer", isHarmful: false }), ["terminate"]);
  assertEquals([it.machine.state, it.machine.reason], ["stopping", "No answer"]);
  it.pass(1_000);
  it.crash("SIGTERM");
  assertEquals([it.machine.reason, it.pass(5_000)], ["No answer", ["5000 spawn"]]);
  it.came();
  assertEquals(it.machine.reason, undefined);
});

Deno.test("what fails too often goes on failing, unless it harms others", () => {
  const it = new Watched({ maxRestarts: 0 }).run();
  it.told();
  const failing = { is: "failing", reason: "No answer", isHarmful: false } as const;
  assertEquals([it.on(failing), it.on(failing)], [[], []]);
  assertEquals([it.machine.state, it.machine.reason, it.told()], ["running", "No answer", ["alert unhealthy"]]);
  it.on({ is: "recovered" });
  assertEquals(it.machine.reason, undefined);
  it.on(failing);
  assertEquals(it.told(), ["alert unhealthy"]);
  assertEquals(it.on({ is: "failing", reason: "Too much memory", isHarmful: true }), ["terminate"]);
  it.crash();
  assertEquals([it.machine.gaveUp, it.machine.reason], [true, "Too much memory"]);

  const unwatched = new Watched({ enabled: false }).run();
  assertEquals(unwatched.on({ is: "failing", reason: "Too much memory", isHarmful: true }), []);
});

Deno.test("a stop by hand while it is being mended is the last word", () => {
  const it = new Watched().run();
  it.on({ is: "failing", reason: "No answer", isHarmful: false });
  it.on({ is: "stop" });
  it.crash();
  assertEquals([it.machine.state, it.machine.reason, it.pass(1e6)], ["stopped", undefined, []]);
});

Deno.test("what ran already runs on, and is mended like any other", () => {
  const it = new Watched();
  assertEquals([it.on({ is: "adopted" }), it.machine.state], [[], "running"]);
  it.pass(1_000);
  it.crash("ended");
  assertEquals(it.pass(10_000), ["5000 spawn"]);
});

Deno.test("new settings hold from the next crash on", () => {
  const it = new Watched().run();
  it.machine.configure({ ...defaultWatchdogSettings, backoffBaseMs: 1_000, startTimeoutMs: 10_000, stopTimeoutMs: 0 });
  it.crash();
  assertEquals(it.pass(1_000), ["1000 spawn"]);
  it.on({ is: "spawned" });
  assertEquals(it.pass(20_000).slice(0, 3), ["2000 verify", "10000 terminate", "10000 kill"]);
  assert(it.machine.nextAtMs! > it.nowMs - 1_000);
});

Deno.test("it is wanted from its start until it is told to stop, whatever becomes of it between", () => {
  const watched = new Watched({ maxRestarts: 1 });
  const { machine } = watched;
  assertEquals(machine.isWanted, false);
  watched.run();
  assertEquals(machine.isWanted, true);
  watched.crash();
  assertEquals([machine.state, machine.isWanted], ["stopped", true], "it waits to be started again");
  watched.on({ is: "stop" });
  assertEquals([machine.state, machine.isWanted], ["stopped", false]);
  watched.run();
  watched.on({ is: "stop" });
  assertEquals([machine.state, machine.isWanted], ["stopping", false]);
  watched.on({ is: "restart" });
  assertEquals([machine.state, machine.isWanted], ["stopping", true]);
  watched.crash();
  watched.came().crash();
  watched.pass(5_000);
  watched.came().crash();
  assertEquals([machine.gaveUp, machine.isWanted], [true, true], "it should run, and does not");
});

Deno.test("what rests since the last manager is wanted only if it was given up", () => {
  for (const gaveUp of [true, false]) {
    const watched = new Watched();
    watched.on({ is: "resting", gaveUp });
    assertEquals(watched.machine.isWanted, gaveUp);
  }
  const adopted = new Watched();
  adopted.on({ is: "adopted" });
  assertEquals(adopted.machine.isWanted, true);
});
