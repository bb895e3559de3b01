/**
 * Who may look: whoever knows the administrators' token gets a session for it, and shows that from then on.
 *
 *   session = nonce . end . HMAC-SHA-256(token, purpose, nonce, end)
 *
 * Nothing of sessions is kept that matters: they go on over a restart as long as the token is the same, and none counts once there
 * is another token. Those that somebody has ended are remembered until they would have ended by themselves, or until a restart.
 *
 * Wrong tokens are limited (`token_guard.ts`). Who guesses sessions guesses the token, so sessions that were never seen before are
 * looked at so often and no more. Those found good before are known and always pass: nobody who is in is put out by those who are
 * not.
 */

import type { Clock } from "../../protocol/clock.ts";
import { equalInConstantTime } from "../../protocol/constant_time.ts";
import { placeOf } from "../../protocol/control/auth_limits.ts";
import { BurstTable } from "../../protocol/control/burst_table.ts";
import { decodeBase64Url, encodeBase64Url } from "../../protocol/encoding.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { Random } from "../../protocol/random.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import { Problem } from "../problem.ts";
import type { Login } from "./api.ts";
import type { TokenGuard } from "./token_guard.ts";

export const SESSION_MS = 12 * 3_600_000;

const PURPOSE = "culvert dashboard session";
const HMAC = { name: "HMAC", hash: "SHA-256" } as const;
const NONCE_BYTES = 12;
const SESSION = /^([\w-]{16})\.([0-9a-z]{1,12})\.([\w-]{43})$/;
const MAX_KNOWN = 256;
/** The one that was ended first counts again when there are more: whoever has it had it before. */
const MAX_ENDED = 4096;
/** Of sessions that are not known. After a restart, each there is comes once. */
const ADDRESS_LOOKS = { perSecond: 0.5, burst: 20, slots: 1024 };
const ALL_LOOKS = { perSecond: 5, burst: 100 };

export interface LoginsDeps {
  readonly guard: TokenGuard;
  readonly clock: Clock;
  readonly random: Random;
}

export class Logins {
  readonly #deps: LoginsDeps;
  readonly #looksByAddress: BurstTable;
  readonly #looks: TokenBucket;
  /** When each of the sessions ends that were found good. */
  readonly #known = new Map<string, number>();
  /** When each of the sessions would have ended that somebody has ended, the first ended first. */
  readonly #ended = new Map<string, number>();
  #key: Promise<CryptoKey> | undefined;

  constructor(deps: LoginsDeps) {
    const { clock, random } = deps;
    this.#deps = deps;
    this.#looksByAddress = new BurstTable(random, ADDRESS_LOOKS);
    this.#looks = new TokenBucket(clock, ALL_LOOKS);
  }

  async logIn(token: string, address: string | undefined): Promise<Login | Problem> {
    const shown = this.#deps.guard.show(token, address);
    if (shown.is === "not_looked_at") return tooMany("log in", "tokens", shown.retryAfterMs);
    if (shown.is === "wrong") {
      return new Problem("login_refused", "Cannot log in: the token must be the administrators'");
    }
    const expiresAtMs = this.#deps.clock.wallNow() + SESSION_MS;
    const nonce = encodeBase64Url(this.#deps.random.fill(new Uint8Array(NONCE_BYTES)));
    const end = expiresAtMs.toString(36);
    const session = `${nonce}.${end}.${encodeBase64Url(await this.#macOf(nonce, end))}`;
    this.#remember(session, expiresAtMs);
    return { session, expiresAtMs };
  }

  /** When the session ends, or the problem with it. */
  async check(session: string | undefined, address: string | undefined): Promise<number | Problem> {
    if (session === undefined) return new Problem("unauthorized", "Cannot answer: log in first");
    if (this.#ended.has(session)) return over();
    const expiresAtMs = this.#known.get(session) ?? await this.#look(session, address);
    if (expiresAtMs instanceof Problem || this.#deps.clock.wallNow() < expiresAtMs) return expiresAtMs;
    return over();
  }

  /** One that was found good counts no more. */
  end(session: string): void {
    const expiresAtMs = this.#known.get(session);
    if (expiresAtMs === undefined) return;
    this.#known.delete(session);
    const nowMs = this.#deps.clock.wallNow();
    for (const [each, endsAtMs] of this.#ended) if (endsAtMs <= nowMs) this.#ended.delete(each);
    if (this.#ended.size >= MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!);
    this.#ended.set(session, expiresAtMs);
  }

  /** When a session ends that was not seen before. */
  async #look(session: string, address: string | undefined): Promise<number | Problem> {
    const [, nonce, end, mac] = SESSION.exec(session) ?? [];
    const given = mac === undefined ? undefined : decodeBase64Url(mac);
    const wrong = new Problem("unauthorized", "Cannot answer: the session must be one of this token; log in again");
    if (!given) return wrong;
    const retryAfterMs = this.#takeLook(address);
    if (retryAfterMs > 0) return tooMany("answer", "sessions", retryAfterMs);
    if (!equalInConstantTime(given, await this.#macOf(nonce!, end!))) return wrong;
    const expiresAtMs = parseInt(end!, 36);
    this.#remember(session, expiresAtMs);
    return expiresAtMs;
  }

  #takeLook(address: string | undefined): number {
    const ip = address === undefined ? undefined : parseIp(address);
    const waitMs = ip ? this.#looksByAddress.take(placeOf(ip), this.#deps.clock.now()) : 0;
    if (waitMs > 0) return waitMs;
    return this.#looks.tryTake() ? 0 : 1000 / ALL_LOOKS.perSecond;
  }

  /** The one that has been known longest is forgotten for it, and looked at again when it comes. */
  #remember(session: string, expiresAtMs: number): void {
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(session, expiresAtMs);
  }

  async #macOf(nonce: string, end: string): Promise<Uint8Array> {
    this.#key ??= crypto.subtle.importKey("raw", bytesOf(this.#deps.guard.token), HMAC, false, ["sign"]);
    return new Uint8Array(
      await crypto.subtle.sign(HMAC.name, await this.#key, bytesOf(`${PURPOSE}\n${nonce}\n${end}`)),
    );
  }
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function over(): Problem {
  return new Problem("token_expired", "Cannot answer: the session is over; log in again");
}

function tooMany(what: string, shown: string, retryAfterMs: number): Problem {
  return new Problem("rate_limited", `Cannot ${what} now: too many wrong ${shown} were shown; wait and try again`, {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}
