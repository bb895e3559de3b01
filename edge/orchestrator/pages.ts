/** The orchestrator's pages for people. All they show they ask the API for (`api.ts`), as whoever is signed in. */

import type { Hono } from "hono";
import { createPageApp } from "../page_app.ts";
import { pageFileTable } from "./page_table.ts";

export interface PagesOptions {
  /** Whether they may be shown inside Telegram's own pages, as a Mini App. */
  readonly inTelegram?: boolean;
}

export function createPages({ inTelegram = false }: PagesOptions = {}): Hono {
  const frames = `frame-ancestors ${inTelegram ? "https://web.telegram.org" : "'none'"}`;
  return createPageApp({ table: pageFileTable(), policy: [frames] });
}
