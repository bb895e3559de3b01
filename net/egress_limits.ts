/**
 * The caps and rates of a policy, kept for one egress: connections are refused with `busy`, bytes are held back.
 *
 * Rates are for the egress as a whole, not for each connection. A Stream is wrapped only if a byte rate is set when it
 * opens: without one the bare connection is handed out and no byte is looked at. A reload changes the rates of streams
 * that are wrapped already and leaves bare ones alone.
 */

import { type Clock, delay } from "../protocol/clock.ts";
import type { EgressPolicy, PolicyLimits } from "../protocol/egress_policy.ts";
import { CulvertError, DialError } from "../protocol/errors.ts";
import type { Stream } from "../protocol/stream.ts";
import { TokenBucket } from "../protocol/token_bucket.ts";

/** What may pass at once after a pause, as a part of a second's worth: short enough to keep the rate smooth. */
const BURST_SECONDS = 0.1;
/** A piece so large that at any sensible rate a wait is worth its timer. */
const PIECE_BYTES = 16 * 1024;

export class EgressLimits {
  readonly #clock: Clock;
  #limits: PolicyLimits | undefined;
  #connections: TokenBucket | undefined;
  #upload: TokenBucket | undefined;
  #download: TokenBucket | undefined;

  constructor(clock: Clock, policy: EgressPolicy) {
    this.#clock = clock;
    this.apply(policy);
  }

  get upload(): TokenBucket | undefined {
    return this.#upload;
  }

  get download(): TokenBucket | undefined {
    return this.#download;
  }

  /** Takes a policy's limits; a rate that stays the same keeps its bucket. */
  apply(policy: EgressPolicy): void {
    const limits = policy.limits;
    this.#limits = limits;
    this.#connections = this.#bucket(this.#connections, limits.maxConnectionsPerSecond, 1);
    this.#upload = this.#bucket(this.#upload, limits.maxUploadBytesPerSecond, BURST_SECONDS);
    this.#download = this.#bucket(this.#download, limits.maxDownloadBytesPerSecond, BURST_SECONDS);
  }

  /** Counts one more connection, or throws `busy`. */
  admitConnection(open: number): void {
    if (open >= (this.#limits!.maxConnections ?? Infinity)) {
      throw new DialError("busy", "Cannot dial: the egress has as many connections as its policy allows");
    }
    if (this.#connections && !this.#connections.tryTake()) {
      throw new DialError("busy", "Cannot dial: the egress opens as many connections a second as its policy allows");
    }
  }

  /** Throws `busy` when no more datagram sockets may be opened. */
  admitDatagrams(open: number): void {
    if (open >= this.#limits!.maxDatagramSockets) {
      throw new DialError("busy", "Cannot open datagrams: the egress has as many as its policy allows");
    }
  }

  /** The stream held to the byte rates; the stream itself if there are none. */
  shape(stream: Stream): Stream {
    return this.#upload || this.#download ? new ShapedStream(stream, this, this.#clock) : stream;
  }

  #bucket(old: TokenBucket | undefined, perSecond: number | undefined, burstSeconds: number): TokenBucket | undefined {
    if (perSecond === undefined) return undefined;
    if (old?.rate.perSecond === perSecond) return old;
    return new TokenBucket(this.#clock, { perSecond, burst: Math.max(1, perSecond * burstSeconds) });
  }
}

/** Reads and writes in pieces and waits after each as long as its bucket says. */
class ShapedStream implements Stream {
  readonly #inner: Stream;
  readonly #limits: EgressLimits;
  readonly #clock: Clock;
  readonly #closed = new AbortController();

  constructor(inner: Stream, limits: EgressLimits, clock: Clock) {
    this.#inner = inner;
    this.#limits = limits;
    this.#clock = clock;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const bucket = this.#limits.download;
    if (!bucket) return await this.#inner.read(into);
    const count = await this.#inner.read(into.subarray(0, pieceBytes(bucket)));
    if (count) await this.#wait(bucket.take(count));
    return count;
  }

  async write(from: Uint8Array): Promise<number> {
    const bucket = this.#limits.upload;
    if (!bucket) return await this.#inner.write(from);
    const piece = from.subarray(0, pieceBytes(bucket));
    let count = 0;
    try {
      await this.#wait(bucket.take(piece.length));
      return count = await this.#inner.write(piece);
    } finally { // of a write that is given up while it waits, nothing was sent
      if (count < piece.length) bucket.give(piece.length - count);
    }
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(): void {
    this.#closed.abort(new CulvertError("closed", "Cannot use a stream after close()"));
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #wait(waitMs: number): Promise<void> {
    if (waitMs > 0) await delay(this.#clock, waitMs, this.#closed.signal);
  }
}

/** At a low rate a smaller piece, so that one stream does not make the others wait for seconds. */
function pieceBytes(bucket: TokenBucket): number {
  return Math.max(1, Math.min(PIECE_BYTES, Math.floor(bucket.rate.burst)));
}
