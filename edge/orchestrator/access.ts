/**
 * Everything about who may do what, put together: what the API's routes, the proxy and the nodes' door ask.
 *
 *   routes ─▶ logins, tokens, keys, codes, accounts          proxy ─▶ proxyLogins          nodes ─▶ codes, accounts
 */

import { Accounts } from "./access/accounts.ts";
import { AccessTokens } from "./access/access_tokens.ts";
import { ApiKeys } from "./access/api_keys.ts";
import { AccessAudit } from "./access/audit.ts";
import { Codes } from "./access/codes.ts";
import { LoginBackoff } from "./access/login_backoff.ts";
import { Logins } from "./access/logins.ts";
import { ProxyLogins } from "./access/proxy_logins.ts";
import { RefreshTokens } from "./access/refresh_tokens.ts";
import type { OrchestratorDeps } from "./deps.ts";

export interface Access {
  readonly accounts: Accounts;
  readonly audit: AccessAudit;
  readonly tokens: AccessTokens;
  readonly refresh: RefreshTokens;
  readonly keys: ApiKeys;
  readonly codes: Codes;
  readonly logins: Logins;
  readonly proxyLogins: ProxyLogins;
}

export type AccessDeps = Pick<
  OrchestratorDeps,
  "settings" | "tables" | "audit" | "tokenKeys" | "refreshKey" | "primitives" | "clock" | "random" | "log"
>;

/** Throws `invalid_key` for keys that cannot be used. */
export async function openAccess(deps: AccessDeps): Promise<Access> {
  const { tables, settings, clock, random, primitives } = deps;
  const accounts = new Accounts({ users: tables.users, clock, random, tier: settings.tier });
  const audit = new AccessAudit(deps);
  const tokens = await AccessTokens.open({
    keys: deps.tokenKeys,
    orchestratorId: settings.orchestratorId,
    clock,
    primitives,
  });
  const refresh = new RefreshTokens({ families: tables.refreshFamilies, key: deps.refreshKey, clock, random });
  const keys = new ApiKeys({ keys: tables.apiKeys, clock, primitives, random });
  const codes = new Codes({ enrolments: tables.enrolments, clock, primitives, random });
  const shared = { accounts, audit, primitives };
  const logins = new Logins({
    ...shared,
    codes,
    clock,
    random,
    backoff: new LoginBackoff(clock),
    signUp: settings.signUp,
    botToken: settings.telegram?.botToken,
  });
  const proxyLogins = new ProxyLogins({ ...shared, backoff: new LoginBackoff(clock) });
  return { accounts, audit, tokens, refresh, keys, codes, logins, proxyLogins };
}
