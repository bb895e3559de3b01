import { assertEquals, assertStrictEquals } from "@std/assert";
import { noTracing, type SpanFacts, type Tracing } from "../protocol/tracing.ts";
import { tracedFetch } from "./traced_fetch.ts";

Deno.test("where nobody listens a handler is the handler itself", () => {
  const handle = () => new Response();
  assertStrictEquals(tracedFetch(noTracing, handle), handle);
});

Deno.test("of a request the method, the beginning of its path and the status are told, and nothing that names anyone", async () => {
  const told: (SpanFacts & { readonly failed?: string })[] = [];
  const tracing: Tracing = {
    isOn: true,
    run(_name, facts, work) {
      let all: SpanFacts & { failed?: string } = facts;
      return work({
        add: (more) => void (all = { ...all, ...more }),
        fail: (failed) => void (all = { ...all, failed }),
      }).finally(() => told.push(all));
    },
  };
  const status = (code: number) =>
    tracedFetch(tracing, (_request: Request, _from: string) => new Response(null, { status: code }));
  const ask = (url: string, code: number, method = "GET") =>
    status(code)(new Request(`http://here${url}`, { method }), "192.0.2.1");
  await ask("/v1/relays?after=secret", 200);
  await ask("/v1/blocks/peer/rna4gmbgllipwqkqtr65zyo6zi", 404, "DELETE");
  await ask("/v1/Secret", 404);
  await ask("/content/diary.md", 200, "PATCH");
  await ask("/healthz", 503);
  assertEquals(told, [
    { method: "GET", route: "/v1/relays", status: 200 },
    { method: "DELETE", route: "/v1/blocks", status: 404 },
    { method: "GET", route: "other", status: 404 },
    { method: "other", route: "other", status: 200 },
    { method: "GET", route: "/healthz", status: 503, failed: "http_503" },
  ]);
});
