/** Handlers of `api/session.ts`: what anyone may ask, and logins. */

import type { RefreshFamily } from "../../../protocol/sharing/access_records.ts";
import { formatMicros } from "../../../protocol/sharing/money.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import { bearerOf } from "../../bearer.ts";
import { callerOf } from "../access/callers.ts";
import { actorOf, suspended } from "../access/logins.ts";
import { clearCookie, isFromHere, readCookie, refreshCookie } from "../access/refresh_cookie.ts";
import type { IssuedRefreshToken } from "../access/refresh_tokens.ts";
import * as api from "../api.ts";
import type { OrchestratorDeps } from "../deps.ts";
import { type Operations, Reply } from "../http.ts";
import { placesOf, userView } from "../views.ts";

export function serveSessions(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  const sessions = new Sessions(deps, access);
  const { settings, nodes } = deps;

  operations.serve(api.info, () => Promise.resolve(infoOf(deps)));
  operations.serve(api.listPrices, async () => {
    const prices = (await deps.prices()).map(({ microsPerGib, ...price }) => ({
      ...price,
      perGib: formatMicros(microsPerGib),
    }));
    return { prices };
  });
  operations.serve(api.listPlaces, () => Promise.resolve({ places: placesOf(nodes.all()) }));

  operations.serve(api.openAccount, async ({ body, address }) => {
    const opened = await access.logins.byInvitation(body.invitation, body.name, address);
    if (opened instanceof Problem) return opened;
    const session = await sessions.begin(opened.user, "invitation", { keep: body.refresh, address });
    return new Reply({ ...session.body, secret: opened.secret }, session.headers);
  });

  operations.serve(api.logIn, async ({ body, address }) => {
    const user = await access.logins.bySecret(body.userId, body.secret, address);
    return user instanceof Problem ? user : await sessions.begin(user, "secret", { keep: body.refresh, address });
  });

  operations.serve(api.logInByTelegram, async ({ request, body, address }) => {
    const token = bearerOf(request);
    const caller = token === undefined ? undefined : await callerOf(token, access);
    if (caller instanceof Problem) return caller;
    if (caller && "keyId" in caller.by) return new Problem("not_allowed", "Cannot link Telegram: log in, keys may not");
    const { invitation, refresh: keep } = body;
    const user = await access.logins.byTelegram(body, { address, invitation, linkTo: caller?.user.userId });
    return user instanceof Problem ? user : await sessions.begin(user, "telegram", { keep, address });
  });

  operations.serve(api.refreshSession, ({ request, body, address }) => sessions.refresh(request, body, address));
  operations.serve(api.logOut, async ({ request, body }) => {
    const cookie = body.refreshToken === undefined;
    if (cookie && !isFromHere(request)) return crossSite();
    const token = body.refreshToken ?? readCookie(request, settings);
    const family = token === undefined ? undefined : await access.refresh.end(token);
    if (family) await access.audit.note(family.userId, "logout", { subject: family.userId });
    return new Reply({ status: "ok" as const }, cookie ? clearCookie(settings) : {});
  });
}

function infoOf({ settings, version, checkout }: OrchestratorDeps): api.InfoView {
  const { telegram } = settings;
  return {
    version,
    title: settings.title,
    currency: settings.currency,
    orchestratorId: settings.orchestratorId,
    proxy: settings.proxy,
    signUp: settings.signUp,
    ...(telegram && { telegramBot: telegram.botName, telegramBotId: telegram.botToken.split(":")[0]! }),
    paymentProviders: [...checkout.providers],
    smallestTopUp: formatMicros(settings.smallestTopUp),
    smallestPayout: formatMicros(settings.smallestPayout),
    consentVersion: settings.consentVersion,
  };
}

function crossSite(): Problem {
  return new Problem("cross_site", "Cannot take the request: with the cookie it must come from a page of this site");
}

class Sessions {
  readonly #deps: OrchestratorDeps;
  readonly #access: Access;

  constructor(deps: OrchestratorDeps, access: Access) {
    this.#deps = deps;
    this.#access = access;
  }

  async begin(
    user: User,
    method: string,
    { keep, address }: { readonly keep: "cookie" | "body" | undefined; readonly address: string | undefined },
  ): Promise<Reply<api.SessionView>> {
    const { audit, refresh } = this.#access;
    const issued = await refresh.begin(user.userId, method);
    await audit.note(user.userId, "login", { subject: user.userId, detail: `by ${method} from ${actorOf(address)}` });
    return await this.#reply(user, issued, keep === "cookie");
  }

  async refresh(
    request: Request,
    { refreshToken }: { readonly refreshToken?: string | undefined },
    address: string | undefined,
  ): Promise<Reply<api.SessionView> | Problem> {
    const { refresh, accounts } = this.#access;
    const isCookie = refreshToken === undefined;
    if (isCookie && !isFromHere(request)) return crossSite();
    const token = refreshToken ?? readCookie(request, this.#deps.settings);
    if (token === undefined) return new Problem("unauthorized", "Cannot refresh: there must be a refresh token");
    const exchange = await refresh.exchange(token);
    if (exchange.kind === "reused") this.#noteTheft(exchange.family, address);
    if (exchange.kind === "unknown") {
      return new Problem("unauthorized", "Cannot refresh: the token must be one of ours");
    }
    const user = exchange.kind === "issued" ? await accounts.get(exchange.issued.family.userId) : undefined;
    if (exchange.kind !== "issued" || !user) {
      return new Problem("token_expired", "Cannot refresh: this login has ended; log in anew");
    }
    return user.status === "active" ? await this.#reply(user, exchange.issued, isCookie) : suspended(user);
  }

  #noteTheft({ userId, familyId }: RefreshFamily, address: string | undefined): void {
    const detail = `a refresh token of login ${familyId} was used twice: it may have been stolen; the login is revoked`;
    this.#access.audit.refused(actorOf(address), "refresh.reused", { subject: userId, detail });
    this.#deps.log.warn("A refresh token was used twice", { user: userId });
  }

  async #reply(user: User, { token, family }: IssuedRefreshToken, isCookie: boolean): Promise<Reply<api.SessionView>> {
    const { userId } = user;
    const access = await this.#access.tokens.make({ userId, familyId: family.familyId });
    const session = { accessToken: access.token, expiresAtMs: access.expiresAtMs, user: userView(user) };
    return isCookie
      ? new Reply(session, refreshCookie(token, this.#deps.settings))
      : new Reply({ ...session, refreshToken: token }, {});
  }
}
