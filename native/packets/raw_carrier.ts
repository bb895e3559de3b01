/**
 * Packets that look like TCP as a packet carrier. Where the look and the way allow it, datagrams of one length to one place
 * go as one long packet that the kernel or the card cuts up; otherwise each has headers of its own.
 *
 *   slab:   | room for headers | datagram | room | datagram …       or       | room | datagram datagram datagram … |
 *
 * Datagrams begin at multiples of four. Which way one will go is known when it is committed: `reserve` guesses that it goes
 * on where the last one ended, and a wrong guess costs a copy.
 */

import type { CarrierGroup } from "../../protocol/carrier_group.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { FlaggedCarrier } from "../../protocol/carrier_options.ts";
import type { CarrierHandlers, PacketPlace } from "../../protocol/packet_carrier.ts";
import { IPV4_BYTES, IPV6_BYTES } from "../../protocol/packet/headers.ts";
import { PacketSlab } from "../../protocol/packet/packet_slab.ts";
import { MAX_HEADER_BYTES, type TcpLook } from "../../protocol/tcp_look/look.ts";
import type { Fd } from "../fd.ts";
import type { Libc } from "../libc.ts";
import type { LingeringGuard } from "../raw_guard/lingering_guard.ts";
import { PacketLoop } from "./packet_loop.ts";
import type { RawOrigins } from "./raw_origins.ts";
import { RawPlace, type RawPlaces } from "./raw_place.ts";
import { type RawReceiveCounters, RawReceiver } from "./raw_receiver.ts";
import { LINK_BYTES, type RawWay } from "./raw_ways.ts";

const SEND_BYTES = 256 * 1024;
/** Before every packet. */
const HEADROOM_BYTES = LINK_BYTES + MAX_HEADER_BYTES;
/** Of a long packet: what IPv4's length can say, less the headers. */
const MAX_LONG_BYTES = 65_000;
const PATH_BYTES = 1500;

export interface RawCarrierParts {
  readonly libc: Libc;
  readonly clock: Clock;
  readonly look: TcpLook;
  readonly way: RawWay;
  readonly places: RawPlaces;
  readonly localPorts: readonly number[];
  /** Opened by `openReceiving`, one for each family. */
  readonly receiving: readonly Fd[];
  readonly isV4Only: boolean;
  /** Of the way, as far as it is known. */
  readonly mtuBytes: number;
  readonly origins: RawOrigins;
  /** With whom it waits. */
  readonly group?: CarrierGroup | undefined;
  /** Of ports that may stay guarded for a while. */
  readonly guard?: LingeringGuard;
  /** Everything it is made of; disposed of at the end. */
  readonly resources: AsyncDisposableStack;
}

export interface RawCarrierCounters extends RawReceiveCounters {
  readonly sentPackets: number;
  readonly lostPackets: number;
}

export class RawCarrier implements FlaggedCarrier {
  readonly slab = new PacketSlab(SEND_BYTES);
  readonly maxPayloadBytes: number;
  readonly localPorts: readonly number[];
  readonly counters: RawCarrierCounters;
  readonly #parts: RawCarrierParts;
  #loop: PacketLoop | undefined;
  #ended: Promise<void> | undefined;
  #isClosed = false;
  /** Where free room begins. */
  #at = 0;
  /** The long packet that is being written: payload [#runAt, #runEnd) in datagrams of #runBytes. */
  #runPlace: RawPlace | undefined;
  #runAt = 0;
  #runEnd = 0;
  #runBytes = 0;
  #unsentPackets = 0;

  constructor(parts: RawCarrierParts) {
    this.#parts = parts;
    this.localPorts = parts.localPorts;
    const ipBytes = parts.isV4Only ? IPV4_BYTES : IPV6_BYTES;
    this.maxPayloadBytes = Math.min(PATH_BYTES, parts.mtuBytes) - ipBytes - parts.look.tcpBytes;
    const { way } = parts, unsent = () => this.#unsentPackets;
    this.counters = {
      receivedPackets: 0,
      truncatedFrames: 0,
      refusedPackets: 0,
      get sentPackets() {
        return way.sentPackets;
      },
      get lostPackets() {
        return way.lostPackets + unsent();
      },
    };
  }

  start(handlers: CarrierHandlers): void {
    if (this.#loop || this.#isClosed) throw new CulvertError("closed", "Cannot start a carrier: it has been already");
    const { libc, look, places, receiving, group } = this.#parts, { counters } = this;
    const receivers = receiving.map(({ number: fd }) =>
      new RawReceiver(libc, { fd, look, places, handlers, counters })
    );
    this.#loop = new PacketLoop(libc, receivers, () => handlers.onTurn(), group);
    this.#ended = this.#run(this.#loop, handlers);
  }

  place(host: string, port: number, localPort: number = this.localPorts[0]!): RawPlace {
    return this.#parts.origins.placeOf(host, port, localPort);
  }

  useFlags(place: PacketPlace, flags: readonly number[]): void {
    this.#own(place).flow.useFlags?.(flags);
  }

  reserve(bytes: number): number {
    const needed = HEADROOM_BYTES + bytes;
    if (this.#at + needed > SEND_BYTES) {
      if (needed > SEND_BYTES) {
        throw new RangeError(`Cannot send a datagram: it must have at most ${SEND_BYTES} bytes, got ${bytes}`);
      }
      this.flush();
    }
    return this.#runPlace ? this.#at : this.#at + HEADROOM_BYTES;
  }

  commit(length: number, to: PacketPlace): void {
    const isGuessed = this.#runPlace !== undefined;
    const at = isGuessed ? this.#at : this.#at + HEADROOM_BYTES;
    if (length === 0 || this.#isClosed) {
      this.#unsentPackets++;
      return;
    }
    if (to === this.#runPlace && length <= this.#runBytes && this.#runEnd + length - this.#runAt <= MAX_LONG_BYTES) {
      this.#goOn(at, length);
      return;
    }
    this.#queueRun();
    const begin = this.#at + HEADROOM_BYTES;
    if (isGuessed) this.slab.bytes.copyWithin(begin, at, at + length);
    this.#begin(begin, length, this.#own(to));
  }

  flush(): void {
    this.#queueRun();
    if (this.#at === 0) return;
    this.#parts.way.flush();
    this.#at = 0;
  }

  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#isClosed = true;
    if (this.#loop) this.#loop.end();
    else this.#ended = this.#parts.resources.disposeAsync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.#parts.guard?.hurry();
    await this.#ended;
  }

  /** The datagram belongs to the long packet. */
  #goOn(at: number, length: number): void {
    if (at !== this.#runEnd) this.slab.bytes.copyWithin(this.#runEnd, at, at + length);
    this.#runEnd += length;
    this.#at = (this.#runEnd + 3) & ~3;
    // Only the last may be shorter.
    if (length < this.#runBytes) this.#queueRun();
  }

  #begin(at: number, length: number, place: RawPlace): void {
    const { look, way } = this.#parts;
    this.#at = (at + length + 3) & ~3;
    if (look.name === "ours" && way.cutsUpTo(place)) {
      this.#runPlace = place;
      this.#runAt = at;
      this.#runEnd = at + length;
      this.#runBytes = length;
    } else {
      this.#queueOne(at, at + length, place);
    }
  }

  #queueOne(at: number, end: number, place: RawPlace): void {
    const { way, clock } = this.#parts;
    way.queue(this.slab, place.flow.wrap(this.slab, at, end, clock.now()), end, place);
  }

  #queueRun(): void {
    const place = this.#runPlace;
    if (!place) return;
    this.#runPlace = undefined;
    const { way, clock } = this.#parts, at = this.#runAt, end = this.#runEnd, segmentBytes = this.#runBytes;
    if (end - at === segmentBytes) {
      this.#queueOne(at, end, place);
      return;
    }
    const start = place.flow.wrapLong!(this.slab, at, end, segmentBytes, clock.now());
    const tcpAt = at - this.#parts.look.tcpBytes, packets = Math.ceil((end - at) / segmentBytes);
    way.queueLong(this.slab, start, end, place, { tcpAt, payloadAt: at, segmentBytes, packets });
  }

  #own(place: PacketPlace): RawPlace {
    return place instanceof RawPlace ? place : this.place(place.host, place.port);
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
    const { guard, way, resources } = this.#parts;
    if (guard) guard.lingers = way.sentPackets > 0;
    const disposed = resources.disposeAsync();
    handlers.onClose(failure?.error);
    await disposed;
  }
}
