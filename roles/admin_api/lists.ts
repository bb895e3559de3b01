/**
 * Lists that all APIs of administrators have: a page at a time, and the audit log.
 */

import type { Hono } from "hono";
import type { z } from "zod";
import { Problem } from "../../edge/problem.ts";
import type { AuditStore } from "../../kv/audit.ts";
import { auditQuery, type ListQuery, listQuery } from "./schema.ts";
import type { Page } from "./page.ts";
import { queryOf } from "./http.ts";

export type PageOf = (query: ListQuery) => Page<object> | Promise<Page<object>>;

/** `GET /v1/<name>`, which answers with the list under its name. */
export function addList(app: Hono, name: string, pageOf: PageOf): void {
  app.get(`/v1/${name}`, async (context) => {
    const query = queryOf(context, listQuery);
    if (query instanceof Problem) return query.response();
    const { items, ...rest } = await pageOf(query);
    return context.json({ ...rest, [name]: items });
  });
}

export function addAudit(app: Hono, audit: Pick<AuditStore, "list">): void {
  app.get("/v1/audit", async (context) => {
    const query = queryOf(context, auditQuery);
    if (query instanceof Problem) return query.response();
    const { limit, before }: z.output<typeof auditQuery> = query;
    const entries = await audit.list({ limit, ...(before !== undefined && { before }) });
    return context.json({ entries, ...(entries.length === limit && { next: entries.at(-1)!.id }) });
  });
}
