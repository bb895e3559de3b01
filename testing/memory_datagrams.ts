/**
 * A datagram socket of the in-memory network. What arrives waits in a queue of 1,024 datagrams; more are dropped, as a
 * kernel drops them.
 */

import type { Datagrams, Received, Target } from "../protocol/stream.ts";

/** What a socket in memory is made of. */
export interface MemoryDatagramsOptions {
  /** Its own address. */
  readonly local: Target;
  /** Takes what is sent. */
  readonly send: (datagram: Uint8Array, to: Target) => void;
  /** Is told when it is closed. */
  readonly onClose: () => void;
}

const QUEUE_DATAGRAMS = 1024;
/** What fits behind the headers of IPv4 and UDP. */
const MAX_DATAGRAM_BYTES = 65_507;

interface Arrival {
  readonly datagram: Uint8Array;
  readonly from: Target;
}

/** A datagram socket in memory. */
export class MemoryDatagrams implements Datagrams {
  /** Its own address. */
  readonly local: Target;
  readonly #send: (datagram: Uint8Array, to: Target) => void;
  readonly #onClose: () => void;
  readonly #queue: Arrival[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;

  /** Opens at once. */
  constructor(options: MemoryDatagramsOptions) {
    this.local = options.local;
    this.#send = options.send;
    this.#onClose = options.onClose;
  }

  send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error("Cannot send: the socket is closed"));
    if (datagram.length > MAX_DATAGRAM_BYTES) {
      return Promise.reject(
        new RangeError(`Cannot send: a datagram must have at most ${MAX_DATAGRAM_BYTES} bytes, got ${datagram.length}`),
      );
    }
    this.#send(datagram, to);
    return Promise.resolve();
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    while (this.#queue.length === 0) {
      if (this.#isClosed) return null;
      if (this.#wake) throw new Error("Cannot receive: another receive is pending");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const { datagram, from } = this.#queue.shift()!;
    const length = Math.min(into.length, datagram.length);
    into.set(datagram.subarray(0, length));
    return { length, from };
  }

  /** What the network calls when a datagram arrives. */
  deliver(datagram: Uint8Array, from: Target): void {
    if (this.#isClosed || this.#queue.length >= QUEUE_DATAGRAMS) return;
    this.#queue.push({ datagram, from });
    this.#wakeReceiver();
  }

  /** Closes it, and what is open through it. May be repeated. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue.length = 0;
    this.#onClose();
    this.#wakeReceiver();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #wakeReceiver(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
