/**
 * `deno task sim [--quick] [--seed N] [--json]`: simulates a whole network in this process, for a day or a few hours of
 * its time, and says whether what must always hold did. See docs/simulation.md.
 */

import { parseArgs } from "@std/cli/parse-args";
import { formatReport, reportOf } from "./report.ts";
import { fullSettings, quickSettings, type SimSettings } from "./settings.ts";
import { type Progress, Simulation } from "./simulation.ts";
import { formatTime } from "./trace.ts";

const USAGE = `Usage: deno task sim [options]

Simulates clients, exits, supernodes and base in one process, on simulated time and a simulated network, while they come
and go and things fail. Exits 1, with the seed and what happened, when something that must always hold does not.

  --quick            a few hours of ${quickSettings.peers} peers at the product's own pace, in about a minute
  --seed N           what happens; chance decides when left out, and the seed is printed
  --peers N          clients and exits together
  --supernodes N
  --hours N          simulated
  --minutes N        of real time, after which the hours that are left are left out: all leave, and that is checked
  --json             the last line is the report as one object
  --help

Without --quick: 24 hours of ${
  fullSettings.peers.toLocaleString("en")
} peers at ${fullSettings.supernodes} supernodes, with slower heartbeats.`;

/** The smallest and the largest of each number that may be given. */
const RANGES = {
  seed: [0, 2 ** 32 - 1],
  peers: [10, 1_000_000],
  supernodes: [3, 10_000],
  hours: [1, 1_000],
  minutes: [1, 10_000],
} as const;

type Sizes = Partial<Record<keyof typeof RANGES, number>>;

/** Runs it; gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const unknown: string[] = [];
  const flags = parseArgs(args, {
    boolean: ["quick", "json", "help"],
    string: Object.keys(RANGES),
    unknown: (arg) => (unknown.push(arg), false),
  });
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  if (unknown.length > 0) return complain(`Cannot simulate: the flags must be those below, got ${unknown[0]}`);
  const sizes: Sizes = {};
  for (const name of Object.keys(RANGES) as (keyof typeof RANGES)[]) {
    const text: unknown = flags[name];
    if (text === undefined) continue;
    const [least, most] = RANGES[name];
    const value = Number(text);
    if (text === "" || !Number.isInteger(value) || value < least || value > most) {
      return complain(`Cannot simulate: --${name} must be a whole number from ${least} to ${most}, got ${text}`);
    }
    sizes[name] = value;
  }
  const seed = sizes.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const { minutes = Infinity, ...rest } = sizes;
  const settings = { ...flags.quick ? quickSettings : fullSettings, ...rest, seed };
  return await simulate(settings, { isJson: flags.json === true, maxWallMs: minutes * 60_000 });
}

interface Manner {
  readonly isJson: boolean;
  readonly maxWallMs: number;
}

async function simulate(settings: SimSettings, { isJson, maxWallMs }: Manner): Promise<number> {
  console.error(`… seed ${settings.seed}`);
  const startMs = performance.now();
  const simulation = new Simulation(settings);
  await simulation.run((progress) => {
    const wallMs = performance.now() - startMs;
    console.error(`… ${formatProgress(progress, wallMs)}`);
    return wallMs >= maxWallMs ? "calm" : undefined;
  });
  const report = reportOf(simulation, performance.now() - startMs);
  console.log(formatReport(report));
  if (isJson) console.log(JSON.stringify(report));
  return report.breach ? 1 : 0;
}

function formatProgress({ atMs, clients, exits, sessions, messages }: Progress, wallMs: number): string {
  const number = (value: number) => value.toLocaleString("en");
  return `${formatTime(atMs).slice(0, 5)} simulated in ${number(Math.round(wallMs / 1000))} s: ${
    number(clients)
  } clients, ` +
    `${number(exits)} exits, ${number(sessions)} records of sessions, ${number(messages)} messages`;
}

function complain(message: string): number {
  console.error(`${message}\n\n${USAGE}`);
  return 2;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
