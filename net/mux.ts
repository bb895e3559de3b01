/**
 * Streams over a Link: drives the pure `MuxSession` with a link's bytes and a Clock, and gives its channels the shape of
 * Streams.
 *
 *   Stream.write → channel → session.pull → link → session.receive → channel → Stream.read
 *
 * A write settles when its bytes are in the link's hand; a read's bytes are granted anew to the peer when they have been
 * delivered. When the link ends, every stream fails; nothing is carried over to another link.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import { MuxSession } from "../protocol/mux.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { MuxChannel } from "../protocol/mux_channel.ts";
import { MuxResetReason } from "../protocol/mux_frame.ts";
import type { Stream } from "../protocol/stream.ts";
import type { Link } from "./link.ts";

/** At least; a session is looked at four times in an interval of its signs of life. */
const TICK_MS = 500;

export class MuxConnection implements Disposable {
  /** What carries it. */
  readonly link: Link;
  readonly #session: MuxSession;
  readonly #clock: Clock;
  readonly #tickMs: number;
  #timer: Timer;
  #closed = false;
  #linkFailure: string | undefined;
  #hasEnded = false;
  #hasHeard = false;
  /** Made when somebody waits: of thousands of links, hardly one is waited for. */
  #ended: PromiseWithResolvers<void> | undefined;
  #heard: PromiseWithResolvers<void> | undefined;

  /** Called when the peer opens a stream. Unset, streams are closed at once. */
  onStream: (stream: MuxStream) => void = (stream) => stream.close();
  /** Called when the peer opens one more stream than it may. */
  onRefuse: () => void = () => {};

  constructor(link: Link, clock: Clock, options: MuxOptions) {
    this.link = link;
    this.#clock = clock;
    this.#session = new MuxSession(options, {
      onOpen: (channel) => this.onStream(new MuxStream(channel, this, clock)),
      onRefuse: () => this.onRefuse(),
      onWantsWrite: () => link.wake(),
    }, clock.now());
    this.#tickMs = Math.max(TICK_MS, (options.keepAliveIntervalMs ?? 0) / 4);
    this.#timer = clock.after(this.#tickMs, this.#tick);
  }

  /** Begins to carry bytes. Set `onStream` first. */
  start(): void {
    const session = this.#session;
    this.link.start({
      onBytes: (bytes) => {
        if (!this.#hasHeard) this.#hear();
        session.receive(bytes, this.#clock.now());
        if (session.failure) this.close();
      },
      fill: (into) => session.pull(into, this.#clock.now()),
      wantsBytes: () => session.wantsInput,
      onClose: (error) => {
        if (error !== undefined) this.#linkFailure = messageOf(error);
        this.close();
        this.#hasEnded = true;
        this.#ended?.resolve();
      },
    });
  }

  /** Settles when the connection has ended and its link is closed. Never rejects; see `failure`. */
  get ended(): Promise<void> {
    this.#ended ??= Promise.withResolvers();
    if (this.#hasEnded) this.#ended.resolve();
    return this.#ended.promise;
  }

  /** Settles when the first bytes of the other end have come. Never, if none do; see `ended`. */
  get heard(): Promise<void> {
    this.#heard ??= Promise.withResolvers();
    if (this.#hasHeard) this.#heard.resolve();
    return this.#heard.promise;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Why the connection ended by itself: a fault or the silence of the peer, or what became of the link. */
  get failure(): string | undefined {
    return this.#session.failure ?? this.#linkFailure;
  }

  get streamCount(): number {
    return this.#session.streamCount;
  }

  /** No stream is open, and what the last ones wrote has left. */
  get idle(): boolean {
    return this.streamCount === 0 && this.link.idle;
  }

  /** Received bytes that no reader has taken yet. */
  get bufferedBytes(): number {
    return this.#session.bufferedBytes;
  }

  /** The round trip to the other end, when it is known. */
  get rttMs(): number | undefined {
    return this.#session.rttMs;
  }

  /** Opens a stream. Throws `busy` when as many as allowed are open, `closed` when the connection has ended. */
  open(): MuxStream {
    const channel = this.#session.open();
    if (channel) return new MuxStream(channel, this, this.#clock);
    if (this.#closed) throw new CulvertError("closed", "Cannot open a stream: the connection has ended");
    throw new DialError("busy", `Cannot open a stream: ${this.streamCount} are open, as many as allowed`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer.cancel();
    this.#session.close();
    this.link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Received bytes were taken or dropped: the link may read on, if it had stopped. */
  taken(): void {
    if (this.#session.wantsInput) this.link.resume();
  }

  #hear(): void {
    this.#hasHeard = true;
    this.#heard?.resolve();
  }

  readonly #tick = (): void => {
    this.#session.tick(this.#clock.now());
    if (this.#session.failure) return this.close();
    this.#timer = this.#clock.after(this.#tickMs, this.#tick);
  };
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** One stream. See `Stream` for what its methods promise. */
export class MuxStream implements Stream {
  readonly #channel: MuxChannel;
  readonly #connection: MuxConnection;
  readonly #clock: Clock;
  #reader: Waiter<number | null> | undefined;
  #writer: Waiter<number> | undefined;
  #offeredBytes = 0;
  /** What `readable` waits for; 0 while a read waits. */
  #awaitedBytes = 0;
  #roomWaiter: Waiter<void> | undefined;
  /** What `roomFor` waits for. */
  #wantedRoomBytes = 0;
  #closed = false;

  /** Called once, when nobody will read what might still be written: the far side or the link has gone, or we closed. */
  onUnheard: () => void = () => {};

  constructor(channel: MuxChannel, connection: MuxConnection, clock: Clock) {
    this.#channel = channel;
    this.#connection = connection;
    this.#clock = clock;
    channel.onReadable = () => this.#wakeReader();
    channel.onWritten = (taken) => this.#settleWrite(taken);
    channel.onRoom = () => this.#wakeForRoom();
    channel.onUnheard = () => {
      this.#wakeForRoom();
      this.onUnheard();
    };
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#reader) return Promise.reject(new CulvertError("busy", "Cannot read: another read is pending"));
    if (this.#closed) return Promise.reject(this.#error());
    if (into.length === 0) return Promise.resolve(0);
    if (this.#channel.bufferedBytes > 0) {
      const count = this.#channel.take(into, this.#clock.now());
      this.#connection.taken();
      return Promise.resolve(count);
    }
    if (this.#channel.atEndOfFile) return Promise.resolve(null);
    if (this.#channel.end) return Promise.reject(this.#error());
    this.#channel.waitWith(into);
    return new Promise((resolve, reject) => this.#reader = { resolve, reject });
  }

  /** It was cut or lost: nothing more can be read of it. */
  get isCut(): boolean {
    const { end } = this.#channel;
    return end !== undefined && end !== "done";
  }

  /** Received bytes that `readNow` can take. */
  get readableBytes(): number {
    return this.#channel.bufferedBytes;
  }

  /**
   * Settles when so many bytes can be read, holding no buffer meanwhile: true; false when the stream ends before.
   * Counts as a read, of which one may be pending. More than the first window never come before some are read.
   */
  readable(atLeastBytes: number): Promise<boolean> {
    if (this.#reader) return Promise.reject(new CulvertError("busy", "Cannot read: another read is pending"));
    if (this.#closed) return Promise.reject(this.#error());
    if (this.#channel.bufferedBytes >= atLeastBytes) return Promise.resolve(true);
    if (this.#channel.end && this.#channel.end !== "done") return Promise.reject(this.#error());
    if (this.#channel.finReceived) return Promise.resolve(false);
    this.#awaitedBytes = atLeastBytes;
    return new Promise<number | null>((resolve, reject) => this.#reader = { resolve, reject })
      .then((count) => count !== null);
  }

  /** Takes bytes that are there; gives how many. */
  readNow(into: Uint8Array): number {
    const count = this.#channel.take(into, this.#clock.now());
    this.#connection.taken();
    return count;
  }

  write(from: Uint8Array): Promise<number> {
    return this.#write(from, false);
  }

  #write(from: Uint8Array, isWhole: boolean): Promise<number> {
    if (this.#writer) return Promise.reject(new CulvertError("busy", "Cannot write: another write is pending"));
    if (this.#closed || !this.#channel.writable) return Promise.reject(this.#error());
    if (from.length === 0) return Promise.resolve(0);
    this.#offeredBytes = from.length;
    const written = new Promise<number>((resolve, reject) => this.#writer = { resolve, reject });
    this.#channel.offer(from, isWhole);
    return written;
  }

  /** Writes bytes as one frame: to those who take frames for datagrams, one datagram. At most 65,535. */
  async writeFrame(frame: Uint8Array): Promise<void> {
    await this.#write(frame, true);
  }

  /**
   * Fills the start of `into` with the next frame, cut to it, and gives how many bytes; null: the stream has ended. For
   * connections with `keepsFrames`. Counts as a read.
   */
  async readFrame(into: Uint8Array): Promise<number | null> {
    while (true) {
      const length = this.#channel.frameBytes;
      if (length === undefined) {
        if (!await this.readable(this.readableBytes + 1)) return null;
        continue;
      }
      const count = this.readNow(into.subarray(0, length));
      for (let left = length - count; left > 0;) left -= this.readNow(new Uint8Array(left));
      return count;
    }
  }

  /** How many bytes the far side would take now. */
  get roomBytes(): number {
    return this.#channel.roomBytes;
  }

  /**
   * Settles when the far side would take so many bytes, for whoever would rather not have them in hand before. Nothing may
   * be written meanwhile. Rejects as `write` does.
   */
  roomFor(bytes: number): Promise<void> {
    if (this.#closed || !this.#channel.writable) return Promise.reject(this.#error());
    if (this.#channel.roomBytes >= bytes) return Promise.resolve();
    if (this.#roomWaiter) return Promise.reject(new CulvertError("busy", "Cannot wait: another wait is pending"));
    this.#wantedRoomBytes = bytes;
    return new Promise((resolve, reject) => this.#roomWaiter = { resolve, reject });
  }

  closeWrite(): Promise<void> {
    this.#channel.endWrite();
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.close();
    this.#dropUnread();
  }

  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.abort(MuxResetReason.CUT);
    this.#dropUnread();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #dropUnread(): void {
    this.#wakeReader();
    this.#connection.taken();
  }

  #wakeReader(): void {
    const reader = this.#reader;
    if (!reader) return;
    if (this.#awaitedBytes > 0) return this.#wakeAwaiting(reader, this.#awaitedBytes);
    const count = this.#channel.collect();
    this.#reader = undefined;
    if (count > 0) reader.resolve(count);
    else if (!this.#closed && this.#channel.atEndOfFile) reader.resolve(null);
    else reader.reject(this.#error());
  }

  #wakeForRoom(): void {
    const waiter = this.#roomWaiter;
    if (!waiter) return;
    const isOver = this.#closed || !this.#channel.writable;
    if (!isOver && this.#channel.roomBytes < this.#wantedRoomBytes) return;
    this.#roomWaiter = undefined;
    if (isOver) waiter.reject(this.#error());
    else waiter.resolve();
  }

  #wakeAwaiting(reader: Waiter<number | null>, bytes: number): void {
    const { bufferedBytes, finReceived, end } = this.#channel;
    if (!this.#closed && bufferedBytes < bytes && !finReceived && !end) return;
    this.#reader = undefined;
    this.#awaitedBytes = 0;
    if (this.#closed || end && end !== "done") reader.reject(this.#error());
    else reader.resolve(bufferedBytes >= bytes ? bufferedBytes : null);
  }

  #settleWrite(taken: boolean): void {
    const writer = this.#writer;
    this.#writer = undefined;
    if (taken) writer?.resolve(this.#offeredBytes);
    else writer?.reject(this.#error());
  }

  #error(): CulvertError {
    if (this.#closed) return new CulvertError("closed", "Cannot use a stream after close()");
    switch (this.#channel.end) {
      case "session_closed":
        return new CulvertError("link_lost", "The link that carried the stream has ended");
      case "busy":
        return new DialError("busy", "The far side has as many streams as it allows");
      case "overflow":
        return new CulvertError("overflow", "The stream was cut: too much was waiting to be read");
      case "cut":
        return new CulvertError("reset", "The stream was cut by the far side");
      default:
        return new CulvertError("broken_pipe", "Cannot write: this direction has ended");
    }
  }
}
