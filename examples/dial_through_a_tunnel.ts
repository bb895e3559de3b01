/**
 * Both ends of a tunnel in one program, and a request made through them without any proxy: a Path is all it takes.
 *
 * Run: `deno run -A examples/dial_through_a_tunnel.ts`
 */

import {
  clockOf,
  direct,
  noMetrics,
  openTunnel,
  policyOf,
  randomOf,
  silentLog,
  TunnelServer,
  withHello,
  writeAll,
} from "../mod.ts";

const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };

using egress = withHello(direct(policyOf()));
using server = new TunnelServer({ ...host, listen: { hostname: "127.0.0.1", port: 0 }, onward: egress });
using tunnel = openTunnel(`tunnel+ws://127.0.0.1:${server.address.port}/`, host);

using stream = await tunnel.dial({ host: "hello.culvert", port: 80 });
await writeAll(stream, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n"));
const buffer = new Uint8Array(4096);
for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
  console.log(new TextDecoder().decode(buffer.subarray(0, count)));
}
