/**
 * Many streams over one reliable connection: an smux session, as a pure machine.
 *
 *   bytes of the link → receive() → channels        channels → pull() → bytes for the link
 *
 * It has no sockets and no clock: the driver (`net/mux.ts`) feeds it bytes and the time, asks for bytes to send while the
 * link has room, and calls `tick` now and then. `pull` sends control frames first, then one frame of each stream in turn.
 *
 * With `extensions` both ends are ours: streams can be cut truthfully, round trips are measured, windows grow with them.
 * Without, it speaks plain smux v1 or v2, as kcptun does. Bad input ends the session (`failure`), never the process.
 *
 * Memory: in v2 the windows granted get smaller as unread bytes come near `sessionBufferBytes`; should they still pass
 * it, the stream that holds the most is cut. In v1, which has no windows per stream, `wantsInput` turns false and the
 * driver stops reading the link: there, one stalled reader does hold up the rest.
 */

import { BlockPool } from "./byte_queue.ts";
import { Fifo } from "./fifo.ts";
import { type ChannelHost, MuxChannel } from "./mux_channel.ts";
import {
  firstStreamId,
  followingStreamId,
  MUX_HEADER_BYTES,
  MUX_INITIAL_WINDOW_BYTES,
  MUX_UPDATE_BYTES,
  MuxCommand,
  MuxResetReason,
  readUint32,
  writeMuxHeader,
  writeUint32,
} from "./mux_frame.ts";
import { MuxLiveness } from "./mux_liveness.ts";
import { type MuxFrameFault, MuxFrameReader } from "./mux_reader.ts";

export interface MuxOptions {
  readonly role: "client" | "server";
  /** Default 2. */
  readonly version?: 1 | 2;
  /** The peer is ours as well. Default false. */
  readonly extensions?: boolean;
  /** The largest payload of one frame we send. Default 65,528. */
  readonly maxPayloadBytes?: number;
  /** The window every stream may have: with extensions when it needs it, without from the start. Default 2 MiB. */
  readonly windowBytes?: number;
  /** The largest window a stream may grow to. Default 16 MiB, or `windowBytes` without extensions. */
  readonly maxWindowBytes?: number;
  /** What a sender may have in flight before its reader has granted anything. Both ends must agree. Default as smux. */
  readonly initialWindowBytes?: number;
  /** Bounds how far the windows of several sessions grow, together. Each of them has a bound of its own besides. */
  readonly windowBudget?: WindowBudget;
  /** Blocks for received bytes, shared by several sessions. Default: one of its own. */
  readonly blockPool?: BlockPool;
  /** The cap on received and unread bytes of all streams. Default 64 MiB. */
  readonly sessionBufferBytes?: number;
  /** How many streams may be open at once; more are refused. Default 16,384. */
  readonly maxStreams?: number;
  /** How often to show the peer that we live. Default 1 s with extensions, else 10 s, as smux does. */
  readonly keepAliveIntervalMs?: number;
  /** Silence for so long ends the session. Default 4 s with extensions, else 30 s, as smux does. */
  readonly keepAliveTimeoutMs?: number;
  /** Where the peer's frames end is remembered, for those who take a frame for a datagram. Default false. */
  readonly keepsFrames?: boolean;
}

/** How far windows may still grow beyond the usual, in all sessions that share it. */
export class WindowBudget {
  leftBytes: number;

  constructor(bytes: number) {
    this.leftBytes = bytes;
  }
}

export interface MuxEvents {
  /** The peer has opened a stream. */
  onOpen(channel: MuxChannel): void;
  /** The peer has opened one more than it may, or while it owes too much, and is told so. */
  onRefuse?(): void;
  /** There is something to send: call `pull`. May be called while `receive` or a channel's method runs. */
  onWantsWrite(): void;
}

/** Why a session ended by itself. */
export type MuxFailure = MuxFrameFault | "bad_stream_id" | "window_exceeded" | "flooded" | "timeout";

/** PONGs owed at once; a peer that pings faster than we can send loses answers, not our memory. */
const MAX_PENDING_PONGS = 16;
/** Blocks of 64 KiB kept for reuse. */
const POOLED_BLOCKS = 64;

export class MuxSession {
  readonly #events: MuxEvents;
  readonly #version: 1 | 2;
  readonly #extensions: boolean;
  readonly #role: "client" | "server";
  readonly #maxPayloadBytes: number;
  readonly #sessionBufferBytes: number;
  readonly #maxStreams: number;
  readonly #liveness: MuxLiveness;
  readonly #reader: MuxFrameReader;
  readonly #host: ChannelHost;
  readonly #budget: WindowBudget | undefined;

  readonly #channels = new Map<number, MuxChannel>();
  #nextId: number;
  #failure: MuxFailure | undefined;
  #closed = false;
  #grownBytes = 0;
  #bufferedBytes = 0;

  readonly #control = new Fifo<MuxChannel>();
  readonly #data = new Fifo<MuxChannel>();
  /** What the first of `#data` may still send before the turn is the next one's. */
  #turnLeftBytes: number;
  /** A frame that must stay whole did not fit: whose it is, and how much of it is to come before anything else. */
  #unfinished: MuxChannel | undefined;
  #unfinishedBytes = 0;
  readonly #news = new Fifo<MuxChannel>();
  #refused: number[] = [];
  #pongs: number[] = [];

  /** The stream of the PSH frame being received. */
  #target: MuxChannel | undefined;
  #receiving = false;
  #nowMs: number;

  constructor(options: MuxOptions, events: MuxEvents, nowMs: number) {
    this.#events = events;
    this.#role = options.role;
    this.#version = options.version ?? 2;
    this.#extensions = options.extensions ?? false;
    this.#maxPayloadBytes = this.#turnLeftBytes = options.maxPayloadBytes ?? 65528;
    this.#sessionBufferBytes = options.sessionBufferBytes ?? 64 * 1024 * 1024;
    this.#maxStreams = options.maxStreams ?? 16384;
    this.#nextId = firstStreamId(this.#role);
    this.#nowMs = nowMs;
    this.#liveness = new MuxLiveness({
      intervalMs: options.keepAliveIntervalMs ?? (this.#extensions ? 1000 : 10_000),
      timeoutMs: options.keepAliveTimeoutMs ?? (this.#extensions ? 4000 : 30_000),
      pings: this.#extensions,
    }, nowMs);
    this.#reader = new MuxFrameReader(this.#version, this.#extensions, {
      onFrame: (command, streamId, dataBytes) => this.#receiveFrame(command, streamId, dataBytes),
      onData: (bytes) => this.#receiveData(bytes),
      onShort: (command, streamId, payload) => this.#receiveShort(command, streamId, payload),
    });
    this.#budget = options.windowBudget;
    const windowBytes = options.windowBytes ?? 2 * 1024 * 1024;
    const grownBytes = this.#extensions ? options.maxWindowBytes ?? 16 * 1024 * 1024 : windowBytes;
    const initialWindowBytes = options.initialWindowBytes ?? MUX_INITIAL_WINDOW_BYTES;
    this.#host = this.#makeHost({
      pool: options.blockPool ?? new BlockPool(POOLED_BLOCKS),
      initialWindowBytes,
      windowBytes,
      maxWindowBytes: Math.max(windowBytes, grownBytes),
      keepsFrames: options.keepsFrames ?? false,
    });
  }

  /** Why the session ended by itself, or undefined. After that it sends and receives nothing. */
  get failure(): MuxFailure | undefined {
    return this.#failure;
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#channels.size;
  }

  /** Received bytes that no reader has taken yet, over all streams. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** By how much windows have grown beyond the usual, over all streams. At most half of the session's cap. */
  get grownBytes(): number {
    return this.#grownBytes;
  }

  /** The round trip of the link, smoothed; undefined until measured, and always without extensions. */
  get rttMs(): number | undefined {
    return this.#liveness.rttMs;
  }

  /** False while the driver should not read the link. */
  get wantsInput(): boolean {
    return this.#version === 2 || this.#bufferedBytes < this.#sessionBufferBytes;
  }

  /** Opens a stream, or gives undefined when as many as allowed are open or the session has ended. */
  open(): MuxChannel | undefined {
    if (this.#ended || this.#channels.size >= this.#maxStreams) return undefined;
    while (this.#channels.has(this.#nextId)) this.#nextId = followingStreamId(this.#role, this.#nextId);
    const channel = new MuxChannel(this.#nextId, this.#host);
    this.#nextId = followingStreamId(this.#role, this.#nextId);
    this.#channels.set(channel.id, channel);
    channel.pendingSyn = true;
    this.#host.wantsControl(channel);
    return channel;
  }

  /** Ends every stream as lost. Nothing is sent: smux has no word for it; the link's end says it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const channel of [...this.#channels.values()]) channel.lose();
    this.#channels.clear();
  }

  /** Takes bytes of the link, cut anywhere. They are copied: the caller may reuse `bytes`. */
  receive(bytes: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#liveness.heard(nowMs);
    this.#receiving = true;
    try {
      for (let at = 0; at < bytes.length && !this.#ended;) {
        const next = this.#reader.step(bytes, at);
        if (typeof next === "number") at = next;
        else this.#fail(next);
      }
    } finally {
      this.#receiving = false;
      this.#tellNews();
    }
  }

  /** Fills `into` with frames to send; gives how many bytes. 0: nothing to send now. */
  pull(into: Uint8Array, nowMs: number): number {
    if (this.#ended) return 0;
    this.#nowMs = nowMs;
    let at = this.#finishFrame(into);
    if (this.#unfinishedBytes > 0) return at;
    at = this.#pullSession(into, at);
    at = this.#pullControl(into, at);
    // Data never overtakes control: the SYN of its own stream may be there.
    if (this.#control.length === 0) at = this.#pullData(into, at);
    if (at > 0) this.#liveness.sent(nowMs);
    return at;
  }

  /** Notices silence and asks for signs of life. Call it about four times in a keepalive interval. */
  tick(nowMs: number): void {
    if (this.#ended) return;
    // While we do not read, silence is of our own making, and the peer has the whole time anew once we do.
    if (!this.wantsInput) this.#liveness.heard(nowMs);
    if (this.#liveness.isSilent(nowMs)) this.#fail("timeout");
    else if (this.#liveness.isDue(nowMs)) this.#events.onWantsWrite();
  }

  get #ended(): boolean {
    return this.#closed || this.#failure !== undefined;
  }

  #fail(failure: MuxFailure): void {
    this.#failure ??= failure;
    this.close();
  }

  // Receiving.

  #receiveFrame(command: number, streamId: number, dataBytes: number): void {
    this.#target = this.#channels.get(streamId);
    if (dataBytes > 0) this.#target?.beginFrame(dataBytes);
    if (command === MuxCommand.SYN) this.#receiveSyn(streamId);
    else if (command === MuxCommand.FIN) this.#target?.receiveFin();
  }

  #receiveData(bytes: Uint8Array): void {
    // A stream we do not know is one we have closed; its last bytes were on their way.
    if (this.#target?.receive(bytes, this.#nowMs) === false) this.#fail("window_exceeded");
    else if (this.#bufferedBytes > this.#sessionBufferBytes && this.#version === 2) this.#cutFullest();
  }

  #receiveShort(command: number, streamId: number, payload: Uint8Array): void {
    if (command === MuxCommand.PING) {
      if (this.#pongs.length < MAX_PENDING_PONGS) this.#pongs.push(readUint32(payload, 0));
      return this.#events.onWantsWrite();
    }
    if (command === MuxCommand.PONG) return this.#liveness.answered(readUint32(payload, 0), this.#nowMs);
    const channel = this.#channels.get(streamId);
    if (command === MuxCommand.RST) return channel?.receiveReset(payload[0]!);
    const possible = channel?.receiveUpdate(readUint32(payload, 0), readUint32(payload, 4));
    if (possible === false) this.#fail("window_exceeded");
  }

  #receiveSyn(id: number): void {
    const theirs = this.#role === "client" ? id % 2 === 0 : id % 2 === 1;
    if (!theirs || id === 0) return this.#fail("bad_stream_id");
    if (this.#target) return; // smux ignores a second SYN, and so do we
    if (this.#channels.size >= this.#maxStreams || this.#owesTooMuch) {
      if (this.#refused.length >= this.#maxStreams) return this.#fail("flooded");
      this.#refused.push(id);
      this.#events.onRefuse?.();
      return this.#events.onWantsWrite();
    }
    const channel = new MuxChannel(id, this.#host);
    this.#channels.set(id, channel);
    this.#events.onOpen(channel);
  }

  /** Streams that have ended wait until their last frames can go. A peer that does not read must not make them pile up. */
  get #owesTooMuch(): boolean {
    return Math.max(this.#control.length, this.#data.length) >= 2 * this.#maxStreams;
  }

  /** Wakes the readers once for all that `receive` brought them, so that they take it in one piece. */
  #tellNews(): void {
    while (this.#news.length > 0) {
      const channel = this.#news.shift()!;
      channel.inNewsQueue = false;
      channel.onReadable();
    }
  }

  #cutFullest(): void {
    let fullest: MuxChannel | undefined;
    for (const channel of this.#channels.values()) {
      if (!fullest || channel.bufferedBytes > fullest.bufferedBytes) fullest = channel;
    }
    fullest?.abort(MuxResetReason.OVERFLOW);
  }

  // Sending.

  /** What its writer has given up meanwhile is made up by zeros: the length was told. */
  #finishFrame(into: Uint8Array): number {
    const count = Math.min(this.#unfinishedBytes, into.length);
    if (count === 0) return 0;
    this.#unfinishedBytes -= count;
    if (this.#unfinished!.offering) this.#unfinished!.takeOffered(into, 0, count);
    else into.fill(0, 0, count);
    return count;
  }

  #pullSession(into: Uint8Array, from: number): number {
    let at = from;
    while (this.#pongs.length > 0 && into.length - at >= MUX_HEADER_BYTES + 4) {
      at = writeMuxHeader(into, at, this.#version, MuxCommand.PONG, 4, 0);
      at = writeUint32(into, at, this.#pongs.shift()!);
    }
    while (this.#refused.length > 0 && into.length - at >= MUX_HEADER_BYTES + 1) {
      at = this.#writeReset(into, at, this.#refused.pop()!, MuxResetReason.BUSY);
    }
    if (!this.#liveness.isDue(this.#nowMs) || into.length - at < MUX_HEADER_BYTES + 4) return at;
    const token = this.#liveness.show(this.#nowMs);
    if (token === undefined) return writeMuxHeader(into, at, this.#version, MuxCommand.NOP, 0, 0);
    at = writeMuxHeader(into, at, this.#version, MuxCommand.PING, 4, 0);
    return writeUint32(into, at, token);
  }

  #pullControl(into: Uint8Array, at: number): number {
    // A channel has at most SYN, UPD, FIN and RST to say at once.
    const most = 4 * MUX_HEADER_BYTES + MUX_UPDATE_BYTES + 1;
    while (this.#control.length > 0 && into.length - at >= most) {
      const channel = this.#control.shift()!;
      channel.inControlQueue = false;
      const { id } = channel;
      if (channel.pendingSyn) {
        channel.pendingSyn = false;
        at = writeMuxHeader(into, at, this.#version, MuxCommand.SYN, 0, id);
      }
      if (channel.pendingUpdate && !channel.end) {
        const { consumed, window } = channel.takeUpdate();
        at = writeMuxHeader(into, at, this.#version, MuxCommand.UPD, MUX_UPDATE_BYTES, id);
        at = writeUint32(into, writeUint32(into, at, consumed), window);
      }
      if (channel.finDue) {
        at = writeMuxHeader(into, at, this.#version, MuxCommand.FIN, 0, id);
        channel.finTaken();
      }
      if (channel.pendingReset !== undefined) {
        at = this.#writeReset(into, at, id, channel.pendingReset);
        channel.pendingReset = undefined;
      }
    }
    return at;
  }

  /** Plain smux knows no RST; there, FIN is the nearest it has. */
  #writeReset(into: Uint8Array, at: number, id: number, reason: number): number {
    if (!this.#extensions) {
      return reason === MuxResetReason.CLOSED ? at : writeMuxHeader(into, at, this.#version, MuxCommand.FIN, 0, id);
    }
    at = writeMuxHeader(into, at, this.#version, MuxCommand.RST, 1, id);
    into[at] = reason;
    return at + 1;
  }

  #pullData(into: Uint8Array, at: number): number {
    while (this.#data.length > 0 && into.length - at > MUX_HEADER_BYTES) {
      const channel = this.#data.first!;
      if (channel.isWhole) {
        at = this.#pullWhole(channel, into, at);
        continue;
      }
      const room = Math.min(into.length - at - MUX_HEADER_BYTES, this.#turnLeftBytes);
      const count = Math.min(channel.sendableBytes(), room);
      if (count > 0) {
        at = writeMuxHeader(into, at, this.#version, MuxCommand.PSH, count, channel.id);
        channel.takeOffered(into, at, count);
        at += count;
        this.#turnLeftBytes -= count;
        // The end of `into` cuts no turn short, or streams would get unequal shares by where it happens to fall.
        if (count === room && this.#turnLeftBytes > 0 && channel.sendableBytes() > 0) break;
      }
      this.#endTurn(count > 0 && channel.offering);
    }
    return at;
  }

  /** A frame that must stay whole begins, though it may not end here. */
  #pullWhole(channel: MuxChannel, into: Uint8Array, at: number): number {
    const whole = channel.sendableBytes();
    if (whole > 0) {
      const count = Math.min(whole, into.length - at - MUX_HEADER_BYTES);
      at = writeMuxHeader(into, at, this.#version, MuxCommand.PSH, whole, channel.id);
      channel.takeOffered(into, at, count);
      at += count;
      this.#unfinished = channel;
      this.#unfinishedBytes = whole - count;
    }
    this.#endTurn(whole > 0 && channel.offering && this.#unfinishedBytes === 0);
    return at;
  }

  /** The first stream goes to the back of the queue, or out of it: then its next chunk or an UPD brings it back. */
  #endTurn(again: boolean): void {
    const channel = this.#data.shift()!;
    channel.inDataQueue = false;
    this.#turnLeftBytes = this.#maxPayloadBytes;
    if (again) this.#host.wantsData(channel);
  }

  #makeHost(
    shape: Pick<ChannelHost, "pool" | "initialWindowBytes" | "windowBytes" | "maxWindowBytes" | "keepsFrames">,
  ): ChannelHost {
    return {
      version: this.#version,
      extensions: this.#extensions,
      ...shape,
      freeBytes: () => this.#sessionBufferBytes - this.#bufferedBytes,
      growableBytes: () => {
        const ownBytes = this.#sessionBufferBytes / 2 - this.#grownBytes;
        return Math.min(ownBytes, this.#budget?.leftBytes ?? ownBytes);
      },
      minRttMs: () => this.#liveness.minRttMs,
      grew: (delta) => {
        this.#grownBytes += delta;
        if (this.#budget) this.#budget.leftBytes -= delta;
      },
      buffered: (delta) => void (this.#bufferedBytes += delta),
      wantsControl: (channel) => {
        if (channel.inControlQueue) return;
        channel.inControlQueue = true;
        this.#control.push(channel);
        this.#events.onWantsWrite();
      },
      wantsData: (channel) => {
        if (channel.inDataQueue) return;
        channel.inDataQueue = true;
        this.#data.push(channel);
        this.#events.onWantsWrite();
      },
      hasNews: (channel) => {
        if (!channel.inNewsQueue) {
          channel.inNewsQueue = true;
          this.#news.push(channel);
        }
        if (!this.#receiving) this.#tellNews();
      },
      finished: (channel) => void this.#channels.delete(channel.id),
    };
  }
}
