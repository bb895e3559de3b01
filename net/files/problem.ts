/**
 * What a peer server says when it cannot do what it is asked: problem details (RFC 9457) whose `code` is stable and for
 * programs, and whose `detail` is for people. A value rather than an error: hostile requests are everyday.
 */

import { type PeerProblemCode, peerProblems } from "../../protocol/files/problems.ts";
import type { HttpProblem } from "../../protocol/http_problem.ts";

export interface ProblemExtras {
  readonly retryAfterMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export function problem(code: PeerProblemCode, detail: string, extras: ProblemExtras = {}): Response {
  const { status, title } = peerProblems[code];
  const { retryAfterMs, headers } = extras;
  const details: HttpProblem = {
    type: `urn:culvert:problem:${code}`,
    title,
    status,
    code,
    detail,
    ...retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) },
  };
  return new Response(`${JSON.stringify(details)}\n`, {
    status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...retryAfterMs !== undefined && { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
      ...headers,
    },
  });
}

export function notFound(): Response {
  return problem("not_found", "Cannot find it: the path must name a file or a folder that is shared with you");
}

export function badPath(): Response {
  return problem("bad_path", "Cannot find it: the path must be one of names joined by slashes, in UTF-8");
}

export function wrongMethod(...allowed: readonly string[]): Response {
  const allow = allowed.join(", ");
  return problem("wrong_method", `Cannot use this method: it must be ${allow}`, { headers: { allow } });
}
