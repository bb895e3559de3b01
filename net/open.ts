/**
 * Paths by URL: what `--path` takes. Each scheme is a row of the table below; a new transport adds a row.
 *
 *   direct:                               leave the network here, under the egress policy
 *   tunnel+ws://host:port/path            through a tunnel server (`culvert tunnel`), plain or behind a TLS proxy
 *   tunnel+wss://token@host/path?links=4  the same over TLS
 *   fragments+https://base.example/       in fragments over several relays, which that directory knows
 *   circuit+http(s)://base:port/?hops=2   over circuits of relays that the directory there knows (`circuit/circuit_url.ts`)
 *   kcp+udp://key@host:port/              over KCP, in datagrams (`kcp/open_kcp.ts`)
 *   kcp+raw://key@host:port/              the same in raw packets that look like TCP
 *   vtcp://key@host:port/                 over QUIC, in such packets (`vtcp/open_vtcp.ts`); vtcp+udp:// in datagrams
 *   socks5://host:port                    through the proxy of another program (`open_proxy.ts`); http:// as well
 */

import type { Clock } from "../protocol/clock.ts";
import type { EgressPolicy, PolicySource } from "../protocol/egress_policy.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Identity } from "../protocol/identity.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { Random } from "../protocol/random.ts";
import type { Path } from "../protocol/stream.ts";
import type { Tracing } from "../protocol/tracing.ts";
import { balance, failover, type Member, race, split } from "./combine.ts";
import { openCircuits } from "./circuit/open_circuits.ts";
import { direct } from "./egress.ts";
import { openFragments } from "./fragments/open_fragments.ts";
import { withHello } from "./hello.ts";
import { openKcp } from "./kcp/open_kcp.ts";
import { openProxyUrl, proxyProbe } from "./open_proxy.ts";
import type { Probe } from "./probe.ts";
import { tracedPath } from "./traced_path.ts";
import { openTunnel } from "./tunnel_client.ts";
import { openVtcpUrl } from "./vtcp/open_vtcp.ts";

/** What Paths are made of, whatever their URL. */
export interface OpenOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where chance comes from. */
  readonly random: Random;
  /** Where it writes what happens. */
  readonly log: Log;
  /** Where it counts what happens. */
  readonly metrics: Metrics;
  /**
   * Told of dials.
   *
   * @internal
   */
  readonly tracing?: Tracing;
  /** What may be dialled from here, for `direct:`. */
  readonly policy: EgressPolicy | PolicySource;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: string[];
  /** Who we are, for paths through a closed network. */
  readonly identity?: Identity;
  /** The identity's certificate in it, as it is now. */
  readonly certificate?: () => string | undefined;
  /** The key of the closed network that paths lead through. */
  readonly networkPublicKey?: Uint8Array;
}

/** How several paths act as one. */
export const combinations: readonly ["failover", "balance", "race", "split"] = ["failover", "balance", "race", "split"];

/** How several Paths are one. */
export interface Combination {
  /** Which of them a stream takes: the first that works, by turns, the quickest, or by weight for a comparison. */
  readonly how: "failover" | "balance" | "race" | "split";
  /** Of each path, in their order, for `balance` and `split`. Default: all alike. */
  readonly weights?: readonly number[];
  /** For `split`: a host is always led by the same path while that is up. */
  readonly sticky?: boolean;
}

interface Scheme {
  readonly prefix: string;
  open(url: string, options: OpenOptions): Path;
  /** How to see whether the path works, where `hello.culvert` is not known there. */
  probe?(url: string): Probe;
}

const schemes: readonly Scheme[] = [
  { prefix: "direct:", open: openDirect },
  { prefix: "tunnel+ws://", open: openTunnel },
  { prefix: "tunnel+wss://", open: openTunnel },
  { prefix: "fragments+http://", open: openFragments },
  { prefix: "fragments+https://", open: openFragments },
  { prefix: "circuit+http://", open: openCircuits },
  { prefix: "circuit+https://", open: openCircuits },
  { prefix: "kcp+udp://", open: openKcp },
  { prefix: "kcp+raw://", open: openKcp },
  { prefix: "vtcp://", open: openVtcpUrl },
  { prefix: "vtcp+udp://", open: openVtcpUrl },
  { prefix: "socks5://", open: openProxyUrl, probe: proxyProbe },
  { prefix: "http://", open: openProxyUrl, probe: proxyProbe },
];

/** What a path URL may begin with. */
export const pathPrefixes: readonly string[] = schemes.map(({ prefix }) => prefix);

/** Opens the Path a URL names. Throws a CulvertError `bad_url` that says what is wrong with it. */
export function openPath(url: string, options: OpenOptions): Path {
  return schemeOf(url).open(url, options);
}

/** Opens one Path, or several as one. */
export function openPaths(urls: readonly string[], combination: Combination, options: OpenOptions): Path {
  const { how, weights = [], sticky = false } = combination;
  const members: Member[] = [];
  try {
    const names = namesOf(urls);
    for (const [at, url] of urls.entries()) {
      const scheme = schemeOf(url);
      const way = scheme.prefix.replace(/:.*/, "");
      const path = tracedPath(scheme.open(url, options), options.tracing, { name: "path.dial", facts: { way } });
      members.push({ name: names[at]!, path, weight: weights[at] ?? 1, probe: scheme.probe?.(url) });
    }
    if (members.length === 1) return members[0]!.path;
    const { clock, random, log, metrics } = options;
    return { failover, balance, race, split }[how](members, { clock, random, log, metrics, sticky });
  } catch (error) {
    for (const { path } of members) path.close();
    throw error;
  }
}

function schemeOf(url: string): Scheme {
  const scheme = schemes.find(({ prefix }) => url.startsWith(prefix));
  if (scheme) return scheme;
  throw new CulvertError("bad_url", `Cannot open a path: the URL must begin with ${pathPrefixes.join(", ")}`);
}

function openDirect(url: string, options: OpenOptions): Path {
  if (url !== "direct:") throw new CulvertError("bad_url", 'Cannot open a path: "direct:" must stand alone');
  return withHello(direct(options.policy, options), options);
}

/** Of URLs that differ in what is secret alone, all but the first are numbered. The same URL twice keeps one name. */
function namesOf(urls: readonly string[]): string[] {
  const alike = Map.groupBy(new Set(urls), nameOf);
  return urls.map((url) => {
    const name = nameOf(url);
    const at = alike.get(name)!.indexOf(url);
    return at > 0 ? `${name} #${at + 1}` : name;
  });
}

/** The URL without what is secret in it, for logs. As URLs are read, the last `@` before the path ends the secret. */
function nameOf(url: string): string {
  return url.replace(/\/\/[^/?#\\]*@/, "//");
}
