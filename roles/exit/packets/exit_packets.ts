/**
 * All that an exit has for packets: the service that lets clients in, the name server and the gateway that they find inside
 * the tunnel, and what the device reports.
 */

import type { Telemetry } from "../../../protocol/control/messages.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { GATEWAY_PORT } from "../../../protocol/packets/gateway.ts";
import type { Random } from "../../../protocol/random.ts";
import type { Endpoint } from "../../../protocol/wireguard/settings.ts";
import { PunchResponder } from "../../packets/punch_responder.ts";
import type { Rates } from "../../peer/traffic_rates.ts";
import { DeviceReport } from "./device_report.ts";
import { DnsForwarder } from "./dns_forwarder.ts";
import { GatewayService } from "./gateway_service.ts";
import { givenNameServers, systemNameServers } from "./name_servers.ts";
import { PacketService, type PacketTools } from "./packet_service.ts";
import { DNS_PORT } from "./packet_table.ts";
import { relayAddress } from "./relay_address.ts";
import { RelayKnocks } from "./relay_knocks.ts";
import type { PacketFlags } from "./settings.ts";

export interface ExitPacketTools extends PacketTools {
  readonly random: Random;
  readonly signal: AbortSignal;
}

export type PacketsTelemetry = Pick<Telemetry, "packets" | "wireguard"> & Rates;

export class ExitPackets implements AsyncDisposable {
  readonly service: PacketService;
  readonly #tools: ExitPacketTools;
  readonly #report: DeviceReport;
  readonly #punching: PunchResponder;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    { service, punching }: { service: PacketService; punching: PunchResponder },
    tools: ExitPacketTools,
    resources: AsyncDisposableStack,
  ) {
    this.service = service;
    this.#tools = tools;
    this.#resources = resources;
    this.#punching = punching;
    this.#report = new DeviceReport({ ...tools, device: service.device });
    resources.defer(() => this.#report.settled());
  }

  static async open(flags: PacketFlags, tools: ExitPacketTools): Promise<ExitPackets> {
    await using resources = new AsyncDisposableStack();
    const service = resources.use(
      await PacketService.open({
        interfaceName: flags.interface,
        backend: flags.backend,
        pool: flags.pool,
        pool6: flags.pool6,
        listenPort: flags.wireguardPort,
        clientRateMbps: flags.clientRate,
      }, tools),
    );
    const { nameServer } = flags;
    const servers = nameServer.length > 0 ? givenNameServers(nameServer) : systemNameServers(tools.clock);
    const isShared = (host: string) => service.isShared(host);
    resources.use(
      await DnsForwarder.open({ ...tools, addresses: service.gateways, port: DNS_PORT, isShared, servers }),
    );
    const endpoint = await endpointAddress(flags.endpoint, tools);
    const punching = resources.use(
      new PunchResponder({
        ...tools,
        device: service.device,
        tunnels: service.networks,
        ...endpoint && { endpoint },
      }),
    );
    const knocks = resources.use(new RelayKnocks({ ...tools, listenPort: service.listenPort }));
    service.knock = (client) => knocks.knock(client);
    service.onClientGone = (key) => punching.forget(key);
    return new ExitPackets({ service, punching }, tools, resources.move());
  }

  /** Answers what clients ask from now on. */
  answerClients(asked: { isOk(): boolean }): void {
    const { service } = this;
    this.#resources.use(GatewayService.open({
      ...this.#tools,
      ...asked,
      punching: this.#punching,
      addresses: service.gateways,
      port: GATEWAY_PORT,
      clientAt: (address) => service.clientAt(address),
    }));
  }

  /** For one ping. */
  telemetry(): PacketsTelemetry {
    const { wireguard, rxMbps = 0, txMbps = 0 } = this.#report.take() ?? {};
    return { packets: this.service.telemetry, ...wireguard && { wireguard }, rxMbps, txMbps };
  }

  /** Rejects when the interface is there no more, and nobody has asked for that. */
  async failure(): Promise<never> {
    const error = await this.service.ended;
    if (!error) return await new Promise<never>(() => {});
    throw new CulvertError("tunnel_ended", `Cannot carry packets any more: ${messageOf(error)}`, { cause: error });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Without an address clients are still told the name, but this side cannot offer it as a place to be found at. */
async function endpointAddress(endpoint: string | undefined, tools: ExitPacketTools): Promise<Endpoint | undefined> {
  if (endpoint === undefined) return undefined;
  try {
    return await relayAddress(endpoint, tools);
  } catch (error) {
    tools.signal.throwIfAborted();
    tools.log.warn("The endpoint has no address: until the next start clients are told no more than its name", {
      endpoint,
      error: messageOf(error),
    });
    return undefined;
  }
}
