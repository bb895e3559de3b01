/** One socket of a UDP carrier as its loop sees it: what one receive gave, datagram by datagram. */

import type { CarrierHandlers } from "../../protocol/packet_carrier.ts";
import type { PeerCheck } from "../../protocol/peer_check.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import type { UdpSocket } from "../udp_socket.ts";
import type { PacketSource } from "./packet_loop.ts";
import { UdpPlace } from "./udp_place.ts";

export interface UdpReceiverOptions {
  /** Of UDP_RECEIVE_BYTES, for this receiver alone. */
  readonly slab: Slab;
  readonly handlers: CarrierHandlers;
  readonly peer: PeerCheck;
  /** When the carrier has several. */
  readonly localPort?: number;
}

interface Source {
  readonly endpoint: UdpEndpoint;
  readonly place: UdpPlace;
  readonly isAccepted: boolean;
}

export class UdpReceiver implements PacketSource {
  readonly #socket: UdpSocket;
  readonly #options: UdpReceiverOptions;
  readonly #sources = new WeakMap<UdpEndpoint, Source>();
  #last: Source | undefined;

  constructor(socket: UdpSocket, options: UdpReceiverOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  receive(): number {
    const { slab, handlers } = this.#options;
    const length = this.#socket.receive(slab, 0);
    if (length < 0) return 0;
    const { segmentBytes } = this.#socket;
    const { place, isAccepted } = this.#source();
    if (!isAccepted || length === 0) return 1;
    let packets = 0;
    for (let next = 0; next < length; next += segmentBytes) {
      const bytes = Math.min(segmentBytes, length - next), at = next & ~3;
      if (at !== next) slab.bytes.copyWithin(at, next, next + bytes);
      handlers.onPacket(slab, at, at + bytes, place);
      packets++;
    }
    return packets;
  }

  #source(): Source {
    const endpoint = this.#socket.source();
    if (this.#last?.endpoint === endpoint) return this.#last;
    let found = this.#sources.get(endpoint);
    if (!found) {
      const { localPort, peer } = this.#options;
      const place = new UdpPlace(endpoint, this.#socket.sender, localPort);
      found = { endpoint, place, isAccepted: peer.accepts(endpoint.address, endpoint.port) };
      this.#sources.set(endpoint, found);
    }
    return this.#last = found;
  }
}
