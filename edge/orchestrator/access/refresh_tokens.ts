/**
 * Refresh tokens: each counts once, and is exchanged for the next one of its family (RFC 9700 §4.14.2).
 *
 *   the family's generation       ─▶ exchanged: the family goes on to the next
 *   the one before, within 10 s   ─▶ the same next one again: the answer was lost, or two pages asked at once
 *   any older                     ─▶ somebody has a copy: the whole family is revoked, and both have to log in again
 *   not made by us                ─▶ refused, and nothing happens to the family: anybody may know its id
 *
 * Since tokens are made from the family with a key that is not in the store (`protocol/sharing/refresh_token.ts`), nothing
 * of them is kept. A family ends 30 days after its last use, and 180 days after the login.
 */

import type { Table, Versioned } from "../../../kv/sharing/table.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { Random } from "../../../protocol/random.ts";
import type { RefreshFamily } from "../../../protocol/sharing/access_records.ts";
import { formatRefreshToken, parseRefreshToken } from "../../../protocol/sharing/refresh_token.ts";
import { makeAccessId } from "./secrets.ts";

const DAY_MS = 86_400_000;
export const REFRESH_IDLE_MS = 30 * DAY_MS;
const REFRESH_MAX_MS = 180 * DAY_MS;
const RETRY_WINDOW_MS = 10_000;
const TRIES = 8;
/** So many logins are ended at once. */
const PAGE = 100;

export interface RefreshTokenDeps {
  readonly families: Table<RefreshFamily>;
  /** 32 secret bytes: who has them can make tokens of any login that is known by its id. */
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
}

export interface IssuedRefreshToken {
  readonly token: string;
  readonly family: RefreshFamily;
}

export type Exchange =
  | { readonly kind: "issued"; readonly issued: IssuedRefreshToken }
  /** It counts no more, and never has to again. */
  | { readonly kind: "ended" }
  /** Somebody used it twice: the family is revoked now. */
  | { readonly kind: "reused"; readonly family: RefreshFamily }
  | { readonly kind: "unknown" };

export class RefreshTokens {
  readonly #deps: RefreshTokenDeps;

  constructor(deps: RefreshTokenDeps) {
    this.#deps = deps;
  }

  /** The first token of a new login. */
  async begin(userId: string, method: string): Promise<IssuedRefreshToken> {
    const { families, clock, random } = this.#deps;
    const nowMs = clock.wallNow();
    const family: RefreshFamily = {
      familyId: makeAccessId(random),
      userId,
      generation: 0,
      rotatedAtMs: nowMs,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + REFRESH_IDLE_MS,
      method,
    };
    if (!await families.insert(family)) throw contended();
    return this.#issued(family);
  }

  async exchange(text: string): Promise<Exchange> {
    const token = parseRefreshToken(text, this.#deps.key);
    if (!token) return { kind: "unknown" };
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = await this.#deps.families.get(token.familyId);
      const nowMs = this.#deps.clock.wallNow();
      if (!found || found.record.revoked || found.record.expiresAtMs <= nowMs) return { kind: "ended" };
      const outcome = await this.#exchangeOf(found, token.generation, nowMs);
      if (outcome) return outcome;
    }
    throw contended();
  }

  /** Undefined when another was faster, and it has to be looked at again. */
  async #exchangeOf(found: Versioned<RefreshFamily>, generation: number, nowMs: number): Promise<Exchange | undefined> {
    const { families } = this.#deps;
    const family = found.record;
    const behind = family.generation - generation;
    if (behind < 0) return { kind: "unknown" };
    if (behind === 1 && nowMs - family.rotatedAtMs <= RETRY_WINDOW_MS) {
      return { kind: "issued", issued: this.#issued(family) };
    }
    if (behind > 0) {
      const revoked = { ...family, revoked: { atMs: nowMs, reason: "a refresh token was used twice" } };
      return await families.replace(found, revoked) ? { kind: "reused", family: revoked } : undefined;
    }
    const next = {
      ...family,
      generation: generation + 1,
      rotatedAtMs: nowMs,
      expiresAtMs: Math.min(nowMs + REFRESH_IDLE_MS, family.createdAtMs + REFRESH_MAX_MS),
    };
    return await families.replace(found, next) ? { kind: "issued", issued: this.#issued(next) } : undefined;
  }

  /** Ends the login a token belongs to, and gives it; undefined when there is none. */
  async end(text: string): Promise<RefreshFamily | undefined> {
    const token = parseRefreshToken(text, this.#deps.key);
    return token && await this.#revoke(token.familyId, "logged out");
  }

  /** Ends all logins of a user but one, and gives how many those were. */
  async endAll(userId: string, reason: string, except?: string): Promise<number> {
    let ended = 0;
    // However many there are: whoever has the secret can have begun as many as they like.
    let after: string | undefined;
    for (;;) {
      const page = { limit: PAGE, ...(after !== undefined && { after }) };
      const found = await this.#deps.families.list({ index: "user", value: userId }, page);
      const others = found.filter(({ record }) => record.familyId !== except && !record.revoked);
      const revoked = await Promise.all(others.map(({ record }) => this.#revoke(record.familyId, reason)));
      ended += revoked.filter((family) => family !== undefined).length;
      if (found.length < PAGE) return ended;
      after = found.at(-1)!.record.familyId;
    }
  }

  async #revoke(familyId: string, reason: string): Promise<RefreshFamily | undefined> {
    const { families, clock } = this.#deps;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = await families.get(familyId);
      if (!found || found.record.revoked) return undefined;
      const revoked = { ...found.record, revoked: { atMs: clock.wallNow(), reason } };
      if (await families.replace(found, revoked)) return revoked;
    }
    throw contended();
  }

  #issued(family: RefreshFamily): IssuedRefreshToken {
    return { token: formatRefreshToken(family, this.#deps.key), family };
  }
}

function contended(): CulvertError {
  return new CulvertError("store_contended", "Cannot keep a login: others must not be in the way; try again");
}
