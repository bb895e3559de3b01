/**
 * What one circuit costs a relay in memory: idle, and with an owner who asked for bulk and reads nothing of it.
 *
 *   owners, each with a link of its own ⇄ relay ⇄ relay ⇄ gateway that floods        the relays are processes, and weighed
 */

import { BufferPool } from "../net/buffer_pool.ts";
import { buildCircuit } from "../net/circuit/build_circuit.ts";
import { CellSlabs } from "../net/circuit/cell_slabs.ts";
import { circuitMux } from "../net/circuit/circuit_mux.ts";
import { dialRelayLink } from "../net/circuit/dial_link.ts";
import { GatewayServer } from "../net/circuit/gateway.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { memoryStreamPair } from "../net/memory.ts";
import { MuxConnection } from "../net/mux.ts";
import { openSealCrypto } from "../net/seal_crypto.ts";
import type { HopChoice } from "../protocol/circuit/owner.ts";
import { clockOf, delay } from "../protocol/clock.ts";
import type { RelayRecord } from "../protocol/directory.ts";
import { decodeBase32, decodeBase64 } from "../protocol/encoding.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { randomOf } from "../protocol/random.ts";
import { type Path, writeAll } from "../protocol/stream.ts";
import type { WireGuardCrypto } from "../protocol/wireguard/crypto.ts";
import type { Program } from "../testing/program.ts";
import { eventually } from "../testing/waiting.ts";
import { LazyOwner } from "./load/lazy_owner.ts";
import { load } from "./loads.ts";

/** KiB per circuit at the relay that holds more: the first, which has the owners' links too. */
export interface CircuitMemory {
  readonly idleKib: number;
  readonly unreadKib: number;
}

const clock = clockOf(globalThis);
const random = randomOf(crypto);
const primitives = hostPrimitives();
const TARGET = { host: "flood.example", port: 1 };
/** For what is on its way to come to a stop. */
const SETTLE_MS = 1000;

interface Weighed {
  readonly program: Program;
  readonly place: Pick<RelayRecord, "relayId" | "url">;
  readonly hop: HopChoice;
}

export async function measureCircuitMemory({ circuits }: { readonly circuits: number }): Promise<CircuitMemory> {
  await using resources = new AsyncDisposableStack();
  const suite = resources.use(await openSealCrypto());
  const relays = [await startRelay(resources), await startRelay(resources)] as const;
  await relays[0].program.ask(JSON.stringify(relays[1].place));
  await relays[1].program.ask(JSON.stringify(relays[0].place));
  const { gateway, hop } = startGateway(relays[1], suite);
  resources.defer(async () => {
    gateway.close();
    await gateway.closed();
  });
  await eventually("the gateway's link", () => gateway.relaysUp().length === 1);
  const hops = [relays[0].hop, relays[1].hop, hop];
  await held(relays, hops, { circuits, suite }); // what a process keeps once it has done it is nobody's circuit
  await delay(clock, SETTLE_MS);
  return await held(relays, hops, { circuits, suite });
}

async function startRelay(resources: AsyncDisposableStack): Promise<Weighed> {
  const program = resources.use(load("weighed-relay", {}));
  const { url, relayId, sealingKey } = await program.readJson() as Record<string, string>;
  const hop = { id: decodeBase32(relayId!)!, sealingKey: decodeBase64(sealingKey!)!, kind: "relay" } as const;
  return { program, place: { relayId: relayId!, url: url! }, hop };
}

function startGateway({ place }: Weighed, suite: WireGuardCrypto): { gateway: GatewayServer; hop: HopChoice } {
  const identity = newIdentity();
  const hop: HopChoice = {
    id: decodeBase32(identity.peerId)!,
    sealingKey: identity.wireguardPublicKey,
    kind: "gateway",
  };
  const gateway = new GatewayServer({
    identity,
    relays: [place.relayId],
    directory: {
      list: () => [place as RelayRecord],
      find: () => place as RelayRecord,
      onChange: () => ({ [Symbol.dispose]() {} }),
      refresh: () => Promise.resolve(),
    },
    onward: floodPath(),
    tools: { crypto: suite, random },
    ...{ primitives, clock, log: silentLog, metrics: noMetrics },
  });
  return { gateway, hop };
}

function newIdentity(): Identity {
  return new Identity(generateSecrets(random), primitives);
}

/** Every target talks without end. */
function floodPath(): Path {
  return {
    dial() {
      const [near, far] = memoryStreamPair();
      const chunk = new Uint8Array(64 * 1024);
      const flood = async () => {
        for (;;) await writeAll(far, chunk);
      };
      flood().catch(() => far.close());
      return Promise.resolve(near);
    },
    close() {},
    [Symbol.dispose]() {},
  };
}

/** A client, and one circuit of its. */
class Owner implements AsyncDisposable {
  readonly circuit: LazyOwner;
  readonly #link: MuxConnection;

  private constructor(link: MuxConnection, circuit: LazyOwner) {
    this.#link = link;
    this.circuit = circuit;
  }

  static async begin(entry: Weighed, hops: readonly HopChoice[], suite: WireGuardCrypto): Promise<Owner> {
    const { signal } = new AbortController();
    const pool = new BufferPool({ bufferBytes: 64 * 1024 });
    const link = await dialRelayLink(entry.place, {
      ...{ signer: newIdentity(), role: "client", clock, random, primitives, pool },
    }, signal);
    const connection = new MuxConnection(link, clock, {
      ...circuitMux({ maxCircuits: 1 }),
      ...{ role: "client", extensions: true },
    });
    connection.start();
    const circuit = await buildCircuit(connection.open(), hops, {
      ...{ tools: { crypto: suite, random }, clock, slabs: new CellSlabs(), hopTimeoutMs: 10_000 },
      onEnd() {},
    }, signal);
    return new Owner(connection, new LazyOwner(circuit));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.circuit[Symbol.dispose]();
    this.#link.close();
    await this.#link.ended;
  }
}

interface Holding {
  readonly circuits: number;
  readonly suite: WireGuardCrypto;
}

async function held(
  relays: readonly Weighed[],
  hops: readonly HopChoice[],
  { circuits, suite }: Holding,
): Promise<CircuitMemory> {
  const before = await weigh(relays);
  await using owners = new AsyncDisposableStack();
  const lazy: LazyOwner[] = [];
  for (let count = 0; count < circuits; count++) {
    lazy.push(owners.use(await Owner.begin(relays[0]!, hops, suite)).circuit);
  }
  const idle = await weigh(relays);
  for (const owner of lazy) await owner.ask(TARGET);
  await delay(clock, SETTLE_MS);
  const unread = await weigh(relays);
  const most = (after: readonly number[]) =>
    Math.max(...after.map((bytes, at) => (bytes - before[at]!) / 1024 / circuits));
  return { idleKib: most(idle), unreadKib: most(unread) };
}

async function weigh(relays: readonly Weighed[]): Promise<number[]> {
  return await Promise.all(relays.map(async ({ program }) => {
    return Number((await program.ask("weigh")).bytes);
  }));
}

if (import.meta.main) console.log(await measureCircuitMemory({ circuits: Number(Deno.args[0] ?? 500) }));
