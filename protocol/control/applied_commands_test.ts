import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { type AppliedAction, AppliedCommands, type AppliedOptions } from "./applied_commands.ts";
import type { Command } from "./commands.ts";
import { AppliedStore } from "./fixtures/applied_store.ts";
import { identityOf, idOf, supernode, WALL_MS } from "./fixtures/people.ts";

const SUPERNODE = supernode.peerId;

function commandOf(number: number, change: Partial<Command> = {}): Command {
  return {
    type: "command",
    commandId: idOf(number),
    sequence: number,
    issuedAtMs: WALL_MS,
    deadlineAtMs: WALL_MS + 60_000,
    kind: "DISCONNECT",
    payload: { reason: "admin" },
    ...change,
  } as Command;
}

function namesOf(actions: readonly AppliedAction[]): string[] {
  return actions.map((action) => action.kind === "answer" ? action.result.status : action.kind);
}

function apply(applied: AppliedCommands, number: number): string[] {
  const received = applied.receive(commandOf(number), SUPERNODE, WALL_MS);
  return namesOf([...received, ...applied.finish(idOf(number), { status: "applied" })]);
}

function restarted(applied: AppliedCommands, options?: AppliedOptions): AppliedCommands {
  return AppliedCommands.restore(JSON.parse(JSON.stringify(applied.snapshot())), options)!;
}

Deno.test("a command is applied once and answered as often as it comes, by this process and the next", () => {
  const applied = new AppliedCommands();
  assertEquals(namesOf(applied.receive(commandOf(1), SUPERNODE, WALL_MS)), ["keep", "apply"]);
  assertEquals(applied.receive(commandOf(1), SUPERNODE, WALL_MS), [], "it is under way");
  const finished = applied.finish(idOf(1), { status: "applied", endpoint: "192.0.2.1:51820" });
  assertEquals(namesOf(finished), ["keep", "applied"]);
  assertEquals(applied.finish(idOf(1), { status: "failed" }), [], "finished once");
  const again = applied.receive(commandOf(1), SUPERNODE, WALL_MS);
  assertEquals(again, finished.slice(-1));
  assertEquals(restarted(applied).receive(commandOf(1), SUPERNODE, WALL_MS), again);
});

Deno.test("one that failed is not tried again: the answer is kept", () => {
  const applied = new AppliedCommands();
  applied.receive(commandOf(1), SUPERNODE, WALL_MS);
  applied.finish(idOf(1), { status: "failed", code: "policy" });
  assertEquals(applied.receive(commandOf(1), SUPERNODE, WALL_MS), [{
    kind: "answer",
    result: { type: "command.result", commandId: idOf(1), status: "failed", code: "policy" },
  }]);
});

Deno.test("one past its deadline is not begun, now or when the clock goes back", () => {
  const applied = new AppliedCommands();
  assertEquals(namesOf(applied.receive(commandOf(1), SUPERNODE, WALL_MS + 60_000)), ["keep", "expired"]);
  assertEquals(namesOf(applied.receive(commandOf(1), SUPERNODE, WALL_MS)), ["expired"]);
});

Deno.test("what a killed process had begun is undone first, and then applied when it comes again", () => {
  const before = new AppliedCommands();
  before.receive(commandOf(1), SUPERNODE, WALL_MS);
  const applied = restarted(before);
  assertEquals(applied.recover(), [{ kind: "undo", command: commandOf(1) }]);
  assertEquals(namesOf(applied.receive(commandOf(1), SUPERNODE, WALL_MS)), ["busy"], "not until it is undone");
  assertEquals(applied.finish(idOf(1), { status: "applied" }), []);
  // Killed again, before or after: it is still to be undone.
  assertEquals(restarted(applied).recover().length, 1);
  assertEquals(applied.undone(idOf(1)), [{
    kind: "forget",
    commandId: idOf(1),
    floor: { supernodeId: SUPERNODE, finishedThrough: 0, evictedThrough: 0 },
  }]);
  assertEquals(applied.undone(idOf(1)), []);
  assertEquals(apply(applied, 1), ["keep", "apply", "keep", "applied"]);
  assertEquals(applied.recover(), []);
});

Deno.test("a bounded number is remembered, and what is not is never applied again", () => {
  const applied = new AppliedCommands({ maxFinished: 3 });
  for (let number = 1; number <= 3; number++) apply(applied, number);
  assertEquals(apply(applied, 4), ["keep", "apply", "keep", "forget", "applied"]);
  assertLessOrEqual(applied.snapshot().entries.length, 3);
  for (const next of [applied, restarted(applied)]) {
    assertEquals(namesOf(next.receive(commandOf(1), SUPERNODE, WALL_MS)), ["forgotten"]);
    assertEquals(namesOf(next.receive(commandOf(2), SUPERNODE, WALL_MS)), ["applied"]);
  }
  const smaller = restarted(applied, { maxFinished: 1 });
  assertEquals(namesOf(smaller.receive(commandOf(3), SUPERNODE, WALL_MS)), ["forgotten"], "a smaller memory");
});

Deno.test("a command that comes again under a later number is answered, counts as finished, and is never applied again", () => {
  const applied = new AppliedCommands({ maxFinished: 1 });
  apply(applied, 1);
  const again = applied.receive(commandOf(1, { sequence: 9 }), SUPERNODE, WALL_MS);
  assertEquals(namesOf(again), ["keep", "applied"]);
  for (const next of [applied, restarted(applied, { maxFinished: 1 })]) {
    assertEquals(next.resumeFor(SUPERNODE), { supernodeId: SUPERNODE, lastSequence: 9 });
    apply(next, 10);
    assertEquals(namesOf(next.receive(commandOf(1, { sequence: 9 }), SUPERNODE, WALL_MS)), ["forgotten"]);
  }
});

Deno.test("only so many are begun at once; the others are told to come back", () => {
  const applied = new AppliedCommands({ maxBegun: 2 });
  const answers = [1, 2, 3].map((number) => namesOf(applied.receive(commandOf(number), SUPERNODE, WALL_MS)).at(-1));
  assertEquals(answers, ["apply", "apply", "busy"]);
  applied.finish(idOf(1), { status: "applied" });
  assertEquals(namesOf(applied.receive(commandOf(3), SUPERNODE, WALL_MS)), ["keep", "apply"]);
});

Deno.test("a supernode is told of the last of its own commands, and counts for itself", () => {
  const other = identityOf(50).peerId;
  const applied = new AppliedCommands({ maxFinished: 1 });
  assertEquals(applied.resumeFor(SUPERNODE), undefined);
  for (const number of [5, 6]) apply(applied, number);
  assertEquals(applied.resumeFor(SUPERNODE), { supernodeId: SUPERNODE, lastSequence: 6 });
  assertEquals(applied.resumeFor(other), undefined);
  const fromOther = applied.receive(commandOf(1), other, WALL_MS);
  assertEquals(namesOf(fromOther), ["keep", "apply"], "another's numbers are lower, and its own");
});

Deno.test("many supernodes do not fill the memory", () => {
  const applied = new AppliedCommands({ maxSupernodes: 4 });
  for (let number = 1; number <= 20; number++) {
    applied.receive(commandOf(number, { sequence: 1 }), identityOf(100 + number).peerId, WALL_MS);
    applied.finish(idOf(number), { status: "applied" });
  }
  assertEquals(applied.snapshot().floors.length, 4);
  assert(applied.resumeFor(identityOf(120).peerId));
});

Deno.test("a store that follows the actions holds what the snapshot does", () => {
  const applied = new AppliedCommands({ maxFinished: 2 });
  const store = new AppliedStore();
  for (let number = 1; number <= 5; number++) {
    store.follow(applied.receive(commandOf(number), SUPERNODE, WALL_MS));
    if (number < 5) store.follow(applied.finish(idOf(number), { status: "applied" }));
  }
  assertEquals(store.snapshot(), applied.snapshot());
});

Deno.test("what is not a snapshot is not restored", () => {
  const good = new AppliedCommands().snapshot();
  for (const value of [undefined, null, "", {}, { ...good, version: 2 }, { ...good, entries: [{}] }]) {
    assertEquals(AppliedCommands.restore(value), undefined);
  }
});
