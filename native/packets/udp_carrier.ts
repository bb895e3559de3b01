/**
 * UDP as a packet carrier, in the kernel's batches: datagrams that arrived together are received together (UDP_GRO), and
 * those of one length that go to one place are sent as one (UDP_SEGMENT). Several local ports are several sockets.
 *
 *   slab to send from:   | run: datagram datagram datagram … | next run …       a run is one message of one sendmmsg
 *
 * Datagrams begin at multiples of four, in both directions, as those who work in words like it; those of a run must touch,
 * and are moved by up to three bytes when they are committed.
 */

import type { CarrierGroup } from "../../protocol/carrier_group.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { CarrierCounters, CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { mustBeIp, PeerCheck } from "../../protocol/peer_check.ts";
import { portsOf, portSpan } from "../../protocol/port_span.ts";
import { Slab } from "../../protocol/slab.ts";
import { type Libc, openLibc } from "../libc.ts";
import { UdpPort } from "../udp.ts";
import { UdpEndpoint } from "../udp_endpoint.ts";
import type { UdpSender } from "../udp_sender.ts";
import { UDP_RECEIVE_BYTES, type UdpSocket } from "../udp_socket.ts";
import { PacketLoop } from "./packet_loop.ts";
import { UdpPlace } from "./udp_place.ts";
import { UdpReceiver } from "./udp_receiver.ts";

/** Behind the headers of UDP and of IPv4 or IPv6 in 1,500 bytes. */
const MAX_PAYLOAD_V4_BYTES = 1472;
const MAX_PAYLOAD_V6_BYTES = 1452;
/** Some 180 datagrams: more do not make them cheaper, and these stay in the cache. */
const SEND_BYTES = 256 * 1024;

/** Throws a SysError when a port is taken, and what `openLibc` throws. */
export function openUdpCarrier(options: CarrierOptions): PacketCarrier {
  using stack = new DisposableStack();
  const libc = stack.use(openLibc());
  const { listen = {}, peer, interface: interfaceName } = options;
  const address = listen.host === undefined ? anyAddressFor(peer?.host) : mustBeIp(listen.host);
  const ports = portsOf(portSpan(listen.ports ?? 0, { mayBeChosen: true }))
    .map((port) =>
      stack.use(
        new UdpPort(libc, { port, ...address && { address }, ...interfaceName !== undefined && { interfaceName } }),
      )
    );
  const carrier = new UdpCarrier(libc, ports, {
    peer: new PeerCheck(peer),
    isV4: address?.length === 4,
    group: options.group,
  });
  carrier.owns(stack.move());
  return carrier;
}

interface UdpCarrierParts {
  readonly peer: PeerCheck;
  readonly isV4: boolean;
  readonly group: CarrierGroup | undefined;
}

class UdpCarrier implements PacketCarrier {
  readonly slab = new Slab(SEND_BYTES);
  readonly maxPayloadBytes: number;
  readonly localPorts: readonly number[];
  readonly counters: CarrierCounters;
  readonly #libc: Libc;
  readonly #ports: readonly UdpPort[];
  readonly #peer: PeerCheck;
  readonly #group: CarrierGroup | undefined;
  #resources: DisposableStack | undefined;
  #loop: PacketLoop | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isClosed = false;
  /** Those with something queued. */
  readonly #queued: UdpSender[] = [];
  /** Where the next datagram goes. */
  #at = 0;
  /** The run that is being written: [#runAt, #runEnd) to #runPlace, in datagrams of #runBytes. */
  #runPlace: UdpPlace | undefined;
  #runAt = 0;
  #runEnd = 0;
  #runBytes = 0;
  #unsentPackets = 0;

  constructor(libc: Libc, ports: readonly UdpPort[], options: UdpCarrierParts) {
    this.#libc = libc;
    this.#group = options.group;
    this.#ports = ports;
    this.#peer = options.peer;
    this.maxPayloadBytes = options.isV4 ? MAX_PAYLOAD_V4_BYTES : MAX_PAYLOAD_V6_BYTES;
    this.localPorts = ports.map(({ port }) => port);
    const sockets = ports.flatMap(socketsOf);
    const sum = (count: (socket: UdpSocket) => number) => sockets.reduce((total, socket) => total + count(socket), 0);
    const unsent = () => this.#unsentPackets;
    this.counters = {
      get sentPackets() {
        return sum(({ sender }) => sender.counters.sentDatagrams);
      },
      get receivedPackets() {
        return sum(({ counters }) => counters.receivedDatagrams);
      },
      get lostPackets() {
        return sum(({ sender }) => sender.counters.refusedDatagrams) + unsent();
      },
    };
  }

  /** What ends with it. */
  owns(resources: DisposableStack): void {
    this.#resources = resources;
  }

  start(handlers: CarrierHandlers): void {
    if (this.#loop || this.#isClosed) throw new CulvertError("closed", "Cannot start a carrier: it has been already");
    const hasSeveral = this.#ports.length > 1;
    const receivers = this.#ports.flatMap((port) =>
      socketsOf(port).map((socket) =>
        new UdpReceiver(socket, {
          slab: new Slab(UDP_RECEIVE_BYTES),
          handlers,
          peer: this.#peer,
          ...hasSeveral && { localPort: port.port },
        })
      )
    );
    this.#loop = new PacketLoop(this.#libc, receivers, () => handlers.onTurn(), this.#group);
    this.#ended = this.#run(this.#loop, handlers);
  }

  place(host: string, port: number, localPort?: number): PacketPlace {
    const endpoint = UdpEndpoint.from({ address: mustBeIp(host), port });
    const from = localPort === undefined ? this.#ports[0] : this.#ports.find((one) => one.port === localPort);
    const sender = (endpoint.isV6 ? from?.v6 : from?.v4)?.sender;
    return new UdpPlace(endpoint, sender, this.#ports.length > 1 ? from?.port : undefined);
  }

  reserve(bytes: number): number {
    if (this.#at + bytes > SEND_BYTES) {
      if (bytes > SEND_BYTES) {
        throw new RangeError(`Cannot send a datagram: it must have at most ${SEND_BYTES} bytes, got ${bytes}`);
      }
      this.flush();
    }
    return this.#at;
  }

  commit(length: number, to: PacketPlace): void {
    const at = this.#at;
    if (to === this.#runPlace && length <= this.#runBytes) {
      if (at !== this.#runEnd) this.slab.bytes.copyWithin(this.#runEnd, at, at + length);
      this.#runEnd += length;
    } else {
      this.#queueRun();
      this.#runPlace = to instanceof UdpPlace ? to : this.place(to.host, to.port) as UdpPlace;
      this.#runAt = at;
      this.#runEnd = at + length;
      this.#runBytes = length;
    }
    this.#at = (this.#runEnd + 3) & ~3;
    // Only the last of a run may be shorter, and nothing is a datagram too, but not one of a run.
    if (length < this.#runBytes || length === 0) this.#queueRun();
  }

  flush(): void {
    this.#queueRun();
    for (const sender of this.#queued) sender.flush();
    this.#queued.length = 0;
    this.#at = 0;
  }

  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    if (this.#loop) this.#loop.end();
    else this.#resources?.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#ended;
  }

  #queueRun(): void {
    const place = this.#runPlace;
    if (!place) return;
    this.#runPlace = undefined;
    const { sender } = place, length = this.#runEnd - this.#runAt, segmentBytes = this.#runBytes;
    if (!sender || this.#isClosed) {
      this.#unsentPackets += length === 0 ? 1 : Math.ceil(length / segmentBytes);
      return;
    }
    if (!this.#queued.includes(sender)) this.#queued.push(sender);
    sender.queue(this.slab, this.#runAt, length, segmentBytes, place.endpoint, 0);
  }

  async #run(loop: PacketLoop, handlers: CarrierHandlers): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      await loop.run();
    } catch (error) {
      failure = { error };
    }
    this.#isClosed = true;
    loop[Symbol.dispose]();
    this.#resources?.dispose();
    handlers.onClose(failure?.error);
  }
}

function socketsOf({ v4, v6 }: UdpPort): UdpSocket[] {
  return [v4, v6].filter((socket) => socket !== undefined);
}

/** Every address of the family of the peer; undefined without one: of both. */
function anyAddressFor(host: string | undefined): IpAddress | undefined {
  return host === undefined ? undefined : new Uint8Array(mustBeIp(host).length);
}
