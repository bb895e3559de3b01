/**
 * The packet relay on a core of its own: small datagrams, each of another flow than the one before, then large ones of one
 * flow in the kernel's batches; and by how much its memory grows from a few flows to very many.
 *
 *   core 0: socket ─▶ ······ ─▶ socket
 *   core 1:             relay
 *
 * Nobody else passes packets on without remembering them, so there is no rival.
 */

import { load, onCore } from "./loads.ts";
import { median } from "./rounds.ts";

export interface PacketRelayFigures {
  /** Small datagrams a second, of as many flows as there may be. */
  readonly packetsPerS: number;
  /** The same for each core that the relay kept busy, as it does not know what is between them. */
  readonly packetsPerCoreS: number;
  /** Large ones of one flow. */
  readonly bulkGbitPerS: number;
  /** How much more memory it holds after all the flows than after a few. */
  readonly growthKib: number;
}

const SMALL_BYTES = 128;
const LARGE_BYTES = 1400;
const FEW_FLOWS = 64;
const MANY_FLOWS = 50_000;

/** `isQuick`: some 5 seconds; otherwise some 20. */
export async function measurePacketRelay({ isQuick }: { readonly isQuick: boolean }): Promise<PacketRelayFigures> {
  const rounds = isQuick ? 3 : 5, warmMs = 200, measureMs = isQuick ? 500 : 2000;
  await using relay = load("packet-relay", {}, undefined, onCore(1));
  await using flows = load("routed-load", {}, undefined, onCore(0));
  await Promise.all([relay.readJson(), flows.readJson()]);
  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  const { port } = await relay.ask(`open ${key}`);
  const pump = async (line: string) => {
    const before = await relay.cpuMs();
    const { perS, all } = await flows.ask(`${line} ${warmMs} ${measureMs}`);
    return { perS: Number(perS), perCoreS: Number(all) / (await relay.cpuMs() - before) * 1000 };
  };
  await flows.ask(`open ${port} ${key} ${FEW_FLOWS}`);
  for (let round = 0; round < rounds; round++) await pump(`pump ${SMALL_BYTES}`);
  const bulk = [];
  for (let round = 0; round < rounds; round++) bulk.push(await pump(`burst ${LARGE_BYTES}`));
  const before = await relay.settledRssKib();
  await flows.ask(`open ${port} ${key} ${MANY_FLOWS}`, SEAL_MS);
  const small = [];
  for (let round = 0; round < rounds; round++) small.push(await pump(`pump ${SMALL_BYTES}`));
  return {
    packetsPerS: median(small.map(({ perS }) => perS)),
    packetsPerCoreS: median(small.map(({ perCoreS }) => perCoreS)),
    bulkGbitPerS: median(bulk.map(({ perS }) => perS)) * LARGE_BYTES * 8 / 1e9,
    growthKib: await relay.settledRssKib() - before,
  };
}

/** Tickets for all flows are made in JavaScript. */
const SEAL_MS = 60_000;

if (import.meta.main) console.log(await measurePacketRelay({ isQuick: Deno.args.includes("--quick") }));
