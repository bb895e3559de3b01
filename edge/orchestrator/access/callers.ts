/**
 * Who asks, by the token in `Authorization: Bearer` (RFC 6750): an access token of a login, or an API key. What they may do
 * is what their account may now; with a key, as far as it was made for that.
 */

import type { User } from "../../../protocol/sharing/records.ts";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import type { Caller } from "../http.ts";
import { ApiKeys } from "./api_keys.ts";
import { suspended } from "./logins.ts";

const CHALLENGE = { "www-authenticate": 'Bearer realm="culvert"' };

export async function callerOf(
  token: string | undefined,
  access: Pick<Access, "tokens" | "keys" | "accounts">,
): Promise<Caller | Problem> {
  if (token === undefined) return unauthorized("there must be a token (Authorization: Bearer …)");
  if (ApiKeys.looksLike(token)) {
    const key = await access.keys.check(token);
    if (key === "expired") return expired();
    const user = key && await access.accounts.get(key.userId);
    if (!key || !user) return unauthorized("the API key must be one that counts");
    return active(user) ??
      { user, roles: key.roles.filter((role) => user.roles.includes(role)), by: { keyId: key.keyId } };
  }
  const claims = await access.tokens.check(token);
  if (claims === "expired") return expired();
  const user = claims && await access.accounts.get(claims.userId);
  if (!claims || !user) return unauthorized("the token must be one of ours");
  return active(user) ?? { user, roles: user.roles, by: { familyId: claims.familyId } };
}

function active(user: User): Problem | undefined {
  return user.status === "active" ? undefined : suspended(user);
}

function expired(): Problem {
  return new Problem("token_expired", "Cannot take the request: its token has expired; refresh it", {
    headers: CHALLENGE,
  });
}

function unauthorized(rule: string): Problem {
  return new Problem("unauthorized", `Cannot take the request: ${rule}`, { headers: CHALLENGE });
}
