/**
 * Whether a set that was applied is the one that is sent again: everything that its sender said, and nothing that the ledger
 * added.
 */

import type { Memo, StoredTransfer, Transfer, TransferSet } from "./ledger.ts";

export function isSameSet({ transfers }: TransferSet, before: readonly StoredTransfer[]): boolean {
  return transfers.length === before.length && transfers.every((transfer, at) => isSame(transfer, before[at]!));
}

function isSame(transfer: Transfer, before: StoredTransfer): boolean {
  const { phase } = transfer;
  return phase === before.phase && transfer.id === before.id && transfer.debit === before.debit &&
    transfer.credit === before.credit && transfer.reason === before.reason &&
    // What a `void` gives back is the ledger's to say.
    (phase === "void" || transfer.amount === before.amount) &&
    (phase !== "pending" || transfer.expiresAtMs === before.expiresAtMs) &&
    (phase !== "post" && phase !== "void" || transfer.pendingId === before.pendingId) &&
    (phase !== "post" || (transfer.closes ?? false) === (before.closes ?? false)) &&
    isSameMemo(transfer.memo ?? {}, before.memo ?? {});
}

/** In whatever order the names come back from a store. */
function isSameMemo(one: Memo, other: Memo): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && one[name] === other[name]);
}
