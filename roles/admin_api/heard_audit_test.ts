import { assertEquals } from "@std/assert";
import type { SourceEvent } from "../../edge/dashboard/inventory.ts";
import { type AuditStore, createMemoryAudit } from "../../kv/audit.ts";
import type { AuditEntry } from "../../protocol/stored_records.ts";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { HeardAudit } from "./heard_audit.ts";

function event(action: string, outcome: "done" | "failed" = "done") {
  return { actor: "admin", action, outcome };
}

Deno.test("who listens hears of the past, then of what is added, until disposed", async () => {
  const audit = new HeardAudit(createMemoryAudit(new FakeClock()), new LogCollector());
  await audit.append(event("drain"));
  await audit.append(event("undrain"));
  const heard: SourceEvent[] = [];
  const listening = audit.listen((event) => heard.push(event));
  await settle();
  await audit.append({ ...event("end_session", "failed"), subject: "S", detail: "not_found" });
  listening[Symbol.dispose]();
  await audit.append(event("drain"));
  assertEquals(heard.map(({ text, isBad }) => [text, isBad]), [
    ["admin: drain: done", false],
    ["admin: undrain: done", false],
    ["admin: end session S: failed (not_found)", true],
  ]);
});

Deno.test("what is added while the past is read is heard after it, and once", async () => {
  const store = createMemoryAudit(new FakeClock());
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow: AuditStore = {
    ...store,
    async list(page) {
      const entries: AuditEntry[] = [];
      await promise;
      entries.push(...await store.list(page));
      return entries;
    },
  };
  const audit = new HeardAudit(slow, new LogCollector());
  await audit.append(event("drain"));
  const heard: SourceEvent[] = [];
  using _listening = audit.listen((event) => heard.push(event));
  await audit.append(event("undrain"));
  assertEquals(heard, []);
  resolve();
  await settle();
  assertEquals(heard.map(({ text }) => text), ["admin: drain: done", "admin: undrain: done"]);
});

Deno.test("a store that cannot be read keeps nobody from hearing what is added", async () => {
  const store = createMemoryAudit(new FakeClock());
  const log = new LogCollector();
  const audit = new HeardAudit({ ...store, list: () => Promise.reject(new Error("it is locked")) }, log);
  const heard: SourceEvent[] = [];
  using _listening = audit.listen((event) => heard.push(event));
  await settle();
  await audit.append(event("drain"));
  assertEquals([heard.length, log.lines.length], [1, 1]);
});
