/**
 * What several orchestrators count together and can do without for a while: sums over windows of time, rate limits, and who
 * is online. One contract suite, two makers: `createMemoryCounters` for one process, and Redis' in `../redis/counters.ts`;
 * `degrading_counters.ts` goes on with the first while the second is away. Nothing here is money, and nothing here is the
 * only place where something is written.
 *
 * A window is `windowMs` long and begins at a multiple of that, so a day's is the day in UTC. Sums are whole and below 2^53.
 */

import { CulvertError } from "../../protocol/errors.ts";

export interface CountWindow {
  readonly windowMs: number;
  /** How many windows before the present one can be asked for. @default 0, at most 1000 */
  readonly keep?: number;
}

/** So many at once, and as many again in each window, evenly. */
export interface RateLimit {
  readonly limit: number;
  readonly windowMs: number;
}

export interface Taken {
  readonly isAllowed: boolean;
  /** 0 when it is allowed. */
  readonly retryAfterMs: number;
}

export interface Counters {
  /** Adds to a key's present window, or the one of `atMs`; gives the sum in it. */
  add(key: string, amount: number, window: CountWindow & { readonly atMs?: number }): Promise<number>;
  /** The sums of the windows that are kept and of the present one, the oldest first. */
  history(key: string, window: CountWindow): Promise<number[]>;
  /** Takes one of what a key may do, if there is one. */
  take(key: string, limit: RateLimit): Promise<Taken>;
  /** A member of a set counts as online for so long; say it again before then. */
  markOnline(set: string, member: string, ttlMs: number): Promise<void>;
  markOffline(set: string, member: string): Promise<void>;
  /** Who is online, sorted; at most 100,000. */
  online(set: string): Promise<string[]>;
}

export const MAX_ONLINE = 100_000;
const MAX_KEEP = 1000;
const MAX_NAME_LENGTH = 256;

/** The number of the window that a time is in. */
export function windowNumber({ windowMs }: CountWindow, wallMs: number): number {
  return Math.floor(wallMs / windowMs);
}

/** When nobody can ask for a window any more. */
export function endOfWindow({ windowMs, keep = 0 }: CountWindow, number: number): number {
  return (number + 1 + keep) * windowMs;
}

export function checkName(what: string, name: string): void {
  if (name.length >= 1 && name.length <= MAX_NAME_LENGTH) return;
  throw mistake(`${what} must have 1 to ${MAX_NAME_LENGTH} characters, got ${name.length}`);
}

export function checkWindow({ windowMs, keep = 0 }: CountWindow): void {
  if (!Number.isInteger(windowMs) || windowMs < 1) {
    throw mistake(`windowMs must be a whole number above 0, got ${windowMs}`);
  }
  if (!Number.isInteger(keep) || keep < 0 || keep > MAX_KEEP) {
    throw mistake(`keep must be 0 to ${MAX_KEEP}, got ${keep}`);
  }
}

export function checkAmount(amount: number): void {
  if (!Number.isSafeInteger(amount) || amount < 0) {
    throw mistake(`an amount must be a whole number, not below 0, got ${amount}`);
  }
}

export function checkLimit({ limit, windowMs }: RateLimit): void {
  if (!(limit > 0)) throw mistake(`a limit must be above 0, got ${limit}`);
  if (!(windowMs > 0)) throw mistake(`windowMs must be above 0, got ${windowMs}`);
}

function mistake(problem: string): CulvertError {
  return new CulvertError("invalid_option", `Cannot count: ${problem}`);
}
