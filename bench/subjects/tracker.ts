/**
 * Announces to a tracker on one core, in memory and on Deno KV, beside opentracker; and 100,000 peers in a tracker.
 *
 *   load (its own core) ⇄ tracker (one core)
 *
 * An announce of ours is a heartbeat with its token, checked, or in one of a hundred a registration with three signatures.
 * Ours come over connections that are kept, opentracker closes each: `closing_per_s` is ours with a connection for each
 * announce, the same work as opentracker's. What is per core is for each second of processor time that the tracker took, which
 * other programs on the machine change little. The store of the durable ones is a file.
 */

import { formatTarget, type Target } from "../../protocol/stream.ts";
import { freePort, Program } from "../../testing/program.ts";
import { findTool } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { heldKib } from "../heap.ts";
import { load, onCore, portsToReturn } from "../loads.ts";
import { startTracker } from "../ours.ts";
import { median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

interface Settings {
  readonly rounds: number;
  readonly peers: number;
  readonly kvPeers: number;
  readonly warmMs: number;
  readonly measureMs: number;
  readonly lists: number;
}

const full: Settings = {
  rounds: 3,
  peers: 12_000,
  kvPeers: 4000,
  warmMs: 2000,
  measureMs: 8000,
  lists: 5000,
};
const quick: Settings = {
  rounds: 1,
  peers: 5000,
  kvPeers: 2000,
  warmMs: 500,
  measureMs: 3000,
  lists: 1000,
};

const HELD_PEERS = 100_000;
const TTL_MS = 3_600_000;
const SERVER_CORE = 1;
const LOAD_CORE = 0;
const CONNECTIONS = 64;
/** A commit takes some milliseconds, in which others wait. */
const KV_CONNECTIONS = 256;
const START_MS = 60_000;
const FILL_MS = 180_000;

export const trackerSubject: Subject = {
  name: "tracker",
  summary: "announces a second on one core, in memory and durable; 100,000 peers listed; opentracker beside it",
  unit: "announces/s on one core",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  const opentracker = findTool("opentracker");
  const rounds: { kept: Rate; closing: Rate; durable: Rate; rival?: Rate }[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    report(`${settings.peers} peers announce to a tracker in memory`);
    const ours = await measureMemory(settings);
    if (opentracker !== undefined) report("the same to opentracker, which closes each connection");
    const rival = opentracker === undefined ? {} : { rival: await measureOpentracker(opentracker, settings) };
    report(`${settings.kvPeers} peers announce to a tracker on Deno KV`);
    rounds.push({ ...ours, ...rival, durable: await measureDurable(settings) });
  }
  report(`${HELD_PEERS} peers are listed`);
  const held = await measureHeld(settings);
  const of = (what: "kept" | "closing" | "durable" | "rival", figure: keyof Rate) =>
    median(rounds.map((round) => round[what]![figure]));
  return {
    ours: of("kept", "perS"),
    peers: opentracker === undefined ? {} : { opentracker: of("rival", "perS") },
    figures: {
      per_core_s: of("kept", "perCoreS"),
      closing_per_s: of("closing", "perS"),
      closing_per_core_s: of("closing", "perCoreS"),
      ...opentracker !== undefined && {
        opentracker_per_core_s: of("rival", "perCoreS"),
        closing_per_core_vs_opentracker_ratio: of("closing", "perCoreS") / of("rival", "perCoreS"),
      },
      durable_per_s: of("durable", "perS"),
      durable_per_core_s: of("durable", "perCoreS"),
      ...held,
    },
    missing: opentracker === undefined ? ["opentracker"] : [],
  };
}

/** Announces a second, as they were answered, and for each second of processor time that the tracker took. */
interface Rate {
  readonly perS: number;
  readonly perCoreS: number;
}

async function measureMemory({ peers, ...times }: Settings): Promise<{ kept: Rate; closing: Rate }> {
  await portsToReturn();
  await using tracker = await startTracker({ within: onCore(SERVER_CORE) });
  await using announcers = await register(tracker.target, peers, CONNECTIONS);
  const run = (how: string) =>
    rateOf(tracker.program, () => announcers.ask(`${how} ${times.warmMs} ${times.measureMs}`, START_MS));
  return { kept: await run("kept"), closing: await run("closing") };
}

async function measureDurable({ kvPeers, warmMs, measureMs }: Settings): Promise<Rate> {
  using temp = new TempDirectory();
  await using tracker = await startTracker({ kv: temp.path("tracker.kv"), within: onCore(SERVER_CORE) });
  await using announcers = await register(tracker.target, kvPeers, KV_CONNECTIONS);
  return await rateOf(tracker.program, () => announcers.ask(`kept ${warmMs} ${measureMs}`, START_MS));
}

async function measureOpentracker(tool: string, { peers, warmMs, measureMs }: Settings): Promise<Rate> {
  await portsToReturn();
  const target = { host: "127.0.0.1", port: freePort() };
  const port = `${target.port}`;
  const command: string[] = [...onCore(SERVER_CORE), tool, "-i", target.host, "-p", port, "-P", port];
  await using program = new Program(command as [string, ...string[]], { quiet: true });
  await program.waitForPort(target);
  return await rateOf(program, async () => {
    const flags = { target: formatTarget(target), peers, connections: CONNECTIONS };
    const times = { "warm-ms": warmMs, "measure-ms": measureMs };
    await using announcing = load("bt-announces", { ...flags, ...times }, undefined, onCore(LOAD_CORE));
    return await announcing.readJson(START_MS);
  });
}

/** Settles once they are listed; they announce when they are told to. */
async function register(target: Target, peers: number, connections: number): Promise<Program> {
  const flags = { target: formatTarget(target), peers, connections };
  const announcers = load("announcers", flags, undefined, onCore(LOAD_CORE));
  await announcers.readJson(START_MS);
  return announcers;
}

async function rateOf(tracker: Program, announce: () => Promise<Record<string, unknown>>): Promise<Rate> {
  const beforeMs = await tracker.cpuMs();
  const { perS, all, refusedShare } = await announce();
  if (refusedShare !== 0) {
    throw new Error(`Cannot measure a tracker: it must take every announce, and refused ${refusedShare} of them`);
  }
  return { perS: Number(perS), perCoreS: Number(all) / (await tracker.cpuMs() - beforeMs) * 1000 };
}

/** A hundred thousand peers that a store has of the tracker before, and what they take beside an empty tracker. */
async function measureHeld({ lists }: Settings): Promise<Record<string, number>> {
  using temp = new TempDirectory();
  const kv = temp.path("tracker.kv");
  {
    await using filling = load("tracker-store", { kv, count: HELD_PEERS, "ttl-ms": TTL_MS });
    await filling.readJson(FILL_MS);
  }
  const empty = await measureOn(temp.path("empty.kv"), { lists: 0 });
  const full = await measureOn(kv, { lists });
  const sorted = full.tookMs.sort((a, b) => a - b);
  return {
    bytes_per_peer: (full.heldKib - empty.heldKib) * 1024 / HELD_PEERS,
    list_p99_ms: sorted[Math.floor(sorted.length * 0.99)]!,
    restore_100k_s: full.startS,
  };
}

interface Held {
  readonly startS: number;
  /** Of each list. */
  readonly tookMs: number[];
  readonly heldKib: number;
}

/** A tracker on that store: how long it starts, how long lists take, and what it holds then. */
async function measureOn(kv: string, { lists }: { readonly lists: number }): Promise<Held> {
  const startMs = performance.now();
  const inspectorPort = freePort();
  await using tracker = await startTracker({ kv, ttlMs: TTL_MS, within: onCore(SERVER_CORE), inspectorPort });
  const startS = (performance.now() - startMs) / 1000;
  const flags = { target: formatTarget(tracker.target), count: lists };
  await using listing = load("lists", flags, undefined, onCore(LOAD_CORE));
  const { tookMs } = await listing.readJson(START_MS);
  return { startS, tookMs: tookMs as number[], heldKib: await heldKib(inspectorPort) };
}
