import { assert, assertEquals } from "@std/assert";
import { CommandQueue, type QueueAction, type QueueContext } from "./command_queue.ts";
import type { CommandOrder, CommandStatus } from "./commands.ts";
import { idOf, WALL_MS } from "./fixtures/people.ts";

/** Wall time and the machine's time run together here, from different beginnings. */
class Bench {
  nowMs = 0;
  readonly context: QueueContext;
  queue: CommandQueue;

  constructor(options: Partial<QueueContext> = {}) {
    this.context = { wallNow: () => WALL_MS + this.nowMs, ...options };
    this.queue = new CommandQueue(this.context);
  }

  push(number: number, timeoutMs = 60_000): string[] | undefined {
    const actions = this.queue.push(orderOf(number, timeoutMs), this.nowMs);
    return actions && namesOf(actions);
  }

  connect(lastSequence?: number): string[] {
    return namesOf(this.queue.connected(lastSequence, this.nowMs));
  }

  answer(number: number, status: CommandStatus = "applied"): string[] {
    return namesOf(this.queue.answered({ type: "command.result", commandId: idOf(number), status }, this.nowMs));
  }

  pass(ms: number): string[] {
    this.nowMs += ms;
    return namesOf(this.queue.wake(this.nowMs));
  }

  restart(): void {
    const stored: unknown = JSON.parse(JSON.stringify(this.queue.snapshot()));
    this.queue = CommandQueue.restore(stored, this.context, this.nowMs)!;
  }
}

function orderOf(number: number, timeoutMs = 60_000): CommandOrder {
  return { commandId: idOf(number), kind: "DISCONNECT", payload: { reason: "admin" }, timeoutMs };
}

/** `send 1#1` is command 1 under sequence number 1; `?` after a failure: it may have been applied. */
function namesOf(actions: readonly QueueAction[]): string[] {
  const numberOf = (id: string) => Array.from({ length: 200 }, (_, at) => at).find((at) => idOf(at) === id);
  return actions.map((action) => {
    switch (action.kind) {
      case "send":
        return `send ${numberOf(action.message.commandId)}#${action.message.sequence}`;
      case "done":
        return `done ${numberOf(action.command.commandId)}`;
      case "failed":
        return `${action.reason} ${numberOf(action.command.commandId)}${action.mayBeApplied ? "?" : ""}`;
      default:
        return action.kind;
    }
  });
}

Deno.test("commands are sent in order, one at a time, each when the one before has been answered", () => {
  const bench = new Bench();
  assertEquals(bench.connect(), []);
  assertEquals(bench.push(1), ["changed", "send 1#1"]);
  assertEquals(bench.push(2), ["changed"]);
  assertEquals(bench.answer(2), [], "not sent yet: no answer to it counts");
  assertEquals(bench.answer(1), ["done 1", "changed", "send 2#2"]);
  assertEquals(bench.answer(1), [], "an answer that comes twice counts once");
  assertEquals(bench.answer(2), ["done 2", "changed"]);
  assertEquals(bench.queue.nextWakeAtMs, Infinity);
});

Deno.test("a window lets several be in flight, in order", () => {
  const bench = new Bench({ window: 2 });
  bench.connect();
  assertEquals([1, 2, 3].map((number) => bench.push(number)), [["changed", "send 1#1"], ["changed", "send 2#2"], [
    "changed",
  ]]);
  assertEquals(bench.answer(2), ["done 2", "changed", "send 3#3"]);
});

Deno.test("a command that is ordered twice is there once", () => {
  const bench = new Bench();
  bench.push(1);
  assertEquals(bench.push(1), []);
  assertEquals(bench.queue.length, 1);
});

Deno.test("without an answer a command is sent again, then given up, and the next one has its turn", () => {
  const bench = new Bench({ answerWithinMs: 1000, maxAttempts: 3 });
  bench.connect();
  bench.push(1);
  bench.push(2);
  assertEquals(bench.queue.nextWakeAtMs, 1000);
  assertEquals(bench.pass(999), []);
  assertEquals(bench.pass(1), ["send 1#1"]);
  assertEquals(bench.pass(1000), ["send 1#1"]);
  assertEquals(bench.pass(1000), ["unanswered 1?", "changed", "send 2#2"]);
  assertEquals(bench.answer(1), [], "too late");
});

Deno.test("each answer has its outcome", () => {
  const rows: { status: CommandStatus; outcome: string }[] = [
    { status: "applied", outcome: "done 1" },
    { status: "failed", outcome: "refused 1" },
    { status: "unsupported", outcome: "refused 1" },
    { status: "expired", outcome: "expired 1" },
    { status: "forgotten", outcome: "forgotten 1?" },
  ];
  for (const { status, outcome } of rows) {
    const bench = new Bench();
    bench.connect();
    bench.push(1);
    assertEquals(bench.answer(1, status), [outcome, "changed"], status);
  }
});

Deno.test("a peer that is busy is asked again, not at once and not for ever", () => {
  const bench = new Bench({ answerWithinMs: 1000, maxAttempts: 2 });
  bench.connect();
  bench.push(1);
  bench.nowMs = 900;
  assertEquals(bench.answer(1, "busy"), []);
  assertEquals(bench.queue.nextWakeAtMs, 1900);
  assertEquals(bench.pass(1000), ["send 1#1"]);
  assertEquals(bench.answer(1, "busy"), []);
  assertEquals(bench.pass(1000), ["unanswered 1?", "changed"]);
});

Deno.test("a deadline passes while the peer is away, and whether it was sent is told", () => {
  const bench = new Bench();
  bench.connect();
  bench.push(1, 2000);
  bench.push(2, 2000);
  bench.push(3, 9000);
  bench.queue.disconnected();
  assertEquals(bench.queue.nextWakeAtMs, 2000);
  assertEquals(bench.pass(2000), ["expired 1?", "expired 2", "changed"]);
  assertEquals(bench.connect(0), ["changed", "send 3#3"]);
});

Deno.test("after a reconnect everything unanswered is sent again, with new attempts", () => {
  const bench = new Bench({ answerWithinMs: 1000, maxAttempts: 2 });
  bench.connect();
  bench.push(1);
  bench.pass(1000);
  bench.queue.disconnected();
  assertEquals(bench.pass(5000), [], "nothing is sent to nobody, and no attempt is counted");
  assertEquals(bench.connect(0), ["send 1#1"]);
  assertEquals(bench.pass(1000), ["send 1#1"]);
  assertEquals(bench.answer(1), ["done 1", "changed"]);
});

Deno.test("a restarted supernode carries on from what it stored", () => {
  const bench = new Bench();
  bench.connect();
  bench.push(1);
  bench.push(2, 3000);
  bench.restart();
  assertEquals(bench.queue.nextWakeAtMs, 3000, "deadlines stay where they were");
  assertEquals(bench.connect(0), ["send 1#1"]);
  assertEquals(bench.answer(1), ["done 1", "changed", "send 2#2"]);
  bench.restart();
  assertEquals(bench.connect(1), ["send 2#2"]);
});

Deno.test("a restarted supernode whose store is behind goes on above what the peer has seen", () => {
  const bench = new Bench();
  bench.push(1);
  bench.push(2);
  bench.restart();
  assertEquals(bench.connect(41), ["changed", "send 1#42"]);
  bench.answer(1);
  assertEquals(bench.queue.snapshot().commands.map(({ command }) => command.sequence), [43]);
  assertEquals(bench.push(3), ["changed"]);
  assertEquals(bench.queue.snapshot().nextSequence, 45);
});

Deno.test("a peer that has lost its memory is told of", () => {
  for (const lastSequence of [undefined, 0]) {
    const bench = new Bench();
    bench.connect();
    bench.push(1);
    bench.answer(1);
    bench.queue.disconnected();
    assertEquals(bench.connect(lastSequence), ["peer_forgot"]);
    assertEquals(bench.connect(1), []);
  }
});

Deno.test("a full queue takes no more and says so, whether by number or by length", () => {
  const byNumber = new Bench({ maxCommands: 2 });
  assertEquals([1, 2, 3].map((number) => byNumber.push(number) !== undefined), [true, true, false]);
  byNumber.connect();
  byNumber.answer(1);
  assert(byNumber.push(3));
  const byLength = new Bench({ maxChars: 500 });
  assertEquals([1, 2, 3].map((number) => byLength.push(number) !== undefined), [true, true, false]);
  byLength.connect();
  byLength.answer(1);
  assert(byLength.push(3), "room is given back");
});

Deno.test("a full queue fits into one value of KV", () => {
  const bench = new Bench({ maxCommands: 1024 });
  let number = 0;
  while (bench.queue.push(orderOf(number++), 0)) { /* until it is full */ }
  assert(JSON.stringify(bench.queue.snapshot()).length < 64 * 1024);
});

Deno.test("a command can be taken back until it has been sent", () => {
  const bench = new Bench();
  bench.connect();
  bench.push(1);
  bench.push(2);
  assertEquals(bench.queue.cancel(idOf(1)), undefined);
  assertEquals(bench.queue.cancel(idOf(2)), [{ kind: "changed" }]);
  assertEquals(bench.queue.cancel(idOf(2)), undefined);
  assertEquals(bench.answer(1), ["done 1", "changed"]);
});

Deno.test("everything can be given up at once", () => {
  const bench = new Bench();
  bench.connect();
  bench.push(1);
  bench.push(2);
  assertEquals(namesOf(bench.queue.drop(5)), ["dropped 1?", "dropped 2", "changed"]);
  assertEquals(bench.queue.length, 0);
  assertEquals(bench.queue.drop(5), []);
});

Deno.test("what is not a snapshot is not restored", () => {
  const { context, queue } = new Bench();
  for (
    const value of [undefined, null, 1, {}, { ...queue.snapshot(), version: 2 }, {
      ...queue.snapshot(),
      commands: [{}],
    }]
  ) {
    assertEquals(CommandQueue.restore(value, context, 0), undefined);
  }
});

Deno.test("a restart with lower bounds, or into a full queue, loses nothing that was taken", () => {
  const bench = new Bench();
  for (const number of [1, 2, 3]) bench.push(number);
  const stored = bench.queue.snapshot();
  const queue = CommandQueue.restore(stored, { ...bench.context, maxCommands: 2, maxChars: 100 }, bench.nowMs);
  assertEquals(queue?.snapshot(), stored);
  assertEquals(queue?.push(orderOf(4), bench.nowMs), undefined, "but there is no room for more");
});
