/** A handler of requests whose answers are told as spans: the method, the beginning of the path, and the status. */

import type { Tracing } from "../protocol/tracing.ts";

/** Untraced it is the handler itself. */
export function tracedFetch<Rest extends readonly unknown[]>(
  tracing: Tracing | undefined,
  fetch: (request: Request, ...rest: Rest) => Response | Promise<Response>,
): (request: Request, ...rest: Rest) => Response | Promise<Response> {
  if (!tracing?.isOn) return fetch;
  return (request, ...rest) => {
    const facts = { method: methodOf(request), route: routeOf(request) };
    return tracing.run("http.request", facts, async (span) => {
      const response = await fetch(request, ...rest);
      span.add({ status: response.status });
      if (response.status >= 500) span.fail(`http_${response.status}`);
      return response;
    });
  };
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]);

function methodOf({ method }: Request): string {
  return METHODS.has(method) ? method : "other";
}

/** Its first two parts, where they look like words of an API of ours; what comes after names peers and sessions. */
function routeOf({ url }: Request): string {
  return /^\/(?:v1|api)\/[a-z]+(?:-[a-z]+)*(?=\/|$)|^\/healthz$/.exec(new URL(url).pathname)?.[0] ?? "other";
}
