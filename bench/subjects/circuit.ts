/**
 * Circuits: a stream in onion cells over two relays and a gateway, each a process as its operator runs it; and tor, over
 * three relays of a network of its own.
 *
 *   load ⇄ proxy ⇄ relay ⇄ relay ⇄ gateway ⇄ source        everybody on the same cores
 *
 * Rotation: streams that say something all the time, while the proxy's circuits are replaced again and again.
 */

import { formatTarget, type Target } from "../../protocol/stream.ts";
import type { TransferDirection } from "../load/transfer.ts";
import { load, startSource } from "../loads.ts";
import { type Member, OurNetwork } from "../our_network.ts";
import { type CircuitRelays, startCircuitRelays, startProxyOver } from "../our_relays.ts";
import { present } from "../rivals.ts";
import { alternate } from "../rounds.ts";
import type { Measurement, MeasureOptions, Subject } from "../subject.ts";
import { tor } from "../tor.ts";
import { measureFirstBytes, measureTransfer } from "../transfers.ts";

const full = {
  ...{ rounds: 7, warmMs: 1000, bulkMs: 3000, firstBytes: 200, firstByteRounds: 3 },
  ...{ circuits: 100, rotateMs: 60_000, streams: 50 },
};
const quick = {
  ...{ rounds: 2, warmMs: 500, bulkMs: 1000, firstBytes: 50, firstByteRounds: 1 },
  ...{ circuits: 20, rotateMs: 8000, streams: 20 },
};

const RELAYS = 3;
/** Seconds, with jitter: as often as a proxy may be told to. */
const ROTATE = "2-3";

export const circuitSubject: Subject = {
  name: "circuit",
  summary: "one stream in onion cells over two relays and a gateway, next to tor; rotation",
  unit: "Gbit/s",
  better: "higher",
  measure,
};

interface Contestant {
  readonly name: string;
  readonly proxy: Target;
}

async function measure({ quick: isQuick, report }: MeasureOptions): Promise<Measurement> {
  const settings = isQuick ? quick : full;
  await using resources = new AsyncDisposableStack();
  const { program, target } = await startSource();
  resources.use(program);
  const { rivals, missing } = present([tor]);
  // They need seconds to find each other, and hardly any of the processor for it.
  const starting = Promise.all(rivals.map((rival) => rival.start()));
  starting.catch(() => {}); // told where it is waited for

  const network = resources.use(new OurNetwork());
  const relays = await startCircuitRelays(network, RELAYS);
  report(`memory of ${settings.circuits} circuits`);
  const memory = await measureMemory(relays, target, settings.circuits);
  const { proxy, member } = await startProxyOver(network, relays.url, target);
  const contestants: Contestant[] = [{ name: "culvert", proxy }];
  for (const rival of await starting) contestants.push(resources.use(rival));

  const names = contestants.map(({ name }) => name).join(", ");
  report(`first bytes, and bulk, ${settings.rounds} rounds of ${names}`);
  const firstBytes = { rounds: settings.firstByteRounds, count: settings.firstBytes };
  const { proxied, direct } = await measureFirstBytes({ proxy, target }, firstBytes);
  const bulk = async (direction: TransferDirection) =>
    await alternate(
      contestants,
      settings.rounds,
      ({ proxy }) =>
        measureTransfer({ proxy, target }, { direction, warmMs: settings.warmMs, measureMs: settings.bulkMs }),
    );
  const down = await bulk("down");
  const up = await bulk("up");
  await member.program.stop();

  report(`${settings.streams} streams while circuits are replaced`);
  const rotation = await measureRotation(network, relays, { target, ...settings });
  const slower = (name: string) => Math.min(down.get(name)!, up.get(name)!);
  return {
    ours: slower("culvert"),
    peers: Object.fromEntries(rivals.map(({ name }) => [name, slower(name)])),
    figures: {
      down_gbit_s: down.get("culvert")!,
      up_gbit_s: up.get("culvert")!,
      ttfb_overhead_p50_ms: proxied - direct,
      ...rotation,
      ...memory,
    },
    missing,
  };
}

/** Streams that live through several changes of the circuits beneath them. */
async function measureRotation(
  network: OurNetwork,
  relays: CircuitRelays,
  { target, streams, rotateMs }: { readonly target: Target; readonly streams: number; readonly rotateMs: number },
): Promise<Record<string, number>> {
  const { proxy } = await startProxyOver(network, `${relays.url}&rotate=${ROTATE}`, target);
  const flags = { proxy: formatTarget(proxy), target: formatTarget(target), count: streams, "measure-ms": rotateMs };
  await using talkers = load("talkers", flags);
  const { lost } = await talkers.readJson(rotateMs + 60_000);
  return { rotation_lost_streams: Number(lost) };
}

/** What a circuit costs a relay: with a stream that has nothing to say, and with one of bulk that is never read. */
async function measureMemory(
  { relays, url }: CircuitRelays,
  target: Target,
  circuits: number,
): Promise<Record<string, number>> {
  const hold = async (count: number, stalled: 0 | 1) => {
    const program = load("paths", { url: `${url}&circuits=1`, target: formatTarget(target), count, stalled });
    await program.readJson(60_000);
    return program;
  };
  {
    await using _first = await hold(circuits, 0); // what a process has grown to once says little about a circuit
  }
  const before = await rssOf(relays);
  const figures: Record<string, number> = {};
  for (const [stalled, name] of [[0, "relay_kib_per_circuit"], [1, "relay_kib_per_unread_circuit"]] as const) {
    await using _held = await hold(circuits, stalled);
    // Each goes over two of the relays.
    figures[name] = (await rssOf(relays) - before) / (2 * circuits);
  }
  return figures;
}

/** Of all together, once it has stopped moving. */
async function rssOf(members: readonly Member[]): Promise<number> {
  const each = await Promise.all(members.map(({ program }) => program.settledRssKib()));
  return each.reduce((sum, kib) => sum + kib);
}
