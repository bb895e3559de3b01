/**
 * Streams through the network: client → its supernode → the exit's supernode → exit, each role a process as its operator
 * runs it, everything sealed end to end between client and exit.
 *
 *   load ⇄ client ⇄ supernode ⇄ (supernode) ⇄ exit ⇄ source        everybody on the same cores
 *
 * A session's set-up is timed without the client's proxy in front: from asking the supernode for an exit to the first byte
 * of an answer from beyond it. What a killed exit costs is what a program behind the proxy notices: the client finds out by
 * itself. That the supernodes tell it too is timed with one that would not.
 */

import { clockOf, delay } from "../../protocol/clock.ts";
import { formatTarget, readFull, type Target, writeAll } from "../../protocol/stream.ts";
import { load, measureBulk, startSource } from "../loads.ts";
import { REQUEST, REQUEST_BYTES } from "../load/source.ts";
import { type Member, OurNetwork, proxyOf } from "../our_network.ts";
import { alternate, median } from "../rounds.ts";
import { sumOf } from "../samples.ts";
import { dialSocks5 } from "../../testing/socks_client.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";

const full = { rounds: 7, warmMs: 500, bulkMs: 3000, setups: 300, kills: 10 };
const quick = { rounds: 3, warmMs: 250, bulkMs: 1500, setups: 50, kills: 3 };

/** Peers find each other in the background. */
const SETTLE_MS = 30_000;
const LOOK_MS = 10;
const ROTATE_LIMIT_MS = 20_000;
const FAILOVER_LIMIT_MS = 60_000;

const clock = clockOf(globalThis);

export const relayStreamSubject: Subject = {
  name: "relay-stream",
  summary: "one sealed stream over two supernodes and over one; session set-up; a killed exit",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

/** Two regions with a supernode each; the exits are in the south. */
interface Places {
  readonly network: OurNetwork;
  readonly north: Member;
  readonly south: Member;
  readonly target: Target;
}

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const { program, target } = await startSource();
  resources.use(program);
  const network = resources.use(new OurNetwork());
  const base = await network.startBase();
  const north = await network.startSupernode({ region: "north", base });
  const south = await network.startSupernode({ region: "south", base });
  const places = { network, north, south, target };
  const exits = [await network.startExit(south, "south")];

  const { two, one } = await measureStreams(places, settings, report);
  report(`session set-up, ${settings.setups} times`);
  const setup = await measureSetups(places, settings.setups);
  report(`an exit is killed, ${settings.kills} times`);
  exits.push(await network.startExit(south, "south"));
  const killed = await measureKills(places, exits, settings.kills);
  return { ours: two, peers: {}, figures: { one_supernode_gbit_s: one, ...setup, ...killed }, missing: [] };
}

/** By way of both supernodes and of one, by turns. */
async function measureStreams(
  { network, north, south, target }: Places,
  { rounds, warmMs, bulkMs }: typeof full,
  report: MeasureOptions["report"],
): Promise<{ readonly two: number; readonly one: number }> {
  const far = await network.startClient(north, "south");
  const near = await network.startClient(south, "south");
  const ways = [{ name: "two", client: far }, { name: "one", client: near }];
  for (const { client } of ways) await answered(proxyOf(client), target, SETTLE_MS);
  report(`bulk, ${rounds} rounds over two supernodes and over one`);
  const bulk = await alternate(ways, rounds, async ({ client }) => {
    const { gbitPerS } = await measureBulk({ proxy: proxyOf(client), target }, { warmMs, measureMs: bulkMs });
    return gbitPerS;
  });
  await Promise.all(ways.map(({ client }) => client.program.stop()));
  return { two: bulk.get("two")!, one: bulk.get("one")! };
}

/** From asking for an exit to the first byte through it, with the exit at another supernode and at the client's. */
async function measureSetups({ north, south, target }: Places, count: number): Promise<Record<string, number>> {
  const far = await tookMs(north, target, count);
  const near = await tookMs(south, target, count);
  return {
    session_setup_p50_ms: median(far),
    session_setup_p95_ms: far.toSorted((a, b) => a - b)[Math.floor(far.length * 0.95)]!,
    one_supernode_setup_p50_ms: median(near),
  };
}

async function tookMs(supernode: Member, target: Target, count: number): Promise<number[]> {
  const flags = { supernode: supernode.address("supernode"), target: formatTarget(target), count };
  await using program = load("sessions", flags);
  return (await program.readJson(60_000 + count * 200)).tookMs as number[];
}

/** An exit is killed, and started again: one in use while a program wants new streams, and one that has a session. */
async function measureKills(places: Places, exits: readonly Member[], kills: number): Promise<Record<string, number>> {
  const failovers = await measureFailovers(places, exits, kills);
  const rotations = await measureRotations(places, exits, kills);
  return {
    stream_failover_ms: median(failovers),
    stream_failover_worst_ms: Math.max(...failovers),
    rotate_delivered_ms: median(rotations),
    rotate_delivered_worst_ms: Math.max(...rotations),
  };
}

/** Milliseconds until a new stream works. */
async function measureFailovers(
  { network, north, south, target }: Places,
  exits: readonly Member[],
  kills: number,
): Promise<number[]> {
  const client = await network.startClient(north, "south");
  const proxy = proxyOf(client);
  await answered(proxy, target, SETTLE_MS);
  const tookMs: number[] = [];
  for (let turn = 0; turn < kills; turn++) {
    await allReachable(south, exits.length);
    const used = await exitInUse(exits, proxy, target);
    await used.kill();
    const killedMs = clock.now();
    await answered(proxy, target, FAILOVER_LIMIT_MS);
    tookMs.push(clock.now() - killedMs);
    await used.restart();
  }
  await client.program.stop();
  return tookMs;
}

/** Milliseconds until a client that does nothing about it by itself has ROTATE_PEER. */
async function measureRotations(
  { north, south }: Places,
  exits: readonly Member[],
  kills: number,
): Promise<number[]> {
  const tookMs: number[] = [];
  for (let turn = 0; turn < kills; turn++) {
    await allReachable(south, exits.length);
    await using client = load("rotation", { supernode: north.address("supernode") });
    const { exitPeerId } = await client.readJson();
    const used = exits.find(({ peerId }) => peerId === exitPeerId);
    if (!used) throw new Error(`Cannot measure a rotation: the session is at ${exitPeerId}, which is none of ours`);
    const killedAtMs = clock.wallNow();
    await used.kill();
    const { rotatedAtMs } = await client.readJson(ROTATE_LIMIT_MS);
    tookMs.push(Number(rotatedAtMs) - killedAtMs);
    await used.restart();
  }
  return tookMs;
}

/** Waits until each exit has a data link at its supernode, where nobody else has one. */
async function allReachable(supernode: Member, exits: number): Promise<void> {
  while (sumOf(await supernode.samples(), "relay_links_active", 'kind="peer"') < exits) await delay(clock, LOOK_MS);
}

/** The exit whose streams grow in number when one is opened. */
async function exitInUse(exits: readonly Member[], proxy: Target, target: Target): Promise<Member> {
  using _stream = await ask(proxy, target);
  for (const exit of exits) if (sumOf(await exit.samples(), "egress_streams_open") > 0) return exit;
  throw new Error("Cannot measure a failover: no exit says that it has the stream");
}

/** Tries new streams until one works, as an impatient program does. */
async function answered(proxy: Target, target: Target, withinMs: number): Promise<void> {
  const untilMs = clock.now() + withinMs;
  for (;;) {
    try {
      return (await ask(proxy, target)).close();
    } catch (error) {
      if (clock.now() > untilMs) throw error;
      await delay(clock, LOOK_MS);
    }
  }
}

/** A stream through the proxy that has had an answer. */
async function ask(proxy: Target, target: Target): Promise<Deno.TcpConn> {
  const connection = await dialSocks5(proxy, target);
  try {
    const request = new Uint8Array(REQUEST_BYTES);
    request[0] = REQUEST;
    await writeAll(connection, request);
    if (await readFull(connection, new Uint8Array(REQUEST_BYTES))) return connection;
    throw new Error("Cannot measure: the answer was cut short");
  } catch (error) {
    connection.close();
    throw error;
  }
}
