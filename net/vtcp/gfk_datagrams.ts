/**
 * Datagrams of the GFK dialects: a stream for each place they go to, opened by the first of them.
 *
 *   gfk-go   length u16 BE │ payload, as often as there are any
 *   gfk-py   payload, with nothing between: what one read gives is taken for one datagram, which it mostly is
 *
 * Bounds: 64 places at once, beyond which the oldest goes; 64 datagrams wait to be received, beyond which they are lost.
 */

import type { Datagrams, Received, Stream, Target } from "../../protocol/stream.ts";
import { formatTarget, readFull, writeAll } from "../../protocol/stream.ts";

const MOST_PLACES = 64;
const MOST_WAITING = 64;
const MOST_BYTES = 65_535;

/** One stream's datagrams, at either end. */
export class DatagramStream {
  readonly #stream: Stream;
  readonly #isFramed: boolean;
  readonly #head = new Uint8Array(2);
  #sending: Promise<void> | undefined;

  constructor(stream: Stream, isFramed: boolean) {
    this.#stream = stream;
    this.#isFramed = isFramed;
  }

  /** Is dropped while an earlier one still waits for the stream: late is as good as lost. */
  async send(datagram: Uint8Array): Promise<void> {
    if (this.#sending || datagram.length > MOST_BYTES || datagram.length === 0) return;
    let bytes = datagram;
    if (this.#isFramed) {
      bytes = new Uint8Array(2 + datagram.length);
      bytes.set([datagram.length >>> 8, datagram.length & 0xff]);
      bytes.set(datagram, 2);
    }
    this.#sending = writeAll(this.#stream, bytes).finally(() => this.#sending = undefined);
    await this.#sending;
  }

  /** The length of the next, cut to `into`; null at the end. */
  async receive(into: Uint8Array): Promise<number | null> {
    if (!this.#isFramed) return await this.#stream.read(into);
    if (!await readFull(this.#stream, this.#head)) return null;
    const length = this.#head[0]! << 8 | this.#head[1]!;
    const whole = length <= into.length ? into.subarray(0, length) : new Uint8Array(length);
    if (!await readFull(this.#stream, whole)) return null;
    if (whole.length > into.length) into.set(whole.subarray(0, into.length));
    return Math.min(length, into.length);
  }

  close(): void {
    this.#stream.close();
  }
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly from: Target;
}

export interface GfkDatagramsOptions {
  readonly isFramed: boolean;
  /** Rejects with a DialError. */
  open(target: Target): Promise<Stream>;
  onClosed?(): void;
}

export class GfkDatagrams implements Datagrams {
  readonly #options: GfkDatagramsOptions;
  readonly #places = new Map<string, Promise<DatagramStream>>();
  readonly #waiting: Waiting[] = [];
  #reader: (() => void) | undefined;
  #isClosed = false;

  constructor(options: GfkDatagramsOptions) {
    this.#options = options;
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#isClosed) return;
    const key = formatTarget(to);
    let opening = this.#places.get(key);
    if (!opening) {
      opening = this.#open(key, to);
      this.#places.set(key, opening);
      if (this.#places.size > MOST_PLACES) this.#letGo(this.#places.keys().next().value!);
    }
    const stream = await opening;
    await stream.send(datagram).catch(() => this.#letGo(key));
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    while (this.#waiting.length === 0 && !this.#isClosed) await new Promise<void>((resolve) => this.#reader = resolve);
    const next = this.#waiting.shift();
    if (!next || this.#isClosed) return null;
    const length = Math.min(next.bytes.length, into.length);
    into.set(next.bytes.subarray(0, length));
    return { length, from: next.from };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onClosed?.();
    for (const key of [...this.#places.keys()]) this.#letGo(key);
    this.#reader?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(key: string, target: Target): Promise<DatagramStream> {
    try {
      const stream = new DatagramStream(await this.#options.open(target), this.#options.isFramed);
      this.#listen(stream, key, target);
      return stream;
    } catch (error) {
      this.#places.delete(key);
      throw error;
    }
  }

  async #listen(stream: DatagramStream, key: string, from: Target): Promise<void> {
    const buffer = new Uint8Array(MOST_BYTES);
    try {
      for (let count = await stream.receive(buffer); count !== null; count = await stream.receive(buffer)) {
        if (this.#waiting.length >= MOST_WAITING) continue;
        this.#waiting.push({ bytes: buffer.slice(0, count), from });
        this.#reader?.();
      }
    } catch {
      // the stream is lost, and what was on its way with it
    }
    this.#letGo(key);
  }

  #letGo(key: string): void {
    const opening = this.#places.get(key);
    this.#places.delete(key);
    opening?.then((stream) => stream.close(), () => {});
  }
}
