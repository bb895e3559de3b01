/**
 * Files of a folder over HTTP, against nginx with sendfile and caddy: one large file that is in the system's cache, whole and in
 * ranges, many small files, the first byte, memory while 4 GiB go through. And from peer to peer, directly and by a relay:
 *
 *   load ⇄ server ⇄ page cache              load ⇄ bridge ⇄ (relay) ⇄ host ⇄ server        everybody on the same cores
 */

import {
  caddy,
  type FileServerKind,
  nginx,
  ourFileServer,
  presentServers,
  type RunningFileServer,
} from "../file_servers.ts";
import { load } from "../loads.ts";
import { temporaryFolder } from "../rivals.ts";
import { alternate, median } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const GIB = 1024 ** 3;
const LARGE_BYTES = GIB;
const LONG_BYTES = 4 * GIB;
const RANGE_BYTES = 4 * 1024 * 1024;
const SMALL_FILES = 1000;
const SMALL_BYTES = 4096;
const CONCURRENCY = 32;
const READ_MS = 120_000;

interface Settings {
  readonly rounds: number;
  readonly warmMs: number;
  readonly measureMs: number;
  readonly firstBytes: number;
  readonly transfers: number;
  /** From peer to peer. */
  readonly transferBytes: number;
}

const full: Settings = { rounds: 7, warmMs: 500, measureMs: 3000, firstBytes: 500, transfers: 5, transferBytes: GIB };
const quick: Settings = {
  rounds: 3,
  warmMs: 150,
  measureMs: 500,
  firstBytes: 150,
  transfers: 3,
  transferBytes: GIB / 4,
};

export const filesSubject: Subject = {
  name: "files",
  summary: "a shared folder over HTTP: a large file, ranges, small files, memory; from peer to peer",
  unit: "GB/s",
  better: "higher",
  measure,
};

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const folder = await makeFolder(settings, resources);
  const { kinds, missing } = presentServers([ourFileServer, nginx, caddy]);
  const servers = await startAll(kinds, folder, resources);
  const names = servers.map(({ name }) => name).join(", ");

  report(`a large file, ${settings.rounds} rounds of ${names}`);
  const large = await alternate(servers, settings.rounds, ({ url }) => readLarge(`${url}/large`, 0, settings));
  report(`the same in ranges of ${RANGE_BYTES / 1024 / 1024} MiB`);
  const ranges = await alternate(
    servers,
    settings.rounds,
    ({ url }) => readLarge(`${url}/large`, RANGE_BYTES, settings),
  );
  report(`files of ${SMALL_BYTES / 1024} KiB, ${CONCURRENCY} at once`);
  const small = await alternate(servers, settings.rounds, ({ url }) => readSmall(`${url}/small`, settings));
  report(`the first byte, ${settings.firstBytes} times`);
  const first = await measureFirstByte(servers[0]!, settings.firstBytes);
  report("memory while 4 GiB go through");
  const rssGrowthMib = await measureRss(folder);
  report("from peer to peer, directly and by a relay");
  const [direct, relayed] = await measurePeers(`${folder}/transfer`, settings.transfers);

  const figures: Record<string, number> = {
    range_gb_s: ranges.get("culvert")!,
    small_files_per_s: small.get("culvert")!,
    ...first,
    rss_growth_mib: rssGrowthMib,
    direct_gbit_s: direct,
    relayed_gbit_s: relayed,
  };
  for (const { name } of kinds.slice(1)) {
    figures[`${name}_range_gb_s`] = ranges.get(name)!;
    figures[`${name}_small_files_per_s`] = small.get(name)!;
  }
  const peers = Object.fromEntries(kinds.slice(1).map(({ name }) => [name, large.get(name)!]));
  return { ours: large.get("culvert")!, peers, figures, missing };
}

/** Large files, and many small ones. The large ones are holes, which the system's cache keeps like any bytes. */
async function makeFolder({ transferBytes }: Settings, resources: AsyncDisposableStack): Promise<string> {
  const folder = await temporaryFolder(resources);
  await Deno.mkdir(`${folder}/small`);
  for (const [name, bytes] of Object.entries({ large: LARGE_BYTES, long: LONG_BYTES, transfer: transferBytes })) {
    await Deno.writeTextFile(`${folder}/${name}`, "");
    await Deno.truncate(`${folder}/${name}`, bytes);
  }
  const content = new Uint8Array(SMALL_BYTES);
  for (let name = 0; name < SMALL_FILES; name++) await Deno.writeFile(`${folder}/small/${name}`, content);
  return folder;
}

async function startAll(
  kinds: readonly FileServerKind[],
  folder: string,
  resources: AsyncDisposableStack,
): Promise<RunningFileServer[]> {
  const servers: RunningFileServer[] = [];
  for (const kind of kinds) servers.push(resources.use(await kind.start(folder)));
  return servers;
}

async function readLarge(url: string, rangeBytes: number, { warmMs, measureMs }: Settings): Promise<number> {
  const flags = { url, "range-bytes": rangeBytes, "warm-ms": warmMs, "measure-ms": measureMs };
  await using program = load("file-large", flags);
  return Number((await program.readJson(READ_MS)).gbPerS);
}

async function readSmall(url: string, { warmMs, measureMs }: Settings): Promise<number> {
  const flags = { url, files: SMALL_FILES, concurrency: CONCURRENCY, "warm-ms": warmMs, "measure-ms": measureMs };
  await using program = load("file-small", flags);
  return Number((await program.readJson(READ_MS)).filesPerS);
}

/** Of the large file, on a new connection each time. */
async function measureFirstByte({ url }: RunningFileServer, count: number): Promise<Record<string, number>> {
  await using program = load("file-first", { url: `${url}/large`, count });
  const { tookMs } = await program.readJson(READ_MS);
  const sorted = (tookMs as number[]).toSorted((a, b) => a - b);
  return { first_byte_ms: median(sorted), first_byte_p99_ms: sorted[Math.floor(sorted.length * 0.99)]! };
}

/** MiB by which a server of ours has grown at the most, after it has served a GiB. */
async function measureRss(folder: string): Promise<number> {
  await using server = await ourFileServer.start(folder);
  const { program, url } = server;
  await readAll(`${url}/large`);
  const before = await program.rssKib();
  let most = before;
  let isOver = false;
  const reading = readAll(`${url}/long`).finally(() => isOver = true);
  while (!isOver) {
    most = Math.max(most, await program.rssKib());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await reading;
  return (most - before) / 1024;
}

async function readAll(url: string): Promise<void> {
  await using program = load("file-once", { url });
  await program.readJson(READ_MS);
}

/** Gbit/s, directly and by a relay. */
async function measurePeers(file: string, transfers: number): Promise<[number, number]> {
  await using resources = new AsyncDisposableStack();
  const relay = resources.use(load("peer-relay", {}));
  const { place } = await relay.readJson();
  const ways = [
    { name: "direct", url: await startPeers(file, {}, resources) },
    { name: "relayed", url: await startPeers(file, { place: JSON.stringify(place) }, resources) },
  ];
  const speeds = await alternate(ways, transfers, async ({ url }) => {
    await using program = load("peer-fetch", { url });
    return Number((await program.readJson(READ_MS)).gbitPerS);
  });
  return [speeds.get("direct")!, speeds.get("relayed")!];
}

/** The file's URL at a bridge to a peer that shares it. */
async function startPeers(
  file: string,
  place: Readonly<Record<string, string>>,
  resources: AsyncDisposableStack,
): Promise<string> {
  const far = resources.use(load("peer-far", { file, ...place }));
  const { card, path } = await far.readJson();
  const near = resources.use(load("peer-near", { card: JSON.stringify(card) }));
  const { url } = await near.readJson();
  return new URL(String(path), String(url)).href;
}
