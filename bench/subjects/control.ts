/**
 * The control plane under a crowd: real supernode processes, and processes that hold thousands of control streams.
 *
 *   peers ⇄ supernode ⇄ store        everybody on the same cores
 *
 * A command to everybody is ordered in one instant: the supernode tells all its peers to leave in an hour's time. How long
 * that takes is what the supernode itself says, from the order to the answer. A storm begins when the supernode that was
 * killed is ready again, and ends when the last of its peers is let in, each at a time of its own choosing.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { ControlPeers } from "../control_peers.ts";
import { type Member, OurNetwork } from "../our_network.ts";
import { median } from "../rounds.ts";
import { quantileOf, type Samples, sumOf } from "../samples.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

interface Settings {
  /** On one process, and on several of one host together. */
  readonly streams: number;
  readonly hostStreams: number;
  readonly stormStreams: number;
  /** Of the supernode beside the one that is killed. */
  readonly neighbourStreams: number;
  readonly commandRounds: number;
  readonly cycles: number;
  readonly idleMs: number;
  /** How long streams are open before the storm: after half a minute their peers take them for good. */
  readonly calmMs: number;
}

const full: Settings = {
  streams: 15_000,
  hostStreams: 40_000,
  stormStreams: 10_000,
  neighbourStreams: 500,
  commandRounds: 5,
  cycles: 100_000,
  idleMs: 20_000,
  calmMs: 35_000,
};
const quick: Settings = {
  streams: 8_000,
  hostStreams: 3_000,
  stormStreams: 4_000,
  neighbourStreams: 200,
  commandRounds: 3,
  cycles: 5_000,
  idleMs: 2_000,
  calmMs: 0,
};

/** A process after its first few hundred streams is what the rest are weighed against. */
const WARM_STREAMS = 300;
const HOST_SUPERNODES = 3;
/** Files and ports of one process of the load. */
const MAX_PEERS_PER_PROCESS = 10_000;
const LOOK_MS = 50;
const STORM_LIMIT_MS = 120_000;

const clock = clockOf(globalThis);

export const controlSubject: Subject = {
  name: "control",
  summary: "control streams held by a supernode; commands, a storm, coming and going",
  unit: "control streams held",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  report(`${counted(settings.streams)} streams on one process`);
  const { held, ...holding } = await measureHolding(settings);
  report(`a supernode with ${counted(settings.stormStreams)} peers is killed, another runs beside it`);
  const storm = await measureStorm(settings);
  report(`${counted(settings.cycles)} times coming and going`);
  const churn = await measureChurn(settings);
  report(`${counted(settings.hostStreams)} streams on ${HOST_SUPERNODES} processes with one store`);
  const host = await measureHost(settings);
  return { ours: held, peers: {}, figures: { ...holding, ...storm, ...churn, ...host }, missing: [] };
}

/** What streams weigh, and what they cost while nobody has anything to say but that it is there. */
async function measureHolding({ streams, idleMs }: Settings) {
  await using network = new OurNetwork();
  const supernode = await network.startSupernode({ region: "here", maxStreams: streams });
  const beforeKib = await warmRssKib(supernode);
  await using peers = await startPeers(supernode, streams);
  const openS = await peers.open();
  const heldKib = await supernode.program.settledRssKib() - beforeKib;
  const [beforeMs, startMs] = [await supernode.program.cpuMs(), clock.now()];
  await delay(clock, idleMs);
  const idleMsOfCpu = await supernode.program.cpuMs() - beforeMs;
  const idleCpuPct = 100 * idleMsOfCpu / (clock.now() - startMs);
  const { open, lost } = await peers.status();
  const held = sumOf(await supernode.samples(), "active_streams_total");
  if (open !== held || lost > 0) throw new Error(`Cannot hold ${streams} streams: ${open} are open, ${lost} were lost`);
  return { held, rss_kib_per_stream: heldKib / streams, connects_per_s: streams / openS, idle_cpu_pct: idleCpuPct };
}

/** A supernode is killed and started again, and all its peers come back; then each is told something. */
async function measureStorm(settings: Settings): Promise<Record<string, number>> {
  const { stormStreams, neighbourStreams, calmMs } = settings;
  await using network = new OurNetwork();
  const kv = network.path("shared.kv");
  const supernode = await network.startSupernode({ region: "here", kv, maxStreams: stormStreams });
  const neighbour = await network.startSupernode({ region: "here", kv });
  await using peers = await startPeers(supernode, stormStreams);
  await using neighbours = await startPeers(neighbour, neighbourStreams);
  await Promise.all([peers.open(), neighbours.open()]);
  await delay(clock, calmMs);
  await neighbours.status(); // their worst round trip counts from here

  await supernode.kill();
  await supernode.restart();
  const readyAtMs = clock.wallNow();
  const lastAtMs = await allBack(peers, readyAtMs + STORM_LIMIT_MS);
  const { lost, worstRttMs } = await neighbours.status();
  return {
    command_p99_ms: await measureCommands({ network, supernode, peers, rounds: settings.commandRounds }),
    storm_s: (lastAtMs - readyAtMs) / 1000,
    neighbour_lost_streams: lost,
    neighbour_worst_rtt_ms: worstRttMs,
  };
}

/** When the last one was let in again. */
async function allBack(peers: ControlPeers, untilMs: number): Promise<number> {
  for (;;) {
    const { open, lost, lastOpenAtMs, failed } = await peers.status();
    // Those that have not noticed yet still count as open.
    if (open === peers.count && lost >= peers.count) return lastOpenAtMs;
    if (clock.wallNow() > untilMs) {
      throw new Error(`Cannot measure the storm: ${open} of ${peers.count} are back, ${JSON.stringify(failed)}`);
    }
    await delay(clock, LOOK_MS);
  }
}

interface Told {
  readonly network: OurNetwork;
  readonly supernode: Member;
  readonly peers: ControlPeers;
  readonly rounds: number;
}

/** A command to every peer at once, some rounds of it. */
async function measureCommands({ network, supernode, peers, rounds }: Told): Promise<number> {
  const answered = (samples: Samples) => sumOf(samples, "command_success_total");
  const p99Ms: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = await supernode.samples();
    await network.tellAll(supernode);
    let after = await supernode.samples();
    while (answered(after) - answered(before) < peers.count) {
      await delay(clock, LOOK_MS);
      after = await supernode.samples();
    }
    p99Ms.push(1000 * quantileOf(before, after, "command_latency_seconds", 0.99));
  }
  return median(p99Ms);
}

/** What a process grows by while peers come and go, once as many have: what such load makes of it comes first. */
async function measureChurn({ cycles }: Settings): Promise<Record<string, number>> {
  await using network = new OurNetwork();
  const supernode = await network.startSupernode({ region: "here" });
  await using peers = await startPeers(supernode, Math.min(cycles, MAX_PEERS_PER_PROCESS));
  await peers.churn(cycles);
  const beforeKib = await supernode.program.settledRssKib();
  const tookS = await peers.churn(cycles);
  const grownKib = await supernode.program.settledRssKib() - beforeKib;
  return { churn_growth_mib: grownKib / 1024, churn_cycles_per_s: cycles / tookS };
}

/** Several supernodes of one host, on one store. */
async function measureHost({ hostStreams }: Settings): Promise<Record<string, number>> {
  await using network = new OurNetwork();
  await using crowds = new AsyncDisposableStack();
  const kv = network.path("shared.kv");
  const share = Math.ceil(hostStreams / HOST_SUPERNODES);
  const supernodes: Member[] = [];
  const all: ControlPeers[] = [];
  for (let number = 0; number < HOST_SUPERNODES; number++) {
    const supernode = await network.startSupernode({ region: "here", kv, maxStreams: share });
    supernodes.push(supernode);
    all.push(crowds.use(await startPeers(supernode, share)));
  }
  let beforeKib = 0;
  for (const supernode of supernodes) beforeKib += await warmRssKib(supernode);
  await Promise.all(all.map((peers) => peers.open()));
  const grownKib = await rssKib(supernodes) - beforeKib;
  const lost = (await Promise.all(all.map((peers) => peers.status()))).reduce((sum, status) => sum + status.lost, 0);
  let held = 0;
  for (const supernode of supernodes) held += sumOf(await supernode.samples(), "active_streams_total");
  if (held < hostStreams || lost > 0) {
    throw new Error(`Cannot hold ${hostStreams} streams: ${held} are, ${lost} were lost`);
  }
  return { host_streams: held, host_rss_kib_per_stream: grownKib / held };
}

async function warmRssKib(supernode: Member): Promise<number> {
  await using peers = await ControlPeers.start(supernode, WARM_STREAMS, 1);
  await peers.open();
  return await supernode.program.settledRssKib();
}

async function rssKib(members: readonly Member[]): Promise<number> {
  const each = await Promise.all(members.map(({ program }) => program.settledRssKib()));
  return each.reduce((sum, kib) => sum + kib, 0);
}

/** Two processes at least, because one is slower than the supernode. */
function startPeers(supernode: Member, count: number): Promise<ControlPeers> {
  return ControlPeers.start(supernode, count, Math.max(2, Math.ceil(count / MAX_PEERS_PER_PROCESS)));
}

function counted(count: number): string {
  return count.toLocaleString("en-US");
}
