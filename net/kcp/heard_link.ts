/** A link that knows when bytes came on it last: what acknowledges and says nothing may have forgotten us. */

import type { Clock } from "../../protocol/clock.ts";
import type { Link, LinkHandlers } from "../link.ts";

export class HeardLink implements Link {
  readonly #link: Link;
  readonly #clock: Clock;
  /** Never: -Infinity. */
  heardMs = -Infinity;

  constructor(link: Link, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  get idle(): boolean {
    return this.#link.idle;
  }

  start(handlers: LinkHandlers): void {
    this.#link.start({
      onBytes: (bytes) => {
        this.heardMs = this.#clock.now();
        handlers.onBytes(bytes);
      },
      fill: (into) => handlers.fill(into),
      wantsBytes: () => handlers.wantsBytes(),
      onClose: (error) => handlers.onClose(error),
    });
  }

  wake(): void {
    this.#link.wake();
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
