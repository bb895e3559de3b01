/**
 * The way in: datagrams of one receive, equal ones of one source side by side (UDP_GRO), are opened where they lie, and
 * the packets in them joined for TUN. Several receives make one batch, each in a lane of its own, because the packets stay
 * where they are until they are written.
 */

import type { Coalescer } from "../../protocol/packet/coalesce.ts";
import type { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import { TRANSPORT_HEADER_BYTES, TRANSPORT_TYPE } from "../../protocol/wireguard/constants.ts";
import type { Keypair } from "../../protocol/wireguard/keypair.ts";
import type { Machine } from "../../protocol/wireguard/machine.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

/** One receive: 64 KiB. */
export const RECEIVE_LANE_BYTES = 65_536;

/** What is read from: a UDP socket. */
export interface DatagramSource {
  /** The size of each datagram of the last receive but the last of them. */
  readonly segmentBytes: number;
  /** Receives datagrams of one source; the length of all of them, -1 when none wait. */
  receive(slab: PacketSlab, offset: number): number;
  source(): Endpoint;
}

export interface ReceivingOptions {
  readonly slab: PacketSlab;
  readonly machine: Machine;
  readonly coalescer: Coalescer;
  readonly lanesAt: number;
  readonly lanes: number;
}

export class Receiving {
  readonly #slab: PacketSlab;
  readonly #machine: Machine;
  readonly #coalescer: Coalescer;
  readonly #lanesAt: number;
  readonly #lanesEnd: number;
  #at: number;
  /** Packets in this lane are yet to be written; without any, as in a flood of handshakes, the next receive takes it too. */
  #isLaneUsed = false;

  /** Datagrams that follow one another on one session. */
  #keypair: Keypair | undefined;
  #bytes = 0;
  #hadData = false;

  constructor(options: ReceivingOptions) {
    const { slab, machine, coalescer, lanesAt, lanes } = options;
    this.#slab = slab;
    this.#machine = machine;
    this.#coalescer = coalescer;
    this.#at = this.#lanesAt = lanesAt;
    this.#lanesEnd = lanesAt + lanes * RECEIVE_LANE_BYTES;
  }

  /** Receives once; false when nothing waited. */
  take(socket: DatagramSource): boolean {
    const length = socket.receive(this.#slab, this.#at);
    if (length < 0) return false;
    const end = this.#at + length;
    const step = socket.segmentBytes;
    this.#isLaneUsed = false;
    for (let at = this.#at; at < end; at += step) this.#takeDatagram(at, Math.min(step, end - at), socket);
    this.#endRun(socket);
    if (this.#isLaneUsed) this.#at += RECEIVE_LANE_BYTES;
    if (this.#at === this.#lanesEnd) this.flush();
    return true;
  }

  /** Hands over everything received so far. */
  flush(): void {
    this.#coalescer.flush();
    this.#at = this.#lanesAt;
  }

  #takeDatagram(at: number, length: number, socket: DatagramSource): void {
    const machine = this.#machine;
    if (this.#slab.bytes[at] !== TRANSPORT_TYPE) return machine.offer(this.#slab, at, length, socket);
    const keypair = machine.open(this.#slab, at, length);
    if (!keypair) return;
    if (keypair !== this.#keypair) {
      this.#endRun(socket);
      this.#keypair = keypair;
    }
    this.#bytes += length;
    const packetLength = machine.inner(keypair, this.#slab, at, length);
    if (packetLength === 0) return;
    this.#hadData = true;
    if (packetLength < 0) return;
    this.#coalescer.add(at + TRANSPORT_HEADER_BYTES, packetLength);
    this.#isLaneUsed = true;
  }

  #endRun(socket: DatagramSource): void {
    if (!this.#keypair) return;
    this.#machine.received(this.#keypair, socket.source(), this.#bytes, this.#hadData);
    this.#keypair = undefined;
    this.#bytes = 0;
    this.#hadData = false;
  }
}
