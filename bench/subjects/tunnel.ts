/**
 * The tunnel: ingress here, WebSocket and smux to an egress there, against `ssh -D`.
 *
 *   load ⇄ proxy ⇄ (relay that delays) ⇄ tunnel ⇄ source        all on loopback, each in a process of its own
 */

import { formatTarget, type Target } from "../../protocol/stream.ts";
import { type Ends, holdStalled, measureBulk, startSource } from "../loads.ts";
import { type RunningOurs, startTunnel } from "../ours.ts";
import { present, sshD } from "../rivals.ts";
import { alternate } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const FAIR_STREAMS = 200;
/** Each way: a round trip of 100 ms. */
const DELAY_MS = 50;

const full = { rounds: 7, warmMs: 500, bulkMs: 3000, fairMs: 8000, farWarmMs: 4000, farMs: 5000 };
const quick = { rounds: 3, warmMs: 250, bulkMs: 1000, fairMs: 4000, farWarmMs: 2500, farMs: 2500 };

export const tunnelSubject: Subject = {
  name: "tunnel",
  summary: "one bulk stream over WebSocket and smux; TLS; far away; fairness",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const { program, target } = await startSource();
  resources.use(program);
  const { rivals, missing } = present([sshD]);
  const ours = resources.use(await startTunnel());
  const withTls = resources.use(await startTunnel({ tls: true }));
  const contestants: { name: string; proxy: Target }[] = [ours, withTls];
  for (const rival of rivals) contestants.push(resources.use(await rival.start()));

  report(`bulk, ${settings.rounds} rounds of ${contestants.map(({ name }) => name).join(", ")}`);
  const bulk = await alternate(contestants, settings.rounds, async ({ proxy }) => {
    const { warmMs, bulkMs: measureMs } = settings;
    return (await measureBulk({ proxy, target }, { warmMs, measureMs })).gbitPerS;
  });

  report(`${FAIR_STREAMS} streams at once`);
  const { maxOverMin } = await measureBulk(
    { proxy: ours.proxy, target },
    { streams: FAIR_STREAMS, warmMs: 1000, measureMs: settings.fairMs },
  );

  report("beside a reader that has stalled");
  const stalled = await measureStalled(ours, { proxy: ours.proxy, target }, settings.bulkMs);

  report(`a round trip of ${2 * DELAY_MS} ms`);
  const farGbit = await measureFar(target, settings.farWarmMs, settings.farMs);

  return {
    ours: bulk.get(ours.name)!,
    peers: Object.fromEntries(rivals.map(({ name }) => [name, bulk.get(name)!])),
    figures: {
      tls_gbit_s: bulk.get(withTls.name)!,
      rtt100_mbit_s: farGbit * 1000,
      fairness_max_over_min: maxOverMin,
      ...stalled,
    },
    missing,
  };
}

/** How fast another stream is while one reader stalls, and how much both processes grow meanwhile. */
async function measureStalled(ours: RunningOurs, ends: Ends, measureMs: number): Promise<Record<string, number>> {
  const rssKib = async () => {
    const each = await Promise.all(ours.programs.map((program) => program.settledRssKib()));
    return each.reduce((sum, kib) => sum + kib, 0);
  };
  const before = await rssKib();
  await using _stalled = await holdStalled(ends);
  const { gbitPerS } = await measureBulk(ends, { warmMs: 250, measureMs });
  return { beside_stalled_gbit_s: gbitPerS, stalled_reader_rss_mib: Math.max(0, (await rssKib() - before) / 1024) };
}

async function measureFar(target: Target, warmMs: number, measureMs: number): Promise<number> {
  await using far = await startTunnel({ delayMs: DELAY_MS });
  const { gbitPerS } = await measureBulk({ proxy: far.proxy, target }, { warmMs, measureMs });
  if (gbitPerS === 0) throw new Error(`Cannot measure: nothing came from ${formatTarget(target)} over the far tunnel`);
  return gbitPerS;
}
