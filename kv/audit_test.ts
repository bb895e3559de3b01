import { createKvAudit, createMemoryAudit } from "./audit.ts";
import { auditCases, KEEP_MS } from "./fixtures/audit_contract.ts";
import { testStore } from "./fixtures/contract.ts";

testStore("the audit log", {
  memory: (clock) => createMemoryAudit(clock, { keepMs: KEEP_MS }),
  kv: (kv, clock) => createKvAudit(kv, clock, { space: "test", keepMs: KEEP_MS }),
}, auditCases);
