/**
 * Money moved by an orchestrator's ledger, on Deno KV and on PostgreSQL, each in a process of its own with its store on this
 * machine. PostgreSQL commits to the disk, as in earnest. What a posting is, is in `../load/ledger.ts`: one transfer.
 */

import { PostgresServer } from "../../testing/postgres_server.ts";
import { findTool } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { load } from "../loads.ts";
import { median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

interface Settings {
  readonly rounds: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

const full: Settings = { rounds: 3, warmMs: 4000, measureMs: 15_000 };
const quick: Settings = { rounds: 1, warmMs: 3000, measureMs: 8000 };
const START_MS = 60_000;

export const ledgerSubject: Subject = {
  name: "ledger",
  summary: "postings of an orchestrator's ledger on Deno KV and PostgreSQL; reading a balance meanwhile",
  unit: "postings/s on KV",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  const hasPostgres = findTool("initdb") !== undefined;
  const kv: Figures[] = [];
  const postgres: Figures[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    report("a thousand clients are charged, tick after tick, on Deno KV");
    kv.push(await measureKv(settings));
    if (!hasPostgres) continue;
    report("the same on PostgreSQL");
    postgres.push(await measurePostgres(settings));
  }
  return {
    ours: median(kv.map(({ postingsPerS }) => postingsPerS)),
    peers: {},
    figures: {
      balance_p99_ms: median(kv.map(({ balanceP99Ms }) => balanceP99Ms)),
      ...hasPostgres && {
        postgres_postings_per_s: median(postgres.map(({ postingsPerS }) => postingsPerS)),
        postgres_balance_p99_ms: median(postgres.map(({ balanceP99Ms }) => balanceP99Ms)),
      },
    },
    missing: hasPostgres ? [] : ["postgresql"],
  };
}

interface Figures {
  readonly postingsPerS: number;
  readonly balanceP99Ms: number;
}

async function measureKv(settings: Settings): Promise<Figures> {
  using temp = new TempDirectory();
  return await runLoad({ kv: temp.path("ledger.db") }, settings);
}

async function measurePostgres(settings: Settings): Promise<Figures> {
  await using server = await PostgresServer.start({ isDurable: true });
  return await runLoad({ database: await server.createDatabase() }, settings);
}

async function runLoad(store: Record<string, string>, { warmMs, measureMs }: Settings): Promise<Figures> {
  await using program = load("ledger", { ...store, "warm-ms": warmMs, "measure-ms": measureMs });
  const { postingsPerS, balanceP99Ms } = await program.readJson(warmMs + measureMs + START_MS);
  return { postingsPerS: Number(postingsPerS), balanceP99Ms: Number(balanceP99Ms) };
}
