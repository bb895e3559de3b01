/**
 * What an operator's tools ask of a role over HTTP: `/metrics` (Prometheus text), `/healthz` (200 while the event loop
 * turns) and `/readyz` (200 when it can do its work, else 503 with JSON that names what is missing). `/` shows that as a page.
 *
 * Nothing here is secret, and nothing is protected: serve it on an address that strangers do not reach.
 */

import { Hono } from "hono";
import { serveDescription } from "./api_description.ts";
import type { MetricsRegistry } from "./metrics.ts";

/** Whether work can be taken on, and if not, why: what is missing → a sentence. */
export interface Readiness {
  readonly ready: boolean;
  readonly failing?: Readonly<Record<string, string>>;
}

export interface HealthOptions {
  readonly metrics: Pick<MetricsRegistry, "text" | "contentType">;
  readonly ready: () => Readiness | Promise<Readiness>;
  readonly version: string;
}

export function createHealth(options: HealthOptions): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header("cache-control", "no-store");
  });
  app.get("/metrics", async (context) => {
    return context.body(await options.metrics.text(), 200, { "content-type": options.metrics.contentType });
  });
  app.get("/healthz", (context) => context.json({ status: "ok", version: options.version }));
  app.get("/readyz", async (context) => {
    const { ready, failing = {} } = await options.ready();
    return context.json({ ready, failing }, ready ? 200 : 503);
  });
  serveDescription(app, async () => {
    const [{ openApiOf }, { healthApi }] = await Promise.all([import("./openapi.ts"), import("./health_api.ts")]);
    return openApiOf(healthApi(options.version));
  });
  app.onError((_error, context) => context.json({ error: "The answer could not be made" }, 500));
  return app;
}
