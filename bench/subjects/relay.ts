/**
 * The blind relay: datagrams as large as a tunnel's from one socket to another through a relay that has a core to itself,
 * against coturn, a TURN relay that does the same with ChannelData; then what it adds to a round trip, what a session that
 * nobody uses costs, and what it leaves of a TCP stream between two of our devices.
 *
 *   core 0: socket ─▶ ············ ─▶ socket          device ⇄ ········ ⇄ device     (of those, all on both cores)
 *   core 1:             ─▶ relay ─▶                              relay
 */

import type { Program } from "../../testing/program.ts";
import { culvertUserspace } from "../../testing/wireguard_rig.ts";
import { RelayRig } from "../relay_rig.ts";
import { hasCoturn, startCoturn } from "../coturn.ts";
import { measureTcp, startIperf } from "../iperf.ts";
import { load, onCore } from "../loads.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const full = { rounds: 7, warmMs: 300, pumpMs: 2000, trips: 5000, streamRounds: 5, seconds: 4, warmS: 1 };
const quick = { rounds: 3, warmMs: 200, pumpMs: 700, trips: 1500, streamRounds: 2, seconds: 2, warmS: 0 };
type Settings = typeof full;

/** What our device sends for a packet of 1420 bytes. */
const DATAGRAM_BYTES = 1452;
const SMALL_BYTES = 128;
/** Under way at a time. coturn takes more than it can hold for lost, so for it the better of two counts. */
const WINDOWS = { ours: [2_000_000], coturn: [64_000, 400_000] } as const;
const IDLE_SESSIONS = 5000;
/** Opened and ended before those are weighed, so that what the first ones make the process compile is not counted. */
const WARM_SESSIONS = 1000;
const FILL_MS = 60_000;

export const relaySubject: Subject = {
  name: "relay",
  summary: "the blind relay: forwarding on one core, round trip, idle sessions, a stream through it",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  const hasRival = hasCoturn();
  report(`datagrams of ${DATAGRAM_BYTES} B, ${settings.rounds} rounds${hasRival ? " by turns with coturn" : ""}`);
  const forwarded = await measureForwarding(settings, hasRival);
  report(`${IDLE_SESSIONS.toLocaleString("en-US")} sessions that nobody uses`);
  const idle = await weighSessions();
  report(`one TCP stream between two devices, ${settings.streamRounds} rounds direct and by the relay`);
  const stream = await measureStream(settings);
  return {
    ours: forwarded.gbitPerS.get("ours")!,
    peers: hasRival ? { coturn: forwarded.gbitPerS.get("coturn")! } : {},
    figures: { ...forwarded.figures, idle_kib_per_session: idle, ...stream },
    missing: hasRival ? [] : ["coturn"],
  };
}

interface Contestant extends AsyncDisposable {
  readonly name: "ours" | "coturn";
  readonly relay: Program;
  readonly load: Program;
}

/** Gbit/s that arrived, by who passed them on, and what that cost. */
async function measureForwarding(
  settings: Settings,
  hasRival: boolean,
): Promise<{ gbitPerS: Map<string, number>; figures: Record<string, number> }> {
  await using resources = new AsyncDisposableStack();
  const ours = resources.use(await startOurs());
  const rivals = hasRival ? [resources.use(await startRival())] : [];
  const perCore = new Map<string, number[]>([["ours", []], ["coturn", []]]);
  const gbitPerS = await alternate([ours, ...rivals], settings.rounds, async (contestant) => {
    const measured = await pump(contestant, DATAGRAM_BYTES, settings);
    perCore.get(contestant.name)!.push(measured.perCore);
    return measured.gbitPerS;
  });
  const small = await pump(ours, SMALL_BYTES, settings);
  const { directMs, throughMs } = await ours.load.ask(`trip ${SMALL_BYTES} ${settings.trips}`);
  const figures = {
    forwarded_gbit_s_per_core: median(perCore.get("ours")!),
    ...hasRival && { coturn_gbit_s_per_core: median(perCore.get("coturn")!) },
    small_datagrams_per_s: small.perS,
    added_ms: Number(throughMs) - Number(directMs),
  };
  return { gbitPerS, figures };
}

async function startOurs(): Promise<Contestant> {
  await using resources = new AsyncDisposableStack();
  const relay = resources.use(load("blind-relay", {}, undefined, onCore(1)));
  const socketPair = resources.use(load("relay-load", {}, undefined, onCore(0)));
  await Promise.all([relay.readJson(), socketPair.readJson()]);
  const keys = `${randomKey()} ${randomKey()}`;
  const { port } = await relay.ask(`open ${keys}`);
  await socketPair.ask(`ours ${port} ${keys}`);
  const kept = resources.move();
  return { name: "ours", relay, load: socketPair, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function startRival(): Promise<Contestant> {
  await using resources = new AsyncDisposableStack();
  const { program, port } = resources.use(await startCoturn(onCore(1)));
  const socketPair = resources.use(load("relay-load", {}, undefined, onCore(0)));
  await socketPair.readJson();
  await socketPair.ask(`turn ${port}`);
  const kept = resources.move();
  return { name: "coturn", relay: program, load: socketPair, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Pumped {
  readonly gbitPerS: number;
  readonly perS: number;
  /** Gbit/s for each core that the relay kept busy. */
  readonly perCore: number;
}

/** With the window that gives the most. */
async function pump(contestant: Contestant, bytes: number, settings: Settings): Promise<Pumped> {
  const { name, relay, load } = contestant;
  const measured: Pumped[] = [];
  for (const windowBytes of WINDOWS[name]) {
    const before = await relay.cpuMs();
    const result = await load.ask(`pump ${bytes} ${windowBytes} ${settings.warmMs} ${settings.pumpMs}`);
    const busyMs = await relay.cpuMs() - before;
    const perCore = Number(result.allGbit) / (busyMs / 1000);
    measured.push({ gbitPerS: Number(result.gbitPerS), perS: Number(result.perS), perCore });
  }
  return measured.toSorted((a, b) => b.gbitPerS - a.gbitPerS)[0]!;
}

/** KiB by which the process grows for each session whose sides are known. */
async function weighSessions(): Promise<number> {
  await using relay = load("blind-relay", {});
  await relay.readJson();
  await relay.ask(`fill ${WARM_SESSIONS}`, FILL_MS);
  await relay.ask("clear", FILL_MS);
  const before = await relay.settledRssKib();
  await relay.ask(`fill ${IDLE_SESSIONS}`, FILL_MS);
  return (await relay.settledRssKib() - before) / IDLE_SESSIONS;
}

/**
 * A stream between two of our devices, over the relay and without it. On two cores the relay takes from the devices what it
 * needs; what would be left if everybody had a core follows from what each byte costs whoever it costs most.
 */
async function measureStream({ streamRounds, seconds, warmS }: Settings): Promise<Record<string, number>> {
  await using rig = await RelayRig.open({ client: culvertUserspace(), exit: culvertUserspace() });
  const { a, b } = rig.rig;
  await using _server = await startIperf(b.namespace);
  const ways = [
    { name: "direct", use: () => rig.useDirect(), programs: [a.program, b.program] },
    { name: "relayed", use: () => rig.useRelay(), programs: [a.program, b.program, rig.relay] },
  ];
  const busiestMs = new Map<string, number[]>([["direct", []], ["relayed", []]]);
  const gbitPerS = await alternate(ways, streamRounds, async ({ name, use, programs }) => {
    await use();
    const before = await Promise.all(programs.map((program) => program.cpuMs()));
    const { gbitPerS } = await measureTcp(a.namespace, b.inner[4], { seconds, warmS });
    const after = await Promise.all(programs.map((program) => program.cpuMs()));
    const gbit = gbitPerS * (seconds + warmS);
    busiestMs.get(name)!.push(Math.max(...after.map((ms, index) => ms - before[index]!)) / gbit);
    return gbitPerS;
  });
  const [direct, relayed] = [gbitPerS.get("direct")!, gbitPerS.get("relayed")!];
  return {
    stream_direct_gbit_s: direct,
    stream_relayed_gbit_s: relayed,
    throughput_vs_direct_ratio: relayed / direct,
    throughput_vs_direct_own_cores_ratio: median(busiestMs.get("direct")!) / median(busiestMs.get("relayed")!),
  };
}

function randomKey(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toBase64();
}
