/**
 * The words with which peers and other supernodes open their data links: each is good once, for its holder, for a
 * minute. They are given out over channels that have proven who the holder is. When there are too many, the oldest
 * goes; whoever held it asks for another.
 */

import type { Clock } from "../../protocol/clock.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import type { Random } from "../../protocol/random.ts";

const LIFETIME_MS = 60_000;
const MAX_TOKENS = 65_536;
const TOKEN_BYTES = 24;

/** Whose a data link is. */
export interface LinkHolder {
  readonly kind: "peer" | "supernode";
  readonly id: string;
}

export class RelayTokens {
  readonly #clock: Clock;
  readonly #random: Random;
  /** In the order in which they end. */
  readonly #tokens = new Map<string, LinkHolder & { readonly untilMs: number }>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  issue(holder: LinkHolder): string {
    const nowMs = this.#clock.now();
    for (const [token, { untilMs }] of this.#tokens) {
      if (untilMs > nowMs && this.#tokens.size < MAX_TOKENS) break;
      this.#tokens.delete(token);
    }
    const token = encodeBase64Url(this.#random.fill(new Uint8Array(TOKEN_BYTES)));
    this.#tokens.set(token, { ...holder, untilMs: nowMs + LIFETIME_MS });
    return token;
  }

  /** Whose the token was; it is worth nothing any more. */
  redeem(token: string): LinkHolder | undefined {
    const held = this.#tokens.get(token);
    this.#tokens.delete(token);
    return held && held.untilMs > this.#clock.now() ? { kind: held.kind, id: held.id } : undefined;
  }
}
