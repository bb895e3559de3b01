/**
 * Receives in the main thread without holding it up: waits by a poll on another thread, takes a bounded batch from each
 * socket, gives a turn to answer, lets the event loop run, and looks again.
 *
 *   poll (another thread, 26 µs a wake) ─▶ batch ─▶ onTurn ─▶ event loop (1 µs) ─▶ batch … nothing, a few looks long ─▶ poll
 *
 * Busy, it never polls: a wake is paid only after so many looks in vain as together cost about as much. After a packet or
 * two that came alone there is one look more.
 */

import { setImmediate } from "node:timers";
import { Slab } from "../../protocol/slab.ts";
import { POLLFD } from "../layout.ts";
import type { Libc } from "../libc.ts";
import type { CarrierGroup } from "../../protocol/carrier_group.ts";
import { EventFd, POLLIN } from "../poll.ts";
import { SharedWait } from "./shared_wait.ts";

export interface PacketSource {
  /** For the poll. */
  readonly fd: number;
  /** Takes what one call of the kernel gives and hands it on; gives how many packets, 0 when none waited. */
  receive(): number;
}

/** What one socket may give before others, and the answers, get their turn. */
const TURN_PACKETS = 128;
const LOOKS = 12;
/** Fewer, after a wait: a sign of life or an answer, behind which nothing may come for long. */
const BUSY_PACKETS = 4;

export class PacketLoop implements Disposable {
  readonly #libc: Libc;
  readonly #sources: readonly PacketSource[];
  readonly #onTurn: () => void;
  readonly #wake: EventFd;
  /** The other thread writes here for as long as it waits. */
  readonly #polled: Slab;
  readonly #polledCount: bigint;
  /** Where it waits together with others. */
  readonly #shared: SharedWait | undefined;
  readonly #waiter: { readonly fds: readonly number[]; wake: (() => void) | undefined };
  #isEnded = false;

  constructor(libc: Libc, sources: readonly PacketSource[], onTurn: () => void, group?: CarrierGroup) {
    this.#libc = libc;
    this.#sources = sources;
    this.#onTurn = onTurn;
    this.#wake = new EventFd(libc);
    const fds = [...sources.map(({ fd }) => fd), this.#wake.fd];
    this.#shared = group && SharedWait.join(group);
    this.#waiter = { fds, wake: undefined };
    this.#polled = new Slab(fds.length * POLLFD.size);
    this.#polledCount = BigInt(fds.length);
    for (const [index, fd] of fds.entries()) {
      this.#polled.view.setInt32(index * POLLFD.size + POLLFD.fd, fd, true);
      this.#polled.view.setInt16(index * POLLFD.size + POLLFD.events, POLLIN, true);
    }
  }

  /** Until `end`. Rejects with what a receiver throws. */
  async run(): Promise<void> {
    let looks = LOOKS;
    while (!this.#isEnded) {
      const hasWaited = looks >= LOOKS;
      if (!hasWaited) await new Promise<void>(nextTurn);
      else if (this.#shared) await this.#shared.readable(this.#waiter);
      else await this.#libc.call.pollLater(this.#polled.bytes, this.#polledCount, -1);
      const packets = this.#takeTurn();
      if (packets === 0) looks = hasWaited ? LOOKS : looks + 1;
      else looks = hasWaited && packets < BUSY_PACKETS ? LOOKS - 1 : 0;
    }
  }

  /** `run` settles soon; nothing is received any more. */
  end(): void {
    this.#isEnded = true;
    this.#wake.wake();
  }

  /** Once `run` has settled. */
  [Symbol.dispose](): void {
    this.#shared?.leave(this.#waiter);
    this.#wake[Symbol.dispose]();
  }

  /** Gives how many packets there were. */
  #takeTurn(): number {
    let all = 0;
    for (const source of this.#sources) {
      for (let packets = 0; packets < TURN_PACKETS && !this.#isEnded;) {
        const received = source.receive();
        if (received === 0) break;
        packets += received;
        all += received;
      }
    }
    if (all > 0 && !this.#isEnded) this.#onTurn();
    return all;
  }
}

function nextTurn(resolve: () => void): void {
  setImmediate(resolve);
}
