import { assertEquals } from "@std/assert";
import { createMemoryQueues } from "../../kv/commands.ts";
import { peerId, token } from "../../kv/fixtures/records.ts";
import type { QueueAction } from "../../protocol/control/command_queue.ts";
import type { CommandOrder, CommandStatus } from "../../protocol/control/commands.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { randomOf } from "../../protocol/random.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { CommandOutbox, newId } from "./command_outbox.ts";

const PEER = peerId(1);

class Rig {
  readonly clock = new FakeClock();
  readonly outbox = new CommandOutbox({
    store: createMemoryQueues(this.clock),
    clock: this.clock,
    random: randomOf(crypto),
    log: silentLog,
    metrics: noMetrics,
    onOutcome: (peerId, { kind, command }) => this.outcomes.push(`${peerId} ${kind} ${command.commandId}`),
  });
  readonly outcomes: string[] = [];
  readonly sent: string[] = [];

  /** A peer that is connected, and answers when it is told to. */
  async connect(peerId = PEER): Promise<(commandId: string, status?: CommandStatus) => void> {
    await this.outbox.load(peerId);
    const deliver = (actions: readonly QueueAction[]) => {
      for (const action of actions) {
        if (action.kind === "send") this.sent.push(action.message.commandId);
        else if (action.kind !== "changed") this.outbox.settle(peerId, action);
      }
    };
    const queue = this.outbox.attach(peerId, deliver)!;
    deliver(queue.connected(undefined, this.clock.now()));
    return (commandId, status = "applied") =>
      deliver(queue.answered({ type: "command.result", commandId, status }, this.clock.now()));
  }
}

function disconnect(commandId = token(7)): CommandOrder {
  return { kind: "DISCONNECT", commandId, sessionId: token(1), payload: { reason: "admin" }, timeoutMs: 10_000 };
}

Deno.test("a command that is ordered twice is sent once, and both who ordered it are told", async () => {
  const rig = new Rig();
  const answer = await rig.connect();
  const both = Promise.all([rig.outbox.push(PEER, disconnect()), rig.outbox.push(PEER, disconnect())]);
  await settle();
  answer(token(7));
  assertEquals((await both).map(({ ok }) => ok), [true, true]);
  assertEquals(rig.sent, [token(7)]);
});

const SETUP = { clientPeerId: peerId(8), clientWireguardKey: "", expiresAtMs: 1 };
const RELAY = { ...SETUP, exitPeerId: peerId(9), exitWireguardKey: "", relayAddress: "10.200.0.1/32" };
const what = { commandId: token(7), sessionId: token(1), timeoutMs: 1_000 };
const uncertain: readonly { name: string; order: CommandOrder; isUndone: boolean }[] = [
  { name: "SETUP_EXIT", order: { ...what, kind: "SETUP_EXIT", payload: SETUP }, isUndone: true },
  { name: "a renewal", order: { ...what, kind: "SETUP_EXIT", payload: { ...SETUP, renews: true } }, isUndone: false },
  { name: "RELAY_SETUP", order: { ...what, kind: "RELAY_SETUP", payload: RELAY }, isUndone: true },
];

for (const { name, order, isUndone } of uncertain) {
  Deno.test(`${name} of which nobody knows whether it was applied is ${isUndone ? "undone with a DISCONNECT" : "left alone"}`, async () => {
    const rig = new Rig();
    const answer = await rig.connect();
    const outcome = rig.outbox.push(PEER, order);
    await settle();
    answer(token(7), "forgotten");
    assertEquals((await outcome).ok, false);
    await settle();
    assertEquals(rig.sent.length, isUndone ? 2 : 1);
  });
}

Deno.test("one id given to commands for two peers is two commands", async () => {
  const rig = new Rig();
  const [answerOne, answerOther] = [await rig.connect(), await rig.connect(peerId(2))];
  const one = rig.outbox.push(PEER, disconnect());
  const other = rig.outbox.push(peerId(2), disconnect());
  await settle();
  answerOther(token(7), "failed");
  answerOne(token(7));
  assertEquals([(await one).ok, (await other).ok], [true, false]);
});

Deno.test("whoever watches is told what became of each command, and of one that nobody waits for", async () => {
  const rig = new Rig();
  const answer = await rig.connect();
  void rig.outbox.push(PEER, disconnect());
  void rig.outbox.push(peerId(2), disconnect(token(8)));
  await settle();
  answer(token(7));
  await rig.clock.advanceAsync(10_000);
  rig.outbox.wake(rig.clock.now());
  assertEquals(rig.outcomes, [`${PEER} done ${token(7)}`, `${peerId(2)} failed ${token(8)}`]);
});

Deno.test("a queue is in memory while something waits in it", async () => {
  const { outbox, clock } = new Rig();
  const outcome = outbox.push(PEER, disconnect());
  await settle();
  assertEquals(outbox.size, 1);
  await clock.advanceAsync(10_000);
  outbox.wake(clock.now());
  assertEquals(await outcome, { ok: false, reason: "expired" });
  await settle();
  assertEquals(outbox.size, 0);
});

Deno.test("it is closed when the last queue is kept", async () => {
  const clock = new FakeClock();
  const kept = Promise.withResolvers<void>();
  const store = { ...createMemoryQueues(clock), save: () => kept.promise };
  const outbox = new CommandOutbox({ store, clock, random: randomOf(crypto), log: silentLog, metrics: noMetrics });
  void outbox.push(PEER, disconnect());
  await settle();
  let isClosed = false;
  const closed = outbox.closed().then(() => isClosed = true);
  await settle();
  assertEquals(isClosed, false);
  kept.resolve();
  await closed;
});

Deno.test("a command that is too long for any queue leaves none behind", async () => {
  const { outbox } = new Rig();
  const payload = { reason: "admin" as const, remark: "x".repeat(60_000) };
  assertEquals(await outbox.push(PEER, { ...disconnect(), payload } as CommandOrder), { ok: false, reason: "full" });
  assertEquals(outbox.size, 0);
});

Deno.test("a command for a peer that is let go of at that very moment is not lost", async () => {
  const rig = new Rig();
  await rig.outbox.load(PEER);
  const outcome = rig.outbox.push(PEER, disconnect());
  rig.outbox.unload(PEER);
  await settle();
  const answer = await rig.connect();
  assertEquals(rig.sent, [token(7)]);
  answer(token(7));
  assertEquals((await outcome).ok, true);
});

Deno.test("what is given up for a peer that was turned away is undone, and nobody waits for it for ever", async () => {
  const rig = new Rig();
  await rig.connect();
  const outcome = rig.outbox.push(PEER, { ...what, kind: "SETUP_EXIT", payload: SETUP });
  await settle();
  await rig.outbox.drop(PEER);
  assertEquals(await outcome, { ok: false, reason: "dropped" });
  await settle();
  assertEquals([rig.outbox.size, rig.outbox.awaited], [1, 1]);
  await rig.clock.advanceAsync(3_600_000);
  rig.outbox.wake(rig.clock.now());
  await settle();
  assertEquals([rig.outbox.size, rig.outbox.awaited], [0, 0]);
});

Deno.test("no id looks like a flag", () => {
  const firsts = [0xf8, 0xfb, 0x00];
  const random = { next: () => 0, fill: <T extends Uint8Array>(into: T): T => (into[0] = firsts.shift()!, into) };
  assertEquals(newId(random), "A".repeat(22));
});
