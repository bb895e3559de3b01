/** A link that knows when bytes came on it last: what acknowledges and says nothing may have forgotten us. */

import type { Clock } from "../../protocol/clock.ts";
import type { Link, LinkHandlers } from "../link.ts";
import type { KcpLink } from "./kcp_link.ts";

export class HeardLink implements Link {
  readonly kcp: KcpLink;
  readonly #clock: Clock;
  /** Never: -Infinity. */
  heardMs = -Infinity;

  constructor(kcp: KcpLink, clock: Clock) {
    this.kcp = kcp;
    this.#clock = clock;
  }

  get idle(): boolean {
    return this.kcp.idle;
  }

  start(handlers: LinkHandlers): void {
    this.kcp.start({
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
    this.kcp.wake();
  }

  resume(): void {
    this.kcp.resume();
  }

  close(): void {
    this.kcp.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
