/**
 * Which handshake messages are worth a key agreement. Checks that cost more and more: mac1, and under load mac2 and the
 * limit of the source. Load is a queue that fills up, and lasts a second beyond that (whitepaper §5.3).
 *
 * The limit asks nothing without load: then addresses are not proven, and anyone could use up that of someone else.
 */

import { HANDSHAKE_QUEUE_LOAD, UNDER_LOAD_MS } from "./constants.ts";
import { MacChecker, type Received } from "./cookie.ts";
import type { HandshakeTools } from "./handshake.ts";
import { HandshakeLimiter } from "./handshake_limiter.ts";
import type { Key } from "./settings.ts";

export type Verdict = "pass" | "wrong_mac" | "needs_cookie" | "limited";

export class HandshakeGate implements Disposable {
  readonly checker: MacChecker;
  readonly #limiter: HandshakeLimiter;
  #loadEndsMs = -Infinity;

  /** `publicKey` is the device's own. */
  constructor(tools: HandshakeTools, publicKey: Key) {
    this.checker = new MacChecker(tools, publicKey);
    this.#limiter = new HandshakeLimiter(tools.random);
  }

  /** `queued` is how many messages wait, this one counted. */
  judge(received: Received, queued: number): Verdict {
    const { nowMs } = received;
    if (queued >= HANDSHAKE_QUEUE_LOAD) this.#loadEndsMs = nowMs + UNDER_LOAD_MS;
    if (!this.checker.hasMac1(received.packet, received.length)) return "wrong_mac";
    if (nowMs >= this.#loadEndsMs) return "pass";
    if (!this.checker.hasMac2(received)) return "needs_cookie";
    return this.#limiter.allow(received.from.address, nowMs) ? "pass" : "limited";
  }

  [Symbol.dispose](): void {
    this.checker[Symbol.dispose]();
  }
}
