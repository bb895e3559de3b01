/**
 * UDP as a packet carrier without FFI, on the runtime's own sockets: the same as `native/packets/udp_carrier.ts` does, datagram
 * by datagram. Beyond a bound of bytes that the system has not taken yet, more are lost.
 */

import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatIp, isV4Mapped, parseIp } from "../../protocol/ip.ts";
import type { CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { mustBeIp, PeerCheck } from "../../protocol/peer_check.ts";
import { portsOf, portSpan } from "../../protocol/port_span.ts";
import { Slab } from "../../protocol/slab.ts";
import { formatTarget } from "../../protocol/stream.ts";
import { type DatagramSocket, isPortTaken, isRefused, type NetAddr, openDatagramSocket } from "../runtime.ts";

/** The most a UDP datagram can have, and a little. */
const DATAGRAM_BYTES = 65_536;
const MAX_PAYLOAD_BYTES = 1452;
const MAX_WAITING_BYTES = 4 << 20;

/** Rejects with `port_in_use`. */
export async function openDatagramCarrier({ listen = {}, peer }: CarrierOptions): Promise<PacketCarrier> {
  using stack = new DisposableStack();
  const check = new PeerCheck(peer);
  const hostname = listen.host ?? (check.address?.length === 4 || !(await hasV6()) ? "0.0.0.0" : "::");
  mustBeIp(hostname);
  const sockets: DatagramSocket[] = [];
  for (const port of portsOf(portSpan(listen.ports ?? 0, { mayBeChosen: true }))) {
    const socket = await listenAt(hostname, port);
    stack.defer(() => socket.close());
    sockets.push(socket);
  }
  stack.move();
  return new DatagramCarrier(sockets, check);
}

async function listenAt(hostname: string, port: number): Promise<DatagramSocket> {
  try {
    return await openDatagramSocket({ hostname, port });
  } catch (cause) {
    if (!isPortTaken(cause)) throw cause;
    throw new CulvertError("port_in_use", `Cannot receive at UDP port ${port}: another program has it`, { cause });
  }
}

interface DatagramPlace extends PacketPlace {
  readonly socket: DatagramSocket;
}

interface WaitingDatagram {
  readonly bytes: Uint8Array;
  readonly place: DatagramPlace;
}

class DatagramCarrier implements PacketCarrier {
  readonly maxPayloadBytes = MAX_PAYLOAD_BYTES;
  readonly localPorts: readonly number[];
  readonly counters = { sentPackets: 0, receivedPackets: 0, lostPackets: 0 };
  readonly slab = new Slab(DATAGRAM_BYTES);
  readonly #sockets: readonly DatagramSocket[];
  readonly #peer: PeerCheck;
  readonly #waiting: WaitingDatagram[] = [];
  #waitingBytes = 0;
  #ended: Promise<void> | undefined;
  #isClosed = false;

  constructor(sockets: readonly DatagramSocket[], peer: PeerCheck) {
    this.#sockets = sockets;
    this.#peer = peer;
    this.localPorts = sockets.map(portOf);
  }

  start(handlers: CarrierHandlers): void {
    if (this.#ended || this.#isClosed) throw new CulvertError("closed", "Cannot start a carrier: it has been already");
    this.#ended = this.#run(handlers);
  }

  place(host: string, port: number, localPort?: number): DatagramPlace {
    const address = formatIp(mustBeIp(host));
    const socket = this.#sockets.find((one) => portOf(one) === localPort) ?? this.#sockets[0]!;
    const key = formatTarget({ host: address, port }) + (this.#sockets.length > 1 ? `>${portOf(socket)}` : "");
    return { host: address, port, key, socket };
  }

  reserve(bytes: number): number {
    if (bytes <= DATAGRAM_BYTES) return 0;
    throw new RangeError(`Cannot send a datagram: it must have at most ${DATAGRAM_BYTES} bytes, got ${bytes}`);
  }

  commit(length: number, to: PacketPlace): void {
    if (this.#isClosed || this.#waitingBytes + length > MAX_WAITING_BYTES) {
      this.counters.lostPackets++;
      return;
    }
    const place = "socket" in to ? to as DatagramPlace : this.place(to.host, to.port);
    this.#waiting.push({ bytes: this.slab.bytes.slice(0, length), place });
    this.#waitingBytes += length;
    if (this.#waiting.length === 1) void this.#sendAll();
  }

  flush(): void {}

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#ended;
  }

  /** One after the other, which keeps their order. */
  async #sendAll(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      await this.#send(next);
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes.length;
    }
  }

  async #send({ bytes, place: { socket, host, port } }: WaitingDatagram): Promise<void> {
    try {
      // A socket of both families takes IPv4 in IPv6's clothes.
      const hostname = isForBoth(socket) && !host.includes(":") ? `::ffff:${host}` : host;
      await socket.send(bytes, { transport: "udp", hostname, port });
      this.counters.sentPackets++;
    } catch {
      this.counters.lostPackets++;
    }
  }

  async #run(handlers: CarrierHandlers): Promise<void> {
    const results = await Promise.allSettled(this.#sockets.map((socket) => this.#receive(socket, handlers)));
    const failed = results.find((result) => result.status === "rejected");
    handlers.onClose(failed?.reason);
  }

  async #receive(socket: DatagramSocket, handlers: CarrierHandlers): Promise<void> {
    const slab = new Slab(DATAGRAM_BYTES);
    let last: { readonly from: string; readonly place: PacketPlace; readonly isAccepted: boolean } | undefined;
    while (!this.#isClosed) {
      const received = await this.#next(socket, slab.bytes);
      if (!received) continue;
      const [datagram, from] = received;
      const { hostname, port } = from;
      this.counters.receivedPackets++;
      if (last?.place.port !== port || last.from !== hostname) {
        const place = this.place(plainHost(hostname), port, portOf(socket));
        last = { from: hostname, place, isAccepted: this.#peer.accepts(parseIp(place.host)!, port) };
      }
      if (!last.isAccepted || datagram.length === 0) continue;
      handlers.onPacket(slab, 0, datagram.length, last.place);
      if (!this.#isClosed) handlers.onTurn();
    }
  }

  /** Undefined when it has been closed, and for what ICMP says of an earlier datagram. */
  async #next(socket: DatagramSocket, into: Uint8Array): Promise<[Uint8Array, NetAddr] | undefined> {
    try {
      return await socket.receive(into);
    } catch (error) {
      if (this.#isClosed || isRefused(error)) return undefined;
      this.close();
      throw error;
    }
  }
}

async function hasV6(): Promise<boolean> {
  try {
    (await openDatagramSocket({ hostname: "::", port: 0 })).close();
    return true;
  } catch {
    return false;
  }
}

function portOf(socket: DatagramSocket): number {
  return socket.addr.port;
}

function isForBoth(socket: DatagramSocket): boolean {
  return socket.addr.hostname === "::";
}

function plainHost(hostname: string): string {
  const address = parseIp(hostname);
  return address && isV4Mapped(address) ? formatIp(address.slice(12)) : hostname;
}
