/** Writes what a batch of the ledger has decided, within its transaction: a statement for each table, whatever the number. */

import type { Balance, LedgerAccountId, StoredTransfer } from "../../protocol/sharing/ledger.ts";
import type { LedgerBatch, Pending } from "../../protocol/sharing/ledger_machine.ts";
import { type ArrayItem, arrayText } from "./array_text.ts";
import type { Transaction } from "./client.ts";

export interface WriteOptions {
  /** Whether the account's row is locked, and its sums are what is to be there. The others are added to. */
  isLocked(account: LedgerAccountId): boolean;
  /** Which of the house's rows are added to. */
  readonly shard: number;
}

export async function writeBatch(sql: Transaction, batch: LedgerBatch, options: WriteOptions): Promise<void> {
  const [locked, others] = partition([...batch.balances.values()], ({ account }) => options.isLocked(account));
  const [closed, open] = partition([...batch.pendings.values()], ({ left }) => left === 0n);
  await Promise.all([
    // First: once these rows are locked too, sequences are given in the order of every person's transfers.
    ...others.length > 0 ? [addToBalances(sql, others, options.shard)] : [],
    addTransfers(sql, batch),
    ...locked.length > 0 ? [setBalances(sql, locked)] : [],
    ...open.length > 0 ? [keepPendings(sql, open)] : [],
    ...closed.length > 0
      ? [sql`DELETE FROM ledger_pending WHERE id = ANY(${arrayText(closed.map(({ id }) => id))}::text[])`]
      : [],
  ]);
}

function addTransfers(sql: Transaction, { transfers, atMs }: LedgerBatch) {
  const column = (of: (transfer: StoredTransfer) => ArrayItem) => arrayText(transfers.map(of));
  return sql`
    INSERT INTO billing_history
      (set_id, name, phase, debit, credit, amount, reason, memo, pending_id, expires_at_ms, closes, at_ms)
    SELECT set_id, name, phase, debit, credit, amount, reason, memo, pending_id, expires_at_ms, closes, ${atMs}
    FROM unnest(
      ${column(({ setId }) => setId)}::text[],
      ${column(({ id, setId }) => id.slice(setId.length + 1))}::text[],
      ${column(({ phase }) => phase)}::text[],
      ${column(({ debit }) => debit)}::text[],
      ${column(({ credit }) => credit)}::text[],
      ${column(({ amount }) => amount)}::bigint[],
      ${column(({ reason }) => reason)}::text[],
      ${column(({ memo }) => memo ? JSON.stringify(memo) : null)}::jsonb[],
      ${column(({ pendingId }) => pendingId ?? null)}::text[],
      ${column(({ expiresAtMs }) => expiresAtMs ?? null)}::bigint[],
      ${column(({ closes }) => closes ?? false)}::boolean[]
    ) WITH ORDINALITY AS new
      (set_id, name, phase, debit, credit, amount, reason, memo, pending_id, expires_at_ms, closes, place)
    ORDER BY place`;
}

/** The rows are locked, and the sums are what is to be there. */
function setBalances(sql: Transaction, balances: readonly Balance[]) {
  return sql`
    UPDATE ledger_accounts AS old SET
      debits_posted = new.debits_posted, credits_posted = new.credits_posted,
      debits_pending = new.debits_pending, credits_pending = new.credits_pending
    FROM ${rowsOf(sql, balances)} WHERE old.account = new.account AND old.shard = 0`;
}

/** The sums are what is to be added. A person has one row. */
function addToBalances(sql: Transaction, balances: readonly Balance[], shard: number) {
  return sql`
    INSERT INTO ledger_accounts AS old
      (account, shard, debits_posted, credits_posted, debits_pending, credits_pending)
    SELECT account, CASE WHEN account ~ '^(client|operator):' THEN 0 ELSE ${shard} END,
      debits_posted, credits_posted, debits_pending, credits_pending
    FROM ${rowsOf(sql, balances.toSorted((a, b) => a.account < b.account ? -1 : 1))}
    ON CONFLICT (account, shard) DO UPDATE SET
      debits_posted = old.debits_posted + excluded.debits_posted,
      credits_posted = old.credits_posted + excluded.credits_posted,
      debits_pending = old.debits_pending + excluded.debits_pending,
      credits_pending = old.credits_pending + excluded.credits_pending`;
}

function rowsOf(sql: Transaction, balances: readonly Balance[]) {
  const column = (of: (balance: Balance) => ArrayItem) => arrayText(balances.map(of));
  return sql`
    unnest(
      ${column(({ account }) => account)}::text[],
      ${column(({ debitsPosted }) => debitsPosted)}::bigint[],
      ${column(({ creditsPosted }) => creditsPosted)}::bigint[],
      ${column(({ debitsPending }) => debitsPending)}::bigint[],
      ${column(({ creditsPending }) => creditsPending)}::bigint[]
    ) AS new (account, debits_posted, credits_posted, debits_pending, credits_pending)`;
}

function keepPendings(sql: Transaction, pendings: readonly Pending[]) {
  const column = (of: (pending: Pending) => ArrayItem) => arrayText(pendings.map(of));
  return sql`
    INSERT INTO ledger_pending (id, debit, credit, reason, expires_at_ms, amount_left)
    SELECT * FROM unnest(
      ${column(({ id }) => id)}::text[],
      ${column(({ debit }) => debit)}::text[],
      ${column(({ credit }) => credit)}::text[],
      ${column(({ reason }) => reason)}::text[],
      ${column(({ expiresAtMs }) => expiresAtMs)}::bigint[],
      ${column(({ left }) => left)}::bigint[]
    )
    ON CONFLICT (id) DO UPDATE SET amount_left = excluded.amount_left`;
}

function partition<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))];
}
