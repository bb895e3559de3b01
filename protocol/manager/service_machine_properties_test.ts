/**
 * What holds of a service whatever happens to it and in whatever order. A world keeps its own account of the process, from
 * what the machine does and what chance makes happen, and knows nothing of how the machine decides.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ServiceState } from "./report.ts";
import type { ServiceAction, ServiceEvent } from "./service_events.ts";
import { ServiceMachine } from "./service_machine.ts";
import type { WatchdogSettings } from "./watchdog_settings.ts";

/** All but `exited`, which comes with a time; `harming` is a `failing` that harms. */
type Kind = Exclude<ServiceEvent["is"], "exited"> | "harming";

type Step =
  | { readonly kind: "event"; readonly is: Kind }
  | { readonly kind: "exited"; readonly agoMs: number }
  | { readonly kind: "pass"; readonly ms: number; readonly isLate: boolean };

const settings: fc.Arbitrary<WatchdogSettings> = fc.record({
  enabled: fc.constantFrom(true, true, true, false),
  checkIntervalMs: fc.constant(30_000),
  maxRestarts: fc.integer({ min: 0, max: 4 }),
  restartWindowMs: fc.constantFrom(1_000, 60_000, 300_000),
  alertThreshold: fc.constant(3),
  backoffBaseMs: fc.constantFrom(0, 100, 5_000),
  backoffMaxMs: fc.constantFrom(0, 20_000, 300_000),
  settleMs: fc.constantFrom(0, 2_000),
  startTimeoutMs: fc.constantFrom(500, 2_000, 30_000),
  stopTimeoutMs: fc.constantFrom(0, 30_000),
});

/** In the order in which a service lives, so that chance gets far: what fits is as likely as what does not. */
const kinds = [
  "start",
  "start",
  "stop",
  "restart",
  "adopted",
  "resting",
  "spawned",
  "spawned",
  "spawned",
  "unspawned",
  "unverified",
  "verified",
  "verified",
  "verified",
  "swept",
  "swept",
  "swept",
  "failing",
  "failing",
  "harming",
  "recovered",
] as const satisfies readonly Kind[];
const durations = fc.constantFrom(0, 1, 100, 999, 2_000, 2_000, 5_000, 10_000, 30_000, 59_000, 300_000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...kinds).map((is) => ({ kind: "event", is }) as const) },
  { weight: 2, arbitrary: fc.constantFrom(0, 0, 50).map((agoMs) => ({ kind: "exited", agoMs }) as const) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: durations, isLate: fc.boolean() }),
  },
);

/** The seed's arrows. Those through `stopped` are two arrows in one moment; adopted ones come from nowhere. */
const arrows: Readonly<Record<ServiceState, readonly ServiceState[]>> = {
  stopped: ["starting", "running"],
  starting: ["running", "stopped", "stopping"],
  running: ["stopped", "stopping"],
  stopping: ["stopped", "starting"],
};

class World {
  nowMs = 0;
  readonly machine: ServiceMachine;
  readonly seen = new Set<string>();
  #process: "none" | "coming" | "alive" | "leftovers" = "none";
  #terminatedAtMs: number | undefined;
  /** It has been asked whether its process has started. */
  #isVerifying = false;
  /** An operator has asked for the next start. */
  #isAsked = false;
  /** When it was started without being asked for, since an operator last started it. */
  #restartsAtMs: number[] = [];

  constructor(readonly settings: WatchdogSettings) {
    this.machine = new ServiceMachine(settings, 0);
  }

  get process(): string {
    return this.#process;
  }

  take(step: Step): void {
    if (step.kind === "pass") this.pass(step.ms, step.isLate);
    else if (step.kind === "exited") this.exit(step.agoMs);
    else this.happen(step.is);
  }

  /** What does not fit the process cannot happen and is told all the same, as by one who is late. */
  happen(is: Kind): void {
    const { state } = this.machine;
    if (is === "restart" || is === "start" && (state === "stopped" || state === "stopping")) this.#isAsked = true;
    if (is === "stop") this.#isAsked = false;
    const fits = { spawned: "coming", unspawned: "coming", swept: "leftovers" }[is as string];
    if (fits !== undefined && fits !== this.#process) return this.#tell(event(is));
    if (is === "adopted" && (state !== "stopped" || this.#process !== "none")) return this.#tell(event(is));
    if (is === "spawned" || is === "adopted") this.#process = "alive";
    if (is === "unspawned" || is === "swept") this.#process = "none";
    this.#tell(event(is));
  }

  exit(agoMs = 0): void {
    const isThere = this.#process === "alive";
    if (isThere) this.#process = "leftovers";
    this.#terminatedAtMs = undefined;
    const before = this.machine.lastExit;
    const how = `at ${this.nowMs}`;
    this.#tell({ is: "exited", how, atMs: this.nowMs - agoMs });
    if (!isThere) assertEquals(this.machine.lastExit, before);
  }

  /** In steps that the machine asks for, or in one, as when nobody had time to call it. */
  pass(ms: number, isLate = false): void {
    const untilMs = this.nowMs + ms;
    for (let calls = 0; !isLate; calls++) {
      assert(calls < 10_000, "it wants to be called for ever");
      const dueMs = this.machine.nextAtMs;
      if (dueMs === undefined || dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.#tick();
    }
    this.nowMs = untilMs;
    this.#tick();
  }

  #tick(): void {
    this.#watch(() => this.machine.tick(this.nowMs));
    const { nextAtMs } = this.machine;
    assert(nextAtMs === undefined || nextAtMs > this.nowMs, "what is due is done at once");
  }

  #tell(event: ServiceEvent): void {
    this.#watch(() => this.machine.handle(event, this.nowMs));
  }

  #watch(call: () => ServiceAction[]): void {
    const before = this.machine.state;
    const actions = call();
    const after = this.machine.state;
    for (const action of actions) this.#follow(action);
    if (before !== after) assert(arrows[before].includes(after), `${before} → ${after}`);
    this.seen.add(after);
    if (this.machine.gaveUp) assertEquals(after, "stopped");
    if (after === "stopped" || after === "starting") return;
    assert(this.#process !== "none", `${after} without a process`);
  }

  #follow(action: ServiceAction): void {
    this.seen.add(action.do);
    switch (action.do) {
      case "spawn":
        assertEquals(this.#process, "none", "a second process");
        this.#process = "coming";
        this.#isVerifying = false;
        return this.#countStart();
      case "abandon":
        return assertEquals(this.#process, "coming");
      case "terminate":
        assertEquals([this.#process, this.#terminatedAtMs], ["alive", undefined]);
        this.#terminatedAtMs = this.nowMs;
        return;
      case "kill":
        assertEquals(this.#process, "alive");
        assert(this.#terminatedAtMs !== undefined, "SIGKILL without SIGTERM");
        assert(this.nowMs - this.#terminatedAtMs >= this.settings.stopTimeoutMs, "SIGKILL before its time");
        return;
      case "sweep":
        return assertEquals(this.#process, "leftovers");
      case "verify":
        this.#isVerifying = true;
        return assertEquals(this.#process, "alive");
      case "tell":
        this.seen.add(action.news.event);
    }
  }

  #countStart(): void {
    if (this.#isAsked) {
      this.#isAsked = false;
      this.#restartsAtMs = [];
      return;
    }
    const { enabled, maxRestarts, restartWindowMs } = this.settings;
    assert(enabled, "a restart without the watchdog");
    this.#restartsAtMs.push(this.nowMs);
    const recent = this.#restartsAtMs.filter((atMs) => atMs > this.nowMs - restartWindowMs);
    assert(recent.length <= maxRestarts, `${recent.length} restarts in a window`);
  }

  /** From here on all goes as it should: spawns give processes, which end when they are killed. */
  settle(): void {
    for (let n = 0; n < 100; n++) {
      const { state } = this.machine;
      if (this.#process === "coming") this.happen("spawned");
      else if (this.#process === "leftovers") this.happen("swept");
      else if (state === "starting") this.#live();
      else if (state === "stopping") this.#die();
      else if (state === "stopped" && this.machine.nextStartAtMs !== undefined) this.#wait();
      else return;
    }
    throw new Error(`it is stuck: ${this.machine.state}, with a process that is ${this.#process}`);
  }

  #live(): void {
    if (!this.#isVerifying) this.pass(this.settings.settleMs);
    if (this.machine.state === "starting") this.happen("verified");
  }

  #die(): void {
    this.seen.delete("kill");
    this.pass(this.settings.stopTimeoutMs * 2 + 2_000);
    assert(this.seen.has("kill"), "it is never killed");
    this.exit();
  }

  #wait(): void {
    this.pass(Math.max(0, this.machine.nextStartAtMs! - this.nowMs));
  }
}

function event(is: Kind): ServiceEvent {
  switch (is) {
    case "unspawned":
    case "unverified":
      return { is, reason: "chance" };
    case "resting":
      return { is, gaveUp: true, reason: "chance" };
    case "failing":
    case "harming":
      return { is: "failing", reason: "chance", isHarmful: is === "harming" };
    default:
      return { is };
  }
}

const lives = fc.tuple(settings, fc.array(step, { maxLength: 80, size: "max" }));
const seen = new Set<string>();

Deno.test("whatever happens there is one process at most, SIGTERM and its time come before SIGKILL, and restarts are few", () => {
  fc.assert(
    fc.property(lives, ([settings, steps]) => {
      const world = new World(settings);
      for (const step of steps) world.take(step);
      for (const what of world.seen) seen.add(what);
    }),
    { numRuns: 3_000 },
  );
  // A world in which little happens would prove little.
  const actions = ["spawn", "abandon", "verify", "terminate", "kill", "sweep"];
  const events = ["restarting", "gave_up", "crashed", "will_not_end", "unhealthy"];
  for (const what of [...actions, ...events, ...Object.keys(arrows)]) assert(seen.has(what), `never seen: ${what}`);
});

Deno.test("whatever happened, it is never stuck: it can be started, and it can be stopped", () => {
  fc.assert(
    fc.property(lives, fc.boolean(), ([settings, steps], isStopped) => {
      // Longer than all that chance lets pass: one that came late is ended, as it should be, and that is not to be stuck.
      const patient = { ...settings, startTimeoutMs: 1_000_000_000 };
      const world = new World(patient);
      for (const step of steps) world.take(step);
      if (!isStopped) {
        world.settle();
        const { state, gaveUp, nextStartAtMs } = world.machine;
        assert(state === "running" || state === "stopped" && nextStartAtMs === undefined, `${state} ${gaveUp}`);
      }
      world.happen("start");
      world.settle();
      assertEquals([world.machine.state, world.process], ["running", "alive"]);
      world.happen("stop");
      world.settle();
      assertEquals([world.machine.state, world.process, world.machine.nextAtMs], ["stopped", "none", undefined]);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("a crash is mended for as long as restarts are left, and given up after the last", () => {
  fc.assert(
    fc.property(settings, fc.integer({ min: 0, max: 4 }), (settings, maxRestarts) => {
      const world = new World({
        ...settings,
        enabled: true,
        maxRestarts,
        restartWindowMs: 300_000,
        startTimeoutMs: 30_000,
      });
      world.happen("start");
      world.settle();
      for (let n = 0; n <= maxRestarts; n++) {
        world.exit();
        world.happen("swept");
        world.settle();
      }
      assertEquals([world.machine.gaveUp, world.machine.restarts], [true, maxRestarts]);
    }),
  );
});
