/** Handlers of `api/admin.ts` about accounts: who may do what, credit, invitations. */

import {
  clientAccount,
  PROMOTIONS_ACCOUNT,
  type SetOutcome,
  type SetStatus,
  type TransferSet,
} from "../../../protocol/sharing/ledger.ts";
import { formatMicros, type Micros, parseMicros } from "../../../protocol/sharing/money.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import type { z } from "zod";
import { Problem } from "../../problem.ts";
import type { Access } from "../access.ts";
import * as api from "../api.ts";
import type { OrchestratorDeps } from "../deps.ts";
import type { Operations } from "../http.ts";
import { balanceOf } from "../money_views.ts";
import { pageOf, userView } from "../views.ts";
import { keysMayNot } from "./account.ts";

const DEFAULT_LIMIT = 100;

export function serveUsers(operations: Operations, deps: OrchestratorDeps, access: Access): void {
  serveAccounts(operations, deps, access);
  serveCredits(operations, deps, access);
  serveInvitations(operations, access);
}

function unknown(): Problem {
  return new Problem("not_found", "Cannot do this: there must be such an account");
}

function serveAccounts(operations: Operations, { ledger, settings }: OrchestratorDeps, access: Access): void {
  const { accounts, refresh, keys, audit } = access;

  operations.serve(api.listUsers, async ({ query: { limit = DEFAULT_LIMIT, after } }) => {
    const users = await accounts.list({ limit, after });
    return { users: users.map(userView), ...pageOf(users, limit, ({ userId }) => userId) };
  });

  operations.serve(api.getUser, async ({ query: { userId } }) => {
    const found = await accounts.fresh(userId);
    if (!found) return unknown();
    return { user: userView(found.record), balance: await balanceOf(ledger, userId, settings.currency) };
  });

  operations.serve(api.changeUser, async ({ caller, body }) => {
    const { userId } = body;
    if (body.roles && "keyId" in caller.by) return keysMayNot("change roles");
    if (userId === caller.user.userId && losesControl(body)) {
      return new Problem("conflict", "Cannot change the account: it must not be your own that is locked out");
    }
    const detail = describeChange(body);
    await audit.note(caller.user.userId, "account.changed", { subject: userId, detail });
    const changed = await accounts.change<never>(userId, (user) => withChange(user, body));
    if (!changed || "refusal" in changed) return unknown();
    if (body.status === "suspended") await refresh.endAll(userId, "the account was suspended");
    return userView(changed);
  });

  operations.serve(api.endLogins, async ({ caller, body: { userId, keys: andKeys = false, reason } }) => {
    if (!await accounts.fresh(userId)) return unknown();
    const detail = `${andKeys ? "logins and API keys" : "logins"}: ${reason}`;
    await audit.note(caller.user.userId, "account.logins_ended", { subject: userId, detail });
    await refresh.endAll(userId, reason);
    if (andKeys) { for (const { keyId } of await keys.list(userId)) await keys.revoke(keyId, userId); }
    return { status: "ok" as const };
  });
}

type Change = z.output<typeof api.changeUser.body>;

function losesControl({ status, roles }: Change): boolean {
  return status === "suspended" || roles !== undefined && !roles.includes("admin");
}

function withChange(user: User, { status, roles, tier, limits, payoutHold, reason }: Change): User {
  const { reason: oldReason, limits: oldLimits, payoutHold: oldHold, ...rest } = user;
  const nextStatus = status ?? user.status;
  const nextReason = status === "suspended" ? reason : nextStatus === "suspended" ? oldReason : undefined;
  const nextLimits = limits === undefined ? oldLimits : limits ?? undefined;
  const nextHold = payoutHold === undefined ? oldHold : payoutHold ?? undefined;
  return {
    ...rest,
    status: nextStatus,
    ...(roles && { roles: [...new Set(["user" as const, ...roles])] }),
    ...(tier !== undefined && { tier }),
    ...(nextReason !== undefined && { reason: nextReason }),
    ...(nextLimits && { limits: nextLimits }),
    ...(nextHold && { payoutHold: nextHold }),
  };
}

function describeChange({ userId: _, reason, ...change }: Change): string {
  const what = Object.entries(change).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");
  return `${what || "nothing"}: ${reason}`.slice(0, 1024);
}

/** What stands against a set of transfers that the ledger did not apply. */
const LEDGER_PROBLEMS: Readonly<Partial<Record<SetStatus, readonly ["insufficient" | "conflict", string]>>> = {
  insufficient: ["insufficient", "the account must have that much"],
  differs: ["conflict", "the id must not have been used for something else"],
};

function serveCredits(operations: Operations, { ledger, settings }: OrchestratorDeps, access: Access): void {
  operations.serve(api.giveCredit, async ({ caller, body }) => {
    if ("keyId" in caller.by) return keysMayNot("give credit");
    const { userId, direction, reason } = body;
    if (!await access.accounts.fresh(userId)) return unknown();
    const amount = parseMicros(body.amount)!;
    const detail = `${direction} ${formatMicros(amount)} ${settings.currency}: ${reason}`.slice(0, 1024);
    const [outcome] = await ledger.apply([creditSet(body, amount)]);
    const problem = problemOf(outcome);
    if (problem) {
      access.audit.refused(caller.user.userId, "account.credit", { subject: userId, detail });
      return problem;
    }
    await access.audit.note(caller.user.userId, "account.credit", { subject: userId, detail });
    return await balanceOf(ledger, userId, settings.currency);
  });
}

function creditSet(
  { id, userId, direction, reason }: z.output<typeof api.giveCredit.body>,
  amount: Micros,
): TransferSet {
  const setId = `credit:${id}`;
  const account = clientAccount(userId);
  const [debit, credit] = direction === "give" ? [PROMOTIONS_ACCOUNT, account] : [account, PROMOTIONS_ACCOUNT];
  const why = direction === "give" ? "gift" : "correction";
  return {
    id: setId,
    transfers: [{ id: `${setId}/1`, phase: "posted", debit, credit, amount, reason: why, memo: { note: reason } }],
  };
}

function problemOf(outcome: SetOutcome | undefined): Problem | undefined {
  if (outcome?.status === "applied" || outcome?.status === "exists") return undefined;
  const known = outcome && LEDGER_PROBLEMS[outcome.status];
  if (known) return new Problem(known[0], `Cannot do this: ${known[1]}`);
  return new Problem("internal", "Cannot do this: the ledger has refused it, and its log says why");
}

function serveInvitations(operations: Operations, { codes, audit }: Access): void {
  operations.serve(api.invite, async ({ caller, body: { label, roles } }) => {
    if ("keyId" in caller.by) return keysMayNot("invite");
    const { userId } = caller.user;
    const { code, enrolment } = await codes.make({ kind: "account", label, roles });
    const detail = `${label}${roles ? `: ${roles.join(", ")}` : ""}`;
    await audit.note(userId, "account.invited", { subject: enrolment.codeId, detail });
    return { code, codeId: enrolment.codeId, expiresAtMs: enrolment.expiresAtMs };
  });

  operations.serve(api.listInvitations, async () => ({ invitations: await codes.list("account") }));

  operations.serve(api.revokeInvitation, async ({ caller, body: { codeId } }) => {
    if (!await codes.revoke(codeId, "account")) {
      return new Problem("not_found", "Cannot revoke: there is no such invitation");
    }
    await audit.note(caller.user.userId, "account.invitation_revoked", { subject: codeId });
    return { status: "ok" as const };
  });
}
