import { testStore } from "./fixtures/contract.ts";
import { mailboxCases } from "./fixtures/mailbox_contract.ts";
import { createKvMailboxes, createMemoryMailboxes } from "./mailbox.ts";

testStore("mailboxes", {
  memory: (clock) => createMemoryMailboxes(clock),
  kv: (kv, clock) => createKvMailboxes(kv, clock, { space: "test" }),
}, mailboxCases);
