/**
 * The queue at the supernode and the memory at the peer together, over a stream that is lost at any time, while either
 * process is killed between any two of its actions and starts again from what it had stored.
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { type AppliedAction, AppliedCommands } from "./applied_commands.ts";
import { CommandQueue, type QueueAction, type QueueSnapshot } from "./command_queue.ts";
import type { Command, CommandResult } from "./commands.ts";
import { AppliedStore } from "./fixtures/applied_store.ts";
import { idOf, supernode, WALL_MS } from "./fixtures/people.ts";

const SUPERNODE = supernode.peerId;
/** As forgetful as can be. */
const MEMORY = { maxFinished: 1 };

class World {
  readonly random: SeededRandom;
  readonly killsPerAction: number;
  nowMs = 0;
  #ordered = 0;
  readonly #context;

  queue: CommandQueue;
  #queueStore: QueueSnapshot;
  readonly outcomes = new Map<string, { isDone: boolean; mayBeApplied: boolean }[]>();
  /** Those whose order had been stored when the process that gave it went on. */
  readonly ordered = new Set<string>();

  applied = new AppliedCommands(MEMORY);
  readonly #appliedStore = new AppliedStore();
  /** What the commands have changed at the peer: how often each, less how often it was undone. */
  readonly effects = new Map<string, number>();
  #working: Command[] = [];

  isConnected = false;
  #toPeer: Command[] = [];
  #toSupernode: CommandResult[] = [];

  constructor(seed: number, { killsPerAction, window }: { killsPerAction: number; window: number }) {
    this.random = new SeededRandom(seed);
    this.killsPerAction = killsPerAction;
    this.#context = { wallNow: () => WALL_MS + this.nowMs, window, answerWithinMs: 1000 };
    this.queue = new CommandQueue(this.#context);
    this.#queueStore = this.queue.snapshot();
  }

  order(timeoutMs: number): void {
    const commandId = idOf(++this.#ordered);
    const order = { commandId, kind: "DISCONNECT" as const, payload: { reason: "admin" as const }, timeoutMs };
    const actions = this.queue.push(order, this.nowMs);
    if (actions) this.#atSupernode(actions);
    if (this.#queueStore.commands.some(({ command }) => command.commandId === commandId)) this.ordered.add(commandId);
  }

  connect(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.#atSupernode(this.queue.connected(this.applied.resumeFor(SUPERNODE)?.lastSequence, this.nowMs));
  }

  disconnect(): void {
    this.isConnected = false;
    this.#toPeer = [];
    this.#toSupernode = [];
    this.queue.disconnected();
  }

  deliverToPeer(): void {
    const command = this.#toPeer.shift();
    if (command) this.#atPeer(this.applied.receive(command, SUPERNODE, WALL_MS + this.nowMs));
  }

  deliverToSupernode(): void {
    const result = this.#toSupernode.shift();
    if (result) this.#atSupernode(this.queue.answered(result, this.nowMs));
  }

  work(): void {
    const command = this.#working.shift();
    if (command) this.#atPeer(this.applied.finish(command.commandId, { status: "applied" }));
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.#atSupernode(this.queue.wake(this.nowMs));
  }

  killSupernode(): void {
    this.disconnect();
    this.queue = CommandQueue.restore(JSON.parse(JSON.stringify(this.#queueStore)), this.#context, this.nowMs)!;
  }

  killPeer(): void {
    this.disconnect();
    this.#working = [];
    this.applied = AppliedCommands.restore(JSON.parse(JSON.stringify(this.#appliedStore.snapshot())), MEMORY)!;
    for (const action of this.applied.recover()) {
      if (action.kind !== "undo") continue;
      // It had been begun, but perhaps nothing of it was done.
      this.effects.set(action.command.commandId, 0);
      this.#appliedStore.follow(this.applied.undone(action.command.commandId));
    }
  }

  settle(): void {
    for (let round = 0; round < 500 && this.queue.length > 0; round++) {
      this.connect();
      this.deliverToPeer();
      this.work();
      this.deliverToSupernode();
      this.pass(500);
    }
  }

  #atSupernode(actions: readonly QueueAction[]): void {
    for (const action of actions) {
      if (this.random.next() < this.killsPerAction) return this.killSupernode();
      if (action.kind === "changed") this.#queueStore = this.queue.snapshot();
      if (action.kind === "send" && this.isConnected) this.#toPeer.push(action.message);
      if (action.kind === "done" || action.kind === "failed") {
        const { commandId } = action.command;
        const mayBeApplied = action.kind === "done" || action.mayBeApplied;
        const isDone = action.kind === "done";
        this.outcomes.set(commandId, [...this.outcomes.get(commandId) ?? [], { isDone, mayBeApplied }]);
      }
    }
  }

  #atPeer(actions: readonly AppliedAction[]): void {
    for (const action of actions) {
      if (this.random.next() < this.killsPerAction) return this.killPeer();
      this.#appliedStore.follow([action]);
      if (action.kind === "apply") {
        const { commandId } = action.command;
        this.effects.set(commandId, (this.effects.get(commandId) ?? 0) + 1);
        this.#working.push(action.command);
      }
      if (action.kind === "answer" && this.isConnected) this.#toSupernode.push(action.result);
    }
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 100, max: 20_000 }).map((ms) => (world: World) => world.order(ms)) },
  { weight: 4, arbitrary: fc.constant((world: World) => world.connect()) },
  { weight: 6, arbitrary: fc.constant((world: World) => world.deliverToPeer()) },
  { weight: 6, arbitrary: fc.constant((world: World) => world.deliverToSupernode()) },
  { weight: 6, arbitrary: fc.constant((world: World) => world.work()) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 3000 }).map((ms) => (world: World) => world.pass(ms)) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.disconnect()) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.killSupernode()) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.killPeer()) },
);

function checkDelivery(killsPerAction: number, window: number): void {
  fc.assert(
    fc.property(fc.nat(), fc.array(step, { minLength: 20, maxLength: 150, size: "max" }), (seed, steps) => {
      const world = new World(seed, { killsPerAction, window });
      for (const act of steps) {
        act(world);
        for (const [id, effects] of world.effects) assertLessOrEqual(effects, 1, `${id} is applied twice`);
      }
      world.settle();
      assertEquals(world.queue.length, 0);
      for (const id of world.ordered) assert(world.outcomes.has(id), `${id} is lost`);
      for (const [id, outcomes] of world.outcomes) {
        const effects = world.effects.get(id) ?? 0;
        if (outcomes.some(({ isDone }) => isDone)) assertEquals(effects, 1, `${id} is said to be done and is not`);
        if (outcomes.every(({ mayBeApplied }) => !mayBeApplied)) assertEquals(effects, 0, `${id} is done in secret`);
      }
    }),
    { numRuns: 150 },
  );
}

Deno.test("no command is applied twice and none is lost, however streams and processes end", () => {
  checkDelivery(0, 1);
});

Deno.test("nor when either process is killed between any two of its actions", () => {
  checkDelivery(0.05, 1);
});

Deno.test("nor with several commands in flight", () => {
  checkDelivery(0.05, 4);
});
