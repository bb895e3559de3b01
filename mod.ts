/**
 * Culvert as a library: ways to carry streams around obstacles, and the formats they speak.
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
 * A peer of a network has a `PeerConnection` to its supernode. A client asks over it for exits, and dials through them by
 * `openSessionPath`, or by a `SessionSwitch` that goes to another when one fails; an exit serves with a `SessionServer`.
 * `examples/` has each in a file of its own.
 *
 * Importing this loads no native library and does nothing else.
 *
 * @module
 */

export * from "./protocol/clock.ts";
export * from "./protocol/egress_policy.ts";
export * from "./protocol/errors.ts";
export * from "./protocol/log.ts";
export * from "./protocol/metrics.ts";
export * from "./protocol/random.ts";
export * from "./protocol/stream.ts";

export * from "./protocol/control/commands.ts";
export * from "./protocol/control/messages.ts";
export * from "./protocol/control/peer_keys.ts";
export * from "./protocol/directory.ts";
export * from "./protocol/encoding.ts";

export * from "./protocol/certificate.ts";
export * from "./protocol/http_signature.ts";
export * from "./protocol/identity.ts";
export * from "./protocol/primitives.ts";
export * from "./protocol/signing.ts";
export type { SideReport, SplitReport, Verdict } from "./protocol/split/report.ts";

export * from "./net/circuit/open_circuits.ts";
export * from "./net/circuit/path.ts";
export * from "./net/combine.ts";
export * from "./net/control.ts";
export * from "./net/directory_client.ts";
export * from "./net/egress.ts";
export * from "./net/fragments/client.ts";
export * from "./net/fragments/fetch.ts";
export * from "./net/fragments/open_fragments.ts";
export * from "./net/hello.ts";
export * from "./net/host_primitives.ts";
export * from "./net/memory.ts";
export * from "./net/open.ts";
export * from "./net/peer_connection.ts";
export * from "./net/policy.ts";
export * from "./net/proxy.ts";
export * from "./net/seal_crypto.ts";
export * from "./net/session_path.ts";
export * from "./net/session_server.ts";
export * from "./net/session_switch.ts";
export * from "./net/slab_pool.ts";
export * from "./net/tunnel_client.ts";
export * from "./net/tunnel_link.ts";
export * from "./net/tunnel_path.ts";
export * from "./net/tunnel_server.ts";
export * from "./net/udp_forward.ts";
export type { DataPath, OpenSession, SessionWay, SupernodeWay } from "./net/watched_session.ts";

export * from "./kv/blocks.ts";
export * from "./kv/directory.ts";
export * from "./kv/nonces.ts";
export * from "./kv/open.ts";

export * from "./edge/directory.ts";
export * from "./edge/directory/on_kv.ts";
export * from "./edge/health.ts";
export * from "./edge/metrics.ts";
