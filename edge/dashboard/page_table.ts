/** The files of the dashboard's pages. */

import { commonPageFiles, INDEX_NAME, type PageTable } from "../page_files.ts";

/** Every file there is. */
export function dashboardPageTable(): PageTable {
  return {
    ...commonPageFiles(),
    [INDEX_NAME]: () => import("../web/dashboard/index.html", { with: { type: "text" } }),
    "dashboard/app.js": () => import("../web/dashboard/app.js", { with: { type: "text" } }),
    "dashboard/bounds.js": () => import("../web/dashboard/bounds.js", { with: { type: "text" } }),
    "dashboard/client.js": () => import("../web/dashboard/client.js", { with: { type: "text" } }),
    "dashboard/event_stream.js": () => import("../web/dashboard/event_stream.js", { with: { type: "text" } }),
    "dashboard/frame.js": () => import("../web/dashboard/frame.js", { with: { type: "text" } }),
    "dashboard/live.js": () => import("../web/dashboard/live.js", { with: { type: "text" } }),
    "dashboard/liveness.js": () => import("../web/dashboard/liveness.js", { with: { type: "text" } }),
    "dashboard/login_page.js": () => import("../web/dashboard/login_page.js", { with: { type: "text" } }),
    "dashboard/map.css": () => import("../web/dashboard/map.css", { with: { type: "text" } }),
    "dashboard/map_page.js": () => import("../web/dashboard/map_page.js", { with: { type: "text" } }),
    "dashboard/routes.js": () => import("../web/dashboard/routes.js", { with: { type: "text" } }),
    "dashboard/styles.css": () => import("../web/dashboard/styles.css", { with: { type: "text" } }),
  };
}
