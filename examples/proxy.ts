/**
 * A proxy port of your own in a few lines: what programs send it leaves right here, under the default egress policy.
 *
 * Run: `deno run -A examples/proxy.ts`, then the curl line it prints.
 */

import { clockOf, noMetrics, openPath, policyOf, randomOf, serveProxy, silentLog } from "../mod.ts";

const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
using path = openPath("direct:", { ...host, policy: policyOf() });
using proxy = serveProxy({ ...host, listen: { hostname: "127.0.0.1", port: 0 }, path });

console.log(`curl -x socks5h://127.0.0.1:${proxy.address.port} http://hello.culvert/`);
await proxy.closed;
