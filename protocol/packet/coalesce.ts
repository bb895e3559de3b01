/**
 * From datagrams to TUN: joins the packets of one batch that continue one another, so that the kernel takes one packet of
 * up to 64 KiB instead of 45. What Linux calls generic receive offload, for TCP and, where the kernel takes it, UDP.
 *
 * Nothing is copied. A joined packet is the first packet, its headers made to cover all, and the payloads of the others
 * where they lie: a list of pieces for one `writev`. The virtio header is written into the ten bytes before the packet.
 */

import type { PacketSlab } from "./packet_slab.ts";

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
  /** The most packets in a batch; when one more comes, the batch is flushed. Default 512. */
  readonly packets?: number;
  /** Whether the kernel takes joined UDP (USO, Linux 6.2). Default false. */
  readonly udp?: boolean;
}

export class Coalescer {
  constructor(slab: PacketSlab, options: CoalescerOptions) {}

  /**
   * Adds an IP packet that lies in the slab. The ten bytes before it are ours to write, and all of it must stay as it is
   * until `flush`.
   */
  add(at: number, length: number): void {}

  /** Writes everything to the sink and begins a new batch. */
  flush(): void {}
}
