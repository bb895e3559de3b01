/**
 * The refresh token as a cookie, for pages: no script can read it, it goes only where it is used up, and only with requests
 * that this site's own pages make (RFC 6265bis; SameSite=Strict). Since not every browser knows that, requests with the
 * cookie must say that they come from here, by Sec-Fetch-Site or Origin; and they are JSON, which no form can send.
 */

import { REFRESH_IDLE_MS } from "./refresh_tokens.ts";

export interface CookieSettings {
  /** Whether pages come over TLS. */
  readonly isSecure: boolean;
}

const PATH = "/v1/session";

export function refreshCookie(token: string, settings: CookieSettings): Readonly<Record<string, string>> {
  return { "set-cookie": cookieText(token, REFRESH_IDLE_MS / 1000, settings) };
}

export function clearCookie(settings: CookieSettings): Readonly<Record<string, string>> {
  return { "set-cookie": cookieText("", 0, settings) };
}

export function readCookie(request: Request, settings: CookieSettings): string | undefined {
  const name = nameOf(settings);
  for (const pair of (request.headers.get("cookie") ?? "").split(";")) {
    const [key, value] = pair.trim().split("=", 2);
    if (key === name && value) return value;
  }
  return undefined;
}

/** Whether a page of this site makes the request; what says nothing of it is no browser, and needs no cookie. */
export function isFromHere(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin";
  const origin = request.headers.get("origin");
  if (origin === null || !URL.canParse(origin)) return false;
  return new URL(origin).host === (request.headers.get("host") ?? new URL(request.url).host);
}

function cookieText(value: string, maxAgeSeconds: number, settings: CookieSettings): string {
  const secure = settings.isSecure ? "; Secure" : "";
  return `${nameOf(settings)}=${value}; Path=${PATH}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}

function nameOf({ isSecure }: CookieSettings): string {
  return isSecure ? "__Secure-culvert_refresh" : "culvert_refresh";
}
