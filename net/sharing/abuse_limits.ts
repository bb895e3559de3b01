/**
 * What one account may do at once: connections, new ones a second, different destinations a minute, bytes a second and a
 * day. The ceiling on destinations is what stops a port scan: a scanner asks for many and a crawler for few again and again.
 *
 *   admit(target) → refused with `busy`, or one more open        carried(bytes) → paceMs: how long to wait before the next
 *
 * Every refusal is counted, and told for the audit log once per burst: at most once a minute for each kind, with how many
 * there were since. No host is told. Counts are kept in memory: bytes of the day begin at zero when a process starts.
 */

import type { Clock } from "../../protocol/clock.ts";
import { DialError, type DialFailure } from "../../protocol/errors.ts";
import type { UserLimits } from "../../protocol/sharing/records.ts";
import type { Target } from "../../protocol/stream.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";

export type AbuseKind =
  | "connections"
  | "connection_rate"
  | "targets" // too many different ones: a scan
  | "bytes_per_day"
  | "target_denied" // mail, private addresses, and what else the orchestrator's policy closes
  | "target_denied_by_node"; // such as a name that leads to a private address

/** For the audit log. */
export interface AbuseEvent {
  readonly userId: string;
  readonly kind: AbuseKind;
  /** For people. */
  readonly reason: string;
  /** Refusals of this kind since the last that was told, this one included. */
  readonly count: number;
}

export type TellAbuse = (event: AbuseEvent) => void;

/** As a user's, where that says nothing. Undefined is unlimited. */
export interface AbuseDefaults {
  readonly maxConnections: number;
  readonly maxConnectionsPerSecond: number;
  readonly maxTargetsPerMinute: number;
  readonly maxBytesPerSecond?: number | undefined;
  readonly maxBytesPerDay?: number | undefined;
}

export const defaultAbuseLimits: AbuseDefaults = {
  maxConnections: 1_000,
  maxConnectionsPerSecond: 100,
  maxTargetsPerMinute: 600,
};

/** UDP sockets of one account: each costs the proxy 128 KiB and a socket, and all accounts share what there are. */
const MAX_DATAGRAM_SOCKETS = 64;
/** How long one telling stands for those that follow. */
const BURST_MS = 60_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Browsers open many connections at once and then none. */
const CONNECTION_BURST_SECONDS = 2;
/** What may pass at once after a pause, as a part of a second's worth. */
const BYTE_BURST_SECONDS = 0.1;

export interface AbuseLimitsOptions {
  readonly userId: string;
  readonly clock: Clock;
  readonly defaults: AbuseDefaults;
  readonly tell: TellAbuse;
}

/** One account's. */
export class AbuseLimits {
  readonly #options: AbuseLimitsOptions;
  #limits: AbuseDefaults;
  #own: UserLimits | undefined;
  #connections: TokenBucket;
  #bytes: TokenBucket | undefined;
  #open = 0;
  #datagramSockets = 0;
  /** Destinations by when they were first asked for, the oldest first. */
  readonly #targets = new Map<string, number>();
  #day = 0;
  #dayBytes = 0;
  /** By kind: when it was told, and refusals since. */
  readonly #told = new Map<AbuseKind, { atMs: number; since: number }>();

  constructor(options: AbuseLimitsOptions) {
    this.#options = options;
    this.#limits = options.defaults;
    this.#connections = this.#bucket(options.defaults.maxConnectionsPerSecond, CONNECTION_BURST_SECONDS);
  }

  /** Connections open now. */
  get open(): number {
    return this.#open;
  }

  /** Takes a user's own limits; a rate that stays the same keeps its bucket. */
  apply(own: UserLimits | undefined): void {
    if (own === this.#own) return;
    this.#own = own;
    const limits: AbuseDefaults = { ...this.#options.defaults, ...withoutUndefined(own ?? {}) };
    const { maxConnectionsPerSecond, maxBytesPerSecond } = limits;
    if (maxConnectionsPerSecond !== this.#limits.maxConnectionsPerSecond) {
      this.#connections = this.#bucket(maxConnectionsPerSecond, CONNECTION_BURST_SECONDS);
    }
    if (maxBytesPerSecond === undefined) this.#bytes = undefined;
    else if (maxBytesPerSecond !== this.#bytes?.rate.perSecond) {
      this.#bytes = this.#bucket(maxBytesPerSecond, BYTE_BURST_SECONDS);
    }
    this.#limits = limits;
  }

  /** One more connection, without a target a datagram socket, or `busy`. What is admitted is `released` when it ends. */
  admit(target?: Target): void {
    const { maxConnections } = this.#limits;
    if (this.#open >= maxConnections) {
      throw this.refusal("connections", "busy", `the account has ${maxConnections} connections, as many as it may`);
    }
    if (!target && this.#datagramSockets >= MAX_DATAGRAM_SOCKETS) {
      throw this.refusal(
        "connections",
        "busy",
        `the account has ${MAX_DATAGRAM_SOCKETS} UDP sockets, as many as it may`,
      );
    }
    if (this.#dayIsOver()) throw this.#dayRefusal();
    if (!this.#connections.tryTake()) {
      throw this.refusal("connection_rate", "busy", "the account opens as many connections a second as it may");
    }
    if (target) this.admitTarget(target);
    this.#open++;
    if (!target) this.#datagramSockets++;
  }

  released(what: "stream" | "datagrams"): void {
    this.#open--;
    if (what === "datagrams") this.#datagramSockets--;
  }

  /** Throws `busy` when this would be one destination more than the account may reach in a minute. */
  admitTarget(target: Target): void {
    const nowMs = this.#options.clock.now();
    for (const [key, atMs] of this.#targets) {
      if (atMs > nowMs - MINUTE_MS) break;
      this.#targets.delete(key);
    }
    const key = `${target.host}:${target.port}`;
    if (this.#targets.has(key)) return;
    if (this.#targets.size >= this.#limits.maxTargetsPerMinute) {
      throw this.refusal("targets", "busy", "the account has reached for as many destinations a minute as it may");
    }
    this.#targets.set(key, nowMs);
  }

  /** Counts bytes of the day; a DialError when these were the last it has. */
  carried(bytes: number): DialError | undefined {
    if (this.#limits.maxBytesPerDay === undefined) return undefined;
    this.#dayBytes += bytes;
    return this.#dayIsOver() ? this.#dayRefusal() : undefined;
  }

  /** How long these bytes have to wait for the account's rate. */
  paceMs(bytes: number): number {
    return this.#bytes?.take(bytes) ?? 0;
  }

  /** Counts a refusal, tells it if it is the first of its burst, and gives the error for the client. */
  refusal(kind: AbuseKind, failure: DialFailure, reason: string): DialError {
    const { userId, clock, tell } = this.#options;
    const nowMs = clock.now();
    const told = this.#told.get(kind);
    if (told && nowMs - told.atMs < BURST_MS) told.since++;
    else {
      this.#told.set(kind, { atMs: nowMs, since: 0 });
      tell({ userId, kind, reason, count: 1 + (told?.since ?? 0) });
    }
    return new DialError(failure, reason, { isForAll: true });
  }

  #dayIsOver(): boolean {
    const { maxBytesPerDay } = this.#limits;
    if (maxBytesPerDay === undefined) return false;
    const day = Math.floor(this.#options.clock.wallNow() / DAY_MS);
    if (day !== this.#day) [this.#day, this.#dayBytes] = [day, 0];
    return this.#dayBytes >= maxBytesPerDay;
  }

  #dayRefusal(): DialError {
    return this.refusal("bytes_per_day", "busy", "the account has carried as many bytes today as it may");
  }

  #bucket(perSecond: number, burstSeconds: number): TokenBucket {
    return new TokenBucket(this.#options.clock, { perSecond, burst: Math.max(1, perSecond * burstSeconds) });
  }
}

function withoutUndefined(limits: UserLimits): { [Name in keyof UserLimits]: NonNullable<UserLimits[Name]> } {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
