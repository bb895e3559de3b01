/** Handlers of `api/account.ts`: what a client does with their own account. */

import { parseCidr } from "../../../protocol/ip.ts";
import { parseMicros } from "../../../protocol/sharing/money.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import { MAX_API_KEYS } from "../access/api_keys.ts";
import { hashSecret, makeSecret } from "../access/secrets.ts";
import * as api from "../api.ts";
import type { OrchestratorDeps } from "../deps.ts";
import type { Caller, Operations } from "../http.ts";
import {
  accountOf,
  allTransfers,
  balanceOf,
  isShown,
  openOf,
  type Span,
  statementCsv,
  statementRow,
  usageOf,
} from "../money_views.ts";
import { apiKeyView, pageOf, problemOfDesk, userView } from "../views.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MAX_POINTS = 1000;
const DEFAULT_LIMIT = 100;
const MAX_CURRENT_USES = 1000;

export function serveAccounts(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  serveOwnAccount(operations, deps, access);
  serveSecrets(operations, deps, access);
  serveMoney(operations, deps);
  serveKeys(operations, access);
}

function serveOwnAccount(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  operations.serve(api.getAccount, async ({ caller }) => {
    const found = await access.accounts.fresh(caller.user.userId);
    return found ? userView(found.record) : gone();
  });

  operations.serve(api.changeAccount, async ({ caller, body }) => {
    const { name, proxyAllowed, becomeOperator } = body;
    const wrong = proxyAllowed?.find((text) => !parseCidr(text));
    if (wrong !== undefined) {
      return new Problem("bad_request", "Cannot change the account: proxyAllowed must be addresses and networks");
    }
    if (becomeOperator && "keyId" in caller.by) return keysMayNot("become an operator");
    const changed = await access.accounts.change<never>(caller.user.userId, (user): User => ({
      ...user,
      ...(name !== undefined && { name }),
      ...(proxyAllowed && { proxyAllowed }),
      ...(becomeOperator && { roles: [...new Set([...user.roles, "operator" as const])] }),
    }));
    if (!changed || "refusal" in changed) return gone();
    const what = Object.keys(body).sort().join(", ");
    await access.audit.note(caller.user.userId, "account.changed", { subject: caller.user.userId, detail: what });
    return userView(changed);
  });

  operations.serve(api.listUses, async ({ caller, query: { limit = DEFAULT_LIMIT, after } }) => {
    const where = { index: "user", value: caller.user.userId };
    const page = { limit, ...(after !== undefined && { after }) };
    const uses = (await deps.tables.sessions.list(where, page)).map(({ record }) => record);
    const current = after === undefined ? [...deps.usesOf?.(caller.user.userId) ?? []].slice(0, MAX_CURRENT_USES) : [];
    return {
      uses: [...current, ...uses.filter(({ kind }) => kind === "client")],
      ...pageOf(uses, limit, ({ sessionId }) => sessionId),
    };
  });
}

function serveSecrets(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  const { random, primitives } = deps;

  operations.serve(api.newSecret, async ({ caller }) => {
    if ("keyId" in caller.by) return keysMayNot("make a secret to log in with");
    const { userId } = caller.user;
    const secret = makeSecret(random);
    await access.audit.note(userId, "account.secret", { subject: userId, detail: "a new secret; other logins end" });
    const secretHash = hashSecret(secret, primitives);
    if (!await access.accounts.change<never>(userId, (user) => ({ ...user, secretHash }))) return gone();
    await access.refresh.endAll(userId, "a new secret was made", caller.by.familyId);
    return { secret };
  });

  operations.serve(api.newProxySecret, async ({ caller }) => {
    const { userId } = caller.user;
    const secret = makeSecret(random);
    await access.audit.note(userId, "account.proxy_secret", { subject: userId, detail: "a new proxy secret" });
    const proxySecretHash = hashSecret(secret, primitives);
    if (!await access.accounts.change<never>(userId, (user) => ({ ...user, proxySecretHash }))) return gone();
    return { userId, secret };
  });
}

function serveMoney(operations: Operations, { ledger, settings, checkout, clock }: OrchestratorDeps): void {
  operations.serve(api.getBalance, ({ caller }) => balanceOf(ledger, caller.user.userId, settings.currency));

  operations.serve(api.getUsage, async ({ caller, query: { side = "client", stepMs = HOUR_MS, ...given } }) => {
    const span = spanOf(given, clock.wallNow(), DAY_MS);
    if (span.toMs <= span.fromMs || (span.toMs - span.fromMs) / stepMs > MAX_POINTS) {
      return new Problem("bad_request", `Cannot tell the use: there must be 1 to ${MAX_POINTS} steps in the time`);
    }
    return { ...span, stepMs, ...await usageOf(ledger, accountOf(side, caller.user.userId), { ...span, stepMs }) };
  });

  operations.serve(api.getStatement, async ({ caller, query }) => {
    const { side = "client", limit = DEFAULT_LIMIT, before, fromMs, toMs, format = "json" } = query;
    const account = accountOf(side, caller.user.userId);
    const span = { ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs }) };
    const place = { ...span, ...(before !== undefined && { before }) };
    const isWhole = format === "csv" && query.limit === undefined;
    const transfers =
      await (isWhole ? allTransfers(ledger, account, place) : ledger.transfers(account, { limit, ...place }));
    const open = await openOf(ledger, account);
    const rows = transfers.filter((transfer) => isShown(transfer, open)).map((transfer) =>
      statementRow(transfer, account)
    );
    if (format === "json") return { rows, ...(transfers.length === limit && { next: transfers.at(-1)!.sequence }) };
    return new Response(statementCsv(rows), {
      headers: {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": `attachment; filename="culvert-${side}-statement.csv"`,
      },
    });
  });

  operations.serve(api.topUp, async ({ caller, body }) => {
    const amount = parseMicros(body.amount)!;
    if (amount < settings.smallestTopUp) {
      return new Problem("bad_request", "Cannot pay in: the amount must not be so small");
    }
    const begun = await checkout.begin({ userId: caller.user.userId, provider: body.provider, amount });
    return "refusal" in begun ? problemOfDesk(begun) : begun;
  });
}

function serveKeys(operations: Operations, access: Access): void {
  operations.serve(api.listApiKeys, async ({ caller }) => {
    return { keys: (await access.keys.list(caller.user.userId)).map(apiKeyView) };
  });

  operations.serve(api.newApiKey, async ({ caller, body }) => {
    if ("keyId" in caller.by) return keysMayNot("make keys");
    const { userId } = caller.user;
    const missing = body.roles.find((role) => !caller.roles.includes(role));
    if (missing !== undefined) {
      return new Problem("not_allowed", `Cannot make a key: its owner must have the role ${missing}`);
    }
    const made = await access.keys.make({ userId, ...body });
    if (!made) return new Problem("conflict", `Cannot make a key: there must be at most ${MAX_API_KEYS}`);
    const detail = `${made.key.label}: ${made.key.roles.join(", ")}`;
    await access.audit.note(userId, "api_key.made", { subject: made.key.keyId, detail });
    return { key: apiKeyView(made.key), token: made.token };
  });

  operations.serve(api.revokeApiKey, async ({ caller, body: { keyId } }) => {
    const { userId } = caller.user;
    if (!await access.keys.revoke(keyId, userId)) {
      return new Problem("not_found", "Cannot revoke: there is no such key");
    }
    await access.audit.note(userId, "api_key.revoked", { subject: keyId });
    return { status: "ok" as const };
  });
}

/** What was asked for, to now and of the last so many milliseconds unless told otherwise. */
export function spanOf(
  { fromMs, toMs }: { readonly fromMs?: number | undefined; readonly toMs?: number | undefined },
  nowMs: number,
  lengthMs: number,
): Span {
  const end = toMs ?? nowMs;
  return { fromMs: fromMs ?? Math.max(0, end - lengthMs), toMs: end };
}

/** For what a stolen key must not lead to. */
export function keysMayNot(what: string): Problem {
  return new Problem("not_allowed", `Cannot ${what} with an API key: log in`);
}

export function gone(): Problem {
  return new Problem("conflict", "Cannot do this: the account must still be there");
}

export function isOwn(caller: Caller, ownerId: string): boolean {
  return caller.user.userId === ownerId;
}
