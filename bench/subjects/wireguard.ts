/**
 * WireGuard in userspace: two devices in two namespaces, iperf3 through them, against wireguard-go and the prototype.
 *
 *   iperf3 ⇄ TUN ⇄ device ⇄ UDP ⇄ veth ⇄ UDP ⇄ device ⇄ TUN ⇄ iperf3        everybody on the same cores
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import type { Program } from "../../testing/program.ts";
import { Crowd, measurePeers, weighPeers } from "../handshakes.ts";
import { measurePing, measureTcp, measureUdp, type TcpLoad } from "../iperf.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";
import { ourPair, type TunnelPair, type WireGuardPair, wireguardRivals } from "../wireguard_pairs.ts";

const PARALLEL_STREAMS = 4;
const UDP_BYTES = 1280;
const RSS_INTERVAL_MS = 200;
const INITIATORS = 256;
const FLOOD_PER_S = 10_000;
const MANY_PEERS = 10_000;

const full = { rounds: 5, shapeRounds: 3, seconds: 4, warmS: 1, pings: 300, idleMs: 10_000, handshakesMs: 5_000 };
const quick = { rounds: 2, shapeRounds: 1, seconds: 2, warmS: 0, pings: 100, idleMs: 2_000, handshakesMs: 1_500 };
const HANDSHAKES_WARM_MS = 1_000;

export const wireguardSubject: Subject = {
  name: "wireguard",
  summary: "one TCP stream through the userspace device; UDP, ping, memory, handshakes",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const ours = resources.use(await ourPair());
  const makers = wireguardRivals();
  const rivals: TunnelPair[] = [];
  for (const maker of makers.filter(({ isHere }) => isHere)) rivals.push(resources.use(await maker.start()));
  const contestants = [ours, ...rivals];

  report("a second of each, not counted");
  for (const { near, inner } of contestants) await measureTcp(near, inner[4], { seconds: 1, warmS: 0 });
  report(`one TCP stream, ${settings.rounds} rounds of ${contestants.map(({ name }) => name).join(", ")}`);
  const rss = watchRss(ours.programs);
  const retransmits: number[] = [];
  const bulk = await alternate(contestants, settings.rounds, async (pair) => {
    const measured = await measureTcp(pair.near, pair.inner[4], settings);
    if (pair === ours) retransmits.push(measured.retransmits);
    return measured.gbitPerS;
  });

  report("one stream beside both ways, backwards, in parallel, over v6");
  const shapes = await measureShapes(ours, settings);
  const figures = { ...shapes, retransmits: median(retransmits) };

  report(`UDP of ${UDP_BYTES} B`);
  const udp = await measureUdpCeiling(ours, settings.seconds);
  const rssMib = await rss.stop();

  report("ping, and doing nothing");
  const addedPingMs = await measureAddedPing(ours, settings.pings);
  const idleCpuPct = await measureIdleCpu(ours.programs, settings.idleMs);

  report(`handshakes of ${INITIATORS} peers, a flood of initiations, ${MANY_PEERS.toLocaleString("en-US")} peers`);
  return {
    ours: bulk.get(ours.name)!,
    peers: Object.fromEntries(rivals.map(({ name }) => [name, bulk.get(name)!])),
    figures: {
      ...figures,
      ...udp,
      added_ping_ms: addedPingMs,
      rss_mib: rssMib,
      idle_cpu_pct: idleCpuPct,
      ...await measureStrangers(ours, settings),
    },
    missing: makers.filter(({ isHere }) => !isHere).map(({ name }) => name),
  };
}

interface Shape extends TcpLoad {
  readonly name: string;
  readonly version?: 4 | 6;
}

/** Streams of other shapes, by turns with one stream, because what is compared has to be measured side by side. */
async function measureShapes(
  { near, inner }: TunnelPair,
  { seconds, warmS, shapeRounds }: { readonly seconds: number; readonly warmS: number; readonly shapeRounds: number },
): Promise<Record<string, number>> {
  const shapes: readonly Shape[] = [
    { name: "one", seconds, warmS },
    { name: "bidi", seconds, warmS, direction: "both" },
    { name: "reverse", seconds, warmS, direction: "reverse" },
    { name: "parallel", seconds, warmS, streams: PARALLEL_STREAMS },
    { name: "v6", seconds, warmS, version: 6 },
  ];
  const measured = await alternate(
    shapes,
    shapeRounds,
    async ({ version = 4, ...load }) => (await measureTcp(near, inner[version], load)).gbitPerS,
  );
  const of = (name: string) => measured.get(name)!;
  return {
    bidi_gbit_s: of("bidi"),
    reverse_gbit_s: of("reverse"),
    parallel_gbit_s: of("parallel"),
    v6_gbit_s: of("v6"),
    bidi_over_one_ratio: of("bidi") / of("one"),
    parallel_over_one_ratio: of("parallel") / of("one"),
  };
}

/** What arrives when everything is sent, and what is lost at half of that, with and without a tunnel. */
async function measureUdpCeiling(pair: TunnelPair, seconds: number): Promise<Record<string, number>> {
  const through = { namespace: pair.far, host: pair.inner[4] };
  const ceiling = await measureUdp(pair.near, through, { seconds, bytes: UDP_BYTES });
  const load = { seconds, bytes: UDP_BYTES, mbitPerS: ceiling.gbitPerS * 1000 / 2 };
  const half = await measureUdp(pair.near, through, load);
  const beside = await measureUdp(pair.near, { namespace: pair.far, host: pair.outer[4] }, load);
  return {
    udp_gbit_s: ceiling.gbitPerS,
    udp_half_lost_pct: half.lostPct,
    udp_half_unread_pct: half.unreadPct,
    udp_half_unread_without_tunnel_pct: beside.unreadPct,
  };
}

/** Median round trip through the tunnel, less the median beside it. */
async function measureAddedPing(pair: TunnelPair, count: number): Promise<number> {
  const beside = await measurePing(pair.near, pair.outer[4], count);
  return await measurePing(pair.near, pair.inner[4], count) - beside;
}

interface StrangerSettings {
  readonly seconds: number;
  readonly warmS: number;
  readonly handshakesMs: number;
}

/**
 * Handshakes completed while cookies are asked for, and what is left of the stream while strangers flood the device with
 * initiations, over what is left while they flood a port where nobody listens: the flood's own work is in both.
 */
async function measureStrangers(pair: WireGuardPair, settings: StrangerSettings): Promise<Record<string, number>> {
  using crowd = await Crowd.open(pair.rig, INITIATORS);
  const times = { warmMs: HANDSHAKES_WARM_MS, measureMs: settings.handshakesMs };
  const { handshakesPerS, cookies } = await crowd.measure(times);
  const under = async (at: "device" | "nobody") => {
    await using _flood = await crowd.flood(at, FLOOD_PER_S);
    return (await measureTcp(pair.near, pair.inner[4], settings)).gbitPerS;
  };
  const flooded = await under("device");
  const floodRatio = flooded / await under("nobody");
  const { loadS, rssKibPerPeer } = await measurePeers(pair.rig.a, MANY_PEERS);
  return {
    handshakes_per_s: handshakesPerS,
    handshake_cookies: cookies,
    flood_ratio: floodRatio,
    peers_10k_load_s: loadS,
    kib_per_peer: await weighPeers(MANY_PEERS),
    rss_growth_kib_per_peer: rssKibPerPeer,
  };
}

/** Looks at the programs' memory until stopped; gives the most that any of them had, in MiB. */
function watchRss(programs: readonly Program[]): { stop(): Promise<number> } {
  const stopping = new AbortController();
  const watching = (async () => {
    let mostKib = 0;
    while (!stopping.signal.aborted) {
      for (const program of programs) mostKib = Math.max(mostKib, await program.rssKib());
      await delay(clockOf(globalThis), RSS_INTERVAL_MS, stopping.signal).catch(() => {});
    }
    return mostKib / 1024;
  })();
  return {
    stop() {
      stopping.abort();
      return watching;
    },
  };
}

/** How much of one core the busiest of the programs uses while nobody sends. */
async function measureIdleCpu(programs: readonly Program[], idleMs: number): Promise<number> {
  const clock = clockOf(globalThis);
  const before = await Promise.all(programs.map((program) => program.cpuMs()));
  const startMs = clock.now();
  await delay(clock, idleMs);
  const after = await Promise.all(programs.map((program) => program.cpuMs()));
  const used = after.map((ms, index) => ms - before[index]!);
  return 100 * Math.max(...used) / (clock.now() - startMs);
}
