/**
 * Who may use the proxy: asked for every connection and every HTTP request, so almost always answered from memory.
 *
 *   has the address or the account to wait? ─▶ account known (`accounts.ts`) ─▶ secret, in constant time
 *     ─▶ active? ─▶ from an address it allows?
 *
 * A wrong secret and an unknown account look and take the same. What follows is told only to who has the secret.
 */

import { equalInConstantTime } from "../../../protocol/constant_time.ts";
import { contains, isV4Mapped, parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import type { Accounts } from "./accounts.ts";
import type { AccessAudit } from "./audit.ts";
import type { LoginBackoff } from "./login_backoff.ts";
import { fitsHash } from "./secrets.ts";

/** Why not: HTTP's status for a proxy, and a sentence for the client without its full stop. */
export interface ProxyRefusal {
  readonly status: 403 | 407 | 503;
  readonly reason: string;
}

export interface ProxyLoginDeps {
  readonly accounts: Pick<Accounts, "get">;
  readonly backoff: LoginBackoff;
  readonly audit: Pick<AccessAudit, "refused">;
  readonly primitives: Primitives;
}

const WRONG: ProxyRefusal = { status: 407, reason: "The account or its proxy secret is wrong" };
const STORE_AWAY: ProxyRefusal = { status: 503, reason: "Accounts cannot be looked up at present; try again" };
const ACTION = "proxy.login";

export class ProxyLogins {
  readonly #deps: ProxyLoginDeps;
  /** Goes with the record, which is read anew every few seconds. */
  readonly #right = new WeakMap<User, Uint8Array>();

  constructor(deps: ProxyLoginDeps) {
    this.#deps = deps;
  }

  /** The user (who has a `userId`), or why not. Never rejects. */
  async check(userId: string, secret: string, address: string | undefined): Promise<User | ProxyRefusal> {
    const { accounts, backoff } = this.#deps;
    const waiting = refusalOfWait(backoff.waitMs(userId, address));
    if (waiting) return waiting;
    let user: User | undefined;
    try {
      user = await accounts.get(userId);
    } catch {
      return STORE_AWAY;
    }
    // Anew, and with nothing awaited from here on: many who ask at once are as many tries one after another.
    const late = refusalOfWait(backoff.waitMs(userId, address));
    if (late) return late;
    if (!this.#fits(secret, user) || !user) return this.#refuseWrong(userId, address);
    backoff.succeed(userId, address);
    if (user.status !== "active") return this.#refuse(user, address, "The account is suspended");
    if (!isAllowed(user, address)) return this.#refuse(user, address, "The account allows no logins from this address");
    return user;
  }

  /** Whether it is the account's secret. What was right for this record of the account need not be hashed again. */
  #fits(secret: string, user: User | undefined): boolean {
    const given = new TextEncoder().encode(secret);
    const right = user && this.#right.get(user);
    if (right && equalInConstantTime(given, right)) return true;
    if (!fitsHash(secret, user?.proxySecretHash, this.#deps.primitives)) return false;
    if (user) this.#right.set(user, given);
    return true;
  }

  #refuseWrong(userId: string, address: string | undefined): ProxyRefusal {
    const waitMs = this.#deps.backoff.fail(userId, address);
    const wait = waitMs > 0 ? `, which now has to wait ${Math.ceil(waitMs / 1000)} s` : "";
    this.#deps.audit.refused(actorOf(address), ACTION, { subject: userId, detail: `wrong proxy secret${wait}` });
    return WRONG;
  }

  #refuse({ userId }: User, address: string | undefined, reason: string): ProxyRefusal {
    this.#deps.audit.refused(actorOf(address), ACTION, { subject: userId, detail: reason });
    return { status: 403, reason };
  }
}

function refusalOfWait(waitMs: number): ProxyRefusal | undefined {
  if (waitMs <= 0) return undefined;
  return { status: 407, reason: `Too many wrong logins: wait ${Math.ceil(waitMs / 1000)} s and try again` };
}

function actorOf(address: string | undefined): string {
  return address ?? "an unknown address";
}

function isAllowed({ proxyAllowed }: User, address: string | undefined): boolean {
  if (!proxyAllowed || proxyAllowed.length === 0) return true;
  const parsed = address === undefined ? undefined : parseIp(address);
  const ip = parsed && isV4Mapped(parsed) ? parsed.subarray(12) : parsed;
  return ip !== undefined && proxyAllowed.some((text) => {
    const cidr = parseCidr(text);
    return cidr !== undefined && contains(cidr, ip);
  });
}
