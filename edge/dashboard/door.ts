/**
 * Which requests are taken at all, whoever they are from.
 *
 *   the Host is an address, localhost, or a name it is served under   a stranger's name that is made to lead here is none of them,
 *                                                                     so no page of theirs counts as one of ours (DNS rebinding)
 *   the browser says it is from a page of ours, or there is no page   a strange page can have a browser ask, and must not have it do
 *
 * The second is for the API; anybody may link to the pages.
 */

import { parseHost } from "../../protocol/host.ts";
import { Problem } from "../problem.ts";

/** The problem with whom a request is meant for, or undefined. */
export function refusalOfHost(request: Request, hosts: readonly string[]): Problem | undefined {
  const { hostname } = new URL(request.url);
  const host = parseHost(hostname);
  const isRight = host instanceof Uint8Array || host === "localhost" || host?.endsWith(".localhost") ||
    hosts.some((served) => served.toLowerCase() === host);
  if (host !== undefined && isRight) return undefined;
  return new Problem(
    "misdirected",
    "Cannot answer: the address must have an IP address, localhost, or a name that this dashboard is served under",
  );
}

/** The problem with the page that a request comes from, or undefined. */
export function refusalOfPage(request: Request): Problem | undefined {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const isOurs = (site === null || site === "same-origin" || site === "none") &&
    (origin === null || hostOf(origin) === new URL(request.url).host);
  return isOurs ? undefined : new Problem("cross_site", "Cannot answer: it must be asked by a page of this dashboard");
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
