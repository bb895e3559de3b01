/**
 * Fragments: a stream that is cut up, coded so that any two of three pieces suffice, sealed, sent by three upstreams to
 * central and back by three downstreams, each a process as its operator runs it.
 *
 *   load ⇄ proxy ⇉ 3 upstreams ⇉ central ⇄ source      central ⇉ 3 downstreams ⇉ proxy      everybody on the same cores
 *
 * A black-holed leg is a relay that is stopped where it stands: the kernel still takes what is sent to it, and nothing
 * comes of it. Loss is somebody before each relay who drops whole fragments, for legs run over TCP; the same stand there
 * when none is lost.
 */

import type { TransferDirection } from "../load/transfer.ts";
import { startSource } from "../loads.ts";
import { OurNetwork } from "../our_network.ts";
import { type FragmentRelays, measureHeld, startFragmentRelays, startProxyOver } from "../our_relays.ts";
import { measureReedSolomon } from "../reed_solomon_speed.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";
import { measureDisturbed, measureFirstBytes, measureRequests, measureTransfer } from "../transfers.ts";
import type { Target } from "../../protocol/stream.ts";

const DIRECTIONS: readonly TransferDirection[] = ["down", "up"];

const full = {
  disturbed: DIRECTIONS,
  ...{ rounds: 7, warmMs: 1000, bulkMs: 3000, legRounds: 3, lossRounds: 3, legMs: 2000 },
  ...{ firstBytes: 200, firstByteRounds: 3, requestRounds: 3, sessions: 100, codingMs: 300 },
};
const quick = {
  disturbed: DIRECTIONS.slice(0, 1),
  ...{ rounds: 2, warmMs: 500, bulkMs: 1000, legRounds: 1, lossRounds: 1, legMs: 800 },
  ...{ firstBytes: 50, firstByteRounds: 1, requestRounds: 1, sessions: 20, codingMs: 25 },
};
type Settings = typeof full;

const RECOVER_MS = 2000;
const CONCURRENT = 1000;
const LOSS = 0.05;

export const fragmentsSubject: Subject = {
  name: "fragments",
  summary: "one stream over 3 upstreams, central, 3 downstreams; lost legs, loss; the code alone",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

interface Place {
  readonly relays: FragmentRelays;
  readonly proxy: Target;
  readonly target: Target;
}

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  report("the code alone");
  const coding = codingFigures(measureReedSolomon(settings.codingMs));
  await using resources = new AsyncDisposableStack();
  const { program, target } = await startSource();
  resources.use(program);
  const bulk = await measureClean(target, settings, report);
  report(`${LOSS * 100} % of fragments are lost`);
  const lossRatio = await measureLoss(target, settings);
  const { down, up, ...figures } = bulk;
  return {
    ours: Math.min(down!, up!),
    peers: {},
    figures: { down_gbit_s: down!, up_gbit_s: up!, ...figures, loss5_ratio: lossRatio, ...coding },
    missing: [],
  };
}

/** Those of large shards, by their short names. */
function codingFigures(all: Readonly<Record<string, number>>): Record<string, number> {
  const figures: Record<string, number> = {};
  for (const [name, value] of Object.entries(all)) {
    const [, data, total, deed] = /^reed_solomon_(\d+)_of_(\d+)_32k_simd_(\w+)_gb_s$/.exec(name) ?? [];
    if (deed) figures[`${deed}_${data}of${total}_gb_s`] = value;
  }
  return figures;
}

/** What needs nobody between client and relays. */
async function measureClean(
  target: Target,
  settings: Settings,
  report: MeasureOptions["report"],
): Promise<Record<string, number>> {
  await using network = new OurNetwork();
  const relays = await startFragmentRelays(network, { upstreams: 3, downstreams: 3 });
  const { proxy } = await startProxyOver(network, relays.url, target);
  const place = { relays, proxy, target };
  report("requests one by one, and all at once");
  const firstBytes = { rounds: settings.firstByteRounds, count: settings.firstBytes };
  const { proxied, direct } = await measureFirstBytes(place, firstBytes);
  const requests = await measureManyRequests(place, settings.requestRounds);
  report(`bulk, ${settings.rounds} rounds of ${DIRECTIONS.join(", ")}`);
  const bulk = await inEachDirection(
    { rounds: settings.rounds, directions: DIRECTIONS },
    (direction) => measureTransfer(place, { direction, warmMs: settings.warmMs, measureMs: settings.bulkMs }),
  );
  report("an upstream and a downstream are stopped");
  const legs = await measureLostLegs(place, settings);
  report(`memory of ${settings.sessions} sessions`);
  const all = [...relays.upstreams, ...relays.downstreams];
  const held = await measureHeld(all, { url: `${relays.url}&sessions=1`, target, count: settings.sessions });
  return {
    ...bulk,
    ttfb_overhead_p50_ms: proxied - direct,
    ...requests,
    one_leg_lost_ratio: legs,
    relay_kib_per_session: held.idle,
    relay_kib_per_unread_session: held.unread,
  };
}

async function measureManyRequests(place: Place, rounds: number): Promise<Record<string, number>> {
  const [p99, lost]: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const result = await measureRequests(place, CONCURRENT);
    p99!.push(result.p99Ms);
    lost!.push(result.lost);
  }
  return { requests_1000_p99_ms: median(p99!), requests_lost: lost!.reduce((sum, each) => sum + each) };
}

/** The worse of the directions. */
async function measureLostLegs(place: Place, { legRounds, disturbed, warmMs, legMs }: Settings): Promise<number> {
  const stopped = [place.relays.upstreams[0]!, place.relays.downstreams[0]!];
  const ratios = await inEachDirection({ rounds: legRounds, directions: disturbed }, async (direction) => {
    try {
      return await measureDisturbed(place, {
        ...{ direction, warmMs, measureMs: legMs, graceMs: RECOVER_MS },
        disturb: () => stopped.forEach(({ program }) => Deno.kill(program.pid, "SIGSTOP")),
      });
    } finally {
      stopped.forEach(({ program }) => Deno.kill(program.pid, "SIGCONT"));
    }
  });
  return Math.min(...Object.values(ratios));
}

/** The worse of the directions, next to the same with nothing lost. */
async function measureLoss(target: Target, { lossRounds, disturbed, warmMs, legMs }: Settings): Promise<number> {
  await using network = new OurNetwork();
  const relays = await startFragmentRelays(network, { upstreams: 3, downstreams: 3, isLossy: true });
  await using losers = relays.losers!;
  const { proxy } = await startProxyOver(network, relays.url, target);
  const ratios = await inEachDirection({ rounds: lossRounds, directions: disturbed }, async (direction) => {
    const disturb = async () => {
      await losers.ask(`loss ${LOSS}`);
    };
    const settings = { direction, warmMs, measureMs: legMs, graceMs: RECOVER_MS, disturb };
    const ratio = await measureDisturbed({ proxy, target }, settings);
    await losers.ask("loss 0");
    return ratio;
  });
  return Math.min(...Object.values(ratios));
}

/** The median of some rounds for each direction. */
async function inEachDirection(
  { rounds, directions }: { readonly rounds: number; readonly directions: readonly TransferDirection[] },
  measure: (direction: TransferDirection) => Promise<number>,
): Promise<Partial<Record<TransferDirection, number>>> {
  const medians = await alternate(directions.map((name) => ({ name })), rounds, ({ name }) => measure(name));
  return Object.fromEntries(medians);
}
