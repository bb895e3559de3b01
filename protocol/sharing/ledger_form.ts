/**
 * Whether a set of transfers is well formed: what can be said of it without looking at any account. What its accounts allow
 * is for `ledger_machine.ts`.
 */

import {
  FEES_ACCOUNT,
  HOLDS_ACCOUNT,
  type LedgerAccountId,
  MAX_AMOUNT,
  MAX_MEMO_BYTES,
  MAX_MEMOS_BYTES,
  MAX_SET_ID,
  MAX_SET_TRANSFERS,
  MAX_TRANSFER_NAME,
  type Memo,
  PAYOUTS_ACCOUNT,
  PROMOTIONS_ACCOUNT,
  setIdOf,
  type SetOutcome,
  type Transfer,
  transferReasons,
  type TransferSet,
} from "./ledger.ts";

const SET_ID = new RegExp(`^[!-~]{1,${MAX_SET_ID}}$`);
const TRANSFER_NAME = new RegExp(`^[!-.0-~]{1,${MAX_TRANSFER_NAME}}$`);
const PENDING_ID = new RegExp(`^[!-~]{1,${MAX_SET_ID + 1 + MAX_TRANSFER_NAME}}$`);
const PERSONAL_ACCOUNT = /^(?:client|operator):[A-Za-z0-9_-]{1,64}$/;
const PAYMENTS_ACCOUNT = /^payments:[A-Za-z0-9_-]{1,64}$/;
const HOUSE_ACCOUNTS: readonly LedgerAccountId[] = [FEES_ACCOUNT, PAYOUTS_ACCOUNT, PROMOTIONS_ACCOUNT, HOLDS_ACCOUNT];
/** A name in a memo, which is also a column's of a statement. */
const MEMO_NAME = /^[A-Za-z][A-Za-z0-9_]{0,31}$/;

/** Somebody's, so that it is never overdrawn. */
export function isPersonal(account: LedgerAccountId): boolean {
  return account.startsWith("client:") || account.startsWith("operator:");
}

function isAccount(account: LedgerAccountId): boolean {
  return PERSONAL_ACCOUNT.test(account) || HOUSE_ACCOUNTS.includes(account) || PAYMENTS_ACCOUNT.test(account);
}

/** The answer to a set that is not well formed. */
export function malformedOutcome(set: TransferSet): SetOutcome | undefined {
  const detail = problemOfSet(set);
  return detail === undefined ? undefined : { setId: set.id, status: "malformed", detail };
}

/** What is wrong with a set, for people; undefined when nothing is. */
export function problemOfSet({ id, transfers }: TransferSet): string | undefined {
  if (!SET_ID.test(id)) return `a set's id must be 1 to ${MAX_SET_ID} characters of ASCII without spaces`;
  if (transfers.length < 1 || transfers.length > MAX_SET_TRANSFERS) {
    return `a set must have 1 to ${MAX_SET_TRANSFERS} transfers, got ${transfers.length}`;
  }
  let memosBytes = 0;
  for (let at = 0; at < transfers.length; at++) {
    const transfer = transfers[at]!;
    const problem = problemOfId(id, transfer.id) ?? problemOfTransfer(transfer);
    if (problem) return `${transfer.id}: ${problem}`;
    for (let other = 0; other < at; other++) {
      if (transfers[other]!.id === transfer.id) return `${transfer.id}: two of the set have this id`;
    }
    if (transfer.memo) memosBytes += bytesOf(transfer.memo);
  }
  return memosBytes <= MAX_MEMOS_BYTES ? undefined : `a set's memos must be at most ${MAX_MEMOS_BYTES} bytes of JSON`;
}

function problemOfId(setId: string, id: string): string | undefined {
  const isOfSet = setIdOf(id) === setId && TRANSFER_NAME.test(id.slice(setId.length + 1));
  return isOfSet ? undefined : `its id must be its set's, a slash and a name of 1 to ${MAX_TRANSFER_NAME} characters`;
}

function problemOfTransfer(transfer: Transfer): string | undefined {
  const { debit, credit, phase, reason, memo } = transfer;
  if (!isAccount(debit)) return `there is no account such as ${debit}`;
  if (!isAccount(credit)) return `there is no account such as ${credit}`;
  if (debit === credit) return "it must be between two accounts";
  if (!transferReasons.includes(reason)) return `there is no reason such as ${reason}`;
  if (phase !== "void" && !isAmount(transfer.amount)) return `its amount must be 1 to ${MAX_AMOUNT}`;
  // Stores lock the accounts of people alone, and so what these have pending.
  if (phase === "pending" && !isPersonal(debit)) return "what is pending must debit somebody's account";
  if (phase === "pending" && isPersonal(credit)) return "what is pending must credit an account of the house";
  if (phase === "pending" && !Number.isSafeInteger(transfer.expiresAtMs)) {
    return "its expiry must be whole milliseconds";
  }
  if ((phase === "post" || phase === "void") && !PENDING_ID.test(transfer.pendingId)) return "it must name a transfer";
  return memo && problemOfMemo(memo);
}

function isAmount(amount: bigint): boolean {
  return typeof amount === "bigint" && amount >= 1n && amount <= MAX_AMOUNT;
}

function problemOfMemo(memo: Memo): string | undefined {
  for (const [name, value] of Object.entries(memo)) {
    if (!MEMO_NAME.test(name)) return `a memo's names must be words, got ${name}`;
    const isPlain = typeof value === "number" ? Number.isFinite(value) : isText(value);
    if (!isPlain) return `a memo's values must be text or finite numbers, and ${name} is not`;
  }
  return bytesOf(memo) <= MAX_MEMO_BYTES ? undefined : `a memo must be at most ${MAX_MEMO_BYTES} bytes of JSON`;
}

function bytesOf(memo: Memo): number {
  return new TextEncoder().encode(JSON.stringify(memo)).length;
}

/** Text that every store takes: PostgreSQL has no NUL, and lone surrogates are not UTF-8. */
function isText(value: unknown): boolean {
  return typeof value === "string" && value.isWellFormed() && !value.includes("\0");
}
