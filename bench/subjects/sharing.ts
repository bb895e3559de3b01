/**
 * Shared bandwidth: one bulk stream from a client through the orchestrator and a node, against a chain of two plain copies
 * in Deno; what the toll costs of that; new connections, each paid for; and what ten thousand idle nodes weigh.
 *
 *   load ⇄ orchestrator ⇄ node ⇄ source          load ⇄ copy ⇄ copy ⇄ source        everybody on the same cores
 */

import { formatTarget, parseTarget, type Target } from "../../protocol/stream.ts";
import { listenAddress, type Program } from "../../testing/program.ts";
import { load, type LoginEnds, measureBulk, measureConnections, startSource } from "../loads.ts";
import { PAYING_USER, SECRET, TOLL_FREE_USER } from "../load/sharing.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const CONCURRENCY = 32;
const IDLE_NODES = 10_000;
/** Come and stay first, so that what they make the process compile and keep is not counted. */
const WARM_NODES = 500;
/** One process has not files enough for all. */
const NODE_PROCESSES = 2;
const NODES_MS = 120_000;

const full = { rounds: 7, bulkMs: 3000, warmMs: 500, turns: 100, connectionRounds: 5, connectionMs: 1000 };
const quick = { rounds: 3, bulkMs: 900, warmMs: 250, turns: 30, connectionRounds: 3, connectionMs: 600 };
/** Of each of two downloads that take turns. */
const TURN_MS = 100;
/**
 * An orchestrator runs for months, and what it does to a connection is ready for use only after some thousands of them. So
 * the processes are run in once, which is not counted, and each load generator anew.
 */
const RUN_IN_MS = 4000;
const CONNECTION_WARM_MS = 600;

export const sharingSubject: Subject = {
  name: "sharing",
  summary: "one bulk stream client → orchestrator → node → target; what tolls cost; connections/s; idle nodes",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const source = await startSource();
  resources.use(source.program);
  const ours = resources.use(await startSharing());
  const bare = resources.use(await startCopies(source.target));

  const ends = { proxy: ours.proxy, target: source.target, login: `${PAYING_USER}:${SECRET}` };
  const contestants: { readonly name: string; readonly ends: LoginEnds }[] = [
    { name: "bare copy", ends: { proxy: "direct", target: bare.entry } },
    { name: "culvert", ends },
  ];
  report(`bulk, ${settings.rounds} rounds of ${contestants.map(({ name }) => name).join(", ")}`);
  const bulk = await alternate(contestants, settings.rounds, async ({ ends }) => {
    return (await measureBulk(ends, { warmMs: settings.warmMs, measureMs: settings.bulkMs })).gbitPerS;
  });

  report(`with tolls and without, ${settings.turns} turns each`);
  const paidRatio = await measurePaid(ends, settings.turns);

  report(`connections, ${settings.connectionRounds} rounds`);
  await measureConnections(ends, { concurrency: CONCURRENCY, warmMs: 0, measureMs: RUN_IN_MS });
  const connections: number[] = [];
  for (let round = 0; round < settings.connectionRounds; round++) {
    const timing = { warmMs: CONNECTION_WARM_MS, measureMs: settings.connectionMs };
    connections.push(await measureConnections(ends, { concurrency: CONCURRENCY, ...timing }));
  }

  report(`memory of ${IDLE_NODES.toLocaleString("en-US")} idle nodes`);
  const idleKib = await measureIdle();
  return {
    ours: bulk.get("culvert")!,
    peers: { "bare copy": bulk.get("bare copy")! },
    figures: {
      metering_cost_pct: 100 * (1 - paidRatio),
      connections_per_s: median(connections),
      idle_kib_per_node: idleKib,
    },
    missing: [],
  };
}

/** How fast a stream with a toll is in terms of one without, through the same node by turns. */
async function measurePaid({ proxy, target, login }: PayingEnds, turns: number): Promise<number> {
  const logins = { login, "other-login": `${TOLL_FREE_USER}:${SECRET}` };
  const flags = { proxy: formatTarget(proxy), target: formatTarget(target), ...logins, turns, "turn-ms": TURN_MS };
  await using program = load("versus", flags);
  return Number((await program.readJson(2 * turns * TURN_MS + 60_000)).ratio);
}

interface PayingEnds {
  readonly proxy: Target;
  readonly target: Target;
  readonly login: string;
}

interface Sharing extends AsyncDisposable {
  readonly proxy: Target;
  readonly orchestrator: Program;
}

async function startSharing(): Promise<Sharing> {
  await using resources = new AsyncDisposableStack();
  const { orchestrator, nodes, proxy } = await startOrchestrator(resources);
  await startNodes(resources, nodes, 1);
  const kept = resources.move();
  return { proxy, orchestrator, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function startOrchestrator(
  resources: AsyncDisposableStack,
): Promise<{ orchestrator: Program; nodes: string; proxy: Target }> {
  const orchestrator = resources.use(load("orchestrator", {}));
  const { nodes, proxy } = await orchestrator.readJson();
  return { orchestrator, nodes: String(nodes), proxy: parseTarget(String(proxy))! };
}

async function startNodes(resources: AsyncDisposableStack, url: string, count: number): Promise<void> {
  await resources.use(load("nodes", { url, count })).readJson(NODES_MS);
}

/** Two plain copies, one behind the other. */
async function startCopies(target: Target): Promise<{ entry: Target } & AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  let entry = target;
  for (let hop = 0; hop < 2; hop++) {
    entry = listenAddress(await resources.use(load("copy", { target: formatTarget(entry) })).readJson());
  }
  const kept = resources.move();
  return { entry, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** KiB by which an orchestrator grows for each node that is there and does nothing. */
async function measureIdle(): Promise<number> {
  await using resources = new AsyncDisposableStack();
  const { orchestrator, nodes } = await startOrchestrator(resources);
  await startNodes(resources, nodes, WARM_NODES);
  const before = await orchestrator.settledRssKib();
  const share = IDLE_NODES / NODE_PROCESSES;
  await Promise.all(Array.from({ length: NODE_PROCESSES }, () => startNodes(resources, nodes, share)));
  return (await orchestrator.settledRssKib() - before) / IDLE_NODES;
}
