/**
 * The way out: packets from TUN become sealed datagrams, equal ones of one session side by side so that the kernel takes
 * them as one batch (UDP_SEGMENT):
 *
 *   lane:  │ header packet padding tag │ header packet padding tag │ …      one batch, then the next lane
 *
 * A batch is done when another session's packet comes, a packet that is larger than its first, one behind a smaller one,
 * or when it is full. What is done is queued at the socket; `flush` sends it. The order of packets is kept.
 */

import type { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import { REFUSED, Segmenter, WHOLE } from "../../protocol/packet/segment.ts";
import {
  DEFAULT_MTU,
  PADDING_BYTES,
  TAG_BYTES,
  TRANSPORT_HEADER_BYTES,
} from "../../protocol/wireguard/constants.ts";
import type { Keypair } from "../../protocol/wireguard/keypair.ts";
import type { Machine } from "../../protocol/wireguard/machine.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

/** The kernel takes no more in one batch (UDP_MAX_SEGMENTS, and one IP packet with its headers). */
const MAX_DATAGRAMS = 64;
const MAX_BATCH_BYTES = 65_000;
/** A batch and the room a packet that is just too much needs to be looked at. */
export const LANE_BYTES = 2 * 65_536 + 1024;

export interface BatchSink {
  /** Takes slab[offset, offset+length) as datagrams of `segmentBytes`, the last maybe shorter; they lie still until `flush`. */
  queue(slab: PacketSlab, offset: number, length: number, segmentBytes: number, to: Endpoint): void;
  flush(): void;
}

export interface SendingOptions {
  readonly slab: PacketSlab;
  readonly machine: Machine;
  readonly sink: BatchSink;
  /** Where the lanes lie, one behind the other. */
  readonly lanesAt: number;
  readonly lanes: number;
}

export class Sending {
  /** Packets that no peer is for, and what the segmenter refused. */
  readonly counters = { unroutable: 0, malformed: 0 };
  readonly #options: SendingOptions;
  readonly #segmenter: Segmenter;
  #lane = 0;
  /** The batch under way: its session, its bytes so far, the size of its first datagram. */
  #keypair: Keypair | undefined;
  #at = 0;
  #bytes = 0;
  #datagrams = 0;
  #datagramBytes = 0;
  #isClosed = false;

  constructor(options: SendingOptions) {
    this.#options = options;
    this.#at = options.lanesAt;
    this.#segmenter = new Segmenter(options.slab, {
      lead: TRANSPORT_HEADER_BYTES,
      tail: TAG_BYTES,
      padding: PADDING_BYTES,
      mtu: DEFAULT_MTU,
    });
  }

  set mtu(mtu: number) {
    this.#segmenter.mtu = mtu;
  }

  /** Takes what one read of TUN gave: `length` bytes at `at`, virtio header first. */
  take(at: number, length: number): void {
    const segmenter = this.#segmenter;
    const found = segmenter.begin(at, length);
    if (found === REFUSED) {
      this.counters.malformed++;
      return;
    }
    const { slab, machine } = this.#options;
    const peer = machine.route(slab.bytes, segmenter.packetAt, segmenter.packetLength);
    if (!peer) {
      this.counters.unroutable++;
      return;
    }
    const keypair = machine.sendingKeypair(peer);
    if (keypair !== this.#keypair) this.#finish();
    this.#keypair = keypair;
    if (found === WHOLE) this.#takeWhole(peer, segmenter.packetAt, segmenter.packetLength);
    else this.#takeSegments(peer);
  }
}
