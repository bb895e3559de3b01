import { assertEquals, assertStringIncludes } from "@std/assert";
import { createHealth, type Readiness } from "./health.ts";
import { createMetrics } from "./metrics.ts";

Deno.test("/metrics serves the registry's text", async () => {
  const metrics = createMetrics();
  metrics.counter("a_total", "A").add(2);
  const answer = await createHealth({ metrics, ready: () => ({ ready: true }), version: "1" }).request("/metrics");
  assertEquals([answer.status, answer.headers.get("content-type")], [200, metrics.contentType]);
  assertStringIncludes(await answer.text(), "\na_total 2\n");
});

Deno.test("/healthz answers while the loop turns", async () => {
  const app = createHealth({ metrics: createMetrics(), ready: () => ({ ready: false }), version: "0.1.0" });
  const answer = await app.request("/healthz");
  assertEquals([answer.status, await answer.json()], [200, { status: "ok", version: "0.1.0" }]);
  assertEquals(answer.headers.get("cache-control"), "no-store");
});

Deno.test("/readyz says what is missing", async () => {
  let readiness: Readiness = { ready: false, failing: { tunnel: "No link is up" } };
  const app = createHealth({ metrics: createMetrics(), ready: () => readiness, version: "1" });
  const before = await app.request("/readyz");
  assertEquals([before.status, await before.json()], [503, { ready: false, failing: { tunnel: "No link is up" } }]);
  readiness = { ready: true };
  const after = await app.request("/readyz");
  assertEquals([after.status, await after.json()], [200, { ready: true, failing: {} }]);
});

Deno.test("anything else is not found, and a failing check does not leak why", async () => {
  const app = createHealth({
    metrics: createMetrics(),
    ready: () => {
      throw new Error("secret detail");
    },
    version: "1",
  });
  assertEquals((await app.request("/nothing")).status, 404);
  assertEquals((await app.request("/metrics", { method: "POST" })).status, 404);
  const broken = await app.request("/readyz");
  assertEquals([broken.status, await broken.json()], [500, { error: "The answer could not be made" }]);
});
