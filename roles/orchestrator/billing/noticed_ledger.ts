/**
 * A ledger that tells when money has come in for a client, so that whoever was told a moment ago that there is none need not
 * wait to be believed. Other processes find out by themselves, within 50 ms of asking (`till.ts`).
 */

import type { LedgerStore } from "../../../protocol/sharing/ledger.ts";

const CLIENT = "client:";

/** The same store, and `onCredit` is called with each client whom a set has credited. */
export function noticedLedger(ledger: LedgerStore, onCredit: (userId: string) => void): LedgerStore {
  return {
    async apply(sets) {
      const outcomes = await ledger.apply(sets);
      for (const [at, { status }] of outcomes.entries()) {
        if (status !== "applied") continue;
        for (const { credit } of sets[at]!.transfers) {
          if (credit.startsWith(CLIENT)) onCredit(credit.slice(CLIENT.length));
        }
      }
      return outcomes;
    },
    balance: (account) => ledger.balance(account),
    totals: () => ledger.totals(),
    transfer: (id) => ledger.transfer(id),
    transfers: (account, page) => ledger.transfers(account, page),
    pendingLeft: (id) => ledger.pendingLeft(id),
    pending: (account) => ledger.pending(account),
    expire: (limit) => ledger.expire(limit),
  };
}
