/**
 * What a peer server says when it cannot do what it is asked: problem details (RFC 9457) whose `code` is stable and for
 * programs, and whose `detail` is for people. A value rather than an error: hostile requests are everyday.
 */

import type { HttpProblem } from "../../protocol/http_problem.ts";

export const peerProblems = {
  bad_request: { status: 400, title: "The request does not fit its schema" },
  bad_path: { status: 400, title: "This is no path in a shared folder" },
  cross_site: { status: 403, title: "The request comes from another site" },
  owner_only: { status: 403, title: "Only who runs this server may ask for this" },
  no_upload: { status: 403, title: "Files may not be put here" },
  not_found: { status: 404, title: "There is nothing here" },
  wrong_method: { status: 405, title: "This address takes other methods" },
  cut_short: { status: 408, title: "The body did not come to its end" },
  exists: { status: 409, title: "There is a file of this name already" },
  in_the_way: { status: 409, title: "What is there is no folder, or none that may be written to" },
  changed: { status: 412, title: "The content is not the one that was meant" },
  too_large: { status: 413, title: "The body is too large" },
  wrong_type: { status: 415, title: "The body is of another type" },
  unsatisfiable: { status: 416, title: "The content has none of these bytes" },
  misdirected: { status: 421, title: "The request is meant for another host" },
  too_often: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "The answer could not be made" },
  unreachable: { status: 502, title: "The peer cannot be reached" },
  busy: { status: 503, title: "There is too much to do at present" },
  changing: { status: 503, title: "The file is being written to" },
  storage_full: { status: 507, title: "There is no room for it" },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>;

export type PeerProblemCode = keyof typeof peerProblems;

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
