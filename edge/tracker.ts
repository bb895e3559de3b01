/**
 * A tracker as a web handler: peers register, send heartbeats and are introduced to each other. It passes signed cards on;
 * what peers then send each other does not come this way. `docs/tracker.md`.
 *
 *   request ─▶ address denied, or too often? ─┬─ fetch ─▶ Hono ─▶ operation (`tracker/api.ts`) ─▶ `tracker/peers.ts`
 *                                             └─ heartbeat, nearly all there is ────────────────▶ the same
 *
 * Whoever serves it may hand in heartbeats as they came: a Request and Hono would cost several times as much as all else
 * that is done for one.
 *
 * Not here: listening, TLS, opening the store (`main_tracker.ts`, `roles/tracker.ts`).
 */

import { type Context, Hono } from "hono";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Counter, noMetrics } from "../protocol/metrics.ts";
import { serveDescription } from "./api_description.ts";
import { openApiOf, type Operation } from "./openapi.ts";
import { Problem } from "./problem.ts";
import * as api from "./tracker/api.ts";
import type { TrackerDeps, TrackerOrigin } from "./tracker/deps.ts";
import { fullProblem, JsonText, type PlainHeartbeat, TrackerPeers } from "./tracker/peers.ts";

export type { DenySource, TrackerDeps, TrackerOrigin } from "./tracker/deps.ts";
export type { PlainHeartbeat } from "./tracker/peers.ts";

/** Disposing it ends the streams of events. */
export interface Tracker extends Disposable {
  /** What it answers to, as Hono lists it. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  fetch(request: Request, origin?: TrackerOrigin): Promise<Response>;
  /** A heartbeat, for whoever need not make a Request of one: JSON in ASCII for the status 200, or what `fetch` would give. */
  heartbeat(beat: PlainHeartbeat, origin: TrackerOrigin): Promise<string | Response>;
}

/** A store that fails now may work again soon. */
const STORE_RETRY_MS = 1000;
const HEADERS = {
  "content-type": "application/json",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
} as const;

type Handle = (request: Request, context: Context<TrackerEnv>) => unknown;

interface TrackerEnv {
  readonly Bindings: TrackerOrigin;
}

export function createTracker(deps: TrackerDeps): Tracker {
  return new App(deps);
}

class App implements Tracker {
  readonly #peers: TrackerPeers;
  readonly #hono = new Hono<TrackerEnv>();
  readonly #log: Log;
  readonly #requests: Counter;

  constructor(deps: TrackerDeps) {
    this.#log = deps.log ?? silentLog;
    this.#peers = new TrackerPeers(deps);
    const metrics = deps.metrics ?? noMetrics;
    this.#requests = metrics.counter(
      "tracker_requests_total",
      "Requests to the tracker by operation and by how they ended: ok, or the code of the problem",
      ["operation", "result"],
    );
    this.#route(deps.version);
  }

  get routes(): Tracker["routes"] {
    return this.#hono.routes;
  }

  async fetch(request: Request, origin: TrackerOrigin = {}): Promise<Response> {
    const refusal = this.#peers.refusalOfOrigin(origin, () => new URL(request.url).host);
    if (refusal) return this.#refuse(refusal, "any");
    const response = await this.#hono.fetch(request, origin);
    if (!response.headers.has("x-content-type-options")) response.headers.set("x-content-type-options", "nosniff");
    return response;
  }

  async heartbeat(beat: PlainHeartbeat, origin: TrackerOrigin): Promise<string | Response> {
    const { id } = api.heartbeat;
    const refusal = this.#peers.refusalOfOrigin(origin, () => beat.host());
    if (refusal) return this.#refuse(refusal, "any");
    let result: JsonText | Problem;
    try {
      result = await this.#peers.heartbeat(beat);
    } catch (error) {
      result = this.#problemOf(error);
    }
    if (result instanceof Problem) return this.#refuse(result, id);
    this.#requests.add(1, { operation: id, result: "ok" });
    return result.text;
  }

  [Symbol.dispose](): void {
    this.#peers[Symbol.dispose]();
  }

  #route(version: string): void {
    const peers = this.#peers;
    const app = this.#hono;
    const serve = (operation: Operation, handle: Handle) =>
      app.on(operation.method.toUpperCase(), operation.path.replace(/\{(\w+)\}/g, ":$1"), (context) => {
        return this.#answer(operation, () => handle(context.req.raw, context));
      });
    serve(api.register, (request, { env }) => peers.register(request, env));
    serve(api.heartbeat, (request) => peers.heartbeatOf(request));
    serve(api.unregister, (request) => peers.unregister(request));
    serve(api.report, (request) => peers.report(request));
    serve(api.list, (request) => peers.list(request));
    // Hono answers HEAD as GET and drops the body, of which nobody would know: a listener would stay for good.
    serve(api.events, (request) => request.method === "HEAD" ? wrongMethod("get") : peers.follow(request));
    serve(api.status, () => peers.status());
    serveDescription(app, () => openApiOf(api.trackerApi(version)));
    for (const { method, path } of [api.register, api.heartbeat, api.unregister, api.report]) {
      app.all(path, () => this.#refuse(wrongMethod(method), "any"));
    }
    serve(api.find, (request, context) => peers.find(request, context.req.param("id") ?? ""));
    app.notFound(() =>
      this.#refuse(new Problem("not_found", "Cannot answer: the path must be one of openapi.json"), "any")
    );
    app.onError((error) => this.#refuse(this.#problemOf(error), "any"));
  }

  /** Answers with what is given: a Problem, a Response, or what is or becomes JSON. */
  async #answer({ id, answer: { status } }: Operation, handle: () => unknown): Promise<Response> {
    let result: unknown;
    try {
      result = await handle();
    } catch (error) {
      result = this.#problemOf(error);
    }
    if (result instanceof Problem) return this.#refuse(result, id);
    this.#requests.add(1, { operation: id, result: "ok" });
    if (result instanceof Response) return result;
    const text = result instanceof JsonText ? result.text : JSON.stringify(result);
    return new Response(text, { status, headers: HEADERS });
  }

  #refuse(problem: Problem, operation: string): Response {
    this.#requests.add(1, { operation, result: problem.code });
    const response = problem.response();
    response.headers.set("cache-control", "no-store");
    response.headers.set("x-content-type-options", "nosniff");
    return response;
  }

  /** What is told of an error; what it was stays in the log. */
  #problemOf(error: unknown): Problem {
    const code = error instanceof CulvertError ? error.code : undefined;
    if (code === "store_full") return fullProblem();
    const isStore = code?.startsWith("store_") ?? false;
    this.#log.error(isStore ? "The tracker's store failed" : "A request failed", { error: messageOf(error) });
    return isStore
      ? new Problem("unavailable", "Cannot answer now: the store must be reachable; try again", {
        retryAfterMs: STORE_RETRY_MS,
      })
      : new Problem("internal", "Cannot answer: something went wrong here, and the log of this tracker says what");
  }
}

function wrongMethod(method: string): Problem {
  const allow = method.toUpperCase();
  return new Problem("wrong_method", `Cannot answer: the method must be ${allow}`, { headers: { allow } });
}
