/**
 * A link whose bytes are counted as they pass, together with those of others.
 */

import type { Link, LinkHandlers } from "./link.ts";

/** Bytes over links, since the beginning. */
export interface Traffic {
  rxBytes: number;
  txBytes: number;
}

export class CountedLink implements Link {
  readonly #link: Link;
  readonly #traffic: Traffic;

  constructor(link: Link, traffic: Traffic) {
    this.#link = link;
    this.#traffic = traffic;
  }

  start(handlers: LinkHandlers): void {
    const traffic = this.#traffic;
    this.#link.start({
      onBytes(bytes) {
        traffic.rxBytes += bytes.length;
        handlers.onBytes(bytes);
      },
      fill(into) {
        const count = handlers.fill(into);
        traffic.txBytes += count;
        return count;
      },
      wantsBytes: () => handlers.wantsBytes(),
      onClose: (error) => handlers.onClose(error),
    });
  }

  wake(): void {
    this.#link.wake();
  }

  get idle(): boolean {
    return this.#link.idle;
  }

  resume(): void {
    this.#link.resume();
  }

  close(): void {
    this.#link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
