/**
 * What each node has earned, from the ledger's own rows. Rows are only ever added, and who has seen one of an operator's has
 * seen all before it; so of an owner's all are read once and after that only those that are new.
 *
 *   operator account, rows newer than the last one seen ─▶ sums by node ─▶ what a node shows its owner
 */

import type { Clock } from "../../protocol/clock.ts";
import { type LedgerStore, operatorAccount, type StoredTransfer } from "../../protocol/sharing/ledger.ts";
import type { Micros } from "../../protocol/sharing/money.ts";
import type { EarningsFigures } from "../../protocol/sharing/node_messages.ts";

const PAGE = 1000;
/** Owners whose sums are remembered; the one that was not asked for longest is forgotten, and read again. */
const MAX_OWNERS = 10_000;
const DAY_MS = 86_400_000;

interface Sums {
  readonly earned: Micros;
  readonly earnedToday: Micros;
  readonly bytes: number;
}

type SumsByNode = Map<string, Sums>;

interface Owner {
  /** The sequence of the last row that is in the sums. */
  readonly newest: number;
  /** Which day `earnedToday` is of, UTC. */
  readonly day: number;
  readonly nodes: SumsByNode;
}

export class NodeEarnings {
  readonly #ledger: Pick<LedgerStore, "balance" | "transfers">;
  readonly #clock: Clock;
  readonly #owners = new Map<string, Owner>();
  /** One reading of an owner's rows at a time. */
  readonly #reading = new Map<string, Promise<SumsByNode>>();

  constructor(ledger: Pick<LedgerStore, "balance" | "transfers">, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  async of(nodeId: string, ownerId: string): Promise<EarningsFigures> {
    const asOfMs = this.#clock.wallNow();
    const [balance, sums] = await Promise.all([
      this.#ledger.balance(operatorAccount(ownerId)),
      this.#read(ownerId),
    ]);
    const { earned, earnedToday, bytes } = sums.get(nodeId) ?? NOTHING;
    return {
      asOfMs,
      balanceMicros: String(balance.creditsPosted - balance.debitsPosted - balance.debitsPending),
      pendingMicros: String(balance.debitsPending),
      earnedMicros: String(earned),
      earnedTodayMicros: String(earnedToday),
      paidBytes: bytes,
    };
  }

  #read(ownerId: string): Promise<SumsByNode> {
    let reading = this.#reading.get(ownerId);
    if (!reading) {
      reading = this.#readOn(ownerId).finally(() => this.#reading.delete(ownerId));
      this.#reading.set(ownerId, reading);
    }
    return reading;
  }

  async #readOn(ownerId: string): Promise<SumsByNode> {
    const day = Math.floor(this.#clock.wallNow() / DAY_MS);
    const owner = this.#owners.get(ownerId) ?? { newest: -1, day, nodes: new Map<string, Sums>() };
    const nodes: SumsByNode = new Map();
    let newest: number | undefined;
    for await (const row of this.#rowsAfter(ownerId, owner.newest)) {
      newest ??= row.sequence;
      add(nodes, row, day);
    }
    // Only now: a reading that fails half way is begun anew.
    for (const [nodeId, sums] of owner.nodes) {
      const before = owner.day === day ? sums : { ...sums, earnedToday: 0n };
      nodes.set(nodeId, plus(before, nodes.get(nodeId)));
    }
    this.#owners.delete(ownerId);
    this.#owners.set(ownerId, { newest: newest ?? owner.newest, day, nodes });
    if (this.#owners.size > MAX_OWNERS) this.#owners.delete(this.#owners.keys().next().value!);
    return nodes;
  }

  /** The newest first. */
  async *#rowsAfter(ownerId: string, sequence: number): AsyncGenerator<StoredTransfer> {
    const account = operatorAccount(ownerId);
    let before: number | undefined;
    for (;;) {
      const page = await this.#ledger.transfers(account, { limit: PAGE, ...before !== undefined && { before } });
      for (const row of page) {
        if (row.sequence <= sequence) return;
        yield row;
      }
      if (page.length < PAGE) return;
      before = page.at(-1)!.sequence;
    }
  }
}

const NOTHING: Sums = { earned: 0n, earnedToday: 0n, bytes: 0 };

function plus(one: Sums, other: Sums = NOTHING): Sums {
  return {
    earned: one.earned + other.earned,
    earnedToday: one.earnedToday + other.earnedToday,
    bytes: one.bytes + other.bytes,
  };
}

function add(nodes: SumsByNode, { atMs, credit, reason, phase, amount, memo }: StoredTransfer, day: number): void {
  const nodeId = memo?.node;
  const isEarned = reason === "traffic" && (phase === "post" || phase === "posted") && credit.startsWith("operator:");
  if (!isEarned || typeof nodeId !== "string") return;
  const earnedToday = Math.floor(atMs / DAY_MS) === day ? amount : 0n;
  const bytes = Number(memo!.up ?? 0) + Number(memo!.down ?? 0);
  nodes.set(nodeId, plus({ earned: amount, earnedToday, bytes }, nodes.get(nodeId)));
}
