/**
 * The plain proxy: ingress and direct egress in one process, against SOCKS5 proxies in C.
 *
 *   load ⇄ proxy ⇄ source        all on loopback, each in a process of its own
 */

import type { Target } from "../../protocol/stream.ts";
import { holdIdle, measureBulk, measureConnections, portsToReturn, startSource } from "../loads.ts";
import { startProxy } from "../ours.ts";
import type { Program } from "../../testing/program.ts";
import { dante, microsocks, present, sshD } from "../rivals.ts";
import { alternate } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const IDLE_CONNECTIONS = 5000;
const CONCURRENCY = 32;
const CONNECTION_WARM_MS = 200;

// Connections are measured briefly: each leaves ports waiting for a minute, of which the system has 28,000.
const full = { bulkRounds: 7, bulkMs: 3000, warmMs: 500, connectionRounds: 5, connectionMs: 400 };
const quick = { bulkRounds: 3, bulkMs: 900, warmMs: 250, connectionRounds: 3, connectionMs: 400 };

export const proxySubject: Subject = {
  name: "proxy",
  summary: "one bulk SOCKS5 stream; connections/s; memory when idle",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const source = await startSource();
  resources.use(source.program);
  const ours = resources.use(await startProxy());
  const { rivals, missing } = present([microsocks, dante, sshD]);
  const contestants: { name: string; proxy: Target }[] = [ours];
  for (const rival of rivals) contestants.push(resources.use(await rival.start()));

  // First, while the proxy is fresh: what a process has grown to under load says little about a connection.
  report(`memory of ${IDLE_CONNECTIONS.toLocaleString("en-US")} idle connections`);
  const idleKib = await measureIdle(ours.programs[0]!, { proxy: ours.proxy, target: source.target });

  report(`bulk, ${settings.bulkRounds} rounds of ${contestants.map(({ name }) => name).join(", ")}`);
  const { bulkMs, warmMs } = settings;
  const bulk = await alternate(contestants, settings.bulkRounds, async ({ proxy }) => {
    const { gbitPerS } = await measureBulk({ proxy, target: source.target }, { warmMs, measureMs: bulkMs });
    return gbitPerS;
  });

  report(`connections, ${settings.connectionRounds} rounds`);
  const connections = await alternate(contestants, settings.connectionRounds, async ({ proxy }) => {
    if (!isQuick) await portsToReturn();
    return await measureConnections({ proxy, target: source.target }, {
      concurrency: CONCURRENCY,
      warmMs: CONNECTION_WARM_MS,
      measureMs: settings.connectionMs,
    });
  });

  const figures: Record<string, number> = {
    connections_per_s: connections.get(ours.name)!,
    idle_kib_per_connection: idleKib,
  };
  for (const { name } of rivals) figures[`${key(name)}_connections_per_s`] = connections.get(name)!;
  const peers = Object.fromEntries(rivals.map(({ name }) => [name, bulk.get(name)!]));
  return { ours: bulk.get(ours.name)!, peers, figures, missing };
}

/** Resident memory per idle connection above the baseline, which is the process after its first few hundred. */
async function measureIdle(proxyProgram: Program, ends: { proxy: Target; target: Target }): Promise<number> {
  const [need, have] = [2 * IDLE_CONNECTIONS + 200, await proxyProgram.openFilesLimit()];
  if (have < need) {
    throw new Error(`Cannot measure: the limit of open files must be at least ${need}, got ${have}; see ulimit -n`);
  }
  {
    await using _first = await holdIdle(ends, 300);
  }
  const before = await proxyProgram.settledRssKib();
  await using _held = await holdIdle(ends, IDLE_CONNECTIONS);
  return (await proxyProgram.settledRssKib() - before) / IDLE_CONNECTIONS;
}

/** `ssh -D` → `ssh_d`, for a figure's name. */
function key(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "_");
}
