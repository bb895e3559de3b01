/**
 * From datagrams to TUN: joins the packets of one batch that continue one another, so that the kernel takes one packet of
 * up to 64 KiB instead of 45. What Linux calls generic receive offload, for TCP and, where the kernel takes it, UDP.
 *
 * Nothing is copied. A joined packet is the first packet, its headers made to cover all, and the payloads of the others
 * where they lie: a list of pieces for one `writev`. The virtio header is written into the ten bytes before the packet.
 */

import { complement, fold, ipv4HeaderSum, swap16 } from "./checksum.ts";
import { BARRIER, isIntact, JOINABLE, OF_FLOW, PacketReader } from "./flow.ts";
import {
  IPV4_ADDRESSES,
  IPV4_CHECKSUM,
  IPV4_ID,
  IPV4_TOTAL_LENGTH,
  IPV6_ADDRESSES,
  IPV6_BYTES,
  IPV6_PAYLOAD_LENGTH,
  MAX_IP_BYTES,
  TCP,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from "./headers.ts";
import type { PacketSlab } from "./packet_slab.ts";
import {
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
  VIRTIO_HEADER_BYTES,
  writePlainVirtioHeader,
  writeVirtioHeader,
} from "./virtio.ts";

/** One packet for TUN, virtio header first, in the order to write it: entries 0 to `count` - 1. Reused for the next. */
export interface Pieces {
  readonly count: number;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
}

export interface PacketSink {
  write(pieces: Pieces): void;
}

export interface CoalescerOptions {
  readonly sink: PacketSink;
  /** The most packets in a batch, 1 to 1,024; when one more comes, the batch is flushed. Default 512. */
  readonly packets?: number;
  /** Whether the kernel takes joined TCP. Default true. */
  readonly tcp?: boolean;
  /** Whether the kernel takes joined UDP (USO, Linux 6.2). Default false. */
  readonly udp?: boolean;
}

const DEFAULT_PACKETS = 512;
/** All of them may be pieces of one packet, and `writev` takes no more (UIO_MAXIOV). */
const MAX_PACKETS = 1024;
/** Flows that are watched at once, a power of two. Two that fall on one place only join less. */
const FLOWS = 64;
/** What kernels take in one joined UDP packet (UDP_MAX_SEGMENTS, the older value). */
const MAX_UDP_SEGMENTS = 64;
const NONE = -1;

/** A joined packet that may still grow. */
class OpenFlow {
  /** The piece that it begins with; `NONE` when nothing is open here. */
  head = NONE;
  last = NONE;
  at = 0;
  protocol = TCP;
  ipBytes = 0;
  headerBytes = 0;
  /** Payload of the first packet, which is that of all but the last. */
  segmentBytes = 0;
  segments = 0;
  /** Length of the whole so far. */
  length = 0;
  nextSequence = 0;
  nextId = 0;
  /** Whether the first packet's checksums were found right; looked at only once another wants to join. */
  intact = false;
}

export class Coalescer {
  readonly #slab: PacketSlab;
  readonly #sink: PacketSink;
  readonly #reader: PacketReader;
  readonly #flows: readonly OpenFlow[];
  /** Every packet of the batch is one piece; `#next` leads to the one that continues it. */
  readonly #at: Uint32Array;
  readonly #length: Uint32Array;
  readonly #next: Int32Array;
  #count = 0;
  /** The pieces that packets to write begin with, in the order they came. */
  readonly #heads: Int32Array;
  #headCount = 0;
  readonly #pieces: { count: number; offsets: Uint32Array; lengths: Uint32Array };

  constructor(slab: PacketSlab, options: CoalescerOptions) {
    const packets = options.packets ?? DEFAULT_PACKETS;
    if (!Number.isInteger(packets) || packets < 1 || packets > MAX_PACKETS) {
      throw new RangeError(`Cannot join packets: a batch must be 1 to ${MAX_PACKETS} packets, got ${packets}`);
    }
    this.#slab = slab;
    this.#sink = options.sink;
    this.#reader = new PacketReader(slab, { tcp: options.tcp ?? true, udp: options.udp ?? false });
    this.#flows = Array.from({ length: FLOWS }, () => new OpenFlow());
    this.#at = new Uint32Array(packets);
    this.#length = new Uint32Array(packets);
    this.#next = new Int32Array(packets);
    this.#heads = new Int32Array(packets);
    this.#pieces = { count: 0, offsets: new Uint32Array(packets), lengths: new Uint32Array(packets) };
  }

  /** Packets that `flush` would write. */
  get size(): number {
    return this.#headCount;
  }

  /**
   * Adds an IP packet that lies in the slab. The ten bytes before it are ours to write, and all of it must stay as it is
   * until `flush`.
   */
  add(at: number, length: number): void {
    if (this.#count === this.#at.length) this.flush();
    const reader = this.#reader;
    const kind = reader.read(at, length);
    if (kind === BARRIER) this.#closeAll();
    if (kind === OF_FLOW || kind === JOINABLE) {
      const flow = this.#flows[reader.hash & (FLOWS - 1)]!;
      if (flow.head !== NONE && reader.isOfFlow(flow.at)) {
        if (kind === JOINABLE && this.#join(flow)) return;
        this.#close(flow);
      }
      if (kind === JOINABLE && !reader.pushes) {
        this.#close(flow);
        this.#open(flow);
      }
    }
    this.#heads[this.#headCount++] = this.#addPiece(at - VIRTIO_HEADER_BYTES, VIRTIO_HEADER_BYTES + length);
    writePlainVirtioHeader(this.#slab, at - VIRTIO_HEADER_BYTES);
  }

  /** Writes everything to the sink and begins a new batch. */
  flush(): void {
    if (this.#count === 0) return;
    this.#closeAll();
    const pieces = this.#pieces;
    for (let index = 0; index < this.#headCount; index++) {
      pieces.count = 0;
      for (let piece = this.#heads[index]!; piece !== NONE; piece = this.#next[piece]!) {
        pieces.offsets[pieces.count] = this.#at[piece]!;
        pieces.lengths[pieces.count++] = this.#length[piece]!;
      }
      this.#sink.write(pieces);
    }
    this.#count = this.#headCount = 0;
  }

  #addPiece(at: number, length: number): number {
    const piece = this.#count++;
    this.#at[piece] = at;
    this.#length[piece] = length;
    this.#next[piece] = NONE;
    return piece;
  }

  /** The packet just read becomes the first of its flow; its piece is the next one to be added. */
  #open(flow: OpenFlow): void {
    const reader = this.#reader;
    const { view } = this.#slab;
    flow.head = flow.last = this.#count;
    flow.at = reader.at;
    flow.protocol = reader.protocol;
    flow.ipBytes = reader.ipBytes;
    flow.headerBytes = reader.headerBytes;
    flow.segmentBytes = reader.payloadBytes;
    flow.segments = 1;
    flow.length = reader.length;
    flow.intact = false;
    if (!reader.isV6) flow.nextId = (view.getUint16(reader.at + IPV4_ID) + 1) & 0xffff;
    if (reader.protocol === TCP) flow.nextSequence = this.#sequence() + reader.payloadBytes | 0;
  }

  #sequence(): number {
    return this.#slab.view.getInt32(this.#reader.at + this.#reader.ipBytes + TCP_SEQUENCE);
  }

  /** Joins the packet just read, if it is what comes next. */
  #join(flow: OpenFlow): boolean {
    const reader = this.#reader;
    const { bytes } = this.#slab;
    if (!this.#continues(flow) || !this.#areIntact(flow)) return false;
    const piece = this.#addPiece(reader.at + reader.headerBytes, reader.payloadBytes);
    this.#next[flow.last] = piece;
    flow.last = piece;
    flow.length += reader.payloadBytes;
    flow.segments++;
    flow.nextId = (flow.nextId + 1) & 0xffff;
    flow.nextSequence = flow.nextSequence + reader.payloadBytes | 0;
    if (reader.pushes) bytes[flow.at + flow.ipBytes + TCP_FLAGS]! |= TCP_PSH;
    if (reader.pushes || reader.payloadBytes < flow.segmentBytes) this.#close(flow);
    return true;
  }

  #continues(flow: OpenFlow): boolean {
    const reader = this.#reader;
    const { view } = this.#slab;
    return reader.headerBytes === flow.headerBytes && reader.payloadBytes <= flow.segmentBytes &&
      flow.length + reader.payloadBytes <= MAX_IP_BYTES &&
      (flow.protocol === TCP ? this.#sequence() === flow.nextSequence : flow.segments < MAX_UDP_SEGMENTS) &&
      reader.hasHeadersOf(flow.at) && (!reader.idMatters || view.getUint16(reader.at + IPV4_ID) === flow.nextId);
  }

  #areIntact(flow: OpenFlow): boolean {
    const { at, length, ipBytes, protocol } = this.#reader;
    flow.intact ||= isIntact(this.#slab, flow.at, flow.headerBytes + flow.segmentBytes, ipBytes, protocol);
    return flow.intact && isIntact(this.#slab, at, length, ipBytes, protocol);
  }

  #closeAll(): void {
    for (const flow of this.#flows) this.#close(flow);
  }

  /** Nothing more joins: the headers are made to cover what did. */
  #close(flow: OpenFlow): void {
    if (flow.head !== NONE && flow.segments > 1) this.#writeHeaders(flow);
    flow.head = NONE;
  }

  #writeHeaders(flow: OpenFlow): void {
    const slab = this.#slab;
    const { view } = slab;
    const isV6 = flow.ipBytes === IPV6_BYTES;
    const transport = flow.at + flow.ipBytes;
    const transportLength = flow.length - flow.ipBytes;
    const isTcp = flow.protocol === TCP;
    if (isV6) {
      view.setUint16(flow.at + IPV6_PAYLOAD_LENGTH, transportLength);
    } else {
      view.setUint16(flow.at + IPV4_TOTAL_LENGTH, flow.length);
      view.setUint16(flow.at + IPV4_CHECKSUM, 0);
      view.setUint16(flow.at + IPV4_CHECKSUM, complement(ipv4HeaderSum(slab, flow.at)), true);
    }
    if (!isTcp) view.setUint16(transport + UDP_LENGTH, transportLength);
    // The kernel adds the rest, or believes that it would come out right.
    const addresses = isV6 ? slab.sum(flow.at + IPV6_ADDRESSES, 32) : slab.sum(flow.at + IPV4_ADDRESSES, 8);
    const checksumField = isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    view.setUint16(transport + checksumField, fold(addresses + swap16(flow.protocol) + swap16(transportLength)), true);
    const segmentation = isTcp ? (isV6 ? SEGMENT_TCP6 : SEGMENT_TCP4) : SEGMENT_UDP;
    writeVirtioHeader(slab, flow.at - VIRTIO_HEADER_BYTES, {
      segmentation,
      headerBytes: flow.headerBytes,
      segmentBytes: flow.segmentBytes,
      checksumStart: flow.ipBytes,
      checksumOffset: checksumField,
    });
  }
}
