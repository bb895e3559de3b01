/**
 * Who a request is sent by, as far as a browser tells. A peer server trusts whoever reaches its port, so a page from elsewhere
 * must not make the owner's browser reach it instead.
 *
 *   a name that was made to lead here (DNS rebinding)   its `Host` is no name of the loopback    421
 *   a page of another site that loads or sends          `Sec-Fetch-Site`, `Origin`               403
 *
 * Programs send neither `Origin` nor `Sec-Fetch-Site`, and pass. Following a link here from another page is allowed.
 */

import { problem } from "./problem.ts";
import type { AskedHead } from "./routes.ts";

/** Bytes of a URL; longer than any path and query there is. */
export const MAX_TARGET_BYTES = 16 * 1024;

/** What is wrong with it, or undefined. */
export function refusalOf(request: AskedHead): Response | undefined {
  const host = request.headers.get("host") ?? hostOf(request.url);
  if (!isLoopbackHost(host)) {
    return problem("misdirected", "Cannot answer for this host: it must be 127.0.0.1, localhost or [::1]");
  }
  if (request.url.length > MAX_TARGET_BYTES) {
    return problem("bad_request", `Cannot read the request: its URL must be at most ${MAX_TARGET_BYTES} bytes long`);
  }
  return isFromElsewhere(request, host)
    ? problem("cross_site", "Cannot take requests of other sites: open this server's own page, or use a program")
    : undefined;
}

/** Any port will do: it may be reached through another program's. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, "");
  if (name === "localhost" || name === "[::1]") return true;
  return /^127(?:\.\d{1,3}){3}$/.test(name) && name.split(".").every((part) => Number(part) <= 255);
}

function isFromElsewhere({ headers, method }: AskedHead, host: string): boolean {
  const site = headers.get("sec-fetch-site");
  const isRead = method === "GET" || method === "HEAD";
  // Another port of this machine is another origin, and another program may answer there.
  if (site === "cross-site" || site === "same-site") {
    return !isRead || headers.get("sec-fetch-mode") !== "navigate" || headers.get("sec-fetch-dest") !== "document";
  }
  const origin = headers.get("origin");
  return !isRead && origin !== null && origin.toLowerCase() !== `http://${host.toLowerCase()}`;
}

function hostOf(url: string): string {
  return /^https?:\/\/([^/?#]*)/i.exec(url)?.[1] ?? "";
}
