/**
 * Packet carriers joined by a network in memory that loses, delays, reorders and duplicates packets as told, by chance
 * from a seed and at a rate, so that a run repeats itself. Under a FakeClock nothing happens but by `advance`; packets that
 * are due at once go in a microtask, as one turn.
 *
 *   const network = new PacketNetwork({ clock, random, lossShare: 0.01, delayMs: 25 });
 *   const near = network.carrier("10.0.0.1", 1000), far = network.carrier("10.0.0.2", 2000);
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { CarrierCounters, CarrierHandlers, PacketCarrier, PacketPlace } from "../protocol/packet_carrier.ts";
import type { Random } from "../protocol/random.ts";
import { Slab } from "../protocol/slab.ts";

const SLAB_BYTES = 64 * 1024;
const MAX_PAYLOAD_BYTES = 1472;

/** What happens to packets. May be changed at any time. */
export interface PacketFate {
  /** 0 to 1. */
  lossShare: number;
  duplicateShare: number;
  /** Of every packet, and by how much more at most, by chance: more than their distance reorders them. */
  delayMs: number;
  jitterMs: number;
  /** Of the wire of each carrier; Infinity: none is waited for. */
  bytesPerMs: number;
  /** What may wait for that wire. */
  queueBytes: number;
  /** Decides for single packets, before chance does; true: it is lost. */
  drops?: (packet: Uint8Array, from: PacketPlace, to: PacketPlace) => boolean;
}

export interface PacketNetworkOptions extends Partial<PacketFate> {
  readonly clock: Clock;
  readonly random: Random;
}

interface Flight {
  readonly packet: Uint8Array;
  readonly from: PacketPlace;
}

export class PacketNetwork implements Disposable {
  readonly fate: PacketFate;
  readonly clock: Clock;
  readonly #random: Random;
  readonly #carriers = new Map<string, MemoryCarrier>();
  readonly #flying = new Set<Timer>();

  constructor(options: PacketNetworkOptions) {
    const { clock, random, ...fate } = options;
    this.clock = clock;
    this.#random = random;
    this.fate = {
      lossShare: 0,
      duplicateShare: 0,
      delayMs: 0,
      jitterMs: 0,
      bytesPerMs: Infinity,
      queueBytes: 256 * 1024,
      ...fate,
    };
  }

  /** A carrier at that address. Throws when there is one already. */
  carrier(host: string, port: number): MemoryCarrier {
    const carrier = new MemoryCarrier(this, placeOf(host, port));
    this.attach(carrier);
    return carrier;
  }

  attach(carrier: MemoryCarrier): void {
    const { key } = carrier.at;
    if (this.#carriers.has(key)) throw new CulvertError("in_use", `Cannot open a carrier: ${key} is in use`);
    this.#carriers.set(key, carrier);
  }

  detach(place: PacketPlace): void {
    this.#carriers.delete(place.key);
  }

  /** Sends a packet on its way; false: it was lost at once. */
  carry(packet: Uint8Array, from: PacketPlace, to: PacketPlace, waitMs: number): boolean {
    const { fate } = this;
    if (fate.drops?.(packet, from, to) || this.#random.next() < fate.lossShare) return false;
    const copies = this.#random.next() < fate.duplicateShare ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const delayMs = waitMs + fate.delayMs + fate.jitterMs * this.#random.next();
      const land = () => this.#carriers.get(to.key)?.land({ packet, from });
      if (delayMs > 0) this.#land(delayMs, land);
      else land();
    }
    return true;
  }

  /** What is on its way is lost. */
  [Symbol.dispose](): void {
    for (const timer of this.#flying) timer.cancel();
    this.#flying.clear();
  }

  #land(delayMs: number, land: () => void): void {
    const timer = this.clock.after(delayMs, () => {
      this.#flying.delete(timer);
      land();
    });
    this.#flying.add(timer);
  }
}

export class MemoryCarrier implements PacketCarrier {
  readonly maxPayloadBytes = MAX_PAYLOAD_BYTES;
  readonly slab = new Slab(SLAB_BYTES);
  readonly counters: { -readonly [name in keyof CarrierCounters]: number } = {
    sentPackets: 0,
    receivedPackets: 0,
    lostPackets: 0,
  };
  readonly #network: PacketNetwork;
  readonly #inbox = new Slab(SLAB_BYTES);
  readonly #landed: Flight[] = [];
  #at: PacketPlace;
  #handlers: CarrierHandlers | undefined;
  #isTurnDue = false;
  #filled = 0;
  #waiting: { readonly start: number; readonly end: number; readonly to: PacketPlace }[] = [];
  /** When the wire will have sent what it was given. */
  #wireFreeMs = 0;
  #closed = false;

  constructor(network: PacketNetwork, at: PacketPlace) {
    this.#network = network;
    this.#at = at;
  }

  /** Where it is. */
  get at(): PacketPlace {
    return this.#at;
  }

  get localPorts(): readonly number[] {
    return [this.#at.port];
  }

  /** It is elsewhere from now on, as after a change of its NAT's mind. */
  move(host: string, port: number): void {
    this.#network.detach(this.#at);
    this.#at = placeOf(host, port);
    this.#network.attach(this);
  }

  start(handlers: CarrierHandlers): void {
    this.#handlers = handlers;
    if (this.#landed.length > 0) this.#owesTurn();
  }

  place(host: string, port: number): PacketPlace {
    return placeOf(host, port);
  }

  reserve(bytes: number): number {
    if (this.#filled + bytes > this.slab.size) this.flush();
    return this.#filled;
  }

  commit(length: number, to: PacketPlace): void {
    const start = this.#filled;
    this.#waiting.push({ start, end: start + length, to });
    this.#filled = (start + length + 3) & ~3;
  }

  flush(): void {
    for (const { start, end, to } of this.#waiting) this.#send(this.slab.bytes.slice(start, end), to);
    this.#waiting = [];
    this.#filled = 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.detach(this.#at);
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** A packet has come. */
  land(flight: Flight): void {
    if (this.#closed) return;
    this.#landed.push(flight);
    this.#owesTurn();
  }

  #send(packet: Uint8Array, to: PacketPlace): void {
    if (this.#closed) return;
    const { fate, clock } = this.#network;
    const nowMs = clock.now();
    const queueMs = Math.max(0, this.#wireFreeMs - nowMs);
    const isLost = packet.length > MAX_PAYLOAD_BYTES || queueMs * fate.bytesPerMs > fate.queueBytes;
    if (isLost) return void this.counters.lostPackets++;
    this.counters.sentPackets++;
    const waitMs = fate.bytesPerMs === Infinity ? 0 : queueMs + packet.length / fate.bytesPerMs;
    this.#wireFreeMs = nowMs + waitMs;
    this.#network.carry(packet, this.#at, to, waitMs);
  }

  #owesTurn(): void {
    if (this.#isTurnDue || !this.#handlers) return;
    this.#isTurnDue = true;
    if (this.#network.fate.delayMs > 0) this.#takeTurn();
    else queueMicrotask(() => this.#takeTurn());
  }

  #takeTurn(): void {
    this.#isTurnDue = false;
    for (const { packet, from } of this.#landed.splice(0)) {
      this.counters.receivedPackets++;
      this.#inbox.bytes.set(packet);
      this.#handlers?.onPacket(this.#inbox, 0, packet.length, from);
    }
    this.#handlers?.onTurn();
  }
}

function placeOf(host: string, port: number): PacketPlace {
  return { host, port, key: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}` };
}
