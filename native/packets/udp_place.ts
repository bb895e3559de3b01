/** A place of a UDP carrier: an endpoint as the socket sends to it. Its text is made when somebody asks for it. */

import { formatIp } from "../../protocol/ip.ts";
import type { PacketPlace } from "../../protocol/packet_carrier.ts";
import { formatTarget } from "../../protocol/stream.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import type { UdpSender } from "../udp_sender.ts";

export class UdpPlace implements PacketPlace {
  readonly endpoint: UdpEndpoint;
  /** Undefined when the system lacks the family: what goes there is lost. */
  readonly sender: UdpSender | undefined;
  readonly #localPort: number | undefined;
  #host: string | undefined;
  #key: string | undefined;

  /** `localPort`: when there are several. */
  constructor(endpoint: UdpEndpoint, sender: UdpSender | undefined, localPort: number | undefined) {
    this.endpoint = endpoint;
    this.sender = sender;
    this.#localPort = localPort;
  }

  get host(): string {
    return this.#host ??= formatIp(this.endpoint.address);
  }

  get port(): number {
    return this.endpoint.port;
  }

  get key(): string {
    return this.#key ??= formatTarget(this) + (this.#localPort === undefined ? "" : `>${this.#localPort}`);
  }
}
