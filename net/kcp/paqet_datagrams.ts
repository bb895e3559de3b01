/**
 * Datagrams over paqet: a stream for each place that is sent to, and a frame of smux for each datagram, as paqet itself
 * reads and writes them. Longer ones than 4096 bytes are lost there, and so they are refused here.
 *
 * A stream that was quiet for a minute is closed, as paqet does; so is the oldest when there are too many. What comes
 * while nobody receives waits in the windows of its stream, and one datagram of each in hand.
 */

import type { Clock } from "../../protocol/clock.ts";
import { DialError } from "../../protocol/errors.ts";
import { type Datagrams, formatTarget, type Received, type Target } from "../../protocol/stream.ts";
import { Deadlines } from "../deadlines.ts";
import type { MuxStream } from "../mux.ts";

export const MAX_PAQET_DATAGRAM_BYTES = 4096;
const IDLE_MS = 60_000;
const MAX_PLACES = 256;

export interface PaqetDatagramsOptions {
  readonly clock: Clock;
  /** Opens a stream that leads there. */
  open(target: Target, signal: AbortSignal): Promise<MuxStream>;
  onClose?(): void;
}

interface Place {
  readonly target: Target;
  readonly key: string;
  readonly stream: Promise<MuxStream>;
  /** A datagram is on its way into the stream, and what comes meanwhile is lost. */
  isBusy: boolean;
}

interface Waiting {
  readonly datagram: Uint8Array;
  readonly from: Target;
  taken(): void;
}

export class PaqetDatagrams implements Datagrams {
  readonly #options: PaqetDatagramsOptions;
  readonly #places = new Map<string, Place>();
  readonly #idle: Deadlines<Place>;
  readonly #stop = new AbortController();
  #waiting: Waiting[] = [];
  #wake: (() => void) | undefined;

  constructor(options: PaqetDatagramsOptions) {
    this.#options = options;
    this.#idle = new Deadlines(options.clock, IDLE_MS, (place) => this.#drop(place));
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
    if (datagram.length > MAX_PAQET_DATAGRAM_BYTES) {
      const rule = `at most ${MAX_PAQET_DATAGRAM_BYTES} fit`;
      throw new DialError("unsupported", `Cannot send a datagram of ${datagram.length} bytes: ${rule}`);
    }
    if (datagram.length === 0) return; // a frame of nothing is no frame
    const place = this.#places.get(formatTarget(to)) ?? this.#newPlace(to);
    if (place.isBusy) return;
    place.isBusy = true;
    this.#idle.add(place);
    try {
      const stream = await place.stream;
      await stream.writeFrame(datagram);
    } catch (error) {
      this.#drop(place);
      if (error instanceof DialError) throw error;
      // The tunnel or the stream was lost, and the datagram with it; the next opens another.
    } finally {
      place.isBusy = false;
    }
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    while (true) {
      if (this.#stop.signal.aborted) return null;
      const first = this.#waiting.shift();
      if (first) {
        const length = Math.min(first.datagram.length, into.length);
        into.set(first.datagram.subarray(0, length));
        first.taken();
        return { length, from: first.from };
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new DialError("path_down", "Cannot send: the datagram socket has closed"));
    for (const place of [...this.#places.values()]) this.#drop(place);
    this.#idle[Symbol.dispose]();
    for (const { taken } of this.#waiting.splice(0)) taken();
    this.#wake?.();
    this.#options.onClose?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #newPlace(target: Target): Place {
    if (this.#places.size >= MAX_PLACES) this.#drop(this.#places.values().next().value!);
    const key = formatTarget(target);
    const place: Place = { target, key, isBusy: false, stream: this.#options.open(target, this.#stop.signal) };
    this.#places.set(key, place);
    place.stream.then((stream) => this.#receiveFrom(place, stream), () => this.#drop(place));
    return place;
  }

  async #receiveFrom(place: Place, stream: MuxStream): Promise<void> {
    const buffer = new Uint8Array(MAX_PAQET_DATAGRAM_BYTES);
    try {
      for (let length; (length = await stream.readFrame(buffer)) !== null;) {
        if (this.#stop.signal.aborted) break;
        this.#idle.add(place);
        await new Promise<void>((taken) => {
          this.#waiting.push({ datagram: buffer.subarray(0, length!), from: place.target, taken });
          this.#wake?.();
        });
      }
    } catch {
      // The stream or its tunnel was lost: the next datagram opens another.
    } finally {
      this.#drop(place);
    }
  }

  #drop(place: Place): void {
    this.#idle.delete(place);
    if (this.#places.get(place.key) === place) this.#places.delete(place.key);
    place.stream.then((stream) => stream.close(), () => {});
  }
}
