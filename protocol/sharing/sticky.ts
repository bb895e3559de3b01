/**
 * Sticky sessions: which node an account's session id is bound to.
 *
 *   (account, id) → node, until nobody has used it for its ttl; every use makes it last that long again
 *
 * Bounded for each account and altogether: the one that was not used for the longest makes room. What happens when its node
 * goes is decided by whoever dials: strict sessions stay bound and fail until their time is over, others are bound anew.
 * Pure: time is handed in.
 */

export interface StickyLimits {
  /** Default 100,000. */
  readonly maxSessions?: number;
  /** Default 1,000. */
  readonly maxPerAccount?: number;
}

interface Session {
  readonly userId: string;
  nodeId: string;
  expiresAtMs: number;
}

export class StickySessions {
  readonly #maxSessions: number;
  readonly #maxPerAccount: number;
  /** By key, the one unused for the longest first. */
  readonly #sessions = new Map<string, Session>();
  /** The keys of each account, in the same order. */
  readonly #byAccount = new Map<string, Set<string>>();

  constructor(limits: StickyLimits = {}) {
    this.#maxSessions = limits.maxSessions ?? 100_000;
    this.#maxPerAccount = limits.maxPerAccount ?? 1_000;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The node the session is bound to, unless its time is over. Not a use. */
  nodeOf(userId: string, id: string, nowMs: number): string | undefined {
    const key = keyOf(userId, id);
    const session = this.#sessions.get(key);
    if (!session) return undefined;
    if (session.expiresAtMs > nowMs) return session.nodeId;
    this.#remove(key, session);
    return undefined;
  }

  /** Binds the session to the node, or makes it last again. */
  use(userId: string, id: string, { nodeId, ttlMs, nowMs }: { nodeId: string; ttlMs: number; nowMs: number }): void {
    const key = keyOf(userId, id);
    const old = this.#sessions.get(key);
    if (old) this.#remove(key, old);
    else this.#makeRoom(userId);
    this.#sessions.set(key, { userId, nodeId, expiresAtMs: nowMs + ttlMs });
    const keys = this.#byAccount.get(userId);
    if (keys) keys.add(key);
    else this.#byAccount.set(userId, new Set([key]));
  }

  #makeRoom(userId: string): void {
    const own = this.#byAccount.get(userId);
    if (own && own.size >= this.#maxPerAccount) this.#removeFirst(own);
    else if (this.#sessions.size >= this.#maxSessions) this.#removeFirst(this.#sessions.keys());
  }

  #removeFirst(keys: Iterable<string>): void {
    for (const key of keys) return this.#remove(key, this.#sessions.get(key)!);
  }

  #remove(key: string, { userId }: Session): void {
    this.#sessions.delete(key);
    const keys = this.#byAccount.get(userId)!;
    keys.delete(key);
    if (keys.size === 0) this.#byAccount.delete(userId);
  }
}

/** Neither part has a space in it. */
function keyOf(userId: string, id: string): string {
  return `${userId} ${id}`;
}
