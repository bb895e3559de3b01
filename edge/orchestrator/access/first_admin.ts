/**
 * How the first administrator comes in: while no account has the role, whoever starts the orchestrator is given an
 * invitation that brings it. Nobody else sees it, it counts once, for 7 days, and only until the next one is given: one
 * that lies about in the log of an earlier start makes nobody an admin.
 */

import type { Access } from "../access.ts";

const PAGE = 1000;
/** Where there are more accounts than this, somebody is admin, or an admin was locked out on purpose. */
const MAX_LOOKED_AT = 10_000;
const FIRST_ADMIN = "First admin";

/** The code of an invitation; undefined when there is an admin already. */
export async function inviteFirstAdmin(
  access: Pick<Access, "accounts" | "codes" | "audit">,
): Promise<string | undefined> {
  let after: string | undefined;
  for (let seen = 0; seen < MAX_LOOKED_AT; seen += PAGE) {
    const users = await access.accounts.list({ limit: PAGE, after });
    if (users.some(({ roles }) => roles.includes("admin"))) return undefined;
    if (users.length < PAGE) return await invite(access);
    after = users.at(-1)!.userId;
  }
  return undefined;
}

async function invite({ codes, audit }: Pick<Access, "codes" | "audit">): Promise<string> {
  for (const { codeId, label } of await codes.list("account")) {
    if (label === FIRST_ADMIN) await codes.revoke(codeId, "account");
  }
  const { code, enrolment } = await codes.make({ kind: "account", label: FIRST_ADMIN, roles: ["operator", "admin"] });
  await audit.note("orchestrator", "account.invited", { subject: enrolment.codeId, detail: "the first admin" });
  return code;
}
