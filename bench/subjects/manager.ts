/**
 * What it costs to be supervised, and what one gets: a service is killed, and counted is the time until another listens in
 * its place, beside other people's supervisors; and fifty services that nothing happens to.
 *
 *   kill -9 ─▶ detected ─▶ wait of the first restart, 5 s ─▶ started ─▶ listens          `ours` is all of it
 *
 * The others start again at once, runit after a second if it has just done so, monit when it looks next; ours waits as its
 * settings say, and `no_backoff_ms` is ours told not to. The program is one that starts in milliseconds. Crashes are measured
 * while the fifty do nothing, in a manager of their own; what that one takes is counted by its own processor time.
 */

import { openTcpTable } from "../../native/tcp_table.ts";
import { clockOf, delay } from "../../protocol/clock.ts";
import { Program } from "../../testing/program.ts";
import { type ListenerService, OurManager } from "../our_manager.ts";
import { temporaryFolder } from "../rivals.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";
import { type Listener, listeners, Listening } from "../supervised.ts";
import { presentSupervisors } from "../supervisors.ts";

/** What is measured of services that nothing happens to lasts a whole number of check intervals, which are 30 s. */
const full = { rounds: 5, idleMs: 120_000 };
const quick = { rounds: 1, idleMs: 30_000 };

const SERVICES = 50;
/** Until what their start left to do is done; it also keeps their checks from the very edge of what is measured. */
const SETTLE_MS = 2_000;
const OWN_STARTS = 5;
const STATS = 20;
const OURS = "culvert";
const NO_BACKOFF = "culvert, no backoff";
const AT_ONCE = '[watchdog]\nbackoff_base = "0s"\n';

export const managerSubject: Subject = {
  name: "manager",
  summary: "a service is killed and listens again; fifty services that nothing happens to; supervisor, runit, monit",
  unit: "ms",
  better: "lower",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const { rounds, idleMs } = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const listening = new Listening(resources.use(openTcpTable()));
  const folder = await temporaryFolder(resources);
  report(`${SERVICES} services are started`);
  const manager = await startOurs(named("idle", listeners(SERVICES, folder)), { listening, resources });
  report(`nothing happens to them for ${idleMs / 1000} s, in which others are killed, ${rounds} of each`);
  const [crashes, costs] = await Promise.all([
    measureCrashes({ rounds, listening, folder }),
    measureIdle(manager, idleMs),
  ]);
  return { ...crashes, figures: { ...crashes.figures, ...costs } };
}

/** What runs when nobody supervises it any more is ended as well. */
async function startOurs(
  services: readonly ListenerService[],
  { listening, resources }: { readonly listening: Listening; readonly resources: AsyncDisposableStack },
): Promise<OurManager> {
  for (const { listener } of services) resources.defer(() => listening.end(listener));
  return resources.use(await OurManager.start(services));
}

function named(what: string, each: readonly Listener[], more = ""): ListenerService[] {
  return each.map((listener, index) => ({ name: `${what}-${index}`, listener, more }));
}

interface CrashOptions {
  readonly rounds: number;
  readonly listening: Listening;
  readonly folder: string;
}

/** By turns. A service of ours is killed once, so that each is a first restart; the others know no such thing. */
async function measureCrashes({ rounds, listening, folder }: CrashOptions): Promise<Measurement> {
  await using resources = new AsyncDisposableStack();
  const waiting = named("waits", listeners(rounds, folder));
  const atOnce = named("at-once", listeners(rounds, folder), AT_ONCE);
  const manager = await startOurs([...waiting, ...atOnce], { listening, resources });
  const { rivals, missing } = presentSupervisors();
  const theirs = listeners(rivals.length, folder);
  for (const [index, rival] of rivals.entries()) {
    resources.defer(() => listening.end(theirs[index]!));
    await rival.start(theirs[index]!, resources);
  }
  const detectMs: number[] = [];
  const kill = async ({ name, listener }: ListenerService): Promise<number> => {
    const { pid } = await manager.service(name);
    const detected = Promise.withResolvers<number>();
    const onKill = () => detected.resolve(manager.detectMs(name, pid));
    const [tookMs, knownMs] = await Promise.all([listening.restartMs(listener, onKill), detected.promise]);
    detectMs.push(knownMs);
    return tookMs;
  };
  const took = await alternate(
    [
      { name: OURS, crash: (round: number) => kill(waiting[round]!) },
      { name: NO_BACKOFF, crash: (round: number) => kill(atOnce[round]!) },
      ...rivals.map(({ name }, index) => ({ name, crash: () => listening.restartMs(theirs[index]!) })),
    ],
    rounds,
    ({ crash }, round) => crash(round),
  );
  return {
    ours: took.get(OURS)!,
    peers: Object.fromEntries(rivals.map(({ name }) => [name, took.get(name)!])),
    figures: {
      no_backoff_ms: took.get(NO_BACKOFF)!,
      detect_ms: median(detectMs),
      own_start_ms: await ownStartMs(listeners(1, folder)[0]!, listening),
    },
    missing,
  };
}

async function ownStartMs(listener: Listener, listening: Listening): Promise<number> {
  const tookMs: number[] = [];
  for (let turn = 0; turn < OWN_STARTS; turn++) tookMs.push(await listening.ownStartMs(listener));
  return median(tookMs);
}

/** Fifty services' share of a core and memory beyond a bare Deno; how soon their statistics are there. */
async function measureIdle(manager: OurManager, idleMs: number): Promise<Record<string, number>> {
  const { program } = manager;
  const clock = clockOf(globalThis);
  await delay(clock, SETTLE_MS);
  const [beforeCpuMs, beforeMs] = [await program.cpuMs(), clock.now()];
  const bareKib = await bareRssKib();
  await delay(clock, idleMs - (clock.now() - beforeMs));
  const cpuPercent = (await program.cpuMs() - beforeCpuMs) / (clock.now() - beforeMs) * 100;
  const tookMs: number[] = [];
  for (let turn = 0; turn < STATS; turn++) {
    const startMs = clock.now();
    const stats = await manager.stats();
    if (stats.length !== SERVICES) {
      throw new Error(`Cannot measure: there must be ${SERVICES} rows, got ${stats.length}`);
    }
    tookMs.push(clock.now() - startMs);
  }
  return {
    cpu_pct_50: cpuPercent,
    rss_mib_50: (await program.settledRssKib() - bareKib) / 1024,
    stats_ms_50: median(tookMs),
    stats_first_ms_50: tookMs[0]!,
  };
}

/** A runtime that does nothing. */
async function bareRssKib(): Promise<number> {
  const script = "console.log(JSON.stringify({ ready: true })); await new Promise((end) => setTimeout(end, 1e9));";
  await using bare = new Program([Deno.execPath(), "eval", script]);
  await bare.readJson();
  return await bare.settledRssKib();
}
