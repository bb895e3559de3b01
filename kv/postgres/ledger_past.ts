/** What a batch of the ledger must know, read within its transaction and locked until that ends. */

import { type Balance, type LedgerAccountId, setIdOf, type StoredTransfer } from "../../protocol/sharing/ledger.ts";
import { isPersonal } from "../../protocol/sharing/ledger_form.ts";
import { type LedgerPast, type Needed, type Pending, zeroBalance } from "../../protocol/sharing/ledger_machine.ts";
import { arrayText } from "./array_text.ts";
import type { Transaction } from "./client.ts";
import { type AccountRow, balanceOf, pendingOf, type PendingRow, transferOf, type TransferRow } from "./ledger_rows.ts";

export async function readPast(sql: Transaction, { setIds, pendingIds, debited }: Needed): Promise<LedgerPast> {
  const personal = [...debited].filter(isPersonal);
  // One after the other at the server, sent at once: each statement sees what was committed before the locks were had.
  const [accountRows, pendingRows, setRows] = await Promise.all([
    sql<AccountRow[]>`
      SELECT * FROM ledger_accounts WHERE account = ANY(${arrayText(personal)}::text[]) AND shard = 0
      ORDER BY account FOR UPDATE`,
    sql<PendingRow[]>`
      SELECT found.* FROM unnest(${arrayText([...debited])}::text[]) AS wanted (account), LATERAL
        (SELECT * FROM ledger_pending WHERE debit = wanted.account OFFSET 0) AS found`,
    readSets(sql, [...setIds]),
  ]);
  const open = new Map(pendingRows.map((row) => [row.id, pendingOf(row)]));
  const openCounts = new Map<LedgerAccountId, number>();
  for (const { debit } of open.values()) openCounts.set(debit, (openCounts.get(debit) ?? 0) + 1);
  const closedSets = await readOthers(sql, open, [...pendingIds].filter((id) => !open.has(id)));
  const sets = Map.groupBy([...setRows, ...closedSets.filter(({ setId }) => !setIds.has(setId))], ({ setId }) => setId);
  const balances = new Map(accountRows.map((row) => [row.account, balanceOf(row)]));
  return {
    balance: (account) => balances.get(account) ?? unlocked(account, debited),
    openPending: (account) => openCounts.get(account) ?? 0,
    pending: (id) => open.get(id) ?? closedPending(id, sets.get(setIdOf(id) ?? "")),
    set: (id) => setIds.has(id) ? sets.get(id) : undefined,
  };
}

/** Of what none of the batch's accounts has open: what others have, added to `open`, and the sets that say whether it ever was. */
async function readOthers(
  sql: Transaction,
  open: Map<string, Pending>,
  ids: readonly string[],
): Promise<StoredTransfer[]> {
  if (ids.length === 0) return [];
  const [rows, sets] = await Promise.all([
    sql<PendingRow[]>`SELECT * FROM ledger_pending WHERE id = ANY(${arrayText(ids)}::text[])`,
    readSets(sql, ids.map((id) => setIdOf(id) ?? "")),
  ]);
  for (const row of rows) open.set(row.id, pendingOf(row));
  return sets;
}

/**
 * `OFFSET 0` keeps the inner query apart, so that the index is looked into once for each set. The planner, left alone with a
 * list of values, walks through all that ever happened.
 */
async function readSets(sql: Transaction, ids: readonly string[]): Promise<StoredTransfer[]> {
  const rows = await sql<TransferRow[]>`
    SELECT found.* FROM unnest(${arrayText([...new Set(ids)])}::text[]) AS wanted (id), LATERAL
      (SELECT * FROM billing_history WHERE set_id = wanted.id OFFSET 0) AS found`;
  return rows.map(transferOf).sort((a, b) => a.sequence - b.sequence);
}

/** What is only added to. Throws for a person who is debited: to decide upon zeros would be to give money away. */
function unlocked(account: LedgerAccountId, debited: ReadonlySet<LedgerAccountId>): Balance {
  if (!isPersonal(account) || !debited.has(account)) return zeroBalance(account);
  throw new Error(`Cannot decide: the account ${account} must have been locked`);
}

function closedPending(id: string, set: readonly StoredTransfer[] | undefined): Pending | undefined {
  const transfer = set?.find((transfer) => transfer.id === id);
  return transfer?.phase === "pending" ? { ...transfer, expiresAtMs: transfer.expiresAtMs!, left: 0n } : undefined;
}
