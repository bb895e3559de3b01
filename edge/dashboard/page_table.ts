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
    "dashboard/deeds.js": () => import("../web/dashboard/deeds.js", { with: { type: "text" } }),
    "dashboard/event_stream.js": () => import("../web/dashboard/event_stream.js", { with: { type: "text" } }),
    "dashboard/frame.js": () => import("../web/dashboard/frame.js", { with: { type: "text" } }),
    "dashboard/legend.js": () => import("../web/dashboard/legend.js", { with: { type: "text" } }),
    "dashboard/live.js": () => import("../web/dashboard/live.js", { with: { type: "text" } }),
    "dashboard/liveness.js": () => import("../web/dashboard/liveness.js", { with: { type: "text" } }),
    "dashboard/log_list.js": () => import("../web/dashboard/log_list.js", { with: { type: "text" } }),
    "dashboard/login_page.js": () => import("../web/dashboard/login_page.js", { with: { type: "text" } }),
    "dashboard/map.css": () => import("../web/dashboard/map.css", { with: { type: "text" } }),
    "dashboard/map_curves.js": () => import("../web/dashboard/map_curves.js", { with: { type: "text" } }),
    "dashboard/map_layout.js": () => import("../web/dashboard/map_layout.js", { with: { type: "text" } }),
    "dashboard/map_list.js": () => import("../web/dashboard/map_list.js", { with: { type: "text" } }),
    "dashboard/map_motion.js": () => import("../web/dashboard/map_motion.js", { with: { type: "text" } }),
    "dashboard/map_page.js": () => import("../web/dashboard/map_page.js", { with: { type: "text" } }),
    "dashboard/map_spots.js": () => import("../web/dashboard/map_spots.js", { with: { type: "text" } }),
    "dashboard/map_steps.js": () => import("../web/dashboard/map_steps.js", { with: { type: "text" } }),
    "dashboard/map_view.js": () => import("../web/dashboard/map_view.js", { with: { type: "text" } }),
    "dashboard/panel.js": () => import("../web/dashboard/panel.js", { with: { type: "text" } }),
    "dashboard/panel_content.js": () => import("../web/dashboard/panel_content.js", { with: { type: "text" } }),
    "dashboard/part_list.js": () => import("../web/dashboard/part_list.js", { with: { type: "text" } }),
    "dashboard/push.js": () => import("../web/dashboard/push.js", { with: { type: "text" } }),
    "dashboard/routes.js": () => import("../web/dashboard/routes.js", { with: { type: "text" } }),
    "dashboard/styles.css": () => import("../web/dashboard/styles.css", { with: { type: "text" } }),
    "dashboard/svg.js": () => import("../web/dashboard/svg.js", { with: { type: "text" } }),
    "dashboard/totals.js": () => import("../web/dashboard/totals.js", { with: { type: "text" } }),
    "dashboard/words.js": () => import("../web/dashboard/words.js", { with: { type: "text" } }),
  };
}
