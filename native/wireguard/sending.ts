/**
 * The way out: packets from TUN become sealed datagrams, equal ones of one session side by side so that the kernel takes
 * them as one batch (UDP_SEGMENT):
 *
 *   lane:  │ header packet padding tag │ header packet padding tag │ …      one batch, then the next lane
 *
 * A batch is done when it is full, or when a packet comes that cannot be its next: one of another session, a larger one,
 * any behind a smaller one. Done batches wait at the socket until the lanes are used up or `flush`. The order is kept.
 */

import type { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import { REFUSED, Segmenter, WHOLE } from "../../protocol/packet/segment.ts";
import { DEFAULT_MTU, PADDING_BYTES, TAG_BYTES, TRANSPORT_HEADER_BYTES } from "../../protocol/wireguard/constants.ts";
import type { Keypair } from "../../protocol/wireguard/keypair.ts";
import type { Machine } from "../../protocol/wireguard/machine.ts";
import type { Peer } from "../../protocol/wireguard/peer.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

/** What the kernel takes in one batch: UDP_MAX_SEGMENTS, and one IP packet with its headers. */
const MAX_DATAGRAMS = 64;
const MAX_BATCH_BYTES = 65_000;
/** One packet of any size fits, sealed. */
export const LANE_BYTES = 66_048;

export interface BatchSink {
  /** Takes slab[offset, offset+length) as datagrams of `segmentBytes`, the last maybe shorter; they lie still until `flush`. */
  queue(slab: PacketSlab, offset: number, length: number, segmentBytes: number, to: Endpoint): boolean;
  flush(): boolean;
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
  readonly #slab: PacketSlab;
  readonly #machine: Machine;
  readonly #sink: BatchSink;
  readonly #segmenter: Segmenter;
  readonly #lanesAt: number;
  readonly #lanesEnd: number;

  /** The batch under way: where it lies, whose it is, the size of its first datagram and what there is so far. */
  #at: number;
  #keypair: Keypair | undefined;
  #datagramBytes = 0;
  #datagrams = 0;
  #bytes = 0;
  /** A smaller datagram came: it has to be the last. */
  #isClosed = false;

  constructor(options: SendingOptions) {
    const { slab, machine, sink, lanesAt, lanes } = options;
    this.#slab = slab;
    this.#machine = machine;
    this.#sink = sink;
    this.#at = this.#lanesAt = lanesAt;
    this.#lanesEnd = lanesAt + lanes * LANE_BYTES;
    const layout = { lead: TRANSPORT_HEADER_BYTES, tail: TAG_BYTES, padding: PADDING_BYTES, mtu: DEFAULT_MTU };
    this.#segmenter = new Segmenter(slab, layout);
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
    const peer = this.#machine.route(this.#slab.bytes, segmenter.packetAt, segmenter.packetLength);
    if (!peer) {
      this.counters.unroutable++;
      return;
    }
    const keypair = this.#machine.sendingKeypair(peer);
    if (keypair !== this.#keypair) this.#finish();
    this.#keypair = keypair;
    if (keypair) this.#seal(found === WHOLE, keypair);
    else this.#stage(found === WHOLE, peer);
  }

  /** Sends everything taken so far. */
  flush(): void {
    this.#finish();
    this.#sink.flush();
    this.#at = this.#lanesAt;
  }

  #seal(isWhole: boolean, keypair: Keypair): void {
    const segmenter = this.#segmenter;
    if (isWhole) {
      const length = segmenter.packetLength;
      this.#makeRoomFor(segmenter.datagramBytes(length));
      const packet = this.#at + this.#bytes + TRANSPORT_HEADER_BYTES;
      this.#slab.bytes.copyWithin(packet, segmenter.packetAt, segmenter.packetAt + length);
      this.#add(keypair, length);
      return;
    }
    while (segmenter.remaining > 0) {
      this.#makeRoomFor(segmenter.nextDatagramBytes);
      const from = this.#at + this.#bytes;
      // One that is too large for a batch goes alone, if at all: it is the kernel's to say.
      const room = Math.max(MAX_BATCH_BYTES - this.#bytes, this.#datagrams === 0 ? segmenter.nextDatagramBytes : 0);
      // A smaller one ends the batch, so there is place for one of them only.
      const isSmaller = this.#datagrams > 0 && segmenter.nextDatagramBytes < this.#datagramBytes;
      const count = segmenter.next(from, isSmaller ? 1 : MAX_DATAGRAMS - this.#datagrams, room);
      for (let index = 1; index < count; index++) this.#add(keypair, segmenter.firstLength);
      if (count > 0) this.#add(keypair, segmenter.lastLength);
      else break;
    }
  }

  /** Seals the packet that lies next in the batch. */
  #add(keypair: Keypair, length: number): void {
    const bytes = this.#machine.seal(keypair, this.#slab, this.#at + this.#bytes, length);
    if (bytes === 0) return;
    if (this.#datagrams === 0) this.#datagramBytes = bytes;
    else if (bytes < this.#datagramBytes) this.#isClosed = true;
    this.#datagrams++;
    this.#bytes += bytes;
  }

  /** Begins another batch unless this one takes a datagram of that size next. */
  #makeRoomFor(datagramBytes: number): void {
    if (this.#datagrams === 0) return;
    const fits = !this.#isClosed && datagramBytes <= this.#datagramBytes && this.#datagrams < MAX_DATAGRAMS &&
      this.#bytes + datagramBytes <= MAX_BATCH_BYTES;
    if (!fits) this.#finish();
  }

  /** The batch goes to the socket, and the next one begins in the next lane. */
  #finish(): void {
    const keypair = this.#keypair;
    const endpoint = keypair?.peer.endpoint;
    if (this.#datagrams > 0 && keypair && endpoint) {
      this.#sink.queue(this.#slab, this.#at, this.#bytes, this.#datagramBytes, endpoint);
      this.#machine.sent(keypair, this.#bytes, true);
      this.#at += LANE_BYTES;
      if (this.#at === this.#lanesEnd) {
        this.#sink.flush();
        this.#at = this.#lanesAt;
      }
    }
    this.#datagrams = this.#bytes = 0;
    this.#isClosed = false;
  }

  /** There is no session yet: packets wait for it, as they will be sent. */
  #stage(isWhole: boolean, peer: Peer): void {
    const { bytes } = this.#slab;
    const segmenter = this.#segmenter;
    if (isWhole) return this.#machine.stage(peer, bytes, segmenter.packetAt, segmenter.packetLength);
    // The lane is free: a change of session has finished the batch.
    while (segmenter.next(this.#at, 1, LANE_BYTES) > 0) {
      this.#machine.stage(peer, bytes, this.#at + TRANSPORT_HEADER_BYTES, segmenter.lastLength);
    }
  }
}
