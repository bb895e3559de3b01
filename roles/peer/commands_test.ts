import { assertEquals } from "@std/assert";
import { type AppliedChange, type AppliedStore, createMemoryApplied } from "../../kv/applied_commands.ts";
import type { Command, CommandResult } from "../../protocol/control/commands.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CommandDesk, type CommandHandler } from "./commands.ts";

type Disconnect = Extract<Command, { kind: "DISCONNECT" }>;

const supernodeId = "a".repeat(26);
const newId = () => encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));

class Rig {
  readonly clock = new FakeClock();
  readonly answers: CommandResult[] = [];
  readonly faults: unknown[] = [];
  readonly store: AppliedStore;
  desk!: CommandDesk;
  #sequence = 0;

  constructor(store: AppliedStore = createMemoryApplied()) {
    this.store = store;
  }

  /** A desk as a new process has it. */
  async open(handler?: CommandHandler<Disconnect>): Promise<void> {
    this.desk = await CommandDesk.open({
      store: this.store,
      handlers: handler ? { DISCONNECT: handler } : {},
      answer: (result) => void this.answers.push(result),
      onFault: (error) => void this.faults.push(error),
      clock: this.clock,
      log: silentLog,
      metrics: noMetrics,
    });
  }

  command(deadlineInMs = 10_000): Disconnect {
    const issuedAtMs = this.clock.wallNow();
    return {
      type: "command",
      kind: "DISCONNECT",
      commandId: newId(),
      sequence: ++this.#sequence,
      issuedAtMs,
      deadlineAtMs: issuedAtMs + deadlineInMs,
      payload: { reason: "admin" },
    };
  }

  async receive(command: Command, from = supernodeId): Promise<void> {
    this.desk.receive(command, { supernodeId: from, serverTimeMs: this.clock.wallNow() });
    await settle();
  }

  get statuses(): string[] {
    return this.answers.map(({ status }) => status);
  }
}

Deno.test("a command that comes again is answered again and applied once, after a restart too", async () => {
  const rig = new Rig();
  let applied = 0;
  await rig.open({ apply: () => void applied++ });
  const command = rig.command();
  await rig.receive(command);
  await rig.receive(command);
  await rig.open({ apply: () => void applied++ });
  await rig.receive(command);
  assertEquals(applied, 1);
  assertEquals(rig.statuses, ["applied", "applied", "applied"]);
  assertEquals(rig.desk.resumeFor(supernodeId), { supernodeId, lastSequence: 1 });
});

Deno.test("what a process had begun when it ended is undone at the next start, and applied when it comes again", async () => {
  const rig = new Rig();
  const undone: string[] = [];
  await rig.open({ apply: () => new Promise<void>(() => {}) });
  const command = rig.command();
  await rig.receive(command);
  await rig.open({ apply() {}, undo: ({ commandId }) => void undone.push(commandId) });
  assertEquals(undone, [command.commandId]);
  await rig.receive(command);
  assertEquals(rig.statuses, ["applied"]);
});

Deno.test("commands are carried out one after the other, in the order they came", async () => {
  const rig = new Rig();
  const first = Promise.withResolvers<void>();
  const begun: string[] = [];
  await rig.open({
    apply({ commandId }) {
      begun.push(commandId);
      return begun.length === 1 ? first.promise : undefined;
    },
  });
  const [one, other] = [rig.command(), rig.command()];
  await rig.receive(one);
  await rig.receive(other);
  assertEquals(begun, [one.commandId]);
  first.resolve();
  await settle();
  assertEquals(begun, [one.commandId, other.commandId]);
});

Deno.test("a failure is told with its code, and another kind of command as unsupported", async () => {
  const rig = new Rig();
  await rig.open({ apply: () => Promise.reject(new CulvertError("no_capacity", "full")) });
  await rig.receive(rig.command());
  assertEquals(rig.answers[0]!.code, "no_capacity");
  await rig.open();
  await rig.receive(rig.command());
  assertEquals(rig.statuses, ["failed", "unsupported"]);
});

Deno.test("a handler is given until the deadline of its command", async () => {
  const rig = new Rig();
  await rig.open({
    apply: (_, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });
  await rig.receive(rig.command(3_000));
  await rig.clock.advanceAsync(2_999);
  assertEquals(rig.statuses, []);
  await rig.clock.advanceAsync(1);
  assertEquals(rig.answers[0]!.code, "timeout");
});

/** A store that fails with that code as long as it is told to. */
class FailingStore implements AppliedStore {
  readonly #memory = createMemoryApplied();
  code: string | undefined;

  load() {
    return this.#memory.load();
  }

  async save(change: AppliedChange) {
    if (this.code !== undefined) throw new CulvertError(this.code, "It does not work");
    await this.#memory.save(change);
  }
}

Deno.test("nothing is applied or answered that could not be stored, and everything is once the store works again", async () => {
  const store = new FailingStore();
  const rig = new Rig(store);
  let applied = 0;
  await rig.open({ apply: () => void applied++ });
  store.code = "store_full";
  const command = rig.command(60_000);
  await rig.receive(command);
  await rig.receive(command);
  await rig.clock.advanceAsync(10_000);
  assertEquals([applied, rig.answers.length, rig.faults.length], [0, 0, 0]);
  store.code = undefined;
  await rig.clock.advanceAsync(1_000);
  assertEquals([applied, rig.statuses], [1, ["applied"]]);

  await rig.open({ apply: () => void (store.code = "store_locked") });
  await rig.receive(rig.command(60_000));
  await rig.clock.advanceAsync(10_000);
  assertEquals(rig.statuses, ["applied"]);
  store.code = undefined;
  await rig.clock.advanceAsync(1_000);
  assertEquals(rig.statuses, ["applied", "applied"]);
});

Deno.test("a command whose time has passed while the store did not work is not begun", async () => {
  const store = new FailingStore();
  const rig = new Rig(store);
  let applied = 0;
  await rig.open({ apply: () => void applied++ });
  store.code = "store_full";
  await rig.receive(rig.command(5_000));
  await rig.clock.advanceAsync(10_000);
  store.code = undefined;
  await rig.clock.advanceAsync(1_000);
  assertEquals([applied, rig.statuses], [0, ["expired"]]);
});

Deno.test("a store that is gone ends the peer, and one that fails does not keep it from stopping", async () => {
  const store = new FailingStore();
  const rig = new Rig(store);
  await rig.open({ apply() {} });
  store.code = "store_closed";
  await rig.receive(rig.command());
  assertEquals(rig.faults.length, 1);

  store.code = undefined;
  await rig.open({ apply() {} });
  store.code = "store_full";
  await rig.receive(rig.command());
  rig.desk.close();
  await rig.desk.closed();
  assertEquals([rig.faults.length, rig.clock.pendingTimers], [1, 0]);
});
