/**
 * KCP: a reliable stream over datagrams, as xtaci's kcp-go speaks it (stream mode; see `segment.ts` for the wire), as a
 * pure machine.
 *
 *   datagram → receive() → onBytes        fill → pull() → datagram, again until it gives 0
 *
 * It has no sockets and no clock. Whoever drives it hands in what came, then pulls what is to be sent once for all of it,
 * and calls `tick` at `nextTickMs`. Nothing is queued: bytes are asked for when there is room for them in the window.
 * Datagrams that no KCP can have sent change nothing; memory is bounded by the windows whatever comes.
 *
 * Against kcp-go: what is put off is sent at the interval after the last flush, not on a beat of its own; nothing looks at
 * the whole window but a timeout; an ACK that comes twice counts once; messages (`frg`) are not told apart, since they are a stream to all who use this.
 */

import type { Slab } from "../slab.ts";
import { AckList } from "./ack_list.ts";
import { KcpCounters } from "./kcp_counters.ts";
import { checkKcpOptions, type KcpEvents, type KcpOptions } from "./kcp_options.ts";
import { KcpSender } from "./kcp_sender.ts";
import { ReceiveRing } from "./receive_ring.ts";
import * as segment from "./segment.ts";
import { KCP_HEADER_BYTES, KcpCommand, writeSegmentHead } from "./segment.ts";
import { kcpMemory } from "./segment_blocks.ts";
import { WindowProbe } from "./window_probe.ts";

/** A goodbye may be lost, and is never asked for again. */
const GOODBYES = 3;
const MOST_WINDOW_TOLD = 0xffff;
/** What a session keeps of the memory that it alone uses. */
const OWN_BLOCKS = 4;

export class Kcp {
  readonly counters = new KcpCounters();
  readonly #options: KcpOptions;
  readonly #events: KcpEvents;
  readonly #sender: KcpSender;
  readonly #received: ReceiveRing;
  readonly #acks = new AckList();
  readonly #probe = new WindowProbe();
  readonly #head = { conv: 0, window: 0, una: 0 };
  #isConvKnown: boolean;
  /** The first segment that has not come. */
  #next = 0;
  #delivering = false;
  /** A flush of everything is due; one has begun. */
  #isDue = false;
  #isFlushing = false;
  #isFull = false;
  #flushedMs = -Infinity;
  #owesWindow = false;
  #asksWindow = false;
  #goodbyes = 0;
  #isEnded = false;
  #heardMs: number;

  /** Throws a CulvertError when the options are not possible. */
  constructor(options: KcpOptions, events: KcpEvents, nowMs: number) {
    checkKcpOptions(options);
    this.#options = options;
    this.#events = events;
    this.#heardMs = nowMs;
    this.#head.conv = (options.conv ?? 0) | 0;
    this.#isConvKnown = options.conv !== undefined;
    const memory = options.memory ?? kcpMemory(options.mtuBytes, OWN_BLOCKS);
    this.#sender = new KcpSender(options, events, this.counters, memory.sending, nowMs);
    this.#received = new ReceiveRing(memory.receiving);
  }

  /** The conversation; undefined while nothing has come that tells. */
  get conv(): number | undefined {
    return this.#isConvKnown ? this.#head.conv >>> 0 : undefined;
  }

  /** A segment was sent twenty times and is not acknowledged, nor anything else meanwhile. */
  get isDead(): boolean {
    return this.#sender.isDead;
  }

  /** The peer has said goodbye. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** All that was filled has come to the peer. */
  get isIdle(): boolean {
    return this.#sender.isIdle;
  }

  /** Segments sent and not known to have come, and the bytes of those not taken for lost. */
  get inFlight(): number {
    return this.#sender.inFlight;
  }

  get inFlightBytes(): number {
    return this.#sender.inFlightBytes;
  }

  /** The smoothed round trip; 0 until measured. */
  get srttMs(): number {
    return this.#sender.roundTrip.srttMs;
  }

  get rtoMs(): number {
    return this.#sender.roundTrip.rtoMs;
  }

  /** When something genuine was last heard. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** When `tick` should be called; Infinity: nothing is to be done until something comes. */
  get nextTickMs(): number {
    if (!this.#isConvKnown) return Infinity;
    if (this.#isDue) return -Infinity;
    const intervalAtMs = this.#flushedMs + this.#sender.roundTrip.intervalMs;
    const dueMs = Math.min(this.#sender.nextMs(intervalAtMs), this.#probe.dueMs);
    return this.#acks.length > 0 ? Math.min(dueMs, intervalAtMs) : dueMs;
  }

  /** When the first of those in flight counts as lost; Infinity when none is. */
  get timeoutAtMs(): number {
    return this.#sender.timeoutAtMs;
  }

  // What its driver does.

  /** Time has passed: `pull` sends what is due. */
  tick(nowMs: number): void {
    if (nowMs >= this.nextTickMs) this.#isDue = true;
  }

  /** `fill` may have something to give. */
  wake(): void {
    this.#sender.wake();
    if (!this.#options.writeDelay) this.#isDue = true;
  }

  /** The reader takes bytes again. */
  resume(): void {
    if (this.#delivering) return;
    const wasFull = this.#unwanted >= this.#options.receiveWindow;
    this.#deliverKept();
    if (!wasFull || this.#unwanted >= this.#options.receiveWindow) return;
    this.#owesWindow = this.#isDue = true;
  }

  /** The end is to be told, where both ends are ours; `pull` does it. Nothing else will be sent. */
  sayGoodbye(): void {
    this.#sender.clear();
    this.#received.clear();
    this.#isDue = false;
    if (this.#options.goodbye && this.#isConvKnown) this.#goodbyes = GOODBYES;
  }

  // Receiving.

  /** Whether the segments at [start, end) are of this conversation, and the first of them tells or brings something new. */
  isNews({ view }: Slab, start: number, end: number): boolean {
    if (end - start < KCP_HEADER_BYTES || !this.#isConvKnown) return false;
    if (view.getInt32(start, true) !== this.#head.conv) return false;
    if (this.#sender.isNews(view.getInt32(start + segment.UNA_AT, true))) return true;
    const sn = view.getInt32(start + segment.SN_AT, true);
    const ahead = (sn - this.#next) | 0;
    const isPush = view.getUint8(start + segment.COMMAND_AT) === KcpCommand.PUSH;
    return isPush && ahead >= 0 && ahead < this.#options.receiveWindow && !this.#received.has(sn);
  }

  /**
   * Takes the segments at [start, end). False: those, or some of them, were no KCP or another conversation. `isRecovered`:
   * they were made up for from others, so their window and times are old.
   */
  receive(slab: Slab, start: number, end: number, nowMs: number, isRecovered = false): boolean {
    const isGood = this.#receiveAll(slab, start, end, nowMs, isRecovered);
    if (!isGood) this.counters.malformed++;
    if (this.#sender.endReceive(nowMs)) this.#isDue = true;
    return isGood;
  }

  #receiveAll(slab: Slab, start: number, end: number, nowMs: number, isRecovered: boolean): boolean {
    const { view } = slab;
    const sender = this.#sender;
    if (end - start < KCP_HEADER_BYTES) return false;
    let echo: number | undefined;
    for (let at = start; end - at >= KCP_HEADER_BYTES;) {
      const command = view.getUint8(at + segment.COMMAND_AT);
      const sn = view.getInt32(at + segment.SN_AT, true);
      const length = view.getUint32(at + segment.LENGTH_AT, true);
      const timeMs = view.getInt32(at + segment.TIME_AT, true);
      const body = at + KCP_HEADER_BYTES;
      if (length > end - body || length > this.#received.maxSegmentBytes) return false;
      if (!this.#isOurs(view.getInt32(at, true), command, sn)) return false;
      if (!sender.receiveUna(view.getInt32(at + segment.UNA_AT, true), nowMs)) return false;
      if (!isRecovered) this.#hearWindow(view.getUint16(at + segment.WINDOW_AT, true));
      if (command === KcpCommand.PUSH) {
        this.#receivePush(slab, body, length, sn, timeMs);
      } else if (command === KcpCommand.ACK) {
        sender.receiveAck(sn, timeMs, nowMs);
        echo = timeMs;
      } else if (command === KcpCommand.WASK) {
        this.#owesWindow = this.#isDue = true;
      } else if (command === KcpCommand.BYE && this.#options.goodbye) {
        this.#isEnded = true;
      } else if (command !== KcpCommand.WINS) {
        return false;
      }
      at = body + length;
    }
    this.#heardMs = nowMs;
    if (echo !== undefined && !isRecovered) sender.measure(echo, nowMs);
    return true;
  }

  #isOurs(conv: number, command: number, sn: number): boolean {
    if (this.#isConvKnown) return conv === this.#head.conv;
    if (command !== KcpCommand.PUSH || sn !== 0) return false;
    this.#head.conv = conv;
    return this.#isConvKnown = true;
  }

  #hearWindow(window: number): void {
    const sender = this.#sender;
    if (window === sender.peerWindow) return;
    // It was what held us back, or does now.
    if (window === 0 || window > sender.peerWindow && !sender.isDry) this.#isDue = true;
    sender.peerWindow = window;
  }

  #receivePush(slab: Slab, at: number, length: number, sn: number, timeMs: number): void {
    const ahead = (sn - this.#next) | 0;
    if (ahead >= this.#options.receiveWindow) return;
    const kept = this.#received;
    if (ahead < 0 || kept.held > 0 && kept.has(sn)) {
      this.counters.repeated++;
    } else if (ahead === 0 && kept.read === sn && !this.#delivering && this.#events.wantsBytes()) {
      this.#next = (sn + 1) | 0;
      kept.advance();
      this.#delivering = true;
      if (length > 0) this.#events.onBytes(slab.bytes.subarray(at, at + length));
      this.#delivering = false;
      if (kept.held > 0) this.#deliverKept();
    } else {
      // Without memory for it, it has not come.
      if (!kept.keep(sn, slab.bytes, at, length)) return;
      if (ahead === 0) this.#deliverKept();
    }
    this.#acks.push(sn, timeMs);
    this.counters.received++;
  }

  /** Segments in order that the reader did not want. */
  get #unwanted(): number {
    return (this.#next - this.#received.read) | 0;
  }

  #deliverKept(): void {
    const kept = this.#received;
    const { receiveWindow } = this.#options;
    while (true) {
      while (this.#unwanted < receiveWindow && kept.held > 0 && kept.has(this.#next)) this.#next = (this.#next + 1) | 0;
      if (this.#delivering || this.#unwanted === 0 || !this.#events.wantsBytes()) return;
      const bytes = kept.first();
      this.#delivering = true;
      if (bytes.length > 0) this.#events.onBytes(bytes);
      this.#delivering = false;
      if (this.#unwanted > 0) kept.advance();
    }
  }

  // Sending.

  /** Writes the segments of the next datagram at `at`, at most `mostBytes`; gives how many bytes. 0: no more for now. */
  pull(slab: Slab, at: number, mostBytes: number, nowMs: number): number {
    const end = at + Math.min(mostBytes, this.#options.mtuBytes);
    if (this.#goodbyes > 0) return this.#pullGoodbye(slab, at);
    if (!this.#isFlushing && !this.#beginFlush(nowMs)) return 0;
    let to = this.#writeAcks(slab, at, end);
    to = this.#writeWindow(slab, to, end);
    if (this.#isFull) to = this.#sender.write(slab, to, end, this.#head, nowMs);
    if (to === at) this.#endFlush(nowMs);
    return to - at;
  }

  #beginFlush(nowMs: number): boolean {
    const { ackNoDelay, mtuBytes } = this.#options;
    const acks = this.#acks.length;
    const acksDue = acks > 0 && (ackNoDelay || acks >= Math.floor(mtuBytes / KCP_HEADER_BYTES));
    if (!this.#isConvKnown || !this.#isDue && !acksDue) return false;
    this.#isFlushing = true;
    this.#isFull = this.#isDue;
    this.#isDue = false;
    this.#head.una = this.#next;
    this.#head.window = Math.max(0, Math.min(this.#options.receiveWindow - this.#unwanted, MOST_WINDOW_TOLD));
    if (!this.#isFull) return true;
    if (this.#probe.look(this.#sender.peerWindow, nowMs)) this.#asksWindow = true;
    this.#sender.beginFlush(nowMs);
    return true;
  }

  #endFlush(nowMs: number): void {
    this.#isFlushing = false;
    if (!this.#isFull) return;
    this.#sender.endFlush();
    this.#flushedMs = nowMs;
  }

  #writeAcks(slab: Slab, at: number, end: number): number {
    const acks = this.#acks;
    acks.skip(this.#head.una);
    while (acks.length > 0 && end - at >= KCP_HEADER_BYTES) {
      at = writeSegmentHead(slab, at, this.#head, KcpCommand.ACK, acks.timeMs, acks.sn, 0);
      acks.shift();
      acks.skip(this.#head.una);
    }
    return at;
  }

  #writeWindow(slab: Slab, at: number, end: number): number {
    if (this.#asksWindow && end - at >= KCP_HEADER_BYTES) {
      this.#asksWindow = false;
      at = writeSegmentHead(slab, at, this.#head, KcpCommand.WASK, 0, 0, 0);
    }
    if (this.#owesWindow && end - at >= KCP_HEADER_BYTES) {
      this.#owesWindow = false;
      at = writeSegmentHead(slab, at, this.#head, KcpCommand.WINS, 0, 0, 0);
    }
    return at;
  }

  #pullGoodbye(slab: Slab, at: number): number {
    this.#goodbyes--;
    return writeSegmentHead(slab, at, this.#head, KcpCommand.BYE, 0, 0, 0) - at;
  }
}
