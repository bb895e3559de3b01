import { testStore } from "./fixtures/contract.ts";
import { sessionCases } from "./fixtures/sessions_contract.ts";
import { createKvSessions, createMemorySessions } from "./sessions.ts";

testStore("sessions", {
  memory: (clock) => createMemorySessions(clock),
  kv: (kv, clock) => createKvSessions(kv, clock, { space: "test" }),
}, sessionCases);
