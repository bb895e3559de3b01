/**
 * Clients who are charged tick after tick, as an orchestrator charges them, and somebody who reads balances meanwhile.
 *
 * Every client's tick is one set of three transfers: what its hold has paid goes to an operator, the fee to the house, which
 * closes the hold, and the next hold is taken. A posting is one transfer, that is one debit and one credit, kept for good when
 * the caller is answered.
 */

import postgres from "postgres";
import { type Clock, delay } from "../../protocol/clock.ts";
import {
  clientAccount,
  type LedgerAccountId,
  type LedgerStore,
  operatorAccount,
  type TransferSet,
} from "../../protocol/sharing/ledger.ts";
import { openKv } from "../../kv/open.ts";
import { clientOptions } from "../../kv/postgres/client.ts";
import { createPostgresLedger } from "../../kv/postgres/ledger.ts";
import { migrate } from "../../kv/postgres/migrate.ts";
import { migrations } from "../../kv/postgres/migrations.ts";
import { hold, tick, topup } from "../../kv/sharing/fixtures/ledger_sets.ts";
import { createKvLedger } from "../../kv/sharing/kv_ledger.ts";

const CLIENTS = 1000;
const OPERATORS = 200;
/** Sets that a caller sends in one go, and callers at once: what is decided next is there when a commit ends. */
const SETS_AT_ONCE = 500;
const CALLERS = 2;
const READ_EVERY_MS = 2;
const HOLD_MS = 3_600_000;
const POSTINGS_PER_SET = 3;

export interface LedgerLoad {
  readonly warmMs: number;
  readonly measureMs: number;
}

export interface LedgerFigures {
  readonly postingsPerS: number;
  readonly balanceP99Ms: number;
}

/** On a file of Deno KV. */
export async function loadKvLedger(path: string, clock: Clock, load: LedgerLoad): Promise<LedgerFigures> {
  using kv = await openKv(path);
  return await loadLedger(createKvLedger(kv, clock, { space: "orchestrator" }), clock, load);
}

/** On an empty database of PostgreSQL. */
export async function loadPostgresLedger(url: string, clock: Clock, load: LedgerLoad): Promise<LedgerFigures> {
  const sql = postgres(url, clientOptions({ applicationName: "culvert bench" }));
  try {
    const database = { sql, clock };
    await migrate(database, migrations);
    return await loadLedger(createPostgresLedger(database), clock, load);
  } finally {
    await sql.end();
  }
}

async function loadLedger(
  ledger: LedgerStore,
  clock: Clock,
  { warmMs, measureMs }: LedgerLoad,
): Promise<LedgerFigures> {
  const callers = Array.from({ length: CALLERS }, (_, number) => new Caller(ledger, clock, number));
  for (const caller of callers) await caller.begin();
  await run(callers, clock, warmMs);
  const stop = new AbortController();
  const reading = readBalances(ledger, clock, stop.signal);
  const startMs = clock.now();
  const sets = await run(callers, clock, measureMs);
  const tookS = (clock.now() - startMs) / 1000;
  stop.abort();
  const tookMs = (await reading).sort((a, b) => a - b);
  const { debitsPosted, creditsPosted, debitsPending, creditsPending } = await ledger.totals();
  if (debitsPosted !== creditsPosted || debitsPending !== creditsPending) {
    throw new Error("Cannot measure a ledger: its debits must be equal to its credits");
  }
  return {
    postingsPerS: POSTINGS_PER_SET * sets / tookS,
    balanceP99Ms: tookMs[Math.floor(tookMs.length * 0.99)]!,
  };
}

/** Gives the number of sets that were applied. */
async function run(callers: readonly Caller[], clock: Clock, forMs: number): Promise<number> {
  const untilMs = clock.now() + forMs;
  const counts = await Promise.all(callers.map(async (caller) => {
    let sets = 0;
    while (clock.now() < untilMs) sets += await caller.tick();
    return sets;
  }));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Charges a share of the clients. */
class Caller {
  readonly #ledger: LedgerStore;
  readonly #clock: Clock;
  readonly #clients: readonly number[];
  #ticks = 0;

  constructor(ledger: LedgerStore, clock: Clock, number: number) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#clients = Array.from({ length: CLIENTS / CALLERS }, (_, at) => number * CLIENTS / CALLERS + at);
  }

  async begin(): Promise<void> {
    await this.#apply(this.#clients.map((client) => topup(`topup:${client}`, 10n ** 12n, clientOf(client))));
    const untilMs = this.#clock.wallNow() + HOLD_MS;
    await this.#apply(this.#clients.map((client) => hold(setIdOf(client, 0), 1_000_000n, untilMs, clientOf(client))));
  }

  /** Charges each of them once. */
  async tick(): Promise<number> {
    this.#ticks++;
    const untilMs = this.#clock.wallNow() + HOLD_MS;
    const sets = this.#clients.map((client) => this.#charge(client, untilMs));
    for (let at = 0; at < sets.length; at += SETS_AT_ONCE) await this.#apply(sets.slice(at, at + SETS_AT_ONCE));
    return sets.length;
  }

  #charge(client: number, untilMs: number): TransferSet {
    const id = setIdOf(client, this.#ticks);
    const debit = clientOf(client);
    const credit = operatorAccount(`operator${client % OPERATORS}`);
    const last = setIdOf(client, this.#ticks - 1);
    const paid = tick(id, { hold: last, amount: 900n, fee: 100n, closes: true, debit, credit });
    return { id, transfers: [...paid.transfers, ...hold(id, 1_000_000n, untilMs, debit).transfers] };
  }

  async #apply(sets: readonly TransferSet[]): Promise<void> {
    const refused = (await this.#ledger.apply(sets)).find(({ status }) => status !== "applied");
    if (refused) throw new Error(`Cannot measure a ledger: ${refused.setId} was ${refused.status}: ${refused.detail}`);
  }
}

function clientOf(number: number): LedgerAccountId {
  return clientAccount(`client${number}`);
}

/** As tolls have them: those of one time lie together (`roles/orchestrator/billing/earlier_holds.ts`). */
function setIdOf(client: number, ticks: number): string {
  return `tick:${String(ticks).padStart(9, "0")}:client${client}`;
}

/** How long each read took. */
async function readBalances(ledger: LedgerStore, clock: Clock, signal: AbortSignal): Promise<number[]> {
  const tookMs: number[] = [];
  for (let read = 0; !signal.aborted; read++) {
    const startMs = clock.now();
    await ledger.balance(clientOf(read * 7919 % CLIENTS));
    tookMs.push(clock.now() - startMs);
    await delay(clock, READ_EVERY_MS);
  }
  return tookMs;
}
