import { assert, assertEquals } from "@std/assert";
import type { AuditEvent } from "../../../protocol/stored_records.ts";
import { FakeClock, settle } from "../../../testing/fake_clock.ts";
import { LogCollector } from "../../../testing/log_collector.ts";
import { AccessAudit } from "./audit.ts";

function start() {
  const clock = new FakeClock();
  const entries: AuditEvent[] = [];
  const log = new LogCollector();
  const audit = new AccessAudit({ audit: { append: (event) => Promise.resolve(entries.push(event)) }, clock, log });
  const written = (action: string) => entries.filter((entry) => entry.action === action).length;
  return { clock, entries, audit, written };
}

Deno.test("a flood of refusals is written at a bounded rate, and the next one says how many were left out", async () => {
  const { clock, entries, audit } = start();
  for (let each = 0; each < 1000; each++) audit.refused("203.0.113.7", "login", { detail: "wrong secret" });
  assertEquals(entries.length, 100);
  await settle();
  clock.advance(1000);
  audit.refused("203.0.113.7", "login", { detail: "wrong secret" });
  assertEquals(entries.at(-1)?.detail, "wrong secret; 900 refusals were left out before");
});

Deno.test("who floods the log with one kind of refusal hides no other kind", () => {
  const { audit, written } = start();
  for (let each = 0; each < 1000; each++) audit.refused("203.0.113.7", "proxy.login", { detail: "wrong secret" });
  audit.refused("203.0.113.7", "refresh.reused", { detail: "a refresh token was used twice" });
  assert(written("proxy.login") < 1000);
  assertEquals(written("refresh.reused"), 1);
});
