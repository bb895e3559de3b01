/**
 * Transports for hostile networks, between two namespaces: as fast as they go over a veth pair, against kcptun with the same
 * settings; and over a line that is far, lossy or narrow, against the kernel's own TCP. Then what they add to a round trip,
 * what a client that does nothing costs the server, and the relay that remembers nothing.
 *
 *   load ─ TCP ─ near end ═══ veth or line ═══ far end ─ TCP ─ source          bulk is random, and flows to the near end
 */

import type { Program } from "../../testing/program.ts";
import { freePort, listenAddress } from "../../testing/program.ts";
import type { LineConditions } from "../../testing/packet_line.ts";
import type { Target } from "../../protocol/stream.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { clockOf, delay } from "../../protocol/clock.ts";
import { measureTcp, startIperf } from "../iperf.ts";
import { LINE, LineRig, VETH } from "../line_rig.ts";
import { inspectedProgram, load } from "../loads.ts";
import { heldKib } from "../heap.ts";
import { measurePacketRelay } from "../packet_relay.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";
import { measureTransfer, measureTrips, type TransferEnds } from "../transfers.ts";
import { hasKcptun, nextPort, type OurTransportOptions, startKcptun, startOurs } from "../transport_ends.ts";
import type { TransportEnds, Way } from "../transport_ends.ts";

const full = {
  ...{ rounds: 5, warmMs: 1000, sealedWarmMs: 1000, bulkMs: 3000, trips: 3000 },
  ...{ shapedRounds: 3, shapedWarmMs: 4000, shapedMs: 6000, losses: ["loss1", "loss5"] as readonly LossName[] },
};
const quick = {
  ...{ rounds: 1, warmMs: 400, sealedWarmMs: 1000, bulkMs: 700, trips: 300 },
  ...{ shapedRounds: 1, shapedWarmMs: 2000, shapedMs: 1500, losses: ["loss5"] as readonly LossName[] },
};
type Settings = typeof full;

const IDLE_CLIENTS = 1000;
/** Joined before those are weighed, so that what the first ones make the process compile is not counted. */
const WARM_CLIENTS = 50;
const CROWD_MS = 60_000;

/** What stands for the networks of the issue. */
const FAR: LineConditions = { latencyMs: 50, bandwidthBitsPerS: 1e9, queueBytes: 4_000_000 };
const LOSSY = {
  loss1: { latencyMs: 25, loss: 0.01 },
  loss5: { latencyMs: 25, loss: 0.05 },
} as const satisfies Record<string, LineConditions>;
type LossName = keyof typeof LOSSY;
const NARROW: LineConditions = { latencyMs: 25, bandwidthBitsPerS: 20e6, queueBytes: 625_000 };
const NARROW_MBIT_S = 20;

export const transportsSubject: Subject = {
  name: "transports",
  summary: "KCP over UDP and raw packets, QUIC in out-of-state TCP: clean, far, lossy, narrow; idle clients; relay",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

interface Contestant {
  readonly name: string;
  start(rig: LineRig, way: Way, source: Target): Promise<TransportEnds>;
}

function ours(name: string, more: Pick<OurTransportOptions, "dialect" | "carrier" | "crypt">): Contestant {
  return { name, start: (rig, way, source) => startOurs({ name, rig, way, source, ...more }) };
}

function kcptun(crypt: "none" | "aes"): Contestant {
  const name = `kcptun ${crypt}`;
  return { name, start: (rig, way, source) => startKcptun({ name, rig, way, source, crypt }) };
}

const RAW = ours("raw", { dialect: "culvert", carrier: "raw" });
const UDP = ours("udp", { dialect: "culvert", carrier: "udp" });
const VTCP = ours("vtcp", { dialect: "vtcp", carrier: "raw" });
const AS_KCPTUN = (["none", "aes"] as const).map((crypt) =>
  ours(`as kcptun ${crypt}`, { dialect: "kcptun", carrier: "udp", crypt })
);
const RIVALS = [kcptun("none"), kcptun("aes")];

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  const rivals = hasKcptun() ? RIVALS : [];
  await using rig = await LineRig.open();
  await using program = load("source", {}, rig.far);
  const source = listenAddress(await program.readJson());
  const place = { rig, source };
  report(`clean, ${settings.rounds} rounds by turns${rivals.length > 0 ? " with kcptun" : ""}`);
  const clean = await measureClean(place, rivals, settings);
  report("a far, a lossy and a narrow line");
  const shaped = await measureShaped(place, settings);
  report(`${IDLE_CLIENTS.toLocaleString("en-US")} clients that do nothing`);
  const idle = await weighClients();
  report("the relay that remembers nothing");
  const relay = await measurePacketRelay({ isQuick });
  return {
    ours: clean.gbitPerS.get("raw")!,
    peers: Object.fromEntries(rivals.map(({ name }) => [name, clean.gbitPerS.get(name)!])),
    figures: {
      ...clean.figures,
      ...shaped,
      ...idle,
      relay_packets_per_s: relay.packetsPerS,
      relay_packets_per_core_s: relay.packetsPerCoreS,
      relay_growth_kib: relay.growthKib,
    },
    missing: hasKcptun() ? [] : RIVALS.map(({ name }) => name),
  };
}

interface Place {
  readonly rig: LineRig;
  readonly source: Target;
}

/** Gbit/s by who carried it, and what that makes; and what each adds to a round trip. */
async function measureClean(
  { rig, source }: Place,
  rivals: readonly Contestant[],
  settings: Settings,
): Promise<{ gbitPerS: Map<string, number>; figures: Record<string, number> }> {
  await using resources = new AsyncDisposableStack();
  const contestants = [RAW, UDP, VTCP, ...AS_KCPTUN, ...rivals];
  const started = await Promise.all(
    contestants.map(async (each) => resources.use(await each.start(rig, VETH, source))),
  );
  const gbitPerS = await alternate(started, settings.rounds, ({ name, ends }) => {
    // What hides itself well takes longest to be compiled, which one short round would measure instead.
    const isSealed = [RAW, UDP, VTCP].some((each) => each.name === name);
    return measureDown(ends, isSealed ? { ...settings, warmMs: settings.sealedWarmMs } : settings);
  });
  const of = (name: string) => gbitPerS.get(name)!;
  const against = Object.fromEntries(rivals.map(({ name }) => [
    `as_${name.replace(" ", "_")}_vs_it_ratio`,
    of(`as ${name}`) / of(name),
  ]));
  const figures = {
    udp_gbit_s: of("udp"),
    raw_vs_udp_ratio: of("raw") / of("udp"),
    vtcp_gbit_s: of("vtcp"),
    as_kcptun_none_gbit_s: of("as kcptun none"),
    as_kcptun_aes_gbit_s: of("as kcptun aes"),
    ...against,
    ...await measureAdded(rig, started, settings),
  };
  return { gbitPerS, figures };
}

function measureDown(ends: TransferEnds, { warmMs, bulkMs }: Settings): Promise<number> {
  return measureTransfer(ends, { direction: "down", warmMs, measureMs: bulkMs });
}

/** Milliseconds by which a round trip is longer than TCP's between the same namespaces. */
async function measureAdded(
  rig: LineRig,
  started: readonly TransportEnds[],
  { trips }: Settings,
): Promise<Record<string, number>> {
  const straight = await startStraight(rig);
  await using _program = straight.program;
  const straightMs = await measureTrips(straight.ends, trips);
  const added: Record<string, number> = {};
  for (const name of ["raw", "udp", "vtcp"]) {
    const { ends } = started.find((each) => each.name === name)!;
    added[`added_${name}_ms`] = await measureTrips(ends, trips) - straightMs;
  }
  return added;
}

/** The source where TCP reaches it. */
async function startStraight(rig: LineRig): Promise<{ program: Program; ends: TransferEnds }> {
  const target = { host: VETH.far, port: nextPort() };
  const program = load("source", { listen: formatTarget(target) }, rig.far);
  await program.readJson();
  return { program, ends: { target, namespace: rig.near } };
}

/** One stream by each over lines like real ones. */
async function measureShaped(place: Place, settings: Settings): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const far = await measureOn(place, FAR, RAW, settings);
  figures.rtt100_mbit_s = far.mbitPerS;
  for (const name of settings.losses) {
    const conditions = LOSSY[name];
    const { mbitPerS } = await measureOn(place, conditions, RAW, settings);
    const cubic = await measureCubic(place, conditions, settings);
    figures[`${name}_mbit_s`] = mbitPerS;
    figures[`${name}_cubic_mbit_s`] = cubic;
    figures[`${name}_vs_cubic_ratio`] = mbitPerS / cubic;
  }
  const narrow = await measureOn(place, NARROW, RAW, settings);
  figures.narrow_mbit_s = narrow.mbitPerS;
  figures.narrow_ratio = narrow.mbitPerS / NARROW_MBIT_S;
  figures.queue_ms = narrow.queueMs;
  figures.queue_p95_ms = narrow.queueP95Ms;
  return figures;
}

interface Shaped {
  readonly mbitPerS: number;
  readonly queueMs: number;
  readonly queueP95Ms: number;
}

/** A new session for every round, so that each begins by finding out what the line can do. */
async function measureOn(
  { rig, source }: Place,
  conditions: LineConditions,
  contestant: Contestant,
  { shapedRounds, shapedWarmMs, shapedMs }: Settings,
): Promise<Shaped> {
  const rounds: Shaped[] = [];
  await rig.shape(conditions);
  for (let round = 0; round < shapedRounds; round++) {
    await using ends = await contestant.start(rig, LINE, source);
    const times = { warmMs: shapedWarmMs, measureMs: shapedMs };
    const counting = delay(clockOf(globalThis), shapedWarmMs).then(() => rig.forgetWaits());
    const gbitPerS = await measureTransfer(ends.ends, { direction: "down", ...times });
    await counting;
    const { down } = await rig.waits();
    rounds.push({ mbitPerS: gbitPerS * 1000, queueMs: down.p50Ms, queueP95Ms: down.p95Ms });
  }
  const middle = (of: (round: Shaped) => number) => median(rounds.map(of));
  return {
    mbitPerS: middle(({ mbitPerS }) => mbitPerS),
    queueMs: middle(({ queueMs }) => queueMs),
    queueP95Ms: middle(({ queueP95Ms }) => queueP95Ms),
  };
}

/** Mbit/s of the kernel's TCP with CUBIC over the same line. */
async function measureCubic(
  { rig }: Place,
  conditions: LineConditions,
  { shapedRounds, shapedWarmMs, shapedMs }: Settings,
): Promise<number> {
  await rig.shape(conditions);
  await using _server = await startIperf(rig.far);
  const rounds: number[] = [];
  const times = { seconds: Math.ceil(shapedMs / 1000), warmS: Math.floor(shapedWarmMs / 2000) };
  for (let round = 0; round < shapedRounds; round++) {
    const { gbitPerS } = await measureTcp(rig.near, LINE.far, { ...times, direction: "reverse", congestion: "cubic" });
    rounds.push(gbitPerS * 1000);
  }
  return median(rounds);
}

/**
 * KiB that the server holds for each client that has a session and no streams, garbage not counted; and by how much it grows
 * with it. On loopback, where its inspector can be asked.
 */
async function weighClients(): Promise<Record<string, number>> {
  const flags = { dialect: "culvert", carrier: "udp", crypt: "none", host: "127.0.0.1", port: nextPort() };
  const args = Object.entries({ ...flags, target: "127.0.0.1:1" }).map(([name, value]) => `--${name}=${value}`);
  const inspectorPort = freePort();
  await using server = inspectedProgram("bench/load.ts", ["transport-far", ...args], { inspectorPort });
  const { credential } = await server.readJson();
  const join = async (count: number) => {
    const crowd = load("transport-crowd", { ...flags, target: "127.0.0.1:1", credential: `${credential}`, count });
    await crowd.readJson(CROWD_MS);
    return crowd;
  };
  await using _warm = await join(WARM_CLIENTS);
  const [heldBefore, rssBefore] = [await heldKib(inspectorPort), await server.settledRssKib()];
  await using _crowd = await join(IDLE_CLIENTS);
  const rss = await server.settledRssKib();
  return {
    idle_kib_per_client: (await heldKib(inspectorPort) - heldBefore) / IDLE_CLIENTS,
    idle_rss_kib_per_client: (rss - rssBefore) / IDLE_CLIENTS,
  };
}
