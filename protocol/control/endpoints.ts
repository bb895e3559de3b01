/**
 * Where a supernode is spoken to, from the one URL it is known by.
 *
 *   https://host:port/prefix  →  wss://host:port/prefix/control   the control stream
 *                             →  wss://host:port/prefix/relay     the data link; `Authorization: Bearer <relay token>`
 *
 * `http` and `ws` mean the same without TLS, for loopback or behind a proxy that has it.
 */

import { CulvertError } from "../errors.ts";
import type { Target } from "../stream.ts";

export const CONTROL_PATH = "/control";
export const RELAY_PATH = "/relay";

export interface Endpoint {
  readonly target: Target;
  readonly tls: boolean;
  /** The request target, beginning with "/". */
  readonly urlPath: string;
}

/** Throws a CulvertError `bad_url` for a URL that is none of the four kinds. */
export function supernodeEndpoint(url: string, path: typeof CONTROL_PATH | typeof RELAY_PATH): Endpoint {
  const parsed = URL.parse(url);
  const scheme = /^(https?|wss?):$/.exec(parsed?.protocol ?? "")?.[1];
  if (!parsed || !scheme) {
    throw new CulvertError("bad_url", "Cannot reach a supernode: its URL must begin with https, wss, http or ws");
  }
  const tls = scheme === "https" || scheme === "wss";
  return {
    target: { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: Number(parsed.port || (tls ? 443 : 80)) },
    tls,
    urlPath: parsed.pathname.replace(/\/+$/, "") + path,
  };
}
