/**
 * How somebody becomes known: by an invitation, by their account's secret, by Telegram. Whoever fails waits
 * (`login_backoff.ts`) and is audited; what comes out is an account, or why not.
 */

import type { Clock } from "../../../protocol/clock.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import type { Random } from "../../../protocol/random.ts";
import type { User, UserRole } from "../../../protocol/sharing/records.ts";
import {
  checkTelegramInitData,
  checkTelegramWidget,
  type TelegramFault,
  type TelegramUser,
  type TelegramVerdict,
} from "../../../protocol/sharing/telegram_login.ts";
import { Problem } from "../../problem.ts";
import type { Accounts } from "./accounts.ts";
import type { AccessAudit } from "./audit.ts";
import type { Codes } from "./codes.ts";
import type { LoginBackoff } from "./login_backoff.ts";
import { fitsHash, hashSecret, makeSecret } from "./secrets.ts";

export interface LoginDeps {
  readonly accounts: Accounts;
  readonly codes: Codes;
  readonly audit: AccessAudit;
  readonly backoff: LoginBackoff;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly signUp: "open" | "invited";
  readonly botToken: string | undefined;
}

/** What Telegram gave to a page, one of the two. */
export interface TelegramAnswer {
  readonly widget?: Readonly<Record<string, string | number>> | undefined;
  readonly initData?: string | undefined;
}

const LOGIN = "login";
const TELEGRAM_FAULTS: Readonly<Record<TelegramFault, string>> = {
  malformed: "Telegram's answer cannot be read",
  forged: "Telegram's answer is not signed for this bot",
  stale: "Telegram's answer is too old",
};

export class Logins {
  readonly #deps: LoginDeps;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** Opens an account. The secret is nowhere else. */
  async byInvitation(
    invitation: string,
    name: string,
    address: string | undefined,
  ): Promise<{ readonly user: User; readonly secret: string } | Problem> {
    const { random, primitives } = this.#deps;
    const secret = makeSecret(random);
    const user = await this.#open(invitation, { name, secretHash: hashSecret(secret, primitives) }, address);
    return user instanceof Problem ? user : { user, secret };
  }

  async bySecret(userId: string, secret: string, address: string | undefined): Promise<User | Problem> {
    const { accounts, backoff, primitives } = this.#deps;
    const waiting = this.#waiting(userId, address);
    if (waiting) return waiting;
    const user = await accounts.get(userId);
    // Anew, and with nothing awaited from here on: many who ask at once are as many tries one after another.
    const late = this.#waiting(userId, address);
    if (late) return late;
    if (!fitsHash(secret, user?.secretHash, primitives) || !user) {
      this.#failed(userId, address, { subject: userId, detail: "wrong account or secret" });
      return new Problem("login_refused", "Cannot log in: the account or its secret is wrong");
    }
    backoff.succeed(userId, address);
    return this.#active(user, address);
  }

  /** By Telegram's word. `linkTo` is the account to link it to, when somebody is logged in already. */
  async byTelegram(
    answer: TelegramAnswer,
    { address, invitation, linkTo }: {
      readonly address: string | undefined;
      readonly invitation?: string | undefined;
      readonly linkTo?: string | undefined;
    },
  ): Promise<User | Problem> {
    const verdict = this.#check(answer);
    if (verdict instanceof Problem) return verdict;
    const waiting = this.#waiting(undefined, address);
    if (waiting) return waiting;
    if (!verdict.ok) {
      const detail = TELEGRAM_FAULTS[verdict.fault];
      this.#failed(undefined, address, { detail: `Telegram login: ${detail}` });
      return new Problem("login_refused", `Cannot log in: ${detail}; log in anew`);
    }
    const { accounts, backoff } = this.#deps;
    const { telegramId } = verdict.user;
    const known = await accounts.byTelegram(telegramId);
    if (linkTo !== undefined) return await this.#link(linkTo, telegramId, known);
    if (!known) return await this.#openByTelegram(verdict.user, invitation, address);
    backoff.succeed(known.userId, address);
    return this.#active(known, address);
  }

  #check({ widget, initData }: TelegramAnswer): TelegramVerdict | Problem {
    const { botToken, clock } = this.#deps;
    if (botToken === undefined) return new Problem("not_found", "Cannot log in by Telegram: no bot is set up here");
    const check = { botToken, nowMs: clock.wallNow() };
    if (widget && initData === undefined) return checkTelegramWidget(widget, check);
    if (initData !== undefined && !widget) return checkTelegramInitData(initData, check);
    return new Problem("bad_request", "Cannot log in: there must be either widget or initData");
  }

  async #openByTelegram(
    { telegramId, name }: TelegramUser,
    invitation: string | undefined,
    address: string | undefined,
  ): Promise<User | Problem> {
    if (invitation !== undefined) return await this.#open(invitation, { name, telegramId }, address);
    if (this.#deps.signUp === "invited") {
      this.#deps.audit.refused(actorOf(address), LOGIN, {
        detail: `Telegram ${telegramId} has no account or invitation`,
      });
      return new Problem("login_refused", "Cannot open an account: an invitation is needed here");
    }
    return await this.#opened({ name, telegramId }, [], "telegram");
  }

  async #link(userId: string, telegramId: string, known: User | undefined): Promise<User | Problem> {
    const taken = new Problem("conflict", "Cannot link Telegram: it must not belong to another account");
    if (known) return known.userId === userId ? known : taken;
    const { accounts, audit } = this.#deps;
    const linked = await accounts.change<Problem>(userId, (user) => ({ ...user, telegramId }));
    if (!linked || "refusal" in linked) return taken;
    await audit.note(userId, "account.linked", { subject: userId, detail: `Telegram ${telegramId}` });
    return linked;
  }

  /** Opens an account and uses the invitation up, in this order: whoever is disturbed in between can use it again. */
  async #open(
    invitation: string,
    made: Pick<User, "name"> & Partial<User>,
    address: string | undefined,
  ): Promise<User | Problem> {
    const { accounts, codes } = this.#deps;
    const waiting = this.#waiting(undefined, address);
    if (waiting) return waiting;
    const refused = new Problem(
      "login_refused",
      "Cannot open an account: the invitation was used, has expired or is none",
    );
    const known = await codes.look(invitation, "account");
    if (!known) {
      this.#failed(undefined, address, { detail: "an invitation that does not count" });
      return refused;
    }
    const user = await this.#opened(made, known.roles ?? [], `invitation ${known.codeId}`);
    if (user instanceof Problem) return user;
    if (await codes.use(invitation, "account", user.userId)) return user;
    await accounts.discard(user.userId);
    return refused;
  }

  async #opened(
    made: Pick<User, "name"> & Partial<User>,
    roles: readonly UserRole[],
    by: string,
  ): Promise<User | Problem> {
    const user = await this.#deps.accounts.create({ ...made, roles: [...roles] });
    if (!user) return new Problem("conflict", "Cannot open an account: Telegram must not belong to another account");
    await this.#deps.audit.note(by, "account.opened", {
      subject: user.userId,
      detail: `roles: ${user.roles.join(", ")}`,
    });
    return user;
  }

  #active(user: User, address: string | undefined): User | Problem {
    if (user.status === "active") return user;
    const detail = "the account is suspended";
    this.#deps.audit.refused(actorOf(address), LOGIN, { subject: user.userId, detail });
    return suspended(user);
  }

  #waiting(account: string | undefined, address: string | undefined): Problem | undefined {
    const retryAfterMs = Math.ceil(this.#deps.backoff.waitMs(account, address));
    if (retryAfterMs <= 0) return undefined;
    return new Problem("rate_limited", "Cannot log in now: there were too many wrong logins; wait and try again", {
      retryAfterMs,
    });
  }

  #failed(
    account: string | undefined,
    address: string | undefined,
    { subject, detail }: { readonly subject?: string; readonly detail: string },
  ): void {
    const waitMs = this.#deps.backoff.fail(account, address);
    const wait = waitMs > 0 ? `; the next try has to wait ${Math.ceil(waitMs / 1000)} s` : "";
    this.#deps.audit.refused(actorOf(address), LOGIN, {
      ...(subject !== undefined && { subject }),
      detail: detail + wait,
    });
  }
}

export function actorOf(address: string | undefined): string {
  return address ?? "an unknown address";
}

export function suspended({ reason }: User): Problem {
  return new Problem(
    "suspended",
    `Cannot log in: the account is suspended${reason === undefined ? "" : `: ${reason}`}`,
  );
}
