/**
 * Who fails to log in waits longer and longer, by address (an IPv6 address by its /64) and by account:
 *
 *   5 failures are free ─▶ 1 s ─▶ 2 s ─▶ … ─▶ 15 min          forgotten after 15 min without one
 *
 * While somebody waits nothing they show is looked at, so a guess costs the same whether it was right. An account and an
 * address from which it was logged into lately count by themselves: they wait for neither what others do to that account
 * nor what others at that address do, so nobody is locked out by a stranger who knows their id, or by a neighbour behind
 * the same NAT. What an address failed at with others' accounts is not forgiven for having one of one's own.
 *
 * In memory and bounded; when full, those that were quiet longest are forgotten. Each process counts for itself.
 */

import type { Clock } from "../../../protocol/clock.ts";
import { placeOf } from "../../../protocol/control/auth_limits.ts";
import { parseIp } from "../../../protocol/ip.ts";
import { makeRoom } from "./make_room.ts";

const FREE_FAILURES = 5;
const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 15 * 60_000;
const FORGET_MS = 15 * 60_000;
const TRUST_MS = 24 * 3_600_000;
const MAX_ENTRIES = 16_384;

interface Failures {
  count: number;
  untilMs: number;
  forgetAtMs: number;
}

export class LoginBackoff {
  readonly #clock: Pick<Clock, "now">;
  readonly #failures = new Map<string, Failures>();
  /** Places from which an account was logged into, and until when that counts. */
  readonly #trusted = new Map<string, number>();

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** How long to wait before the next try, in milliseconds; 0 for not at all. Without an account the address alone counts. */
  waitMs(account: string | undefined, address: string | undefined): number {
    if (this.#failures.size === 0) return 0;
    const place = placeText(address);
    if (account !== undefined && this.#isTrusted(account, place)) return this.#waitOf(homeKey(account, place));
    const byAddress = place === undefined ? 0 : this.#waitOf(place);
    return account === undefined ? byAddress : Math.max(byAddress, this.#waitOf(accountKey(account)));
  }

  /** Notes a failure, and gives how long to wait now. */
  fail(account: string | undefined, address: string | undefined): number {
    const place = placeText(address);
    // Who fails from where the account is at home harms only themselves.
    if (account !== undefined && this.#isTrusted(account, place)) return this.#count(homeKey(account, place));
    const byAddress = place === undefined ? 0 : this.#count(place);
    return account === undefined ? byAddress : Math.max(byAddress, this.#count(accountKey(account)));
  }

  /** Notes that it was right. What others did to the account, and at the address, is not forgotten. */
  succeed(account: string, address: string | undefined): void {
    const place = placeText(address);
    if (place === undefined) return;
    const key = homeKey(account, place);
    if (this.#failures.size > 0) this.#failures.delete(key);
    const nowMs = this.#clock.now();
    // Known already, and not about to end: nothing to write.
    if ((this.#trusted.get(key) ?? 0) > nowMs + TRUST_MS / 2) return;
    this.#trusted.delete(key);
    makeRoom(this.#trusted, MAX_ENTRIES);
    this.#trusted.set(key, nowMs + TRUST_MS);
  }

  #isTrusted(account: string, place: string | undefined): place is string {
    return place !== undefined && (this.#trusted.get(homeKey(account, place)) ?? 0) > this.#clock.now();
  }

  #waitOf(key: string): number {
    const failures = this.#failures.get(key);
    return failures ? Math.max(0, failures.untilMs - this.#clock.now()) : 0;
  }

  #count(key: string): number {
    const nowMs = this.#clock.now();
    const known = this.#failures.get(key);
    const count = known && known.forgetAtMs > nowMs ? known.count + 1 : 1;
    const over = count - FREE_FAILURES;
    const waitMs = over <= 0 ? 0 : Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (over - 1));
    // The quiet ones are at the front.
    this.#failures.delete(key);
    makeRoom(this.#failures, MAX_ENTRIES);
    this.#failures.set(key, { count, untilMs: nowMs + waitMs, forgetAtMs: nowMs + waitMs + FORGET_MS });
    return waitMs;
  }
}

/** Longer than any place, so that it is none. */
function accountKey(account: string): string {
  return `account ${account}`;
}

/** An account at an address. */
function homeKey(account: string, place: string): string {
  return `home ${account} ${place}`;
}

function placeText(address: string | undefined): string | undefined {
  const ip = address === undefined ? undefined : parseIp(address);
  return ip && placeOf(ip);
}
