/**
 * A packet carrier: datagrams between one local port and many places, in batches. UDP is one, packets that look like TCP
 * are another, and memory is one for tests; what is spoken over it neither knows nor cares.
 *
 *   at = carrier.reserve(bytes); … write slab[at, at + length) …; carrier.commit(length, place);      flush() sends them
 *   onPacket(slab, start, end, from) for each that has come, then onTurn() once
 *
 * All of it is synchronous and copies nothing: senders write where the carrier sends from (headers of its own go before
 * `at`), receivers read and may change the bytes where they lie, until the call returns. Datagrams are lost when there is no
 * room, as anywhere on their way; it is counted, never an error.
 */

import type { Slab } from "./slab.ts";

/** Where datagrams come from and go to. Made by the carrier; places of the same address have the same `key`. */
export interface PacketPlace {
  /** An IP address as text, without brackets. */
  readonly host: string;
  readonly port: number;
  /** One for each host and port (on a carrier with several local ports, for each of those as well). For maps. */
  readonly key: string;
}

export interface CarrierHandlers {
  /** The bytes are the receiver's until it returns. Must not throw. */
  onPacket(slab: Slab, start: number, end: number, from: PacketPlace): void;
  /** What waited has been given, or a part of it that others should not wait for: time to answer. */
  onTurn(): void;
  /** It has ended, by a fault or by `close`. Called once, last of all. */
  onClose(error?: unknown): void;
}

export interface CarrierCounters {
  readonly sentPackets: number;
  readonly receivedPackets: number;
  /** Not sent: no room, no route, too long, a filter. */
  readonly lostPackets: number;
}

export interface PacketCarrier extends AsyncDisposable {
  /** The longest datagram that fits a path of 1,500 bytes. */
  readonly maxPayloadBytes: number;
  /** The local ports; several when it receives on a span of them. */
  readonly localPorts: readonly number[];
  readonly counters: CarrierCounters;
  /** Where datagrams are written. */
  readonly slab: Slab;
  /** Begins to receive. */
  start(handlers: CarrierHandlers): void;
  /** The place of an IP address and a port. */
  place(host: string, port: number): PacketPlace;
  /** Where in `slab` a datagram of at most `bytes` may be written. Flushes what is there when it has to make room. */
  reserve(bytes: number): number;
  /** The datagram that `reserve` gave room for is `length` bytes long and goes there. Datagrams of one length and place go best. */
  commit(length: number, to: PacketPlace): void;
  /** Sends what was committed. */
  flush(): void;
  /** Ends it; `onClose` follows. */
  close(): void;
}
