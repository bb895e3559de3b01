/**
 * Paths through proxies of other programs, by their URLs:
 *
 *   socks5://127.0.0.1:1080                         a SOCKS5 port, as paqet, gfk, xray and `ssh -D` have
 *   socks5://name:password@host:1080                one that asks who we are
 *   http://127.0.0.1:3128/?probe=example.org:80     an HTTP proxy, and what to ask for to see that it works
 *
 * As a member of several, such a path is asked from time to time whether it works. A proxy of ours answers for
 * `hello.culvert` itself; another's knows no such name, and that it answers at all has to do, unless `probe` names a web
 * server that it should reach. Programs that say "connected" before they have dialled (xray, paqet) need one: behind them
 * nothing else finds a way that is dead.
 */

import { dialFailureOf } from "../protocol/errors.ts";
import type { SocksCredentials } from "../protocol/socks.ts";
import { parseTarget, type Path, type Target } from "../protocol/stream.ts";
import type { OpenOptions } from "./open.ts";
import { httpProbe, type Probe } from "./probe.ts";
import { ProxyPath } from "./proxy_path.ts";
import { TransportUrl } from "./transport_url.ts";

export function openProxyUrl(text: string, { clock }: OpenOptions): Path {
  const { dialect, proxy, credentials } = readUrl(text);
  return new ProxyPath({ dialect, proxy, credentials, clock });
}

/** How to see whether the path works. */
export function proxyProbe(text: string): Probe {
  const { probe } = readUrl(text);
  if (probe) return httpProbe(probe);
  const ask = httpProbe();
  return async (path, signal) => {
    try {
      await ask(path, signal);
    } catch (error) {
      if (signal.aborted || isProxysFault(error)) throw error;
    }
  };
}

/** What else it says of a name that it does not know shows that it is there. */
function isProxysFault(error: unknown): boolean {
  const failure = dialFailureOf(error);
  return failure === "path_down" || failure === "unauthorized" || failure === "timeout" ||
    failure === "network_unreachable";
}

interface ProxyUrl {
  readonly dialect: "socks5" | "http";
  readonly proxy: Target;
  readonly credentials: SocksCredentials | undefined;
  readonly probe: Target | undefined;
}

function readUrl(text: string): ProxyUrl {
  const url = new TransportUrl(text, "a proxy");
  const asked = url.settings.text("probe");
  url.settings.done();
  const probe = asked === undefined ? undefined : parseTarget(asked, 80);
  if (asked !== undefined && !probe?.port) throw url.fail("must have a probe that is host:port");
  if (url.ports.count > 1) throw url.fail("must have one port");
  return {
    dialect: url.scheme === "http" ? "http" : "socks5",
    proxy: { host: url.host, port: url.ports.first },
    credentials: url.login,
    probe,
  };
}
