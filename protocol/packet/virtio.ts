/**
 * The header that a TUN device with IFF_VNET_HDR puts before every packet and wants before every packet: `struct
 * virtio_net_hdr` (Virtio 1.2 §5.1.6), in the machine's byte order, which is little endian here.
 *
 *   0 flags u8   1 segmentation u8   2 header bytes u16   4 segment bytes u16   6 checksum start u16   8 checksum offset u16
 *
 * With NEEDS_CHECKSUM the field at start + offset holds the sum of the pseudo header, and the rest from `start` on is still
 * to be added. "Header bytes" is a hint that is wrong for forwarded packets: nothing here reads it.
 */

import type { Slab } from "../slab.ts";

export const VIRTIO_HEADER_BYTES = 10;

export const VIRTIO_FLAGS = 0;
export const VIRTIO_SEGMENTATION = 1;
export const VIRTIO_HEADER_LENGTH = 2;
export const VIRTIO_SEGMENT_BYTES = 4;
export const VIRTIO_CHECKSUM_START = 6;
export const VIRTIO_CHECKSUM_OFFSET = 8;

export const NEEDS_CHECKSUM = 1;

export const SEGMENT_NONE = 0;
export const SEGMENT_TCP4 = 1;
export const SEGMENT_TCP6 = 4;
export const SEGMENT_UDP = 5;
/** Set beside TCP4 or TCP6 when the packet carries CWR. */
export const SEGMENT_ECN = 0x80;

/** A packet as it stands: nothing left to do for the kernel. */
export function writePlainVirtioHeader(slab: Slab, at: number): void {
  const { view } = slab;
  view.setUint32(at, 0);
  view.setUint32(at + 4, 0);
  view.setUint16(at + 8, 0);
}

export interface UnfinishedPacket {
  readonly segmentation: number;
  readonly headerBytes: number;
  readonly segmentBytes: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** A packet to be split and summed. */
export function writeVirtioHeader(slab: Slab, at: number, packet: UnfinishedPacket): void {
  const { bytes, view } = slab;
  bytes[at + VIRTIO_FLAGS] = NEEDS_CHECKSUM;
  bytes[at + VIRTIO_SEGMENTATION] = packet.segmentation;
  view.setUint16(at + VIRTIO_HEADER_LENGTH, packet.headerBytes, true);
  view.setUint16(at + VIRTIO_SEGMENT_BYTES, packet.segmentBytes, true);
  view.setUint16(at + VIRTIO_CHECKSUM_START, packet.checksumStart, true);
  view.setUint16(at + VIRTIO_CHECKSUM_OFFSET, packet.checksumOffset, true);
}
