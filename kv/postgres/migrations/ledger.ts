/**
 * The tables of `../ledger.ts`. What happened is in `billing_history` and is never rewritten; the rest is drawn from it.
 * The checks repeat what the machine has decided, for the day on which it is wrong.
 */

import type { Migration } from "../migrate.ts";
import { APPEND_ONLY_FUNCTION, appendOnly } from "./append_only.ts";

export const ledgerMigrations: readonly Migration[] = [{
  name: "ledger_1",
  statements: `
${APPEND_ONLY_FUNCTION}
CREATE TABLE billing_history (
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  set_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  phase text NOT NULL CHECK (phase IN ('posted', 'pending', 'post', 'void')),
  debit text COLLATE "C" NOT NULL,
  credit text COLLATE "C" NOT NULL CHECK (credit <> debit),
  amount bigint NOT NULL CHECK (amount > 0),
  reason text NOT NULL,
  memo jsonb,
  pending_id text CHECK ((pending_id IS NOT NULL) = (phase IN ('post', 'void'))),
  expires_at_ms bigint CHECK ((expires_at_ms IS NOT NULL) = (phase = 'pending')),
  closes boolean NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (set_id, name)
);
CREATE INDEX billing_history_by_debit ON billing_history (debit, sequence);
CREATE INDEX billing_history_by_credit ON billing_history (credit, sequence);
${appendOnly("billing_history")}

-- Somebody's account is one row. The house's are several, one for each writer, so that none waits for another; their sum
-- is what counts, and each by itself may be of either sign.
CREATE TABLE ledger_accounts (
  account text COLLATE "C" NOT NULL,
  shard smallint NOT NULL,
  debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
  credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
  debits_pending bigint NOT NULL DEFAULT 0,
  credits_pending bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (account, shard),
  CONSTRAINT never_overdrawn CHECK (
    account !~ '^(client|operator):' OR
    (shard = 0 AND debits_pending >= 0 AND debits_posted + debits_pending <= credits_posted)
  )
) WITH (fillfactor = 50);
CREATE SEQUENCE ledger_shards MINVALUE 0 MAXVALUE 63 CYCLE;

CREATE TABLE ledger_pending (
  id text COLLATE "C" PRIMARY KEY,
  debit text COLLATE "C" NOT NULL,
  credit text COLLATE "C" NOT NULL,
  reason text NOT NULL,
  expires_at_ms bigint NOT NULL,
  amount_left bigint NOT NULL CHECK (amount_left > 0)
);
CREATE INDEX ledger_pending_by_debit ON ledger_pending (debit);
CREATE INDEX ledger_pending_by_expiry ON ledger_pending (expires_at_ms);
`,
}];
