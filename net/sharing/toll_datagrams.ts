/**
 * A node's datagram socket for a paying client, as `toll_stream.ts` is its stream: a datagram is sent on once it is paid
 * for, and one that was received counts when the next is asked for. Every destination is looked at before anything is sent.
 */

import { delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Toll } from "../../protocol/sharing/toll.ts";
import type { Datagrams, Received, Target } from "../../protocol/stream.ts";
import { type Direction, type TollWatch, unpaid } from "./toll_stream.ts";

export interface DatagramWatch extends TollWatch {
  /** Throws a DialError for a destination that the account may not send to. */
  admitTarget(to: Target): void;
}

export class TollDatagrams implements Datagrams {
  readonly #datagrams: Datagrams;
  readonly #toll: Toll;
  readonly #watch: DatagramWatch;
  readonly #onCut: () => void;
  readonly #over = new AbortController();
  /** Received and paid for, and as far as is known not delivered. */
  #downBytes = 0;
  /** Set aside for what is under way either way. */
  #asideBytes = 0;
  /** Where the last datagram went: most go there again. */
  #lastTarget: Target | undefined;
  #error: CulvertError | undefined;
  #closed = false;

  constructor(datagrams: Datagrams, toll: Toll, watch: DatagramWatch) {
    this.#datagrams = datagrams;
    this.#toll = toll;
    this.#watch = watch;
    this.#onCut = () => this.#cut(toll.cut.reason);
    if (toll.cut.aborted) this.#onCut();
    else toll.cut.addEventListener("abort", this.#onCut);
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#error) throw this.#error;
    if (to.port !== this.#lastTarget?.port || to.host !== this.#lastTarget.host) {
      this.#watch.admitTarget(to);
      this.#lastTarget = to;
    }
    const { length } = datagram;
    await this.#pay(length);
    let sentBytes = 0;
    try {
      await this.#datagrams.send(datagram, to);
      sentBytes = length;
    } finally {
      this.#passed("up", sentBytes, length);
    }
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    this.#delivered();
    if (this.#error) throw this.#error;
    const received = await this.#datagrams.receive(into);
    if (received === null || this.#closed) return null;
    await this.#pay(received.length);
    this.#downBytes = received.length;
    return received;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error ??= new CulvertError("closed", "Cannot use datagrams after close()");
    this.#toll.cut.removeEventListener("abort", this.#onCut);
    this.#datagrams.close();
    this.#over.abort(this.#error);
    if (this.#asideBytes > 0) this.#toll.passed("down", 0, this.#asideBytes);
    this.#toll[Symbol.dispose]();
    this.#watch.ended();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Settles once all of it is allowed: a part of a datagram is of no use. Cuts when the money has come to its end. */
  async #pay(bytes: number): Promise<void> {
    const waitMs = this.#watch.paceMs(bytes);
    if (waitMs > 0) await delay(this.#watch.clock, waitMs, this.#over.signal);
    for (let allowed = 0;;) {
      const more = this.#toll.allow(bytes - allowed);
      allowed += more;
      this.#asideBytes += more;
      if (allowed === bytes) return;
      const hasMore = await this.#toll.refill();
      if (!hasMore && !this.#error) this.#cut(unpaid());
      if (this.#error) throw this.#error;
    }
  }

  /** The next one is asked for: so what was received has been taken. */
  #delivered(): void {
    const bytes = this.#downBytes;
    this.#downBytes = 0;
    if (bytes > 0) this.#passed("down", bytes, bytes);
  }

  #passed(direction: Direction, bytes: number, allowedBytes: number): void {
    if (this.#closed) return; // what was set aside has been given back
    this.#asideBytes -= allowedBytes;
    this.#toll.passed(direction, bytes, allowedBytes);
    const refusal = this.#watch.carried(direction, bytes);
    if (refusal) this.#cut(refusal);
  }

  #cut(reason: CulvertError): void {
    this.#error ??= reason;
    this.close();
  }
}
