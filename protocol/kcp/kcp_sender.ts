/**
 * The sending half of a KCP session: fills segments while there is room for them, sends what is due, and learns from what
 * is acknowledged which have come, which are lost and how far away the peer is.
 *
 *   fill → SendRing → write()        receiveUna, receiveAck → gone from the ring, or queued to be sent again
 *
 * A segment is sent again when `fastResend` later ones have come (fast), when any has and there is nothing new to send
 * (early), or when its time is up; as kcp-go decides it, but without looking at the whole window each time.
 */

import type { Slab } from "../slab.ts";
import type { Congestion } from "./congestion.ts";
import type { KcpCounters } from "./kcp_counters.ts";
import type { KcpEvents, KcpOptions } from "./kcp_options.ts";
import { KcpWindow } from "./kcp_window.ts";
import { RoundTrip } from "./round_trip.ts";
import { KCP_HEADER_BYTES, KcpCommand, type SegmentHead, writeSegmentHead } from "./segment.ts";
import { type SegmentBlocks, slotsFor } from "./segment_blocks.ts";
import { NO_SLOT, NOT_COUNTED, SendRing } from "./send_ring.ts";
import { SnQueue } from "./sn_queue.ts";

/** The peer's window before it has said anything. */
const FIRST_PEER_WINDOW = 32;
/** A segment sent so often means that nobody is there. */
const DEAD_LINK = 20;

export class KcpSender {
  readonly roundTrip: RoundTrip;
  peerWindow = FIRST_PEER_WINDOW;
  /** A segment has been sent so often that nobody can be there, and nothing was had since. */
  isDead = false;
  inFlightBytes = 0;
  readonly #options: KcpOptions;
  readonly #events: KcpEvents;
  readonly #counters: KcpCounters;
  readonly #ring: SendRing;
  readonly #congestion: Congestion | undefined;
  readonly #window: KcpWindow | undefined;
  readonly #resend = new SnQueue();
  readonly #startedMs: number;
  /** The last `fill` gave nothing. */
  #isDry = false;
  /** The congestion scheme has no room at present. */
  #isHeld = false;
  /** None in flight is due before. */
  #dueMs = Infinity;
  /** In flight, passed by later ones, and not yet sent again for it; and whether one was passed often enough. */
  #suspects = 0;
  #isSurePassed = false;
  /** Where the window ends in this flush. */
  #limit = 0;
  #flushWindow = 0;
  #resentInFlush = 0;
  #timedOutInFlush = 0;
  /** Of the datagram being received. */
  #unaMoved = false;
  #acksHeard = false;

  constructor(options: KcpOptions, events: KcpEvents, counters: KcpCounters, blocks: SegmentBlocks, nowMs: number) {
    this.#options = options;
    this.#events = events;
    this.#counters = counters;
    this.#startedMs = nowMs;
    this.roundTrip = new RoundTrip({ ...options, isPaced: typeof options.congestion === "object" });
    const { congestion, sendWindow, mtuBytes } = options;
    this.#window = congestion === "kcp" ? new KcpWindow(mtuBytes - KCP_HEADER_BYTES) : undefined;
    this.#congestion = typeof congestion === "string" ? undefined : congestion;
    const onMoved = this.#congestion?.onMoved?.bind(this.#congestion);
    // A scheme that does not follow segments from slot to slot gets a ring that never grows.
    const slots = this.#congestion && !onMoved ? slotsFor(sendWindow + 16) : undefined;
    this.#ring = new SendRing(blocks, slots, onMoved);
  }

  /** All that was filled has come. */
  get isIdle(): boolean {
    return this.#ring.isEmpty;
  }

  /** Segments sent and not known to have come. */
  get inFlight(): number {
    return (this.#ring.next - this.#ring.una) | 0;
  }

  /** None in flight counts as lost before. */
  get timeoutAtMs(): number {
    return this.#dueMs;
  }

  /** Something may be there to fill. */
  wake(): void {
    this.#isDry = false;
  }

  get isDry(): boolean {
    return this.#isDry;
  }

  /** When there is something to do next, `intervalAtMs` being when what is put off is looked at. */
  nextMs(intervalAtMs: number): number {
    if (this.#isHeld) return Math.min(this.#dueMs, this.#congestion!.roomAtMs);
    const putOff = this.#suspects > 0 || !this.#isDry && this.#roomSegments() > 0;
    return putOff ? Math.min(this.#dueMs, intervalAtMs) : this.#dueMs;
  }

  // Receiving.

  /** All before `una` have come; false when that cannot be. */
  receiveUna(una: number, nowMs: number): boolean {
    const ring = this.#ring;
    let passed = (una - ring.una) | 0;
    if (passed <= 0) return true;
    if (((ring.next - una) | 0) < 0) return false;
    ring.touch(nowMs);
    for (; passed > 0; passed--) {
      const slot = ring.una & (ring.slots - 1);
      if (ring.acked[slot] === 0) this.#arrived(slot, this.#sinceSent(slot, nowMs), nowMs);
      ring.advance();
    }
    this.#unaMoved = true;
    this.isDead = false;
    return true;
  }

  receiveAck(sn: number, timeMs: number, nowMs: number): void {
    const ring = this.#ring;
    if (((sn - ring.una) | 0) < 0 || ((sn - ring.next) | 0) >= 0) return;
    const slot = ring.slotOf(sn);
    // Said twice it tells nothing new; to count it would let a peer make us look through the window for nothing.
    if (ring.acked[slot] !== 0) return;
    const isOfLast = ring.timesMs[slot] === timeMs;
    const rttMs = isOfLast ? nowMs - ring.sentMs[slot]! : this.#saneRtt(timeMs, nowMs);
    this.#arrived(slot, rttMs < 0 ? this.#usualRttMs : rttMs, nowMs);
    this.#pass(sn, timeMs);
  }

  /** The newest ACK of a datagram answers what was sent then. */
  measure(timeMs: number, nowMs: number): void {
    const rttMs = this.#saneRtt(timeMs, nowMs);
    if (rttMs >= 0) this.roundTrip.add(rttMs);
  }

  /** A datagram has been read; true: what is due should be sent now. */
  endReceive(nowMs: number): boolean {
    if (this.#unaMoved) {
      this.#window?.grow(this.peerWindow);
      if (this.#ring.isEmpty) this.#ring.shrink(nowMs);
    }
    let isDue = this.#unaMoved || this.#isSurePassed;
    if (this.#acksHeard || this.#unaMoved) {
      const isAppLimited = this.#isDry && this.#ring.next === this.#ring.end && this.#resend.length === 0;
      this.#congestion?.onTurn(this.inFlightBytes, isAppLimited, nowMs);
      isDue ||= this.#isRoomMade(nowMs);
    }
    this.#unaMoved = this.#acksHeard = false;
    return isDue;
  }

  /** The congestion scheme waited for an ACK, and it has come, though `una` may stand before a gap. */
  #isRoomMade(nowMs: number): boolean {
    if (!this.#isHeld || this.#congestion!.roomAtMs !== Infinity) return false;
    return this.#congestion!.roomBytes(this.inFlightBytes, nowMs) > 0;
  }

  /** Milliseconds since a time of ours that a peer gives back, or -1: we never said that. */
  #saneRtt(timeMs: number, nowMs: number): number {
    const rttMs = ((nowMs | 0) - timeMs) | 0;
    return rttMs >= 0 && rttMs <= nowMs - this.#startedMs + 1 ? rttMs : -1;
  }

  #sinceSent(slot: number, nowMs: number): number {
    return this.#ring.sendings[slot] === 1 ? nowMs - this.#ring.sentMs[slot]! : this.#usualRttMs;
  }

  /** What stands for a round trip that cannot be told: on a long way the first are all sent twice before any is measured. */
  get #usualRttMs(): number {
    return this.roundTrip.srttMs || Infinity;
  }

  #arrived(slot: number, rttMs: number, nowMs: number): void {
    const ring = this.#ring;
    const passed = ring.passed[slot]!;
    if (passed > 0 && passed !== NOT_COUNTED) this.#suspects--;
    const bytes = KCP_HEADER_BYTES + ring.lengths[slot]!;
    if (ring.queued[slot] === 0) this.inFlightBytes -= bytes;
    ring.ack(slot);
    this.#acksHeard = true;
    this.#congestion?.onAcked(slot, bytes, rttMs, nowMs);
  }

  /** Those before `sn` that were sent no later were passed by it. */
  #pass(sn: number, timeMs: number): void {
    const { sns, passed, timesMs, following, head } = this.#ring;
    const enough = this.#options.fastResend;
    for (let slot = head; slot !== NO_SLOT && ((sns[slot]! - sn) | 0) < 0; slot = following[slot]!) {
      const count = passed[slot]!;
      if (count >= NOT_COUNTED - 1 || ((timeMs - timesMs[slot]!) | 0) < 0) continue;
      if (count === 0) this.#suspects++;
      passed[slot] = count + 1;
      if (count + 1 >= enough) this.#isSurePassed = true;
    }
  }

  /** Whether `una` tells something that was not known. */
  isNews(una: number): boolean {
    return ((una - this.#ring.una) | 0) > 0 && ((this.#ring.next - una) | 0) >= 0;
  }

  // Sending.

  /** A flush begins that sends data. */
  beginFlush(nowMs: number): void {
    this.#flushWindow = Math.min(this.#options.sendWindow, this.peerWindow);
    if (this.#window) this.#flushWindow = Math.min(this.#flushWindow, this.#window.segments);
    this.#limit = (this.#ring.una + this.#flushWindow) | 0;
    this.#isHeld = false;
    const hasNew = this.#ring.next !== this.#ring.end || this.#fill(nowMs);
    if (this.#suspects > 0 && (this.#isSurePassed || !hasNew)) this.#queuePassed(hasNew, nowMs);
    this.#isSurePassed = false;
    if (nowMs >= this.#dueMs) this.#queueTimedOut(nowMs);
  }

  /** Writes segments from `at` on, as many as fit before `end`; gives where they end. */
  write(slab: Slab, at: number, end: number, head: SegmentHead, nowMs: number): number {
    const ring = this.#ring;
    let to = at;
    while (this.#resend.length > 0) {
      const sn = this.#resend.first;
      const slot = ring.slotOf(sn);
      const isWanted = ((sn - ring.una) | 0) >= 0 && ring.queued[slot] === 1 && ring.acked[slot] === 0;
      if (isWanted && !this.#hasRoom(slot, to, end, nowMs)) return to;
      this.#resend.shift();
      if (isWanted) to = this.#send(slab, to, slot, head, nowMs);
    }
    while (ring.next !== ring.end || this.#fill(nowMs)) {
      const slot = ring.slotOf(ring.next);
      if (!this.#hasRoom(slot, to, end, nowMs)) return to;
      ring.takeNext();
      ring.rtosMs[slot] = this.roundTrip.rtoMs;
      to = this.#send(slab, to, slot, head, nowMs);
    }
    return to;
  }

  /** The flush has ended; true: there is more, and only the congestion scheme holds it back. */
  endFlush(): boolean {
    if (this.#window) {
      if (this.#resentInFlush > 0) this.#window.resent(this.inFlight, this.#options.fastResend);
      if (this.#timedOutInFlush > 0) this.#window.timedOut(this.#flushWindow);
    }
    this.#resentInFlush = this.#timedOutInFlush = 0;
    return this.#isHeld;
  }

  clear(): void {
    this.#ring.clear();
    this.#resend.clear();
    this.#dueMs = Infinity;
    this.#isDry = true;
    this.#isHeld = false;
    this.#suspects = this.inFlightBytes = 0;
  }

  #roomSegments(): number {
    const window = Math.min(this.#options.sendWindow, this.peerWindow, this.#window?.segments ?? Infinity);
    return (this.#ring.una + window - this.#ring.end) | 0;
  }

  /** Has segments filled that may go now; false: none. */
  #fill(nowMs: number): boolean {
    let most = (this.#limit - this.#ring.end) | 0;
    if (this.#isDry || most <= 0) return false;
    if (this.#congestion) {
      const roomBytes = this.#congestion.roomBytes(this.inFlightBytes, nowMs);
      if (roomBytes <= 0) return !(this.#isHeld = true);
      most = Math.min(most, Math.ceil(roomBytes / this.#options.mtuBytes));
    }
    this.#isDry = true; // unless something comes, or wakes us meanwhile
    const bytes = this.#events.fill(this.#ring.room(most));
    this.#ring.filled(bytes);
    if (bytes > 0) this.#isDry = false;
    return bytes > 0;
  }

  #hasRoom(slot: number, at: number, end: number, nowMs: number): boolean {
    if (at + KCP_HEADER_BYTES + this.#ring.lengths[slot]! > end) return false;
    if (!this.#congestion || this.#congestion.roomBytes(this.inFlightBytes, nowMs) > 0) return true;
    this.#isHeld = true;
    return false;
  }

  #send(slab: Slab, at: number, slot: number, head: SegmentHead, nowMs: number): number {
    const ring = this.#ring;
    const length = ring.lengths[slot]!;
    const timeMs = nowMs | 0;
    ring.queued[slot] = 0;
    ring.timesMs[slot] = timeMs;
    ring.sentMs[slot] = nowMs;
    const dueMs = nowMs + ring.rtosMs[slot]!;
    ring.dueMs[slot] = dueMs;
    if (dueMs < this.#dueMs) this.#dueMs = dueMs;
    if (++ring.sendings[slot]! >= DEAD_LINK) this.isDead = true;
    this.#counters.sent++;
    this.#congestion?.onSent(slot, KCP_HEADER_BYTES + length, this.inFlightBytes, nowMs);
    this.inFlightBytes += KCP_HEADER_BYTES + length;
    const to = writeSegmentHead(slab, at, head, KcpCommand.PUSH, timeMs, ring.sns[slot]!, length);
    slab.bytes.set(ring.bytesOf(slot), to);
    return to + length;
  }

  #queuePassed(hasNew: boolean, nowMs: number): void {
    const { passed, following, head } = this.#ring;
    const enough = this.#options.fastResend || Infinity;
    let left = this.#suspects;
    for (let slot = head; slot !== NO_SLOT && left > 0; slot = following[slot]!) {
      const count = passed[slot]!;
      if (count === 0 || count === NOT_COUNTED) continue;
      left--;
      if (count < enough && hasNew) continue;
      this.#suspects--;
      passed[slot] = NOT_COUNTED;
      this.#ring.rtosMs[slot] = this.roundTrip.rtoMs;
      this.#resentInFlush++;
      if (count >= enough) this.#counters.fastResent++;
      else this.#counters.earlyResent++;
      this.#queue(slot, nowMs);
    }
  }

  /** Looks through all in flight, which is seldom: once for each time that the earliest was due. */
  #queueTimedOut(nowMs: number): void {
    const { dueMs, rtosMs, passed, queued, following, head } = this.#ring;
    const growMs = this.#options.noDelay ? this.roundTrip.rtoMs >> 1 : this.roundTrip.rtoMs;
    let earliestMs = Infinity;
    let lost = 0;
    for (let slot = head; slot !== NO_SLOT; slot = following[slot]!) {
      if (queued[slot] === 1) continue;
      if (dueMs[slot]! > nowMs) {
        if (dueMs[slot]! < earliestMs) earliestMs = dueMs[slot]!;
        continue;
      }
      if (passed[slot]! > 0 && passed[slot] !== NOT_COUNTED) this.#suspects--;
      passed[slot] = 0;
      rtosMs[slot]! += growMs;
      lost++;
      this.#queue(slot, nowMs);
    }
    this.#dueMs = earliestMs;
    if (lost === 0) return;
    this.#counters.timedOut += lost;
    this.#timedOutInFlush += lost;
    this.#congestion?.onTimeout(nowMs);
  }

  #queue(slot: number, nowMs: number): void {
    const ring = this.#ring;
    if (ring.queued[slot] === 1) return;
    const bytes = KCP_HEADER_BYTES + ring.lengths[slot]!;
    ring.queued[slot] = 1;
    this.inFlightBytes -= bytes;
    this.#resend.push(ring.sns[slot]!);
    this.#congestion?.onLost(slot, bytes, nowMs);
  }
}
