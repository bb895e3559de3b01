/**
 * The pages there are, for an account's roles. Those with `tab` are in the bar; the others are reached from them.
 */

import { accountPage } from "./account.js";
import { adminAccountsPage } from "./admin_accounts.js";
import { adminAuditPage } from "./admin_audit.js";
import { adminNodesPage } from "./admin_nodes.js";
import { adminPayoutsPage } from "./admin_payouts.js";
import { clientPage } from "./client.js";
import { operatorPage } from "./operator.js";

/** @import { InfoView } from "../../orchestrator/api.ts" */
/** @import { Calls } from "../calls.js" */
/** @import { Route } from "../lib/router.js" */

/**
 * What a page is given.
 * @typedef {{
 *   calls: Calls,
 *   info: InfoView,
 *   signal: AbortSignal,
 *   rolesChanged: () => Promise<void>,
 * }} PageContext
 */

/**
 * @param {Omit<PageContext, "signal">} context
 * @returns {(Route & { tab?: string })[]}
 */
export function routesFor(context) {
  /** @param {(context: PageContext) => Node} page */
  const showing = (page) => (/** @type {AbortSignal} */ signal) => page({ ...context, signal });
  const isAdmin = context.calls.client.user?.roles.includes("admin") ?? false;
  return [
    { path: "/use", tab: "Use", title: "Use", show: showing(clientPage) },
    { path: "/share", tab: "Share", title: "Share", show: showing(operatorPage) },
    ...(isAdmin
      ? [
        { path: "/admin", tab: "Admin", title: "Nodes", show: showing(adminNodesPage) },
        { path: "/admin/accounts", title: "Accounts", show: showing(adminAccountsPage) },
        { path: "/admin/payouts", title: "Payouts", show: showing(adminPayoutsPage) },
        { path: "/admin/audit", title: "Audit log", show: showing(adminAuditPage) },
      ]
      : []),
    { path: "/account", tab: "Account", title: "Account", show: showing(accountPage) },
  ];
}
