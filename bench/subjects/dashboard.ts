/**
 * A dashboard over a network of ten thousand: what it costs its server while some watch, and how its page fares in Chromium.
 *
 *   watchers (this process), Chromium ⇄ dashboard over a network that is not there (one core)
 *
 * The processor's share is of the dashboard's whole process, over seconds in which four watch: the network is gone through,
 * drawn and written out once a second, and sent to each. `supernode_added_cpu_pct` is the same of a real supernode that holds
 * as many control streams (2,000 with `--quick`): what it takes while four watch, less what it takes anyhow; so is
 * `base_added_cpu_pct`, of a base whose store lists as many relays. `first_paint_ms` is of fresh browsers that follow the link
 * with the token; `wire_kib` all that such a browser is sent before it watches; `frames_per_s` those that the page with the map
 * of all draws; `up_ready_s` how long `culvert up` takes from its start to its welcome.
 */

import { type Browser, chromium } from "playwright-core";
import { clockOf, delay } from "../../protocol/clock.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { listenAddress, type Program } from "../../testing/program.ts";
import { findTool } from "../../testing/requirements.ts";
import { DASHBOARD_TOKEN, DashboardWatchers } from "../load/dashboard.ts";
import { ControlPeers } from "../control_peers.ts";
import { denoProgram, load, onCore } from "../loads.ts";
import { ADMIN_TOKEN, type Member, OurNetwork } from "../our_network.ts";
import { median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

interface Settings {
  readonly rounds: number;
  readonly warmMs: number;
  readonly measureMs: number;
  readonly visits: number;
  readonly framesMs: number;
  readonly starts: number;
  readonly streams: number;
}

const full: Settings = {
  rounds: 3,
  warmMs: 8000,
  measureMs: 20_000,
  visits: 7,
  framesMs: 10_000,
  starts: 5,
  streams: 10_000,
};
const quick: Settings = {
  rounds: 1,
  warmMs: 1500,
  measureMs: 4000,
  visits: 3,
  framesMs: 3000,
  starts: 1,
  streams: 2000,
};

const PEERS = 10_000;
const WATCHERS = 4;
/** Its looks are several seconds apart. */
const BASE_MEASURE_MS = 10_000;
const SERVER_CORE = 1;
const READY_MS = 60_000;
const VIEWPORT = { width: 1280, height: 900 };

const clock = clockOf(globalThis);

export const dashboardSubject: Subject = {
  name: "dashboard",
  summary:
    "a dashboard over 10,000 peers: its server with four who watch, its page in Chromium; `up` until it is ready",
  unit: "% of a core",
  better: "lower",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  const rounds: { readonly cpuPct: number; readonly kibPerS: number; readonly idlePct: number }[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    report(`${WATCHERS} watch a network of ${PEERS} peers`);
    rounds.push(await measureServer(settings));
  }
  report(`${WATCHERS} watch a supernode with ${settings.streams} peers`);
  const supernodeAddedPct = await measureSupernode(settings);
  report(`${WATCHERS} watch a base with ${PEERS} relays`);
  const baseAddedPct = await measureBase(settings);
  const path = findTool("chromium");
  if (path !== undefined) report("Chromium visits the page, and looks at the map");
  const page = path === undefined ? {} : await measurePage(path, settings);
  report("culvert up starts");
  const cpuPct = median(rounds.map((round) => round.cpuPct));
  return {
    ours: cpuPct,
    peers: {},
    figures: {
      server_cpu_pct: cpuPct,
      server_unwatched_cpu_pct: median(rounds.map((round) => round.idlePct)),
      supernode_added_cpu_pct: supernodeAddedPct,
      base_added_cpu_pct: baseAddedPct,
      viewer_kib_per_s: median(rounds.map((round) => round.kibPerS)),
      ...page,
      up_ready_s: await measureUp(settings),
    },
    missing: path === undefined ? ["chromium"] : [],
  };
}

async function startServer(): Promise<Program & { readonly url: string }> {
  const program = load("dashboard", { peers: PEERS }, undefined, onCore(SERVER_CORE));
  const { host, port } = listenAddress(await program.readJson(READY_MS));
  return Object.assign(program, { url: `http://${formatTarget({ host, port })}` });
}

async function measureServer({ warmMs, measureMs }: Settings) {
  await using server = await startServer();
  await using watchers = await DashboardWatchers.open(server.url, WATCHERS);
  await delay(clock, warmMs);
  const bytes = watchers.bytes;
  const cpuPct = await cpuPctOf(server, measureMs);
  const kibPerS = (watchers.bytes - bytes) / 1024 / WATCHERS / (measureMs / 1000);
  await watchers[Symbol.asyncDispose]();
  return { cpuPct, kibPerS, idlePct: await cpuPctOf(server, measureMs) };
}

async function measureSupernode({ streams, ...settings }: Settings): Promise<number> {
  await using network = new OurNetwork();
  const supernode = await network.startSupernode({ region: "here", maxStreams: streams });
  await using peers = await ControlPeers.start(supernode, streams);
  await peers.open();
  return await addedPctOf(supernode, settings);
}

async function measureBase(settings: Settings): Promise<number> {
  await using network = new OurNetwork();
  const kv = network.path("base.kv");
  {
    await using filling = load("base-store", { kv, count: PEERS });
    await filling.readJson(READY_MS);
  }
  const measureMs = Math.max(settings.measureMs, BASE_MEASURE_MS);
  return await addedPctOf(await network.startBase({ kv }), { ...settings, measureMs });
}

/** What it takes while four watch, less what it takes anyhow. */
async function addedPctOf(
  member: Member,
  { warmMs, measureMs }: Pick<Settings, "warmMs" | "measureMs">,
): Promise<number> {
  await delay(clock, warmMs);
  const beforePct = await cpuPctOf(member.program, measureMs);
  await using _watchers = await DashboardWatchers.open(member.address("dashboard"), WATCHERS, ADMIN_TOKEN);
  await delay(clock, warmMs);
  return await cpuPctOf(member.program, measureMs) - beforePct;
}

async function cpuPctOf(program: Program, measureMs: number): Promise<number> {
  const [beforeMs, startMs] = [await processorMs(program), clock.now()];
  await delay(clock, measureMs);
  return 100 * (await processorMs(program) - beforeMs) / (clock.now() - startMs);
}

/** Of all threads it ever had: those that collect garbage come and go. */
async function processorMs({ pid }: Program): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  // After its name, which is in brackets, come 11 other fields, then user and system time in hundredths of a second.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

async function measurePage(executablePath: string, settings: Settings): Promise<Record<string, number>> {
  await using server = await startServer();
  const url = `${server.url}/#token=${encodeURIComponent(DASHBOARD_TOKEN)}`;
  // Root has no sandbox.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  await using _ = { [Symbol.asyncDispose]: () => browser.close() };
  const visits: Visit[] = [];
  // The first one also starts what browsers start late.
  for (let visit = 0; visit <= settings.visits; visit++) visits.push(await visitOnce(browser, url, 0));
  const { framesPerS } = await visitOnce(browser, url, settings.framesMs);
  return {
    first_paint_ms: median(visits.slice(1).map(({ firstPaintMs }) => firstPaintMs)),
    wire_kib: median(visits.map(({ wireKib }) => wireKib)),
    frames_per_s: framesPerS,
  };
}

interface Visit {
  readonly firstPaintMs: number;
  readonly wireKib: number;
  readonly framesPerS: number;
}

/** What the page says of itself: by then it has shown the map. */
const OF_THE_PAGE = `(async (framesMs) => {
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  const files = loaded.filter(({ name }) => !new URL(name).pathname.startsWith("/api/"));
  const startMs = performance.now();
  let frames = 0;
  while (performance.now() - startMs < framesMs) {
    await new Promise(requestAnimationFrame);
    frames++;
  }
  return {
    firstPaintMs: paint.startTime,
    wireKib: files.reduce((sum, { transferSize }) => sum + transferSize, 0) / 1024,
    framesPerS: framesMs === 0 ? 0 : frames / (performance.now() - startMs) * 1000,
  };
})`;

async function visitOnce(browser: Browser, url: string, framesMs: number): Promise<Visit> {
  const context = await browser.newContext({ viewport: VIEWPORT });
  await using _ = { [Symbol.asyncDispose]: () => context.close() };
  const page = await context.newPage();
  await page.goto(url);
  await page.locator("svg [data-id]").first().waitFor();
  return await page.evaluate<Visit>(`${OF_THE_PAGE}(${framesMs})`);
}

/** From the start of the program to its ready line, with all its files read before. */
async function measureUp({ starts }: Settings): Promise<number> {
  const tookS: number[] = [];
  for (let start = 0; start <= starts; start++) {
    const startMs = clock.now();
    await using up = denoProgram("roles/main.ts", ["up", "--json", "--log-level", "error"]);
    await up.readJson(READY_MS);
    tookS.push((clock.now() - startMs) / 1000);
  }
  return median(tookS.slice(1));
}
