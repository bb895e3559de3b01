/** The files of the orchestrator's pages. uPlot's are the package's own. */

import { commonPageFiles, INDEX_NAME, type PageTable } from "../page_files.ts";

/** Every file there is. */
export function pageFileTable(): PageTable {
  return {
    ...commonPageFiles(),
    [INDEX_NAME]: () => import("../web/index.html", { with: { type: "text" } }),
    "app.js": () => import("../web/app.js", { with: { type: "text" } }),
    "calls.js": () => import("../web/calls.js", { with: { type: "text" } }),
    "lib/api.js": () => import("../web/lib/api.js", { with: { type: "text" } }),
    "lib/chart.js": () => import("../web/lib/chart.js", { with: { type: "text" } }),
    "lib/paged.js": () => import("../web/lib/paged.js", { with: { type: "text" } }),
    "lib/plot.js": () => import("../web/lib/plot.js", { with: { type: "text" } }),
    "lib/searched.js": () => import("../web/lib/searched.js", { with: { type: "text" } }),
    "pages/account.js": () => import("../web/pages/account.js", { with: { type: "text" } }),
    "pages/admin_account.js": () => import("../web/pages/admin_account.js", { with: { type: "text" } }),
    "pages/admin_accounts.js": () => import("../web/pages/admin_accounts.js", { with: { type: "text" } }),
    "pages/admin_audit.js": () => import("../web/pages/admin_audit.js", { with: { type: "text" } }),
    "pages/admin_nodes.js": () => import("../web/pages/admin_nodes.js", { with: { type: "text" } }),
    "pages/admin_payouts.js": () => import("../web/pages/admin_payouts.js", { with: { type: "text" } }),
    "pages/client.js": () => import("../web/pages/client.js", { with: { type: "text" } }),
    "pages/credentials.js": () => import("../web/pages/credentials.js", { with: { type: "text" } }),
    "pages/login.js": () => import("../web/pages/login.js", { with: { type: "text" } }),
    "pages/node_card.js": () => import("../web/pages/node_card.js", { with: { type: "text" } }),
    "pages/node_state.js": () => import("../web/pages/node_state.js", { with: { type: "text" } }),
    "pages/operator.js": () => import("../web/pages/operator.js", { with: { type: "text" } }),
    "pages/payouts.js": () => import("../web/pages/payouts.js", { with: { type: "text" } }),
    "pages/proxy_login.js": () => import("../web/pages/proxy_login.js", { with: { type: "text" } }),
    "pages/routes.js": () => import("../web/pages/routes.js", { with: { type: "text" } }),
    "pages/statement_lines.js": () => import("../web/pages/statement_lines.js", { with: { type: "text" } }),
    "pages/statement.js": () => import("../web/pages/statement.js", { with: { type: "text" } }),
    "pages/telegram.js": () => import("../web/pages/telegram.js", { with: { type: "text" } }),
    "pages/top_up.js": () => import("../web/pages/top_up.js", { with: { type: "text" } }),
    "pages/usage_chart.js": () => import("../web/pages/usage_chart.js", { with: { type: "text" } }),
    "pages/way_form.js": () => import("../web/pages/way_form.js", { with: { type: "text" } }),
    "parts/admin_tabs.js": () => import("../web/parts/admin_tabs.js", { with: { type: "text" } }),
    "parts/shell.js": () => import("../web/parts/shell.js", { with: { type: "text" } }),
    "lib/uplot.js": () => import("uplot/dist/uPlot.esm.js", { with: { type: "text" } }),
    "lib/uplot.css": () => import("uplot/dist/uPlot.min.css", { with: { type: "text" } }),
  };
}
