/** Rows of the ledger's tables (`migrations/ledger.ts`), and what they say. */

import { type Balance, type Memo, type StoredTransfer, transferId } from "../../protocol/sharing/ledger.ts";
import type { Pending } from "../../protocol/sharing/ledger_machine.ts";

export interface TransferRow {
  readonly sequence: bigint;
  readonly set_id: string;
  readonly name: string;
  readonly phase: StoredTransfer["phase"];
  readonly debit: string;
  readonly credit: string;
  readonly amount: bigint;
  readonly reason: StoredTransfer["reason"];
  readonly memo: Memo | null;
  readonly pending_id: string | null;
  readonly expires_at_ms: bigint | null;
  readonly closes: boolean;
  readonly at_ms: bigint;
}

/** The database checks what it holds, so it is taken at its word. */
export function transferOf(row: TransferRow): StoredTransfer {
  const { set_id: setId, name, phase, debit, credit, amount, reason, memo, pending_id, expires_at_ms, closes } = row;
  return {
    ...{ id: transferId(setId, name), setId, phase, debit, credit, amount, reason },
    ...memo !== null && { memo },
    ...pending_id !== null && { pendingId: pending_id },
    ...expires_at_ms !== null && { expiresAtMs: Number(expires_at_ms) },
    ...closes && { closes },
    ...{ atMs: Number(row.at_ms), sequence: Number(row.sequence) },
  };
}

export interface AccountRow {
  readonly account: string;
  readonly debits_posted: bigint;
  readonly credits_posted: bigint;
  readonly debits_pending: bigint;
  readonly credits_pending: bigint;
}

export function balanceOf(row: AccountRow): Balance {
  return {
    account: row.account,
    debitsPosted: row.debits_posted,
    creditsPosted: row.credits_posted,
    debitsPending: row.debits_pending,
    creditsPending: row.credits_pending,
  };
}

export interface PendingRow {
  readonly id: string;
  readonly debit: string;
  readonly credit: string;
  readonly reason: StoredTransfer["reason"];
  readonly expires_at_ms: bigint;
  readonly amount_left: bigint;
}

export function pendingOf({ id, debit, credit, reason, expires_at_ms, amount_left }: PendingRow): Pending {
  // Where it stands is not asked for.
  return { id, debit, credit, reason, sequence: 0, expiresAtMs: Number(expires_at_ms), left: amount_left };
}
