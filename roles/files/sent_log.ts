/**
 * What was sent to others of late, as the page shows it: the last of what the file server tells.
 */

import type { Sent } from "../../protocol/files/owner_api.ts";

const MAX_SENT = 100;

export class SentLog {
  readonly #sent: Sent[] = [];
  #bytes = 0;

  add(sent: Sent): void {
    this.#bytes += sent.bytes;
    this.#sent.unshift(sent);
    this.#sent.length = Math.min(this.#sent.length, MAX_SENT);
  }

  /** The newest first. */
  get transfers(): readonly Sent[] {
    return this.#sent;
  }

  /** Since the beginning. */
  get bytes(): number {
    return this.#bytes;
  }
}
