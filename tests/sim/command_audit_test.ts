import { assertEquals } from "@std/assert";
import { createMemoryQueues } from "../../kv/commands.ts";
import { CommandQueue } from "../../protocol/control/command_queue.ts";
import type { Command } from "../../protocol/control/commands.ts";
import type { CommandHandler } from "../../roles/peer/commands.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { CommandAudit } from "./command_audit.ts";
import { Trace } from "./trace.ts";

const signal = new AbortController().signal;
const commandId = "A".repeat(22);

/** An audit that has seen a supernode keep one DISCONNECT. */
async function auditOf(clock: FakeClock): Promise<{ readonly audit: CommandAudit; readonly command: Command }> {
  const audit = new CommandAudit(clock, new Trace(clock));
  const queue = new CommandQueue(clock);
  queue.push({ kind: "DISCONNECT", commandId, payload: { reason: "admin" }, timeoutMs: 10_000 }, clock.now());
  await audit.watch(createMemoryQueues(clock), "sn").save("peer", queue.snapshot());
  return { audit, command: queue.snapshot().commands[0]!.command };
}

function watched(audit: CommandAudit, handler: CommandHandler): CommandHandler {
  return audit.watchHandlers({ DISCONNECT: handler } as never, "peer").DISCONNECT as CommandHandler;
}

function brokenBy(audit: CommandAudit): string[] {
  return audit.breaches.map(({ invariant }) => invariant);
}

Deno.test("a command that is applied and has its outcome in time breaks nothing", async () => {
  const clock = new FakeClock();
  const { audit, command } = await auditOf(clock);
  await watched(audit, { apply() {} }).apply(command, signal);
  const result = { type: "command.result", commandId, status: "applied" } as const;
  audit.ended("sn", "peer", { kind: "done", command, result, tookMs: 1 });
  clock.advance(60_000);
  audit.overdue(1_000, () => 0);
  assertEquals(brokenBy(audit), []);
});

Deno.test("a command that is applied again is found out, unless it was undone before", async () => {
  const { audit, command } = await auditOf(new FakeClock());
  const handler = watched(audit, { apply() {}, undo() {} });
  await handler.apply(command, signal);
  await handler.undo!(command);
  await handler.apply(command, signal);
  assertEquals(brokenBy(audit), []);
  await handler.apply(command, signal);
  assertEquals(brokenBy(audit), ["no command is applied twice"]);
});

Deno.test("a command without an outcome is found out, once its supernode has had the time", async () => {
  const clock = new FakeClock();
  const { audit } = await auditOf(clock);
  clock.advance(11_500);
  audit.overdue(1_000, () => undefined);
  audit.overdue(1_000, () => 11_000);
  assertEquals(brokenBy(audit), []);
  audit.overdue(1_000, () => 0);
  assertEquals(brokenBy(audit), ["no command is lost"]);
});

Deno.test("an outcome that is not true is found out", async () => {
  const { audit, command } = await auditOf(new FakeClock());
  const result = { type: "command.result", commandId, status: "applied" } as const;
  audit.ended("sn", "peer", { kind: "done", command, result, tookMs: 1 });
  assertEquals(brokenBy(audit), ["outcomes are true"]);
});
