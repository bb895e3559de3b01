/**
 * What a simulation has shown, for people and for programs.
 */

import type { Simulation } from "./simulation.ts";
import { formatTime } from "./trace.ts";

export interface InvariantReport {
  readonly invariant: string;
  /** How often it was looked at: clients, sessions, commands… */
  readonly looks: number;
  /** The worst that was seen, and the worst that is allowed; undefined where it holds or does not. */
  readonly worstMs?: number;
  readonly boundMs?: number;
  readonly holds: boolean;
}

export interface SimulationReport {
  readonly seed: number;
  readonly settings: Simulation["world"]["settings"];
  readonly simulatedMs: number;
  readonly wallMs: number;
  readonly messages: number;
  readonly requests: number;
  readonly happened: Readonly<Record<string, number>>;
  readonly commands: Readonly<Record<string, number>>;
  readonly outages: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number };
  readonly most: Readonly<Record<string, number>>;
  readonly invariants: readonly InvariantReport[];
  readonly breach?: { readonly invariant: string; readonly message: string; readonly trace: readonly string[] };
}

export function reportOf(simulation: Simulation, wallMs: number): SimulationReport {
  const { world, churn, invariants, breach } = simulation;
  const { commands, network, settings, trace } = world;
  const outagesMs = invariants.outagesMs.toSorted((a, b) => a - b);
  const at = (share: number) => outagesMs[Math.floor(share * outagesMs.length)] ?? 0;
  return {
    seed: settings.seed,
    settings,
    simulatedMs: world.clock.now(),
    wallMs: Math.round(wallMs),
    messages: network.messages,
    requests: network.requests,
    happened: churn.counts,
    commands: Object.fromEntries([...commands.outcomes].sort()),
    outages: { count: outagesMs.length, p50Ms: at(0.5), p99Ms: at(0.99) },
    most: {
      streams: invariants.worst.streams,
      sessions: invariants.worst.sessions,
      queues: invariants.worst.queue,
      commandsForOnePeer: commands.longestQueue,
      commandsUnderWay: invariants.worst.pendingCommands,
    },
    invariants: invariantsOf(simulation),
    ...breach && { breach: { ...breach, trace: trace.about(breach.about) } },
  };
}

function invariantsOf({ world: { commands }, invariants, breach }: Simulation): InvariantReport[] {
  const { bounds, worst, counts } = invariants;
  const outcomes = [...commands.outcomes.values()].reduce((sum, count) => sum + count, 0);
  const rows: Omit<InvariantReport, "holds">[] = [
    {
      invariant: "no client without a way out",
      looks: counts.clients,
      worstMs: worst.outageMs,
      boundMs: bounds.outageMs,
    },
    { invariant: "no session is left behind", looks: counts.sessions, worstMs: worst.leftMs, boundMs: bounds.leftMs },
    {
      invariant: "the directory converges",
      looks: counts.listings,
      worstMs: worst.directoryMs,
      boundMs: bounds.directoryMs,
    },
    { invariant: "no command is applied twice", looks: commands.applications },
    {
      invariant: "no command is lost",
      looks: commands.kept,
      worstMs: Math.max(0, commands.worstLateMs),
      boundMs: bounds.commandMs,
    },
    { invariant: "outcomes are true", looks: outcomes },
    { invariant: "nothing grows without bound", looks: counts.looks },
  ];
  return rows.map((row) => ({ ...row, holds: breach?.invariant !== row.invariant }));
}

export function formatReport(report: SimulationReport): string {
  const { settings, breach } = report;
  const number = (value: number) => value.toLocaleString("en");
  const seconds = (ms: number | undefined) => ms === undefined ? "" : `${number(Math.round(ms / 1000))} s`;
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([name, count]) => `${words(name)} ${number(count)}`).join(", ");
  const lines = [
    `Seed ${report.seed}: ${
      number(settings.peers)
    } peers, ${settings.supernodes} supernodes, ${settings.regions} regions, ` +
    `${formatTime(report.simulatedMs).slice(0, 8)} simulated in ${seconds(report.wallMs)}`,
    `Pace: pings every ${seconds(settings.pingEveryMs)}, dead after ${seconds(settings.timeoutMs)}, ` +
    `probes every ${seconds(settings.probeEveryMs)}, between supernodes every ${seconds(settings.linkProbeEveryMs)}`,
    `Happened: ${list(report.happened)}`,
    `Carried: messages ${number(report.messages)}, requests ${number(report.requests)}`,
    `Commands: ${list(report.commands)}`,
    `Outages: ${number(report.outages.count)}, half of them within ${seconds(report.outages.p50Ms)}, ` +
    `99% within ${seconds(report.outages.p99Ms)}`,
    `Most at one supernode: ${list(report.most)}`,
    "",
    row(["invariant", "looked at", "worst", "bound", ""]),
    ...report.invariants.map(({ invariant, looks, worstMs, boundMs, holds }) =>
      row([invariant, number(looks), seconds(worstMs), seconds(boundMs), holds ? "holds" : "BROKEN"])
    ),
  ];
  if (!breach) return lines.join("\n");
  return [
    ...lines,
    "",
    `Broken: ${breach.invariant}. ${breach.message}`,
    ...breach.trace,
    `Run it again with --seed ${report.seed} and the same sizes`,
  ].join("\n");
}

const WIDTHS = [30, 13, 10, 10, 8];

function row(cells: readonly string[]): string {
  return cells.map((cell, at) => at === 0 || at === 4 ? cell.padEnd(WIDTHS[at]!) : cell.padStart(WIDTHS[at]!)).join(
    "  ",
  )
    .trimEnd();
}

/** `clientsCame` as words. */
function words(name: string): string {
  return name.replace(/[a-z][A-Z]/g, (pair) => `${pair[0]} ${pair[1]!.toLowerCase()}`);
}
