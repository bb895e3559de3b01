/**
 * Holds that a run of this orchestrator left behind when it was killed. They would expire by themselves; taking them back
 * when their client comes again gives the money back at once. What that run had delivered and not charged is lost, and
 * that is all that is: its charges were either written or not, and are never written again.
 */

import type { StoredTransfer, TransferSet } from "../../../protocol/sharing/ledger.ts";
import { transferId } from "../../../protocol/sharing/ledger.ts";

export interface ThisRun {
  readonly boothName: string;
  readonly runId: string;
}

/** Numbers of one run, so padded that ids sort as they were made: what is written together lies together in a store. */
const NUMBER_DIGITS = 9;

/** The id of a settlement. */
export function tollSetId({ boothName, runId }: ThisRun, number: number, userId: string): string {
  return `toll:${boothName}:${runId}:${number.toString(36).padStart(NUMBER_DIGITS, "0")}:${userId}`;
}

/** The sets that void them. Those of other orchestrators, and payouts, are left alone. */
export function takeBackHolds(pending: readonly StoredTransfer[], { boothName, runId }: ThisRun): TransferSet[] {
  const earlier = pending.filter(({ setId }) =>
    setId.startsWith(`toll:${boothName}:`) && !setId.startsWith(`toll:${boothName}:${runId}:`)
  );
  return earlier.map(({ id: pendingId, setId, debit, credit, reason }) => {
    const id = `back:${setId}`;
    return { id, transfers: [{ id: transferId(id, "void"), phase: "void", pendingId, debit, credit, reason }] };
  });
}
