/**
 * How a request to an operation of the orchestrator becomes a call of its handler, and what that gives an answer:
 *
 *   address within its rate ─▶ token good, role there ─▶ user within their rate ─▶ body JSON and short ─▶ as the schema says
 *     ─▶ handler ─▶ JSON, something else, or a problem
 */

import type { Context, Hono } from "hono";
import type { z } from "zod";
import type { RateLimit } from "../../kv/sharing/counters.ts";
import { placeName } from "../../protocol/control/auth_limits.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { parseIp } from "../../protocol/ip.ts";
import type { User, UserRole } from "../../protocol/sharing/records.ts";
import { bearerOf } from "../bearer.ts";
import type { JsonOperation } from "../openapi.ts";
import { Problem } from "../problem.ts";
import { bodyOf, queryOf } from "../typed_request.ts";
import type { Access } from "./access.ts";
import { callerOf } from "./access/callers.ts";
import type { OrchestratorDeps } from "./deps.ts";

/** What whoever serves the app tells it of a request: `app.fetch(request, { remoteAddress })`. */
export interface OrchestratorEnv {
  readonly Bindings: {
    /** The IP address it came from; without one no limit per address is kept. */
    readonly remoteAddress?: string | undefined;
  };
}

/** Somebody who has shown who they are. */
export interface Caller {
  readonly user: User;
  /** What they may do with what they showed. */
  readonly roles: readonly UserRole[];
  /** The login, or the key, that they showed. */
  readonly by: { readonly familyId: string } | { readonly keyId: string };
}

export interface Asked<O extends JsonOperation> {
  readonly request: Request;
  readonly address: string | undefined;
  readonly caller: O extends { readonly role: string } ? Caller : undefined;
  readonly body: O extends { readonly body: infer S extends z.ZodType } ? z.output<S> : undefined;
  readonly query: O extends { readonly query: infer S extends z.ZodType } ? z.output<S> : undefined;
}

export type AnswerOf<O extends JsonOperation> = z.input<O["answer"]["schema"]>;

/** An answer with headers of its own. */
export class Reply<T> {
  readonly body: T;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: T, headers: Readonly<Record<string, string>>) {
    this.body = body;
    this.headers = headers;
  }
}

export type Handler<O extends JsonOperation> = (
  asked: Asked<O>,
) => Promise<AnswerOf<O> | Reply<AnswerOf<O>> | Response | Problem>;

/** No body of ours is longer: an initData, or a widget's fields. */
const MAX_BODY_BYTES = 32 * 1024;
/** A store that fails now may work again soon. */
const STORE_RETRY_MS = 1000;

/** How often one address, and one account, may ask: 50 and 20 a second. A page asks for a handful of things when opened. */
const ADDRESS_RATE: RateLimit = { limit: 500, windowMs: 10_000 };
const ACCOUNT_RATE: RateLimit = { limit: 200, windowMs: 10_000 };

export class Operations {
  readonly #app: Hono<OrchestratorEnv>;
  readonly #deps: OrchestratorDeps;
  readonly #access: Access;
  readonly #requests;

  constructor(app: Hono<OrchestratorEnv>, deps: OrchestratorDeps, access: Access) {
    this.#app = app;
    this.#deps = deps;
    this.#access = access;
    this.#requests = deps.metrics.counter(
      "orchestrator_requests_total",
      "Requests to the orchestrator's API by operation and by how they ended: ok, or the code of the problem",
      ["operation", "result"],
    );
  }

  serve<O extends JsonOperation>(operation: O, handle: Handler<O>): void {
    this.#app.on(
      operation.method.toUpperCase(),
      operation.path,
      (context) => this.#answer(context, operation, handle as unknown as Handler<JsonOperation>),
    );
  }

  /** The problem with a request that is refused before anything of it is looked at, or undefined. */
  async refusalOfAddress(remoteAddress: string | undefined): Promise<Problem | undefined> {
    const address = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
    return address && await this.#refusalOfRate("address", placeName(address), ADDRESS_RATE);
  }

  async #refusalOfRate(of: "address" | "account", id: string, rate: RateLimit): Promise<Problem | undefined> {
    const { isAllowed, retryAfterMs } = await this.#deps.counters.take(`api:${of}:${id}`, rate);
    return isAllowed ? undefined : tooMany(of, retryAfterMs);
  }

  refuse(problem: Problem, operation: string): Response {
    this.#requests.add(1, { operation, result: problem.code });
    return problem.response();
  }

  /** What is told of an error; what it was stays in the log. */
  problemOf(error: unknown): Problem {
    const isStore = error instanceof CulvertError && error.code.startsWith("store_");
    this.#deps.log.error(isStore ? "A store failed" : "A request failed", { error: messageOf(error) });
    return isStore
      ? new Problem("unavailable", "Cannot answer now: the stores must be reachable; try again", {
        retryAfterMs: STORE_RETRY_MS,
      })
      : new Problem("internal", "Cannot answer: something went wrong here, and the log of this orchestrator says what");
  }

  async #answer(
    context: Context<OrchestratorEnv>,
    operation: JsonOperation,
    handle: Handler<JsonOperation>,
  ): Promise<Response> {
    const { id, answer } = operation;
    const result = await this.#run(context, operation, handle).catch((error) => this.problemOf(error));
    if (result instanceof Problem) return this.refuse(result, id);
    this.#requests.add(1, { operation: id, result: "ok" });
    if (result instanceof Response) return result;
    return result instanceof Reply
      ? context.json(result.body, answer.status, result.headers)
      : context.json(result, answer.status);
  }

  async #run(
    context: Context<OrchestratorEnv>,
    operation: JsonOperation,
    handle: Handler<JsonOperation>,
  ): Promise<unknown> {
    const request = context.req.raw;
    const caller = operation.role === undefined
      ? undefined
      : await this.#callerFor(request, operation.role as UserRole);
    if (caller instanceof Problem) return caller;
    const query = operation.query && queryOf(request, operation.query);
    if (query instanceof Problem) return query;
    const body = operation.body && await bodyOf(request, operation.body, MAX_BODY_BYTES);
    if (body instanceof Problem) return body;
    const address = context.env?.remoteAddress;
    return await handle({ request, address, caller, query, body } as unknown as Asked<JsonOperation>);
  }

  async #callerFor(request: Request, role: UserRole): Promise<Caller | Problem> {
    const caller = await callerOf(bearerOf(request), this.#access);
    if (caller instanceof Problem) return caller;
    const tooOften = await this.#refusalOfRate("account", caller.user.userId, ACCOUNT_RATE);
    if (tooOften) return tooOften;
    if (caller.roles.includes(role)) return caller;
    this.#access.audit.refused(caller.user.userId, "api", { detail: `the role ${role} is missing` });
    return new Problem("not_allowed", `Cannot do this: it takes the role ${role}`);
  }
}

function tooMany(what: string, retryAfterMs: number): Problem {
  return new Problem("rate_limited", `Cannot take the request: this ${what} has asked too often; wait and try again`, {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}
