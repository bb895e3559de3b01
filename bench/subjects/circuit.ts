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
import { OurNetwork } from "../our_network.ts";
import { type CircuitRelays, measureHeld, startCircuitRelays, startProxyOver } from "../our_relays.ts";
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
  ...{ rounds: 2, warmMs: 400, bulkMs: 700, firstBytes: 50, firstByteRounds: 1 },
  ...{ circuits: 60, rotateMs: 6000, streams: 20 },
};

/** Every circuit goes over both, so that what they hold is of as many circuits as there are. */
const RELAYS = 2;
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
  report(`memory of ${settings.circuits} circuits`);
  const circuits = { url: `${relays.url}&circuits=1`, target, count: settings.circuits };
  const held = await measureHeld(relays.relays, circuits);
  const slower = (name: string) => Math.min(down.get(name)!, up.get(name)!);
  return {
    ours: slower("culvert"),
    peers: Object.fromEntries(rivals.map(({ name }) => [name, slower(name)])),
    figures: {
      down_gbit_s: down.get("culvert")!,
      up_gbit_s: up.get("culvert")!,
      ttfb_overhead_p50_ms: proxied - direct,
      ...rotation,
      relay_kib_per_circuit: held.idle,
      relay_kib_per_unread_circuit: held.unread,
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
