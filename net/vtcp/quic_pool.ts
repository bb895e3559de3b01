/**
 * Streams to one far end over QUIC. One connection is kept up; when it carries as many streams as the far end takes on one,
 * more are made, and let go when they are no longer needed.
 */

import { orAborted } from "../../protocol/abort.ts";
import { deadline } from "../../protocol/clock.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Stream } from "../../protocol/stream.ts";
import { QuicKeeper, type QuicKeeperOptions } from "./quic_keeper.ts";
import { QuicStream } from "./quic_stream.ts";
import type { StreamSource } from "./stream_source.ts";

/** Streams that end here may live at the far end for a moment more. */
const SPARE_STREAMS = 4;
/** What a server of ours takes of one client. */
export const MOST_CONNECTIONS = 32;

export interface QuicPoolOptions extends QuicKeeperOptions {
  /** How many the far end takes on one connection. */
  readonly streams: number;
}

interface Pooled {
  readonly connection: Deno.QuicConn;
  streams: number;
}

export class QuicPool implements StreamSource {
  readonly #options: QuicPoolOptions;
  readonly #keeper: QuicKeeper;
  readonly #pooled = new Map<Deno.QuicConn, Pooled>();
  readonly #making = new Set<Promise<Pooled>>();
  readonly #stop = new AbortController();

  constructor(options: QuicPoolOptions) {
    this.#options = options;
    this.#keeper = new QuicKeeper(options);
  }

  get isUp(): boolean {
    return this.#keeper.connection !== undefined;
  }

  get streamCount(): number {
    return [...this.#pooled.values()].reduce((sum, { streams }) => sum + streams, 0);
  }

  async open(signal?: AbortSignal): Promise<Stream> {
    const kept = await this.#keeper.wait(signal);
    const pooled = await this.#takeLeastBusy(kept);
    try {
      const opening = pooled.connection.createBidirectionalStream({ waitUntilAvailable: true });
      const stream = opening.then((halves) => new QuicStream(halves, () => this.#leave(pooled)));
      try {
        return await orAborted(stream, signal);
      } catch (error) {
        stream.then((late) => late.close(), () => this.#leave(pooled));
        throw error;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw new DialError("path_down", `The QUIC connection was lost: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Ends what is up; the kept connection is made anew. */
  drop(): void {
    for (const connection of this.#pooled.keys()) connection.close();
    this.#keeper.connection?.close();
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "Cannot dial: the tunnel is closed"));
    this.#keeper.close();
    this.drop();
  }

  async closed(): Promise<void> {
    await Promise.allSettled([this.#keeper.done, ...this.#making]);
  }

  /** Counts the stream at once: many may ask at the same time. */
  async #takeLeastBusy(kept: Deno.QuicConn): Promise<Pooled> {
    for (;;) {
      let best = this.#of(kept);
      for (const pooled of this.#pooled.values()) if (pooled.streams < best.streams) best = pooled;
      const hasRoom = best.streams < this.#options.streams - SPARE_STREAMS;
      const isMost = this.#pooled.size + this.#making.size >= MOST_CONNECTIONS && this.#making.size === 0;
      // One is made for all who come meanwhile. Where that fails there is still the busy one, which has room in the end.
      const hasMore = !hasRoom && !isMost && await (this.#making.values().next().value ?? this.#makeOne())
        .then(() => true, () => false);
      if (hasMore) continue;
      best.streams++;
      return best;
    }
  }

  #makeOne(): Promise<Pooled> {
    const { clock, farEnd, connectTimeoutMs = 8000 } = this.#options;
    const limit = deadline(clock, connectTimeoutMs, `reach ${farEnd}`, this.#stop.signal);
    const making = this.#options.connect(limit.signal)
      .then((connection) => this.#of(connection))
      .finally(() => limit[Symbol.dispose]());
    this.#making.add(making);
    making.catch(() => {}).finally(() => this.#making.delete(making));
    return making;
  }

  #of(connection: Deno.QuicConn): Pooled {
    let pooled = this.#pooled.get(connection);
    if (!pooled) {
      pooled = { connection, streams: 0 };
      this.#pooled.set(connection, pooled);
      connection.closed.catch(() => {}).finally(() => this.#pooled.delete(connection));
    }
    return pooled;
  }

  #leave(pooled: Pooled): void {
    pooled.streams--;
    if (pooled.streams === 0 && pooled.connection !== this.#keeper.connection) pooled.connection.close();
  }
}
