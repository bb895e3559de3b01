/** The Worker in which a bridge of vtcp runs, started by `bridge.ts`. */

import { clockOf } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import type { PacketCarrier } from "../../protocol/packet_carrier.ts";
import { randomOf } from "../../protocol/random.ts";
import { ClientTable } from "../../protocol/sealed_packets/clients.ts";
import { ClientGate } from "../../protocol/vtcp/client_gate.ts";
import { ServerGate } from "../../protocol/vtcp/server_gate.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { type AsyncEngine, type AsyncEngineSurroundings, runAsyncEngine } from "../async_engine.ts";
import { openLibcrypto } from "../crypto.ts";
import { openRawCarrier } from "../packets/open_raw_carrier.ts";
import { openUdpCarrier } from "../packets/udp_carrier.ts";
import type {
  BridgeCarrier,
  BridgeCommand,
  BridgeCounts,
  BridgeOptions,
  BridgeStarted,
  BridgeTalk,
  ServerBridgeOptions,
} from "./bridge_messages.ts";
import { ClientBridge } from "./client_bridge.ts";
import { LocalCarrier } from "./local_carrier.ts";
import { ServerBridge } from "./server_bridge.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

class BridgeEngine implements AsyncEngine<BridgeTalk> {
  readonly started: BridgeStarted;
  readonly failed: Promise<unknown>;
  #resources: AsyncDisposableStack | undefined;
  readonly #remote: PacketCarrier;
  readonly #clients: ClientTable | undefined;
  readonly #bridge: ClientBridge | ServerBridge;

  constructor(
    options: BridgeOptions,
    around: AsyncEngineSurroundings<BridgeTalk>,
    parts: { readonly local: LocalCarrier; readonly remote: PacketCarrier; readonly resources: AsyncDisposableStack },
  ) {
    const { local, remote, resources } = parts;
    const failing = Promise.withResolvers<unknown>();
    const seal = openLibcrypto();
    if (seal) resources.use(seal);
    const tools = { crypto: seal ?? portableWireGuardCrypto, random };
    const common = {
      local,
      remote,
      clock,
      random,
      log: around.log,
      tell: around.tell,
      onFailure: (error: unknown) => failing.resolve(error ?? new Error("A carrier of the bridge has ended")),
    };
    if (options.side === "client") {
      const gate = options.credential && new ClientGate(tools, options.credential, clock);
      this.#bridge = resources.use(new ClientBridge(options, { ...common, ...gate && { gate } }));
    } else {
      const { gate, clients } = openGate(options, tools);
      this.#clients = clients;
      const bridge = this.#bridge = resources.use(new ServerBridge(options, { ...common, ...gate && { gate } }));
      if (clients) clients.onRevoked = (client) => bridge.revoke(client);
    }
    this.failed = failing.promise;
    this.#remote = remote;
    this.started = {
      loopbackPort: local.port,
      localPorts: remote.localPorts,
      maxPayloadBytes: remote.maxPayloadBytes,
    };
  }

  obey(command: BridgeCommand): BridgeCounts | boolean | undefined {
    switch (command.type) {
      case "hop":
        return void (this.#bridge instanceof ClientBridge && this.#bridge.hop());
      case "admit":
        return void this.#clients?.add(command.client);
      case "revoke":
        return this.#clients?.revoke(command.name) ?? false;
      case "counts": {
        const { sentPackets, receivedPackets, lostPackets } = this.#remote.counters;
        const clients = this.#bridge instanceof ServerBridge ? this.#bridge.clientCount : 0;
        return { sentPackets, receivedPackets, lostPackets, clients };
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources?.[Symbol.asyncDispose]();
  }

  /** What ends with it. */
  owns(resources: AsyncDisposableStack): void {
    this.#resources = resources;
  }
}

function openGate(
  { gate: options }: ServerBridgeOptions,
  tools: ConstructorParameters<typeof ServerGate>[0],
): { readonly gate?: ServerGate; readonly clients?: ClientTable } {
  if (!options) return {};
  const { privateKey, certificateKey } = options;
  const server = { privateKey, publicKey: tools.crypto.x25519PublicKey(privateKey) };
  const clients = new ClientTable(tools.crypto, server, options.clients);
  return { gate: new ServerGate(tools, { server, clients, certificateKey, clock }), clients };
}

async function openRemote(options: BridgeCarrier, log: Log): Promise<PacketCarrier> {
  const whole = { ...options, clock, random, log, metrics: noMetrics };
  return options.kind === "raw" ? await openRawCarrier(whole) : openUdpCarrier(whole);
}

async function open(options: BridgeOptions, around: AsyncEngineSurroundings<BridgeTalk>): Promise<BridgeEngine> {
  await using resources = new AsyncDisposableStack();
  const { log } = around;
  const remote = resources.use(await openRemote(options.carrier, log));
  const local = new LocalCarrier({ quicPort: options.quicPort, clock, random, log, metrics: noMetrics });
  resources.use(local.carrier);
  const engine = new BridgeEngine(options, around, { local, remote, resources });
  engine.owns(resources.move());
  return engine;
}

runAsyncEngine<BridgeTalk>(open);
