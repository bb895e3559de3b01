/**
 * A dashboard as a web handler: the pages, and what they ask for (`api.ts`).
 *
 *   request ─▶ for one of our names? ─┬─ /api/dashboard/…  from a page of ours? ─▶ session good? ─▶ operation (`operations.ts`)
 *                                     ├─ /api, /api/openapi.json   the description of those
 *                                     └─ /, /web/…                 the pages (`page_table.ts`)
 *   source ─▶ `watcher.ts` ─▶ `viewers.ts` ─▶ those who watch
 *
 * It takes what it shows and does from a `NetworkSource` and knows nothing of networks itself. `docs/dashboard.md`.
 *
 * Not here: listening, TLS, the token (`roles/`).
 */

import { type Context, Hono } from "hono";
import type { z } from "zod";
import { deadline } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { type Counter, noMetrics } from "../../protocol/metrics.ts";
import { serveDescription } from "../api_description.ts";
import { bearerOf } from "../bearer.ts";
import { openApiOf, type Operation } from "../openapi.ts";
import { createPageApp } from "../page_app.ts";
import { Problem, type ProblemCode } from "../problem.ts";
import { bodyOf, queryOf } from "../typed_request.ts";
import { API_PREFIX } from "./api.ts";
import type { DashboardApp, DashboardDeps, DashboardOrigin } from "./deps.ts";
import { refusalOfHost, refusalOfPage } from "./door.ts";
import type { Deed, DeedOutcome } from "./inventory.ts";
import { dashboardPageTable } from "./page_table.ts";
import { Logins } from "./logins.ts";
import * as api from "./operations.ts";
import { plainText } from "./plain.ts";
import { peerRows, sessionRows } from "./rows.ts";
import type { Snapshot } from "./snapshot.ts";
import { Viewers, type WatchingSession } from "./viewers.ts";
import { Watcher } from "./watcher.ts";

export type { DashboardApp, DashboardDeps, DashboardOrigin } from "./deps.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_DEEDS_AT_ONCE = 8;
/** A command that is pushed may be waited for as long as it takes, within reason. */
const DEED_TIMEOUT_MS = 120_000;
const RETRY_MS = 1000;
/** Of what is said of a deed. */
const MAX_OUTCOME = 500;

const HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

const codes = {
  not_found: "not_found",
  bad_request: "bad_request",
  unavailable: "unavailable",
  failed: "conflict",
} as const satisfies Record<(DeedOutcome & { ok: false })["code"], ProblemCode>;

interface Asked<O extends Operation> {
  readonly request: Request;
  readonly address: string | undefined;
  /** What it was asked with, and when that ends. */
  readonly session: WatchingSession;
  readonly body: O extends { readonly body: infer S extends z.ZodType } ? z.output<S> : undefined;
  readonly query: O extends { readonly query: infer S extends z.ZodType } ? z.output<S> : undefined;
}

type AnswerOf<O extends Operation> = z.input<O["answer"]["schema"]> | Response | Problem;

interface Env {
  readonly Bindings: DashboardOrigin;
}

export function createDashboard(deps: DashboardDeps): DashboardApp {
  return new Dashboard(deps);
}

class Dashboard implements DashboardApp {
  readonly #deps: DashboardDeps;
  readonly #log: Log;
  readonly #requests: Counter;
  readonly #logins: Logins;
  readonly #viewers: Viewers;
  readonly #watcher: Watcher;
  readonly #hono = new Hono<Env>();
  readonly #stopped = new AbortController();
  #deeds = 0;

  constructor(deps: DashboardDeps) {
    const { source, clock, log = silentLog, metrics = noMetrics } = deps;
    this.#deps = deps;
    this.#log = log;
    this.#requests = metrics.counter(
      "dashboard_requests_total",
      "Requests to the dashboard by operation and by how they ended: ok, or the code of the problem",
      ["operation", "result"],
    );
    const viewers = metrics.gauge("dashboard_viewers", "Pages that watch the network");
    this.#logins = new Logins(deps);
    this.#viewers = new Viewers({
      clock,
      state: () => this.#watcher.state,
      onChange: (count) => viewers.set(count),
    });
    this.#watcher = new Watcher({
      source,
      clock,
      log,
      metrics,
      isWatched: () => this.#viewers.size > 0,
      tell: (event) => this.#viewers.tell(event),
    });
    this.#route();
  }

  get routes(): DashboardApp["routes"] {
    return this.#hono.routes;
  }

  async fetch(request: Request, origin: DashboardOrigin = {}): Promise<Response> {
    const response = await this.#hono.fetch(request, origin);
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  }

  [Symbol.dispose](): void {
    this.#stopped.abort(new Error("The dashboard stops"));
    this.#watcher[Symbol.dispose]();
    this.#viewers[Symbol.dispose]();
  }

  #route(): void {
    const app = this.#hono;
    app.use(async ({ req }, next) => {
      const refusal = refusalOfHost(req.raw, this.#deps.hosts ?? []);
      return refusal ? this.#refuse(refusal, "any") : await next();
    });
    app.use(`${API_PREFIX}/*`, async ({ req }, next) => {
      const refusal = refusalOfPage(req.raw);
      return refusal ? this.#refuse(refusal, "any") : await next();
    });
    this.#serve(api.logIn, ({ body, address }) => this.#logIn(body.token, address));
    this.#serve(api.logOut, ({ session, address }) => this.#logOut(session, address));
    this.#serve(api.watch, ({ request, session }) => this.#watch(request, session));
    this.#serve(api.listPeers, ({ query }) => this.#list((snapshot) => peerRows(snapshot, query)));
    this.#serve(api.listSessions, ({ query }) => this.#list((snapshot) => sessionRows(snapshot, query)));
    this.#serve(api.act, ({ body, address }) => this.#act(body, address));
    serveDescription(app, () => openApiOf(api.dashboardApi(this.#deps.source.version)), api.DESCRIPTION_PATHS);
    app.route("/", createPageApp({ table: dashboardPageTable(), policy: ["frame-ancestors 'none'"] }));
    app.notFound(({ req }) => this.#refuse(nothingHere(req.path), "any"));
    app.onError((error) => this.#refuse(this.#problemOf(error), "any"));
  }

  #serve<O extends Operation>(operation: O, handle: (asked: Asked<O>) => AnswerOf<O> | Promise<AnswerOf<O>>): void {
    this.#hono.on(operation.method.toUpperCase(), operation.path, async (context) => {
      const { id, answer } = operation;
      const result: unknown = await this.#asked(context, operation)
        .then((asked) => asked instanceof Problem ? asked : handle(asked as unknown as Asked<O>))
        .catch((error) => this.#problemOf(error));
      if (result instanceof Problem) return this.#refuse(result, id);
      this.#requests.add(1, { operation: id, result: "ok" });
      return result instanceof Response ? result : context.json(result as object, answer.status as 200 | 201);
    });
  }

  /** What is asked, by whom; or why it is not looked at. */
  async #asked(context: Context<Env>, operation: Operation): Promise<object | Problem> {
    const request = context.req.raw;
    const address = context.env?.remoteAddress;
    const session = operation.role === undefined ? undefined : await this.#sessionOf(request, address);
    if (session instanceof Problem) return session;
    const query = operation.query && queryOf(request, operation.query);
    if (query instanceof Problem) return query;
    const body = operation.body && await bodyOf(request, operation.body, MAX_BODY_BYTES);
    if (body instanceof Problem) return body;
    return { request, address, session, query, body };
  }

  async #sessionOf(request: Request, address: string | undefined): Promise<WatchingSession | Problem> {
    const session = bearerOf(request);
    const expiresAtMs = await this.#logins.check(session, address);
    if (expiresAtMs instanceof Problem) return expiresAtMs;
    this.#watcher.wake();
    return { session: session!, expiresAtMs };
  }

  async #logIn(token: string, address: string | undefined) {
    const login = await this.#logins.logIn(token, address);
    if (login instanceof Problem) return login;
    this.#log.info("Somebody has logged in to the dashboard", { address });
    this.#watcher.wake();
    return login;
  }

  #logOut({ session }: WatchingSession, address: string | undefined): { readonly ok: true } {
    this.#logins.end(session);
    this.#viewers.end(session);
    this.#log.info("Somebody has logged out of the dashboard", { address });
    return { ok: true };
  }

  #watch(request: Request, session: WatchingSession): Response | Problem {
    // Hono answers HEAD as GET and drops the body, of which nobody would know: a viewer would stay for good.
    if (request.method !== "GET") return wrongMethod("GET");
    const response = this.#viewers.open(session);
    if (response instanceof Response) void this.#watcher.look();
    return response;
  }

  async #list<Page>(page: (snapshot: Snapshot) => Page): Promise<Page | Problem> {
    const snapshot = await this.#watcher.snapshot();
    return snapshot
      ? page(snapshot)
      : new Problem("unavailable", "Cannot list: the network cannot be looked at now", { retryAfterMs: RETRY_MS });
  }

  async #act(deed: Deed, address: string | undefined) {
    const { source, clock } = this.#deps;
    if (!source.deeds.includes(deed.kind)) {
      return new Problem("bad_request", `Cannot do this here: it must be one of ${source.deeds.join(", ")}`);
    }
    if (this.#deeds >= MAX_DEEDS_AT_ONCE) {
      return new Problem("busy", "Cannot do this now: too much else is being done", { retryAfterMs: RETRY_MS });
    }
    this.#deeds++;
    try {
      // It goes on when the page that asked for it is closed: half done would be worse.
      using limit = deadline(clock, DEED_TIMEOUT_MS, "do what was asked for", this.#stopped.signal);
      const outcome = await source.act(deed, limit.signal);
      this.#log.info("Something was done from the dashboard", { address, deed: deed.kind, ok: outcome.ok });
      const text = plainText(outcome.text, MAX_OUTCOME);
      return outcome.ok ? { text } : new Problem(codes[outcome.code], text);
    } finally {
      this.#deeds--;
      // A look under way may have begun before.
      void this.#watcher.look().then(() => this.#watcher.look());
    }
  }

  #refuse(problem: Problem, operation: string): Response {
    this.#requests.add(1, { operation, result: problem.code });
    return problem.response();
  }

  /** What is told of an error; what it was stays in the log. */
  #problemOf(error: unknown): Problem {
    this.#log.error("A request to the dashboard failed", { error: messageOf(error) });
    return new Problem("internal", "Cannot answer: something went wrong here, and the log says what");
  }
}

/** Whether it is the address or only the method that nobody serves. */
function nothingHere(path: string): Problem {
  const methods = api.dashboardOperations().filter((operation) => operation.path === path).map(({ method }) => method);
  if (methods.length > 0) return wrongMethod(methods.join(", ").toUpperCase());
  return new Problem("not_found", "Cannot answer: there is nothing at this path; /api tells what there is");
}

function wrongMethod(allow: string): Problem {
  return new Problem("wrong_method", `Cannot answer: the method must be ${allow}`, { headers: { allow } });
}
