/**
 * Who may use the clients' port, and what way they get: the user name is read, the account looked up, its Path handed out.
 *
 *   user name, secret, address ─▶ grammar ─▶ account ─▶ the account's Path for that user name, or a refusal
 */

import type { ProxyLogins } from "../../edge/orchestrator/access/proxy_logins.ts";
import type { CheckCredentials } from "../../net/proxy.ts";
import type { AccountPaths } from "../../net/sharing/account_paths.ts";
import { parseProxyLogin } from "../../protocol/sharing/proxy_login.ts";

export interface ProxyAuthDeps {
  readonly logins: Pick<ProxyLogins, "check">;
  readonly paths: Pick<AccountPaths, "path">;
  /** An account has come from there. */
  seen(userId: string, address: string): void;
}

export function proxyAuth({ logins, paths, seen }: ProxyAuthDeps): CheckCredentials {
  return async (user, password, from) => {
    const login = parseProxyLogin(user);
    if (typeof login === "string") return { status: 407, reason: login };
    const found = await logins.check(login.userId, password, from.host);
    if (typeof found.status === "number") return { status: found.status, reason: found.reason ?? "" };
    seen(login.userId, from.host);
    return { path: paths.path({ userId: login.userId, limits: found.limits }, login) };
  };
}
