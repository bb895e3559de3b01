/**
 * Every HTTP API says what it offers, and offers what it says: the routes of each app against its OpenAPI document. An app
 * that is made anywhere and is not in the table here fails, so that none is forgotten.
 */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Hono } from "hono";
import { createDirectory, type DirectoryDeps } from "../edge/directory.ts";
import { createDashboard } from "../edge/dashboard/dashboard.ts";
import { TokenGuard } from "../edge/dashboard/token_guard.ts";
import { FakeSource } from "../edge/dashboard/fixtures/fake_source.ts";
import { createDownstream, type DownstreamDeps } from "../edge/downstream.ts";
import { startTracker } from "../edge/fixtures/tracker.ts";
import { createHealth } from "../edge/health.ts";
import { createMetrics } from "../edge/metrics.ts";
import type { OpenApiDocument } from "../edge/openapi.ts";
import { openApiPage } from "../edge/openapi_page.ts";
import { type Access, createOrchestratorApi, type OrchestratorDeps } from "../edge/orchestrator.ts";
import { createPages } from "../edge/orchestrator/pages.ts";
import { paymentRoutes, type PaymentsDeps } from "../edge/orchestrator/payments.ts";
import { probeRoutes } from "../edge/orchestrator/probe.ts";
import { createPeerPages } from "../edge/peer_pages.ts";
import { createUpstream, type UpstreamDeps } from "../edge/upstream.ts";
import { routeTable } from "../net/files/routes.ts";
import { hostPrimitives } from "../net/host_primitives.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { ProbeTickets } from "../protocol/sharing/probe_ticket.ts";
import { type BaseAdminDeps, createBaseAdminApi } from "../roles/base/admin_api.ts";
import { type AdminApiDeps, createAdminApi } from "../roles/supernode/admin_api.ts";
import { ownerRouteTable } from "../roles/files/owner_routes.ts";
import { createPeeringApi, type PeeringApiDeps } from "../roles/supernode/peering_api.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";

interface Api {
  /** The files in which its Hono apps are made. */
  readonly madeIn: readonly string[];
  /** As `METHOD /path/:part`. */
  readonly routes: readonly string[];
  fetch(request: Request): Response | Promise<Response>;
  /** Where the document is. */
  readonly document: string;
  /** What is for people, and no part of the API. */
  readonly pages: readonly string[];
}

interface App {
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  fetch(request: Request, env?: object): Response | Promise<Response>;
}

/** Made of apps of which only the routes and the description are asked for, so that their parts need not work. */
type Double<T> = Partial<T> & { readonly version?: string };
const clock = new FakeClock();
const shared = { clock, metrics: noMetrics, log: silentLog, random: new SeededRandom(1), version: "1.2.3" };
const primitives = hostPrimitives();
const relay = { refusalOf: () => undefined };
const deps = <T>(more: Double<T> | object = {}) => ({ ...shared, primitives, ...more }) as unknown as T;

/** Where what takes every method may stand by itself: before, and behind, all that an app answers, and before a dashboard's API. */
const EVERYWHERE = ["*", "/*", "/api/dashboard/*"];

/** What takes every method is no route where it stands before or behind one; anywhere else it would be one that hides. */
function routesOf({ routes }: App): string[] {
  const named = routes.filter(({ method }) => method !== "ALL");
  for (const { method, path } of routes) {
    const isBesideNamed = EVERYWHERE.includes(path) || named.some((one) => one.path === path);
    assert(method !== "ALL" || isBesideNamed, `${path} takes every method: no document can say that it is there`);
  }
  return [...new Set(named.map(({ method, path }) => `${method} ${path}`))];
}

const atRoot = { document: "/openapi.json", pages: ["GET /", "GET /style.css"] };
const besideOthers = { document: "/v1/openapi.json", pages: ["GET /v1", "GET /v1/style.css"] };
const besidePages = { document: "/openapi.json", pages: ["GET /", "GET /web/*", "GET /api", "GET /api.css"] };

function apiOf(madeIn: readonly string[], app: App, more: Pick<Api, "document" | "pages"> = atRoot): Api {
  return { madeIn, routes: routesOf(app), fetch: (request) => app.fetch(request, {}), ...more };
}

function orchestrator(): Api {
  const app = createOrchestratorApi(
    deps<OrchestratorDeps>({
      pages: createPages(),
      settings: { isSecure: true },
      tables: {},
      counters: { take: () => Promise.resolve({ isAllowed: true, retryAfterMs: 0 }) },
    }),
    {} as Access,
  );
  const beside = [
    probeRoutes({ tickets: new ProbeTickets(new Uint8Array(32)), clock }),
    paymentRoutes(deps<PaymentsDeps>({ providers: [{ name: "stripe" }, { name: "telegram" }] })),
  ];
  const madeIn = ["orchestrator.ts", "orchestrator/payments.ts", "orchestrator/probe.ts"].map((file) => `edge/${file}`);
  const api = apiOf([...madeIn, "edge/page_app.ts", "roles/orchestrator/open.ts"], app, besidePages);
  return { ...api, routes: [...api.routes, ...beside.flatMap(routesOf)] };
}

/** One for administrators, once it knows what token to ask for. */
async function administered(app: App): Promise<Api> {
  const { status } = await app.fetch(new Request("http://127.0.0.1/v1/status"));
  assertEquals(status, 401);
  return apiOf(["roles/admin_api/http.ts"], app, besideOthers);
}

/** Its routes are no Hono's: `net/` has a table of its own, and so have those that are for its owner. */
function peerServer(): Api {
  const pages = createPeerPages("1.2.3");
  const files = routeTable().flatMap(({ path, deep, methods }) =>
    methods.filter((method) => method !== "HEAD").map((method) => `${method} ${path}${deep ? "/:path" : ""}`)
  );
  const owner = ownerRouteTable().map(({ method = "GET", path }) => `${method} ${path}`);
  const api = apiOf(["edge/page_app.ts"], pages, besidePages);
  return { ...api, routes: [...api.routes, ...files, ...owner] };
}

const apis: Readonly<Record<string, () => Api | Promise<Api>>> = {
  directory: () => apiOf(["edge/directory.ts"], createDirectory(deps<DirectoryDeps>({ store: {} }))),
  async tracker() {
    await using tracker = await startTracker();
    return apiOf(["edge/tracker.ts"], tracker.app);
  },
  orchestrator,
  upstream: () => apiOf(["edge/relay_app.ts"], createUpstream(deps<UpstreamDeps>({ relay }))),
  downstream: () => apiOf(["edge/relay_app.ts"], createDownstream(deps<DownstreamDeps>({ relay }))),
  peering: () => apiOf(["roles/supernode/peering_api.ts"], createPeeringApi(deps<PeeringApiDeps>())),
  admin: () =>
    administered(createAdminApi(deps<AdminApiDeps>({ guard: new TokenGuard({ token: "secret", clock }), deeds: {} }))),
  "base admin": () =>
    administered(createBaseAdminApi(deps<BaseAdminDeps>({ guard: new TokenGuard({ token: "secret", clock }) }))),
  dashboard() {
    using app = createDashboard({
      source: new FakeSource({ clock }),
      guard: new TokenGuard({ token: "s".repeat(32), clock }),
      clock,
      random: shared.random,
    });
    const pages = ["GET /", "GET /web/*", "GET /api", "GET /api/style.css"];
    return apiOf(["edge/dashboard/dashboard.ts", "edge/page_app.ts"], app, { document: "/api/openapi.json", pages });
  },
  health: () => {
    const metrics = createMetrics();
    return apiOf(["edge/health.ts"], createHealth({ metrics, ready: () => ({ ready: true }), version: "1.2.3" }));
  },
  peer: peerServer,
};

async function documentOf({ fetch, document }: Api): Promise<OpenApiDocument> {
  const answer = await fetch(new Request(`http://127.0.0.1${document}`));
  assertEquals([answer.status, answer.headers.get("content-type")], [200, "application/json"]);
  return await answer.json();
}

/** A path with its parts left open, so that names need not agree. */
function shapeOf(route: string): string {
  return route.replaceAll(/:\w+|\{\w+\}/g, "{}").replace(/^(POST \/v1\/payments\/)\w+$/, "$1{}");
}

for (const [name, open] of Object.entries(apis)) {
  Deno.test(`${name}: every route is described, and everything described is there`, async () => {
    const api = await open();
    const { paths } = await documentOf(api);
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => shapeOf(`${method.toUpperCase()} ${path}`))
    );
    const served = api.routes.filter((route) => !api.pages.includes(route) && route !== `GET ${api.document}`);
    assert(served.length > 0);
    assertEquals([...new Set(served.map(shapeOf))].sort(), described.sort());
  });

  Deno.test(`${name}: the document holds what it refers to, and the page leads nowhere else`, async () => {
    const document = await documentOf(await open());
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map(({ operationId }) => operationId);
    assertEquals(new Set(ids).size, ids.length);
    assertEquals(document.info.version.split(".").length, 3);
    for (const [, schema] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      assert(schema! in document.components.schemas, `${schema} is not described`);
    }
    for (const [path, methods] of Object.entries(document.paths)) {
      const named = Object.values(methods)[0]?.parameters?.filter((one) => one.in === "path").map((one) => one.name) ??
        [];
      assertEquals(named, [...path.matchAll(/\{(\w+)\}/g)].map(([, part]) => part), path);
    }
    for (const { operationId, security, "x-problems": codes } of operations) {
      for (const scheme of security?.flatMap(Object.keys) ?? []) assert(scheme in document.components.securitySchemes);
      for (const code of codes) assert(code in document["x-problems"], `${operationId}: ${code}`);
    }
    const page = await openApiPage(document, { document: "/a", style: "/b" });
    for (const [, id] of page.matchAll(/href="#([^"]+)"/g)) assertStringIncludes(page, `id="${id}"`);
    for (const id of ids) assertStringIncludes(page, `id="${id}"`);
  });
}

Deno.test("a route that takes every method is found, one that guards another or all is none", () => {
  const handle = () => Promise.resolve(new Response());
  const app = new Hono().use(handle).use("/a", handle).get("/a", handle).all("/a", handle).all("*", handle);
  assertEquals(routesOf(app), ["GET /a"]);
  for (const path of ["/hidden", "/a/*"]) {
    assertThrows(() => routesOf(new Hono().get("/a", handle).all(path, handle)), Error, `${path} takes every method`);
  }
});

Deno.test("every app that is made anywhere is one of those", async () => {
  const opened = await Promise.all(Object.values(apis).map((open) => open()));
  const known = new Set(opened.flatMap(({ madeIn }) => madeIn));
  const made: string[] = [];
  for (const folder of ["edge", "net", "roles", "kv"]) {
    for await (const file of sourcesIn(folder)) {
      if (/\bnew Hono\b/.test(await Deno.readTextFile(file))) made.push(file);
    }
  }
  assertEquals(made.sort(), [...known].sort(), "an app that is not described: add it to the table in this file");
});

async function* sourcesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "fixtures") yield* sourcesIn(path);
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) yield path;
  }
}

Deno.test("a relay with a token describes itself only to those who know it", async () => {
  const refused: string[] = [];
  const guarded = {
    refusalOf: () => undefined,
    refuse: (code: string) => (refused.push(code), { response: () => new Response(null, { status: 401 }) }),
  };
  const app = createUpstream(deps<UpstreamDeps>({ relay: guarded, token: "t0k3n" }));
  for (const path of ["/", "/openapi.json", "/style.css"]) {
    assertEquals((await app.request(path, {}, {})).status, 401);
    const { status } = await app.request(path, { headers: { authorization: "Bearer t0k3n" } }, {});
    assertEquals(status, 200);
  }
  assertEquals(refused, ["unauthorized", "unauthorized", "unauthorized"]);
});
