/**
 * Until when something lasts, by our own clock. A supernode says it by its own, which may be hours from ours: what is
 * `expiresAtMs` anywhere in its message is moved by the difference, as far as that is known.
 *
 * Not here: a command's deadline, which is compared with the supernode's time itself.
 */

/** The clock of the supernode that a peer speaks with, as far as is known. No other is believed to have the same. */
export class SupernodeTime {
  readonly #wallNow: () => number;
  #supernodeId = "";
  #aheadMs = 0;

  /** Ours, in milliseconds since 1970. */
  constructor(wallNow: () => number) {
    this.#wallNow = wallNow;
  }

  get nowMs(): number {
    return this.#wallNow() + this.#aheadMs;
  }

  /** It is about that supernode from now on; false if it was before. */
  turnTo(supernodeId: string): boolean {
    if (this.#supernodeId === supernodeId) return false;
    this.#supernodeId = supernodeId;
    this.#aheadMs = 0;
    return true;
  }

  /** The supernode has said its time. Gives its clock less ours. */
  set(nowMs: number): number {
    return this.#aheadMs = nowMs - this.#wallNow();
  }

  inOurs<T>(message: T): T {
    return inOurTime(message, this.#aheadMs);
  }
}

/** The same message, but for the clock; `aheadMs` is the supernode's clock less ours. */
function inOurTime<T>(message: T, aheadMs: number): T {
  if (aheadMs === 0 || typeof message !== "object" || message === null) return message;
  if (Array.isArray(message)) return message.map((item) => inOurTime(item, aheadMs)) as T;
  const moved = Object.entries(message).map(([name, value]) => [
    name,
    name === "expiresAtMs" ? Math.max(0, Math.round(value - aheadMs)) : inOurTime(value, aheadMs),
  ]);
  return Object.fromEntries(moved) as T;
}
