/**
 * The Path that starts at one host of the in-memory network: what a direct dial is on a real one.
 */

import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";

/** What a host can do for a Path. */
export interface Dialler {
  /** Opens a stream. */
  dial(target: Target, options?: DialOptions): Promise<Stream>;
  /** Opens a datagram socket. */
  datagrams(): Datagrams;
}

/** A Path that dials from a host of a network in memory. */
export class MemoryPath implements Path {
  readonly #host: Dialler;
  readonly #closing = new AbortController();
  readonly #open = new Set<{ close(): void }>();

  /** Dials from that host. */
  constructor(host: Dialler) {
    this.#host = host;
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    const { signal } = this.#closing;
    const stream = await this.#host.dial(target, {
      ...options,
      signal: options.signal ? AbortSignal.any([signal, options.signal]) : signal,
    });
    return this.#keep(stream);
  }

  datagrams(): Promise<Datagrams> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason);
    return Promise.resolve(this.#keep(this.#host.datagrams()));
  }

  close(): void {
    this.#closing.abort(new Error("Cannot dial: the path is closed"));
    for (const each of this.#open) each.close();
    this.#open.clear();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #keep<T extends { close(): void }>(each: T): T {
    this.#open.add(each);
    return each;
  }
}
