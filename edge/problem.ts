/**
 * Errors over HTTP as problem details (RFC 9457): one JSON object whose `code` is stable and for programs, and whose
 * `detail` is for people and says what to do. `type` leads to the row of the API's page that explains it.
 */

import type { z } from "zod";
import type { HttpProblem } from "../protocol/http_problem.ts";

/** Every problem an API of ours can answer with. */
export const problems = {
  bad_request: { status: 400, title: "The request does not fit its schema" },
  unauthorized: { status: 401, title: "The token is not the one that is asked for" },
  login_refused: { status: 401, title: "Nobody may log in with this" },
  token_expired: { status: 401, title: "The token counts no more" },
  insufficient: { status: 402, title: "There is not enough money" },
  unsigned: { status: 401, title: "The request must be signed" },
  malformed: { status: 401, title: "The signature's headers cannot be read" },
  not_covered: { status: 401, title: "The signature leaves out what must be signed" },
  stale: { status: 401, title: "The signature's time is more than a minute from ours" },
  bad_digest: { status: 401, title: "The body is not the one that was signed" },
  bad_signature: { status: 401, title: "The signature does not fit" },
  replayed: { status: 401, title: "This signature has been used before" },
  wrong_peer: { status: 403, title: "The request speaks for another than its signer" },
  bad_binding: { status: 403, title: "The key is not signed by the identity it comes with" },
  no_certificate: { status: 403, title: "This network is closed, and there is no certificate" },
  bad_certificate: { status: 403, title: "The certificate does not fit" },
  blocked: { status: 403, title: "An administrator has turned this peer away" },
  not_registered: { status: 403, title: "Only registered supernodes may ask" },
  not_allowed: { status: 403, title: "The role that this takes is missing" },
  suspended: { status: 403, title: "The account is suspended" },
  cross_site: { status: 403, title: "The request comes from another site" },
  not_found: { status: 404, title: "There is nothing here" },
  no_such_central: { status: 404, title: "The directory knows no such central" },
  wrong_method: { status: 405, title: "This address takes other methods" },
  refused_by_central: { status: 409, title: "Central does not take this" },
  conflict: { status: 409, title: "It is not, or no longer, in a state that allows this" },
  too_large: { status: 413, title: "The body is too large" },
  wrong_type: { status: 415, title: "The body is of another type" },
  misdirected: { status: 421, title: "The request is meant for another" },
  upgrade_required: { status: 426, title: "This address takes WebSockets" },
  rate_limited: { status: 429, title: "Too many requests" },
  too_much: { status: 429, title: "More than may go through here" },
  internal: { status: 500, title: "The answer could not be made" },
  unavailable: { status: 503, title: "The store cannot be reached at present" },
  busy: { status: 503, title: "There is too much to do at present" },
  central_down: { status: 503, title: "Central cannot be reached at present" },
  draining: { status: 503, title: "This relay is about to stop" },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>;

export type ProblemCode = keyof typeof problems;

export type ProblemExtras = Pick<HttpProblem, "errors" | "serverTimeMs" | "retryAfterMs"> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** A problem on its way to whoever asked. It is a value rather than an error: hostile requests are everyday. */
export class Problem {
  readonly code: ProblemCode;
  readonly #detail: string;
  readonly #extras: ProblemExtras;

  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    this.code = code;
    this.#detail = detail;
    this.#extras = extras;
  }

  /** One sentence for people. */
  get detail(): string {
    return this.#detail;
  }

  response(): Response {
    const { code } = this;
    const { headers, ...extras } = this.#extras;
    const { status, title } = problems[code];
    const details: HttpProblem = { type: `/#problem-${code}`, title, status, code, detail: this.#detail, ...extras };
    const { retryAfterMs } = extras;
    return new Response(JSON.stringify(details), {
      status,
      headers: {
        "content-type": "application/problem+json",
        ...(retryAfterMs !== undefined && { "retry-after": String(Math.ceil(retryAfterMs / 1000)) }),
        ...headers,
      },
    });
  }
}

/** At most this many of what a schema finds wrong are told. */
const MAX_ERRORS = 8;

/** What is told of a request that does not fit its schema: where and how, never what was sent. */
export function schemaProblem(error: z.core.$ZodError, description = "openapi.json"): Problem {
  const errors = error.issues.slice(0, MAX_ERRORS).map(({ path, message }) => ({
    at: path.map(String).join(".").slice(0, 128),
    message: message.slice(0, 256),
  }));
  const places = errors.map(({ at }) => at || "all of it").join(", ");
  return new Problem("bad_request", `Cannot use the request: it must be as ${description} says, see ${places}`, {
    errors,
  });
}
