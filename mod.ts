/**
 * Culvert as a library: ways to carry streams around obstacles.
 *
 * A `Path` opens `Stream`s to hosts. Paths are made by URL, combined, and served to programs as a proxy:
 *
 * ```ts
 * import { clockOf, noMetrics, openPath, policyOf, randomOf, serveProxy, silentLog } from "./mod.ts";
 *
 * const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
 * using path = openPath("direct:", { ...host, policy: policyOf() });
 * using proxy = serveProxy({ ...host, listen: { hostname: "127.0.0.1", port: 0 }, path });
 * console.log(`curl -x socks5h://127.0.0.1:${proxy.address.port} http://hello.culvert/`);
 * ```
 *
 * `openNetwork` is the Path of a client in a network of supernodes and exits; `openTunnel` and `TunnelServer` are the two
 * ends of a tunnel. `examples/` has each in a file of its own, and docs/library.md what of it works in Node.
 *
 * Time, chance, log and metrics are handed in, which is what lets a test run an hour in a moment (`@culvert/culvert/testing`).
 * The formats on the wire are in `@culvert/culvert/protocol`. Importing this loads no native library and does nothing else.
 *
 * @module
 */

export { type Clock, clockOf, type TimeHost, type Timer } from "./protocol/clock.ts";
export { CulvertError, DialError, type DialFailure, dialFailureOf, messageOf } from "./protocol/errors.ts";
export { type Log, type LogFields, silentLog } from "./protocol/log.ts";
export { noTracing, type Span, type SpanFacts, type SpanName, spanNames, type Tracing } from "./protocol/tracing.ts";
export { type Counter, type Gauge, type Histogram, type Labels, type Metrics, noMetrics } from "./protocol/metrics.ts";
export { type Random, randomOf } from "./protocol/random.ts";
export * from "./protocol/stream.ts";

export { EgressPolicy, policyOf, type PolicySource } from "./protocol/egress_policy.ts";
export type { PolicyFile } from "./protocol/egress_policy_file.ts";
export { loadPolicy, parsePolicy, WatchedPolicy, type WatchOptions, watchPolicy } from "./net/policy.ts";
export { type Connect, direct, type DirectOptions } from "./net/egress.ts";
export { type HelloOptions, withHello } from "./net/hello.ts";

export { type Combination, type OpenOptions, openPath, openPaths, pathPrefixes } from "./net/open.ts";
export { balance, type CombinedPath, type CombineOptions, failover, race, type RaceOptions } from "./net/combine.ts";
export type { Member, MemberStatus } from "./net/monitor.ts";
export { httpProbe, type Probe } from "./net/probe.ts";

export { type NetworkOptions, type NetworkPath, openNetwork } from "./net/network_path.ts";
export { openTunnel, type TunnelClientOptions } from "./net/tunnel_client.ts";
export type { TunnelPath } from "./net/tunnel_path.ts";
export type { TunnelLinkLimits, TunnelLinkOptions } from "./net/tunnel_link.ts";
export type { CircuitPath } from "./net/circuit/path.ts";
export type { FragmentPath } from "./net/fragments/client.ts";
export { type TunnelLimits, TunnelServer, type TunnelServerOptions } from "./net/tunnel_server.ts";
export { type CircuitOpenOptions, openCircuits } from "./net/circuit/open_circuits.ts";
export { openFragments, type OpenFragmentsOptions } from "./net/fragments/open_fragments.ts";
export { createFragmentFetch, type RequestPath } from "./net/fragments/fetch.ts";

export { type ProxyLimits, type ProxyOptions, type ProxyServer, serveProxy } from "./net/proxy.ts";
export type { Admission, CheckCredentials, ProxyAuth, ProxyRefusal } from "./net/proxy/credentials.ts";
export { UdpForward, type UdpForwardOptions } from "./net/udp_forward.ts";
export {
  type CertificateAndKey,
  type ListenAt,
  type Listener,
  type NetAddr,
  openTcpListener,
  type Socket,
  type TcpListener,
  type TcpSocket,
} from "./net/runtime.ts";

export { generateSecrets, Identity, type IdentitySecrets } from "./protocol/identity.ts";
export type { Bytes, Primitives } from "./protocol/primitives.ts";
export { hostPrimitives } from "./net/host_primitives.ts";
export { type MemoryStream, memoryStreamPair } from "./net/memory.ts";
