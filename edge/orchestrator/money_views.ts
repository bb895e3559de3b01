/**
 * What the ledger says of one account, for its owner: balance, rows, use over time. All of it is computed from the rows
 * that are paid, so that no two figures can differ.
 *
 * The memo of a charge for traffic names the `node` and the bytes `up` and `down`.
 */

import {
  available,
  clientAccount,
  type LedgerAccountId,
  type LedgerStore,
  operatorAccount,
  type StoredTransfer,
} from "../../protocol/sharing/ledger.ts";
import { formatMicros, type Micros } from "../../protocol/sharing/money.ts";
import type { BalanceView, EarningsView, StatementRow, UsagePoint } from "./api.ts";

export type Ledger = Pick<LedgerStore, "balance" | "transfers">;
export type Side = "client" | "operator";

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

const PAGE = 1000;
/** Rows that are looked at for one answer. A client at work makes some three a second: that is the last five hours of it. */
const MAX_ROWS = 50_000;

export function accountOf(side: Side, userId: string): LedgerAccountId {
  return side === "client" ? clientAccount(userId) : operatorAccount(userId);
}

export async function balanceOf(ledger: Ledger, userId: string, currency: string): Promise<BalanceView> {
  const [client, operator] = await Promise.all([
    ledger.balance(clientAccount(userId)),
    ledger.balance(operatorAccount(userId)),
  ]);
  return {
    currency,
    available: formatMicros(available(client)),
    held: formatMicros(client.debitsPending),
    earned: formatMicros(available(operator)),
    inPayout: formatMicros(operator.debitsPending),
  };
}

/** Money that moved; what is only held for what goes on now is left out, what is held for a payout is not, while it is. */
export function isShown({ id, phase, reason }: StoredTransfer, open: ReadonlySet<string>): boolean {
  if (phase === "pending") return reason !== "hold" && open.has(id);
  return phase !== "void" && reason !== "hold";
}

/** Transfers of the account that are neither posted nor given back. */
export async function openOf(ledger: Pick<LedgerStore, "pending">, account: LedgerAccountId): Promise<Set<string>> {
  return new Set((await ledger.pending(account)).map(({ id }) => id));
}

export function statementRow(transfer: StoredTransfer, account: LedgerAccountId): StatementRow {
  const { id, atMs, reason, memo, phase } = transfer;
  return {
    id,
    atMs,
    reason,
    amount: formatMicros(signed(transfer, account)),
    isPending: phase === "pending",
    ...(memo && { memo: { ...memo } }),
  };
}

function signed({ debit, amount }: StoredTransfer, account: LedgerAccountId): Micros {
  return debit === account ? -amount : amount;
}

/** The rows as a file for spreadsheets (RFC 4180); nothing in it is taken for a formula. */
export function statementCsv(rows: readonly StatementRow[]): string {
  const lines = rows.map(({ id, atMs, reason, amount, isPending, memo = {} }) => {
    const about = Object.entries(memo).map(([name, value]) => `${name}=${value}`).join(" ");
    return [new Date(atMs).toISOString(), reason, amount, isPending ? "pending" : "posted", about, id].map(csvField)
      .join(",");
  });
  return ["time,reason,amount,state,about,id", ...lines, ""].join("\r\n");
}

function csvField(value: string): string {
  const isNumber = /^-?\d+(\.\d+)?$/.test(value);
  const text = !isNumber && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Bytes and money by step. Of a client money is what was charged, of an operator what was earned. `isPartial`: there are
 * more rows than are looked at, and the earliest steps are left out.
 */
export async function usageOf(
  ledger: Ledger,
  account: LedgerAccountId,
  { fromMs, toMs, stepMs }: Span & { readonly stepMs: number },
): Promise<{ readonly points: UsagePoint[]; readonly isPartial: boolean }> {
  const points = new Map<number, { upBytes: number; downBytes: number; amount: Micros }>();
  const isPartial = await eachCharge(ledger, account, { fromMs, toMs }, (transfer) => {
    const atMs = fromMs + Math.floor((transfer.atMs - fromMs) / stepMs) * stepMs;
    const point = points.get(atMs) ?? { upBytes: 0, downBytes: 0, amount: 0n };
    points.set(atMs, point);
    add(point, transfer);
  });
  const inOrder = [...points].sort(([a], [b]) => a - b)
    .map(([atMs, { amount, ...bytes }]) => ({ atMs, ...bytes, amount: formatMicros(amount) }));
  return { points: inOrder, isPartial };
}

export async function earningsOf(ledger: Ledger, userId: string, span: Span): Promise<EarningsView> {
  const nodes = new Map<string, { upBytes: number; downBytes: number; amount: Micros }>();
  const isPartial = await eachCharge(ledger, operatorAccount(userId), span, (transfer) => {
    const nodeId = String(transfer.memo?.node ?? "");
    const node = nodes.get(nodeId) ?? { upBytes: 0, downBytes: 0, amount: 0n };
    nodes.set(nodeId, node);
    add(node, transfer);
  });
  const byAmount = [...nodes].sort(([, a], [, b]) => a.amount === b.amount ? 0 : a.amount < b.amount ? 1 : -1);
  const total = byAmount.reduce((sum, [, { amount }]) => sum + amount, 0n);
  return {
    ...span,
    total: formatMicros(total),
    nodes: byAmount.slice(0, 1000)
      .map(([nodeId, { amount, ...bytes }]) => ({ nodeId, ...bytes, amount: formatMicros(amount) })),
    isPartial,
  };
}

function add(
  sum: { upBytes: number; downBytes: number; amount: Micros },
  { amount, memo, reason }: StoredTransfer,
): void {
  sum.amount += amount;
  if (reason !== "traffic") return;
  sum.upBytes += Number(memo?.up ?? 0);
  sum.downBytes += Number(memo?.down ?? 0);
}

/** Calls for what was charged for traffic, the newest first; true when there was more than is looked at. */
function eachCharge(
  ledger: Ledger,
  account: LedgerAccountId,
  span: Span,
  visit: (transfer: StoredTransfer) => void,
): Promise<boolean> {
  return eachPage(ledger, account, span, (page) => {
    for (const transfer of page) {
      const isCharge = transfer.reason === "traffic" || transfer.reason === "fee" && transfer.debit === account;
      if (isCharge && transfer.phase !== "pending" && transfer.phase !== "void") visit(transfer);
    }
  });
}

/** Everything there is, the newest first: as far as one answer goes. */
export async function allTransfers(
  ledger: Ledger,
  account: LedgerAccountId,
  place: Partial<Span> & { readonly before?: number },
): Promise<StoredTransfer[]> {
  const all: StoredTransfer[] = [];
  await eachPage(ledger, account, place, (page) => all.push(...page));
  return all;
}

/** True when there was more than `MAX_ROWS`. */
async function eachPage(
  ledger: Ledger,
  account: LedgerAccountId,
  { before: first, ...span }: Partial<Span> & { readonly before?: number },
  visit: (page: readonly StoredTransfer[]) => void,
): Promise<boolean> {
  let before = first;
  for (let rows = 0; rows < MAX_ROWS; rows += PAGE) {
    const page = await ledger.transfers(account, { ...span, limit: PAGE, ...(before !== undefined && { before }) });
    visit(page);
    if (page.length < PAGE) return false;
    before = page.at(-1)!.sequence;
  }
  return true;
}
