/**
 * Datagrams carried on a Stream, each with its address in front: the layout is in `protocol/tunnel.ts`. Both ends of a
 * tunnel use it, so `joinDatagrams` of one of these with a real socket is the whole far side.
 *
 * Nothing is queued here: a sender waits for the stream, and what comes meanwhile is the socket's to keep or drop.
 */

import { CulvertError, DialError } from "../protocol/errors.ts";
import type { Datagrams, Received, Stream, Target } from "../protocol/stream.ts";
import { writeAll } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { MAX_DATAGRAM_BYTES, parseDatagram, writeDatagram } from "../protocol/tunnel.ts";

/** The longest message: two length fields, the longest host, a port and the largest payload, cut at what a u16 can say. */
const MAX_MESSAGE_BYTES = 2 + 0xffff;
/** The first buffers; most datagrams fit. They grow to the longest message when one does not. */
const USUAL_MESSAGE_BYTES = 2048;

export class StreamDatagrams implements Datagrams {
  readonly #stream: Stream;
  #incoming = new Uint8Array(USUAL_MESSAGE_BYTES);
  #filled = 0;
  #outgoing = new Uint8Array(USUAL_MESSAGE_BYTES);
  #sending: Promise<void> | undefined;
  #waiting = false;
  #closed = false;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Datagrams are dropped while an earlier one still waits for the stream: late is as good as lost. */
  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (datagram.length > MAX_DATAGRAM_BYTES) {
      throw new DialError("unsupported", `Cannot send a datagram of ${datagram.length} bytes: at most 65507 fit`);
    }
    if (this.#waiting) return;
    if (this.#sending) {
      this.#waiting = true;
      try {
        await this.#sending;
      } finally {
        this.#waiting = false;
      }
    }
    await this.#write(datagram, to);
  }

  #write(datagram: Uint8Array, to: Target): Promise<void> {
    if (datagram.length + 300 > this.#outgoing.length) this.#outgoing = new Uint8Array(MAX_MESSAGE_BYTES);
    const length = writeDatagram(this.#outgoing, datagram, to);
    if (length === undefined) {
      return Promise.reject(
        new DialError("unsupported", "Cannot send the datagram: with its address it is longer than 65535 bytes"),
      );
    }
    const sending = writeAll(this.#stream, this.#outgoing.subarray(0, length));
    return this.#sending = sending.finally(() => this.#sending = undefined);
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    try {
      return await this.#receive(into);
    } catch (error) {
      if (this.#closed) return null;
      throw error;
    }
  }

  async #receive(into: Uint8Array): Promise<Received | null> {
    while (true) {
      const parsed = parseDatagram(this.#incoming.subarray(0, this.#filled));
      if (parsed.status === "bad") {
        throw new CulvertError("protocol", `Bad datagram from the far side: ${parsed.reason}`);
      }
      if (parsed.status === "done") {
        const { address, payload } = parsed.value;
        const length = Math.min(payload.length, into.length);
        into.set(payload.subarray(0, length));
        this.#incoming.copyWithin(0, parsed.length, this.#filled);
        this.#filled -= parsed.length;
        return { length, from: address };
      }
      if (this.#filled === this.#incoming.length) this.#growIncoming();
      const count = await this.#stream.read(this.#incoming.subarray(this.#filled));
      if (count === null) return null;
      this.#filled += count;
    }
  }

  close(): void {
    this.#closed = true;
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #growIncoming(): void {
    const larger = new Uint8Array(MAX_MESSAGE_BYTES);
    larger.set(this.#incoming.subarray(0, this.#filled));
    this.#incoming = larger;
  }
}

/** Passes datagrams both ways until either side ends, then closes both. Never rejects. */
export async function joinDatagrams(a: Datagrams, b: Datagrams): Promise<void> {
  await Promise.all([passOn(a, b), passOn(b, a)]);
}

async function passOn(from: Datagrams, to: Datagrams): Promise<void> {
  const buffer = new Uint8Array(MAX_DATAGRAM_BYTES);
  try {
    for (let got = await from.receive(buffer); got; got = await from.receive(buffer)) {
      try {
        await to.send(buffer.subarray(0, got.length), got.from);
      } catch (error) {
        if (!(error instanceof DialError)) throw error;
        // Refused by a policy, or unreachable: to a datagram that is loss.
      }
    }
  } catch {
    // Either side has ended, which is told to both below.
  } finally {
    closeQuietly(from);
    closeQuietly(to);
  }
}
