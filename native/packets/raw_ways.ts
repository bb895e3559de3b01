/**
 * The two ways that raw packets go: as IP packets through the kernel's routes and filters, or as frames straight to an
 * interface, which may be long ones that the kernel or the card cuts up.
 */

import { TCP_CHECKSUM } from "../../protocol/packet/headers.ts";
import type { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import {
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  VIRTIO_HEADER_BYTES,
  writePlainVirtioHeader,
  writeVirtioHeader,
} from "../../protocol/packet/virtio.ts";
import type { Libc } from "../libc.ts";
import { RtNetlink } from "../rtnetlink.ts";
import { ETHERNET_BYTES, etherTypeOf, openIpSending, openSending } from "./packet_socket.ts";
import { HOP_NAME_BYTES } from "./raw_names.ts";
import type { RawPlace } from "./raw_place.ts";
import { RawSender, type RawSendEvents } from "./raw_sender.ts";

/** What a way writes before an IP packet. */
export const LINK_BYTES = VIRTIO_HEADER_BYTES + ETHERNET_BYTES;

/** A long packet: where TCP begins in it, where its payload does, and what it is to be cut into. */
export interface LongPacket {
  readonly tcpAt: number;
  readonly payloadAt: number;
  readonly segmentBytes: number;
  readonly packets: number;
}

export interface RawWay extends Disposable {
  readonly sentPackets: number;
  readonly lostPackets: number;
  /** Whether long packets to that place are cut up. */
  cutsUpTo(place: RawPlace): boolean;
  /** Takes the IP packet at [start, end), before which there are LINK_BYTES. */
  queue(slab: PacketSlab, start: number, end: number, place: RawPlace): void;
  queueLong(slab: PacketSlab, start: number, end: number, place: RawPlace, long: LongPacket): void;
  flush(): void;
}

export class IpWay implements RawWay {
  readonly #resources = new DisposableStack();
  readonly #v4: RawSender | undefined;
  readonly #v6: RawSender | undefined;
  #unsentPackets = 0;

  constructor(libc: Libc, families: { readonly v4: boolean; readonly v6: boolean }, events: RawSendEvents) {
    using stack = new DisposableStack();
    const open = (isV6: boolean) => new RawSender(libc, stack.use(openIpSending(libc, isV6)).number, events);
    this.#v4 = families.v4 ? open(false) : undefined;
    this.#v6 = families.v6 ? open(true) : undefined;
    this.#resources = stack.move();
  }

  get sentPackets(): number {
    return (this.#v4?.sentPackets ?? 0) + (this.#v6?.sentPackets ?? 0);
  }

  get lostPackets(): number {
    return this.#unsentPackets + (this.#v4?.lostPackets ?? 0) + (this.#v6?.lostPackets ?? 0);
  }

  cutsUpTo(): boolean {
    return false;
  }

  queue(slab: PacketSlab, start: number, end: number, place: RawPlace): void {
    const sender = place.isV6 ? this.#v6 : this.#v4;
    if (sender) sender.queue(slab, start, end, 1, place.name, place.nameBytes);
    else this.#unsentPackets++;
  }

  queueLong(_slab: PacketSlab, _start: number, _end: number, _place: RawPlace, { packets }: LongPacket): void {
    this.#unsentPackets += packets;
  }

  flush(): void {
    this.#v4?.flush();
    this.#v6?.flush();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** Where the next hop is not known, packets go the other way. */
export class FrameWay implements RawWay {
  readonly #resources = new DisposableStack();
  readonly #sender: RawSender;
  readonly #others: IpWay;
  readonly #libc: Libc;
  readonly #events: RawSendEvents;
  /** By the interface's index. */
  readonly #mtuBytes = new Map<number, number>();
  #unsentPackets = 0;

  constructor(libc: Libc, families: { readonly v4: boolean; readonly v6: boolean }, events: RawSendEvents) {
    this.#libc = libc;
    this.#events = events;
    using stack = new DisposableStack();
    this.#sender = new RawSender(libc, stack.use(openSending(libc)).number, events);
    this.#others = stack.use(new IpWay(libc, families, events));
    this.#resources = stack.move();
  }

  get sentPackets(): number {
    return this.#sender.sentPackets + this.#others.sentPackets;
  }

  get lostPackets(): number {
    return this.#sender.lostPackets + this.#others.lostPackets + this.#unsentPackets;
  }

  cutsUpTo(place: RawPlace): boolean {
    return place.nextHop !== undefined;
  }

  queue(slab: PacketSlab, start: number, end: number, place: RawPlace): void {
    if (!place.nextHop) {
      this.#others.queue(slab, start, end, place);
      return;
    }
    const linkAt = putLinkHeader(slab, start, place);
    writePlainVirtioHeader(slab, linkAt - VIRTIO_HEADER_BYTES);
    this.#queue(slab, linkAt, end, 1, place);
  }

  queueLong(slab: PacketSlab, start: number, end: number, place: RawPlace, long: LongPacket): void {
    const { nextHop } = place, cutBytes = long.payloadAt - start + long.segmentBytes;
    // The kernel does not look at how long the parts are.
    const fits = nextHop && cutBytes <= this.#mtuOf(nextHop.interfaceIndex);
    if (!fits) {
      this.#unsentPackets += long.packets;
      // Without a next hop the way was lost while it was written.
      if (nextHop) this.#events.onTooLong(cutBytes);
      return;
    }
    const linkAt = putLinkHeader(slab, start, place);
    writeVirtioHeader(slab, linkAt - VIRTIO_HEADER_BYTES, {
      segmentation: place.isV6 ? SEGMENT_TCP6 : SEGMENT_TCP4,
      headerBytes: long.payloadAt - linkAt,
      segmentBytes: long.segmentBytes,
      checksumStart: long.tcpAt - linkAt,
      checksumOffset: TCP_CHECKSUM,
    });
    this.#queue(slab, linkAt, end, long.packets, place);
  }

  flush(): void {
    this.#sender.flush();
    this.#others.flush();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #mtuOf(interfaceIndex: number): number {
    let known = this.#mtuBytes.get(interfaceIndex);
    if (known === undefined) {
      using network = new RtNetlink(this.#libc);
      known = network.link(interfaceIndex)?.mtu ?? Infinity;
      this.#mtuBytes.set(interfaceIndex, known);
    }
    return known;
  }

  #queue(slab: PacketSlab, linkAt: number, end: number, packets: number, place: RawPlace): void {
    this.#sender.queue(slab, linkAt - VIRTIO_HEADER_BYTES, end, packets, place.hopName, HOP_NAME_BYTES);
  }
}

/** Gives where the frame begins. */
function putLinkHeader({ bytes, view }: PacketSlab, start: number, { nextHop, isV6 }: RawPlace): number {
  const macs = nextHop?.macs;
  if (!macs) return start;
  const at = start - ETHERNET_BYTES;
  bytes.set(macs.to, at);
  bytes.set(macs.own, at + 6);
  view.setUint16(at + 12, etherTypeOf(isV6));
  return at;
}
