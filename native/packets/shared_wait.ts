/**
 * One thread that waits for the sockets of many packet loops of this thread.
 *
 *   loop ─ descriptors, once ─▶ epoll ─ epoll_wait on another thread ─▶ whichever is ready: its loop goes on
 *
 * A loop that waits arms its descriptors for one event; busy ones are not armed and cost nothing here. The thread waits only
 * while some loop does.
 */

import type { CarrierGroup } from "../../protocol/carrier_group.ts";
import { Slab } from "../../protocol/slab.ts";
import { Epoll, EPOLLIN, EPOLLONESHOT } from "../epoll.ts";
import { type Libc, openLibc } from "../libc.ts";

interface Waiter {
  readonly fds: readonly number[];
  wake: (() => void) | undefined;
}

export class SharedWait {
  readonly #libc: Libc = openLibc();
  readonly #epoll: Epoll;
  readonly #waiters = new Map<number, Waiter>();
  #waiting = 0;
  #users = 0;
  #running: Promise<void> | undefined;

  private constructor() {
    this.#epoll = new Epoll(this.#libc);
  }

  /** The one of the group, made when there is none; to be left when it is needed no more. */
  static join(group: CarrierGroup): SharedWait {
    const wait = group.shared instanceof SharedWait && group.shared.#users > 0 ? group.shared : new SharedWait();
    group.shared = wait;
    wait.#users++;
    return wait;
  }

  /** Settles when one of the descriptors can be read. They are `forget`'s before they are closed. */
  async readable(waiter: Waiter): Promise<void> {
    const woken = new Promise<void>((resolve) => waiter.wake = resolve);
    for (const fd of waiter.fds) {
      if (this.#waiters.get(fd) === waiter) this.#epoll.change(fd, EPOLLIN | EPOLLONESHOT);
      else this.#epoll.add(fd, EPOLLIN | EPOLLONESHOT);
      this.#waiters.set(fd, waiter);
    }
    this.#waiting++;
    this.#running ??= this.#run();
    await woken;
  }

  /** The descriptors are watched no more. Nobody may wait for them. */
  leave(waiter: Waiter): void {
    for (const fd of waiter.fds) {
      if (!this.#waiters.delete(fd)) continue;
      this.#epoll.remove(fd);
    }
    if (--this.#users > 0) return;
    this.#epoll[Symbol.dispose]();
    this.#libc[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const ready = new Slab(this.#epoll.readyBytes);
    while (this.#waiting > 0) {
      const count = await this.#epoll.waitLater(ready);
      for (let at = 0; at < count; at++) {
        const waiter = this.#waiters.get(this.#epoll.fdIn(ready, at));
        const wake = waiter?.wake;
        if (!waiter || !wake) continue;
        waiter.wake = undefined;
        this.#waiting--;
        wake();
      }
    }
    this.#running = undefined;
  }
}

export type { Waiter };
