/**
 * One stream of a MuxSession: what it may send, what it has received and not delivered, how it ends.
 *
 * Receiving: the peer may send up to `limit` bytes in all. The limit moves only when bytes have been delivered, so a
 * reader that stops holds back its own stream and nothing else. The window is how far the limit runs ahead of what was
 * delivered. A large one has to be earned: it doubles while the stream delivers a whole window within two round trips, as
 * then the window, not the network or the reader, sets its speed, and halves when that takes eight. So the thousand idle
 * or slow streams of a session leave room for the few that are fast, and fast ones that share a bottleneck get equal
 * parts. And no window is larger than a share of the memory that is free, so that stalled streams leave room for the rest.
 *
 * Sending: at most one chunk is on offer at a time; the session takes frames from it in turn with the other streams'.
 */

import { type BlockPool, ByteQueue } from "./byte_queue.ts";
import { MuxResetReason } from "./mux_frame.ts";
import { FrameEnds } from "./mux_frame_ends.ts";

/** A stream is never granted less than this or its first window, however little is left: it must be able to go on. */
const MIN_WINDOW_BYTES = 64 * 1024;
/** Of the session's free memory, one stream may be granted so much. */
const SHARE_OF_FREE = 1 / 4;
/** A window delivered in so short a time is too small, even if the round trip of the idle link was shorter still. */
const FAST_MS = 10;
/** A window that takes so many times as long is too large: it only makes a queue and an unequal share. */
const TOO_LARGE = 4;
/** A stream that delivers nothing for so long has paused; shorter gaps are those between its turns. */
const PAUSE_MS = 1000;

/** What a channel needs of its session. */
export interface ChannelHost {
  readonly version: 1 | 2;
  /** The peer is ours as well. */
  readonly extensions: boolean;
  readonly pool: BlockPool;
  /** What the session may still buffer. */
  freeBytes(): number;
  /** By how much windows may still grow beyond `windowBytes`, all together. */
  growableBytes(): number;
  /** What a sender may have in flight before the first grant. */
  readonly initialWindowBytes: number;
  /** The window every stream may have, and the largest one may grow to. */
  readonly windowBytes: number;
  readonly maxWindowBytes: number;
  /** Where the peer's frames end is remembered. */
  readonly keepsFrames: boolean;
  /** The shortest round trip lately, or undefined when it is not measured; then windows do not grow. */
  minRttMs(): number | undefined;
  /** A window has grown beyond `windowBytes` by `delta`. */
  grew(delta: number): void;
  /** Bytes that wait for a reader have changed by `delta`. */
  buffered(delta: number): void;
  /** The channel has a control frame, or data, to send. */
  wantsControl(channel: MuxChannel): void;
  wantsData(channel: MuxChannel): void;
  /** There is news for the reader; the session calls `onReadable` once it has read all it was given. */
  hasNews(channel: MuxChannel): void;
  finished(channel: MuxChannel): void;
}

/** Why a channel no longer works: both sides are done, or it was cut, or refused, or lost with its session. */
export type ChannelEnd = "done" | "cut" | "busy" | "overflow" | "session_closed";

export class MuxChannel {
  readonly id: number;
  readonly #host: ChannelHost;

  /** Called when bytes, the end or a cut have come: see `take`, `atEndOfFile`, `end`. */
  onReadable: () => void = () => {};
  /** Called when the chunk on offer has been taken whole, or (false) never will be. */
  onWritten: (taken: boolean) => void = () => {};
  /** Called when the peer grants more while nothing is on offer. */
  onRoom: () => void = () => {};
  /** Called once, when nobody will read what we might still write: the peer has gone, or we have closed. */
  onUnheard: () => void = () => {};

  // Control frames waiting; the session sends them before any data.
  pendingSyn = false;
  pendingUpdate = false;
  pendingReset: number | undefined;
  inControlQueue = false;
  inDataQueue = false;
  inNewsQueue = false;

  #end: ChannelEnd | undefined;

  // Sending.
  #offered: Uint8Array | undefined;
  #offeredAt = 0;
  #isWhole = false;
  #sent = 0; // modulo 2^32, as on the wire
  #peerConsumed = 0;
  #peerWindow: number;
  #finWanted = false;
  #finSent = false;
  /** The peer reads no more. */
  #stopped = false;

  // Receiving.
  readonly #queue: ByteQueue;
  readonly #frameEnds: FrameEnds | undefined;
  /** A reader's buffer that waits for bytes, and how much of it is filled. */
  #waiting: Uint8Array | undefined;
  #waitingFilled = 0;
  #consumed = 0; // modulo 2^53: a stream does not live to wrap it
  #received = 0;
  #limit: number;
  readonly #firstWindowBytes: number;
  #windowBytes: number;
  /** How far the window has grown beyond what every stream may have. */
  #beyondBytes = 0;
  /** The window of the last UPD, and what had been consumed when it went. */
  #grantedBytes: number;
  #grantedAt = 0;
  #epochConsumed = 0;
  #epochStartMs = -Infinity;
  #deliveredMs = -Infinity;
  #finReceived = false;

  constructor(id: number, host: ChannelHost) {
    this.id = id;
    this.#host = host;
    this.#queue = new ByteQueue(host.pool);
    if (host.keepsFrames) this.#frameEnds = new FrameEnds();
    const { extensions, initialWindowBytes, windowBytes } = host;
    this.#peerWindow = this.#limit = this.#grantedBytes = initialWindowBytes;
    this.#firstWindowBytes = extensions ? Math.min(windowBytes, initialWindowBytes) : windowBytes;
    this.#windowBytes = this.#firstWindowBytes;
    if (host.version === 2 && this.#windowBytes > initialWindowBytes) this.#owesUpdate();
  }

  /** Why nothing more will work, or undefined while the channel lives. */
  get end(): ChannelEnd | undefined {
    return this.#end;
  }

  /** Bytes received and not delivered. */
  get bufferedBytes(): number {
    return this.#queue.length;
  }

  /** No bytes are left and the peer has written its last. A cut drops bytes, so after one there is no end to speak of. */
  get atEndOfFile(): boolean {
    return this.#finReceived && this.#queue.length === 0 && (this.#end === undefined || this.#end === "done");
  }

  /** The peer has written its last byte, some of which may still wait to be read. */
  get finReceived(): boolean {
    return this.#finReceived;
  }

  /** The window now granted, which grows with need. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  // What the application does.

  /** Puts a chunk on offer; `onWritten` follows. The chunk must not change until then. `isWhole`: it goes as one frame. */
  offer(chunk: Uint8Array, isWhole = false): void {
    this.#offered = chunk;
    this.#offeredAt = 0;
    this.#isWhole = isWhole;
    this.#host.wantsData(this);
  }

  /** What is on offer must go as one frame. */
  get isWhole(): boolean {
    return this.#offered !== undefined && this.#isWhole;
  }

  /** The length of the peer's first frame that has not been taken, once all of it is here. */
  get frameBytes(): number | undefined {
    return this.#frameEnds?.next(this.#received, this.#consumed);
  }

  /** Whether a chunk is still on offer. */
  get offering(): boolean {
    return this.#offered !== undefined;
  }

  /** Whether bytes offered now have a chance to arrive. */
  get writable(): boolean {
    return this.#end === undefined && !this.#finWanted && !this.#stopped;
  }

  /** Moves received bytes to the start of `into` and grants the peer as many more; gives how many. */
  take(into: Uint8Array, nowMs: number): number {
    const count = this.#queue.take(into);
    this.#host.buffered(-count);
    this.#deliver(count, nowMs);
    return count;
  }

  /** With nothing to take: what comes next is put in `into` without a stop in the queue. `onReadable` follows. */
  waitWith(into: Uint8Array): void {
    this.#waiting = into;
    this.#waitingFilled = 0;
  }

  /** Ends the wait; gives how many bytes were put in. */
  collect(): number {
    this.#waiting = undefined;
    return this.#waitingFilled;
  }

  /** We have written our last byte. */
  endWrite(): void {
    if (this.#finWanted || this.#end) return;
    this.#finWanted = true;
    this.#host.wantsControl(this);
  }

  /**
   * Gives the channel up. What was written and taken still arrives, followed by the end; a chunk still on offer means the
   * application stopped in the middle, which the peer must not mistake for the end.
   */
  close(): void {
    if (this.#end) return;
    if (this.#offered) return this.abort(MuxResetReason.CUT);
    this.#finWanted = true;
    this.pendingReset = MuxResetReason.CLOSED;
    this.#host.wantsControl(this);
    this.#finish("done");
  }

  /** Gives the channel up as failed: the peer will see it cut. */
  abort(reason: number): void {
    if (this.#end) return;
    this.#finSent = true; // an end now would make it look complete
    this.pendingReset = reason;
    this.#host.wantsControl(this);
    this.#finish(reason === MuxResetReason.OVERFLOW ? "overflow" : "cut");
  }

  // What the session does.

  /** The session is lost. What the peer had written to its end is here and whole, so it can still be read. */
  lose(): void {
    if (this.#end) return;
    if (this.#finReceived) this.#stopSending();
    else this.#finish("session_closed");
  }

  /** An RST of the peer. */
  receiveReset(reason: number): void {
    if (this.#end) return;
    if (reason === MuxResetReason.CLOSED) {
      this.#stopSending();
    } else {
      this.#finish(reason === MuxResetReason.BUSY ? "busy" : reason === MuxResetReason.OVERFLOW ? "overflow" : "cut");
    }
  }

  get finDue(): boolean {
    return this.#finWanted && !this.#finSent && this.#offered === undefined;
  }

  finTaken(): void {
    this.#finSent = true;
    this.#finishIfDone();
  }

  /** How many bytes the peer would take now. */
  get roomBytes(): number {
    if (this.#host.version === 1) return Infinity;
    const inFlight = (this.#sent - this.#peerConsumed) >>> 0;
    return Math.max(0, this.#peerWindow - inFlight);
  }

  /** How many bytes of the chunk on offer may go now. */
  sendableBytes(): number {
    if (!this.#offered) return 0;
    const leftBytes = this.#offered.length - this.#offeredAt;
    if (this.#isWhole && leftBytes > this.roomBytes) return 0;
    return Math.min(leftBytes, this.roomBytes);
  }

  /** Copies `count` bytes of the chunk on offer to `into`; `count` is at most `sendableBytes()`. */
  takeOffered(into: Uint8Array, at: number, count: number): void {
    const from = this.#offeredAt;
    into.set(this.#offered!.subarray(from, from + count), at);
    this.#offeredAt += count;
    this.#sent = (this.#sent + count) >>> 0;
    if (this.#offeredAt < this.#offered!.length) return;
    this.#offered = undefined;
    if (this.#finWanted) this.#host.wantsControl(this);
    this.onWritten(true);
  }

  /** The numbers of the UPD frame that is due, which grant what has been delivered. */
  takeUpdate(): { consumed: number; window: number } {
    this.pendingUpdate = false;
    const share = Math.floor(this.#host.freeBytes() * SHARE_OF_FREE);
    const least = Math.min(MIN_WINDOW_BYTES, this.#host.initialWindowBytes);
    const window = Math.max(least, Math.min(this.#windowBytes, share));
    this.#limit = Math.max(this.#limit, this.#consumed + window);
    this.#grantedAt = this.#consumed;
    this.#grantedBytes = window;
    return { consumed: this.#consumed >>> 0, window: this.#limit - this.#consumed };
  }

  /** A frame of the peer begins, of so many bytes. */
  beginFrame(bytes: number): void {
    if (!this.#end) this.#frameEnds?.begin(bytes, this.#received, this.#consumed);
  }

  /** Bytes of the peer, which are copied; false when it sent more than it was granted. */
  receive(bytes: Uint8Array, nowMs: number): boolean {
    // Ended: on its way when we closed. After FIN: smux sends the rest of a write during which it was closed.
    if (this.#end || this.#finReceived) return true;
    this.#received += bytes.length;
    if (this.#host.version === 2 && this.#received > this.#limit) return false;
    let direct = 0;
    if (this.#waiting && this.#queue.length === 0) {
      direct = Math.min(bytes.length, this.#waiting.length - this.#waitingFilled);
      this.#waiting.set(direct === bytes.length ? bytes : bytes.subarray(0, direct), this.#waitingFilled);
      this.#waitingFilled += direct;
    }
    if (direct < bytes.length) {
      this.#queue.push(direct === 0 ? bytes : bytes.subarray(direct));
      this.#host.buffered(bytes.length - direct);
    }
    this.#host.hasNews(this);
    if (direct > 0) this.#deliver(direct, nowMs);
    return true;
  }

  /** The peer has written its last byte. */
  receiveFin(): void {
    if (this.#finReceived || this.#end) return;
    this.#finReceived = true;
    this.#host.hasNews(this);
    // smux has no half-close: whoever sends FIN there reads no more, and only waits for our FIN.
    if (!this.#host.extensions) this.#stopWrites();
    this.#finishIfDone();
  }

  /** The peer has consumed so much and grants so much; false when that cannot be. */
  receiveUpdate(consumed: number, window: number): boolean {
    const inFlight = (this.#sent - consumed) >>> 0;
    const inFlightBefore = (this.#sent - this.#peerConsumed) >>> 0;
    if (inFlight > inFlightBefore) return false;
    this.#peerConsumed = consumed;
    this.#peerWindow = window;
    if (this.#offered) this.#host.wantsData(this);
    else this.onRoom();
    return true;
  }

  #deliver(count: number, nowMs: number): void {
    this.#consumed += count;
    if (this.#host.version === 2 && !this.#finReceived) this.#grant(nowMs);
    this.#finishIfDone();
  }

  #grant(nowMs: number): void {
    this.#fitWindow(nowMs);
    if (this.#consumed - this.#grantedAt >= this.#grantedBytes / 4) this.#owesUpdate();
  }

  #owesUpdate(): void {
    this.pendingUpdate = true;
    this.#host.wantsControl(this);
  }

  #fitWindow(nowMs: number): void {
    const fastMs = Math.max(FAST_MS, 2 * (this.#host.minRttMs() ?? Infinity));
    const slowMs = TOO_LARGE * fastMs;
    // After a pause time starts anew: to have nothing to send is not to be slow.
    if (nowMs - this.#deliveredMs > Math.max(PAUSE_MS, slowMs)) {
      this.#epochConsumed = this.#consumed;
      this.#epochStartMs = nowMs;
    }
    this.#deliveredMs = nowMs;
    if (this.#consumed - this.#epochConsumed < this.#windowBytes) return;
    const tookMs = nowMs - this.#epochStartMs;
    if (fastMs < Infinity && tookMs < fastMs) this.#resizeWindow(this.#windowBytes * 2);
    else if (tookMs > slowMs) this.#resizeWindow(this.#windowBytes / 2);
    this.#epochConsumed = this.#consumed;
    this.#epochStartMs = nowMs;
  }

  /** Between the first window and the largest allowed, and beyond the usual one only as far as the session can afford. */
  #resizeWindow(wantedBytes: number): void {
    const { windowBytes, maxWindowBytes } = this.#host;
    const before = this.#beyondBytes;
    const wanted = Math.max(this.#firstWindowBytes, Math.min(wantedBytes, maxWindowBytes));
    this.#beyondBytes = Math.min(Math.max(0, wanted - windowBytes), before + Math.max(0, this.#host.growableBytes()));
    this.#windowBytes = Math.min(wanted, windowBytes + this.#beyondBytes);
    this.#host.grew(this.#beyondBytes - before);
  }

  /** Nobody is left to hear what we write, nor of its end. */
  #stopSending(): void {
    this.#finSent = true;
    this.#stopWrites();
    this.#finishIfDone();
  }

  #stopWrites(): void {
    this.#dropOffered();
    if (this.#stopped) return;
    this.#stopped = true;
    this.onUnheard();
  }

  #finishIfDone(): void {
    if (this.#finSent && this.atEndOfFile && !this.#end) this.#finish("done");
  }

  #finish(end: ChannelEnd): void {
    this.#end = end;
    this.#host.grew(-this.#beyondBytes);
    this.#beyondBytes = 0;
    this.#host.buffered(-this.#queue.length);
    this.#queue.clear();
    this.#host.finished(this);
    this.#stopWrites();
    this.#host.hasNews(this);
  }

  #dropOffered(): void {
    if (!this.#offered) return;
    this.#offered = undefined;
    this.onWritten(false);
  }
}
