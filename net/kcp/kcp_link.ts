/**
 * A Link over datagrams: KCP between a mux and a packet carrier, sealed, with or without forward error correction.
 *
 *   mux ─ fill/onBytes ─ Kcp ─ [FEC] ─ PacketSeal ─ PacketCarrier
 *
 *   [seal head][FEC head][segments …][seal tail]
 *
 * Whoever owns the carrier gives each datagram of this link to `receive` and calls `turn` once they have all been given;
 * all that is to be sent is sent then, in one flush. What the program writes between turns goes in a flush of its own, a
 * microtask later. One timer serves all else, in whole milliseconds.
 *
 * KCP knows no end: a link that has sent in vain for long ends with an error, and where both ends are ours an end is told.
 * Silence as such is the mux's to notice.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { Kcp } from "../../protocol/kcp/kcp.ts";
import type { KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { Link, LinkHandlers } from "../link.ts";

/** Forward error correction as KcpLink uses it; `protocol/packet_layer/fec.ts` is one. */
export interface PacketFec {
  /** Before the segments of each datagram. */
  readonly headBytes: number;
  /** Writes the head at `start` of a datagram that ends at `end`; gives how many parity datagrams are due then. */
  protect(slab: Slab, start: number, end: number, nowMs: number): number;
  /** Writes a parity datagram, head first, at `at`; gives its length. */
  parity(index: number, slab: Slab, at: number): number;
  /** The most bytes of a parity datagram. */
  readonly maxParityBytes: number;
  /** Takes a datagram from its head on, and gives the segments that are in it, or that it makes up for. */
  receive(
    slab: Slab,
    start: number,
    end: number,
    onSegments: (slab: Slab, start: number, end: number, isRecovered: boolean) => void,
  ): void;
}

export interface KcpLinkOptions {
  readonly carrier: PacketCarrier;
  readonly place: PacketPlace;
  readonly seal: PacketSeal;
  readonly kcp: KcpOptions;
  readonly clock: Clock;
  readonly fec?: PacketFec | undefined;
  /** Having sent a segment in vain twenty times and heard nothing for so long ends the link. Default 10 s. */
  readonly silenceMs?: number;
  /** The link has ended, or is closed: nothing more should be given to it. */
  onEnd?(): void;
}

/** Timers that fire a little early fire twice. */
const MIN_TIMER_MS = 1;
/** A timer that is so late was not late alone: what would have told that nothing is lost waits to be read as well. */
const LATE_MS = 4;

export class KcpLink implements Link {
  readonly kcp: Kcp;
  readonly #options: KcpLinkOptions;
  readonly #carrier: PacketCarrier;
  readonly #seal: PacketSeal;
  readonly #fec: PacketFec | undefined;
  readonly #clock: Clock;
  readonly #headBytes: number;
  readonly #reserveBytes: number;
  readonly #segments: (slab: Slab, start: number, end: number, isRecovered: boolean) => void;
  #place: PacketPlace;
  #handlers: LinkHandlers | undefined;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #isWoken = false;
  #isInTurn = false;
  #isOver = false;
  #nowMs: number;

  constructor(options: KcpLinkOptions) {
    const { carrier, place, seal, fec, kcp, clock } = options;
    this.#options = options;
    this.#carrier = carrier;
    this.#place = place;
    this.#seal = seal;
    this.#fec = fec;
    this.#clock = clock;
    this.#nowMs = clock.now();
    this.#headBytes = seal.headBytes + (fec?.headBytes ?? 0);
    this.#reserveBytes = this.#headBytes + Math.max(kcp.mtuBytes, fec?.maxParityBytes ?? 0) + seal.tailBytes;
    this.#segments = (slab, start, end, isRecovered) => {
      if (!this.#isOver) this.kcp.receive(slab, start, end, this.#nowMs, isRecovered);
    };
    this.kcp = new Kcp(kcp, {
      fill: (into) => this.#handlers?.fill(into) ?? 0,
      onBytes: (bytes) => this.#handlers?.onBytes(bytes),
      wantsBytes: () => this.#handlers?.wantsBytes() ?? false,
    }, this.#nowMs);
  }

  /** Where the peer is. What is sent from now on goes there. */
  get place(): PacketPlace {
    return this.#place;
  }

  set place(place: PacketPlace) {
    this.#place = place;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  // As a Link.

  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    if (this.#isOver) return this.#tellEnd(undefined);
    this.kcp.resume();
    this.wake();
  }

  wake(): void {
    this.kcp.wake();
    this.#wakeLater();
  }

  get idle(): boolean {
    return !this.#isWoken && this.kcp.isIdle;
  }

  resume(): void {
    if (this.#isOver) return;
    this.kcp.resume();
    this.#wakeLater();
  }

  close(): void {
    if (this.#isOver) return;
    this.kcp.sayGoodbye();
    this.#send(this.#clock.now());
    this.#end(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // What whoever owns the carrier does.

  /** Takes a datagram of the peer, still sealed; false: it is not genuine. */
  receive(slab: Slab, start: number, end: number): boolean {
    if (!this.#seal.open(slab, start, end)) return false;
    this.receiveOpened(slab, start + this.#seal.headBytes, end - this.#seal.tailBytes);
    return true;
  }

  /** Takes the body of a datagram that was opened already. */
  receiveOpened(slab: Slab, start: number, end: number): void {
    if (this.#isOver) return;
    if (!this.#isInTurn) {
      this.#isInTurn = true;
      this.#nowMs = this.#clock.now();
    }
    if (this.#fec) this.#fec.receive(slab, start, end, this.#segments);
    else this.kcp.receive(slab, start, end, this.#nowMs);
  }

  /** All that has come was given: answers. */
  turn(): void {
    this.#isInTurn = false;
    this.#run();
  }

  /** Ends it at once: nothing can be sent any more, or nobody would answer. */
  fail(error: unknown): void {
    this.#end(error);
  }

  #wakeLater(): void {
    if (this.#isWoken || this.#isInTurn || this.#isOver) return;
    this.#isWoken = true;
    queueMicrotask(() => {
      this.#isWoken = false;
      if (!this.#isInTurn) this.#run();
    });
  }

  #run(): void {
    if (this.#isOver) return;
    const nowMs = this.#clock.now();
    this.kcp.tick(nowMs);
    this.#send(nowMs);
    if (this.#isOver) return;
    if (this.kcp.isEnded) return this.#end(undefined);
    if (this.kcp.isDead && nowMs - this.kcp.heardMs >= (this.#options.silenceMs ?? 10_000)) {
      return this.#end(new CulvertError("link_lost", "Nothing that was sent is answered any more"));
    }
    this.#setTimer(nowMs);
  }

  #send(nowMs: number): void {
    const { slab } = this.#carrier;
    const { mtuBytes } = this.#options.kcp;
    let hasSent = false;
    while (true) {
      const at = this.#carrier.reserve(this.#reserveBytes);
      const bytes = this.kcp.pull(slab, at + this.#headBytes, mtuBytes, nowMs);
      if (bytes === 0) break;
      hasSent = true;
      this.#commit(at, this.#headBytes + bytes, nowMs);
    }
    if (hasSent) this.#carrier.flush();
  }

  #commit(at: number, length: number, nowMs: number): void {
    const { slab } = this.#carrier;
    const seal = this.#seal;
    const fec = this.#fec;
    const parities = fec ? fec.protect(slab, at + seal.headBytes, at + length, nowMs) : 0;
    seal.seal(slab, at, at + length + seal.tailBytes);
    this.#carrier.commit(length + seal.tailBytes, this.#place);
    for (let index = 0; index < parities; index++) {
      const parityAt = this.#carrier.reserve(this.#reserveBytes);
      const bytes = seal.headBytes + fec!.parity(index, slab, parityAt + seal.headBytes) + seal.tailBytes;
      seal.seal(slab, parityAt, parityAt + bytes);
      this.#carrier.commit(bytes, this.#place);
    }
  }

  /** One timer, which is moved only when something is due before it. */
  #setTimer(nowMs: number): void {
    const atMs = this.kcp.nextTickMs;
    if (this.#timer && this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = atMs;
    if (atMs === Infinity) return;
    const delayMs = Math.max(MIN_TIMER_MS, Math.ceil(atMs - nowMs));
    this.#timer = this.#clock.after(delayMs, () => this.#onTimer(nowMs + delayMs));
  }

  #onTimer(wantedAtMs: number): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    const nowMs = this.#clock.now();
    const isLate = nowMs - wantedAtMs > LATE_MS && this.kcp.timeoutAtMs <= nowMs;
    if (!isLate) return this.#run();
    this.#timerAtMs = nowMs;
    this.#timer = this.#clock.after(MIN_TIMER_MS, () => this.#onTimer(this.#clock.now()));
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.kcp.sayGoodbye();
    this.#options.onEnd?.();
    if (this.#handlers) this.#tellEnd(error);
  }

  #tellEnd(error: unknown): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose(error);
  }
}
