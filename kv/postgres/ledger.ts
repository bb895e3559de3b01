/**
 * The ledger on PostgreSQL, for several processes at once (tables: `migrations/ledger.ts`).
 *
 *   apply ─▶ those of one turn of the event loop together ─▶ one transaction:
 *            lock the rows of people who are debited, in order ─▶ read what was before ─▶ LedgerBatch decides ─▶ write
 *
 * Whoever holds an account's row decides alone about it and what it has pending. Who is only credited has no part in the
 * decision: the row is added to, and held, only when all is written. The house's accounts are never locked: each writer adds
 * to rows of its own (`shard`). What the locks do not see, two transactions with a new set of one id, the table's key does;
 * the later one then decides anew, and finds the set. Sequences are given in the order of a person's transfers: who has seen
 * one has seen all before it. Over all accounts they have gaps.
 */

import {
  type Balance,
  type LedgerAccountId,
  type LedgerStore,
  setIdOf,
  type SetOutcome,
  type StoredTransfer,
  type TransferPage,
  type TransferSet,
} from "../../protocol/sharing/ledger.ts";
import { isPersonal } from "../../protocol/sharing/ledger_form.ts";
import { LedgerBatch, type Needed, neededBy, zeroBalance } from "../../protocol/sharing/ledger_machine.ts";
import type { Micros } from "../../protocol/sharing/money.ts";
import { checkedLimit, type CheckedPage, checkedPage, MAX_EXPIRED } from "../sharing/ledger_page.ts";
import { type Applied, LedgerQueue } from "../sharing/ledger_queue.ts";
import { codeOf, type Database, databaseError, inDatabase, type Sql, type Transaction } from "./client.ts";
import { readPast } from "./ledger_past.ts";
import { transferOf, type TransferRow } from "./ledger_rows.ts";
import { writeBatch } from "./ledger_write.ts";

/** Of one transaction: so long others wait for the accounts it holds, and the event loop while it is decided. */
const MAX_TRANSACTION_SETS = 50;
/** Transactions of this process at once. Two gain a sixth in postings, and reading a balance takes half as long again. */
const LANES = 1;
/** Others may take the same ids, or accounts in another order, again and again; so often is unlikely. */
const MAX_ATTEMPTS = 10;
/** Somebody else's set of one id, a deadlock, a serialisation failure. */
const CONTENTION = /^(23505|40P01|40001)$/;
/** Accounts that are known to have a row. */
const MAX_KNOWN_ACCOUNTS = 100_000;

export function createPostgresLedger(database: Database): LedgerStore {
  return new PostgresLedger(database);
}

/** What is done in turn; of what two lanes do at once the locks decide which is first, as of two processes. */
interface Lane {
  readonly queue: LedgerQueue;
  /** Which of the house's rows are this lane's to write. */
  shard?: number;
}

/** A transaction's. */
interface Work<T> {
  readonly deed: string;
  readonly needed: Needed;
  decide(batch: LedgerBatch): T;
}

class PostgresLedger implements LedgerStore {
  readonly #database: Database;
  readonly #lanes: readonly Lane[];
  readonly #knownAccounts = new Set<LedgerAccountId>();

  constructor(database: Database) {
    this.#database = database;
    this.#lanes = Array.from({ length: LANES }, () => {
      const lane: Lane = { queue: new LedgerQueue((sets) => this.#applyAll(lane, sets), MAX_TRANSACTION_SETS) };
      return lane;
    });
  }

  apply(sets: readonly TransferSet[]): Promise<SetOutcome[]> {
    const idlest = this.#lanes.reduce((one, other) => other.queue.waitingSets < one.queue.waitingSets ? other : one);
    return idlest.queue.apply(sets);
  }

  async balance(account: LedgerAccountId): Promise<Balance> {
    const [sums] = await inDatabase(
      this.#database,
      "read a balance",
      (sql) => sql<Omit<Balance, "account">[]>`SELECT ${sumsOf(sql)} FROM ledger_accounts WHERE account = ${account}`,
    );
    return { ...zeroBalance(account), ...sums };
  }

  async totals(): Promise<Omit<Balance, "account">> {
    const [sums] = await inDatabase(
      this.#database,
      "add up the ledger",
      (sql) => sql<Omit<Balance, "account">[]>`SELECT ${sumsOf(sql)} FROM ledger_accounts`,
    );
    return { ...sums! };
  }

  async transfer(id: string): Promise<StoredTransfer | undefined> {
    const setId = setIdOf(id) ?? "";
    const [row] = await inDatabase(this.#database, "find a transfer", (sql) =>
      sql<TransferRow[]>`
        SELECT * FROM billing_history WHERE set_id = ${setId} AND name = ${id.slice(setId.length + 1)}`);
    return row && transferOf(row);
  }

  transfers(account: LedgerAccountId, page: TransferPage = {}): Promise<StoredTransfer[]> {
    return Promise.try(() => this.#transfers(account, checkedPage(page)));
  }

  async pendingLeft(id: string): Promise<Micros | undefined> {
    const nowMs = this.#database.clock.wallNow();
    const [row] = await inDatabase(this.#database, "read what is left", (sql) =>
      sql<{ amount_left: bigint }[]>`
        SELECT amount_left FROM ledger_pending WHERE id = ${id} AND expires_at_ms > ${nowMs}`);
    return row ? row.amount_left : (await this.transfer(id))?.phase === "pending" ? 0n : undefined;
  }

  async pending(account: LedgerAccountId): Promise<StoredTransfer[]> {
    const rows = await inDatabase(this.#database, "list what is pending", (sql) =>
      sql<TransferRow[]>`
        SELECT history.* FROM ledger_pending AS open
        JOIN billing_history AS history ON open.id = history.set_id || '/' || history.name
        WHERE open.debit = ${account} AND history.debit = ${account} ORDER BY history.sequence DESC`);
    return rows.map(transferOf);
  }

  expire(limit = MAX_EXPIRED): Promise<number> {
    return Promise.try(() => {
      const most = checkedLimit(limit);
      const [lane] = this.#lanes;
      return lane!.queue.inTurn(() => this.#expire(lane!, most));
    });
  }

  async #applyAll(lane: Lane, sets: readonly TransferSet[]): Promise<Applied> {
    const outcomes = await this.#decide(lane, {
      deed: "move money",
      needed: neededBy(sets),
      decide: (batch) => sets.map((set) => batch.apply(set)),
    });
    return { count: sets.length, outcomes: Promise.resolve(outcomes) };
  }

  async #expire(lane: Lane, most: number): Promise<number> {
    const deed = "end what was held";
    const nowMs = this.#database.clock.wallNow();
    const due = await inDatabase(this.#database, deed, (sql) =>
      sql<{ id: string; debit: string; credit: string }[]>`
        SELECT id, debit, credit FROM ledger_pending WHERE expires_at_ms <= ${nowMs} ORDER BY expires_at_ms LIMIT ${most}`);
    if (due.length === 0) return 0;
    const needed: Needed = {
      setIds: new Set(),
      pendingIds: new Set(due.map(({ id }) => id)),
      accounts: new Set(due.flatMap(({ debit, credit }) => [debit, credit])),
      debited: new Set(due.map(({ debit }) => debit)),
    };
    return await this.#decide(lane, {
      deed,
      needed,
      decide: (batch) => due.filter(({ id }) => batch.expire(id)).length,
    });
  }

  /** Decides and writes in one transaction; anew when others were in the way. */
  async #decide<T>(lane: Lane, { deed, needed, decide }: Work<T>): Promise<T> {
    return await inDatabase(this.#database, deed, async (sql) => {
      const shard = lane.shard ??= await nextShard(sql);
      await this.#addAccounts(sql, [...needed.debited].filter(isPersonal));
      for (let attempt = 1;; attempt++) {
        try {
          return await sql.begin((transaction) => this.#transact(transaction, { needed, shard, decide }));
        } catch (error) {
          if (attempt === MAX_ATTEMPTS || !CONTENTION.test(codeOf(error))) throw databaseError(deed, error);
        }
      }
    }) as T;
  }

  async #transact<T>(
    transaction: Transaction,
    { needed, shard, decide }: Pick<Work<T>, "needed" | "decide"> & { readonly shard: number },
  ): Promise<T> {
    const past = await readPast(transaction, needed);
    const batch = new LedgerBatch(past, { atMs: this.#database.clock.wallNow(), nextSequence: 0 });
    const result = decide(batch);
    const isLocked = (account: LedgerAccountId) => isPersonal(account) && needed.debited.has(account);
    if (batch.transfers.length > 0) await writeBatch(transaction, batch, { isLocked, shard });
    return result;
  }

  /** By themselves and before anything is locked, so that no two processes wait for each other's. */
  async #addAccounts(sql: Sql, accounts: readonly LedgerAccountId[]): Promise<void> {
    const unknown = accounts.filter((account) => !this.#knownAccounts.has(account));
    if (unknown.length === 0) return;
    await sql`
      INSERT INTO ledger_accounts (account, shard) SELECT unnest(${unknown.sort()}::text[]), 0 ON CONFLICT DO NOTHING`;
    if (this.#knownAccounts.size + unknown.length > MAX_KNOWN_ACCOUNTS) this.#knownAccounts.clear();
    for (const account of unknown) this.#knownAccounts.add(account);
  }

  async #transfers(account: LedgerAccountId, page: CheckedPage): Promise<StoredTransfer[]> {
    const { limit, before, fromMs, toMs } = page;
    const rows = await inDatabase(this.#database, "list transfers", (sql) => {
      const sideOf = (side: string) =>
        sql`
        SELECT * FROM billing_history
        WHERE ${sql(side)} = ${account} AND sequence < ${before} AND at_ms >= ${fromMs} AND at_ms < ${toMs}
        ORDER BY sequence DESC LIMIT ${limit}`;
      return sql<TransferRow[]>`
        (${sideOf("debit")}) UNION ALL (${sideOf("credit")}) ORDER BY sequence DESC LIMIT ${limit}`;
    });
    return rows.map(transferOf);
  }
}

async function nextShard(sql: Sql): Promise<number> {
  const [row] = await sql<{ shard: bigint }[]>`SELECT nextval('ledger_shards') AS shard`;
  return Number(row!.shard);
}

/** The sums over rows of accounts; zeros over none. */
function sumsOf(sql: Sql) {
  return sql`
    coalesce(sum(debits_posted), 0)::bigint AS "debitsPosted", coalesce(sum(credits_posted), 0)::bigint AS "creditsPosted",
    coalesce(sum(debits_pending), 0)::bigint AS "debitsPending", coalesce(sum(credits_pending), 0)::bigint AS "creditsPending"`;
}
