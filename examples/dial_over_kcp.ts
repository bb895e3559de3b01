/**
 * A page through a server of `culvert kcp server` or `culvert vtcp server`, without a proxy: its URL is a Path.
 *
 * Run: `deno run -A examples/dial_over_kcp.ts 'kcp+udp://CREDENTIAL@server.example:4000/'`
 */

import { clockOf, noMetrics, openPath, policyOf, randomOf, silentLog, writeAll } from "../mod.ts";

const [url] = Deno.args;
if (url === undefined) throw new Error("Give the URL that culvert kcp invite has printed");

const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
using path = openPath(url, { ...host, policy: policyOf() });

{
  using stream = await path.dial({ host: "hello.culvert", port: 80 });
  await writeAll(
    stream,
    new TextEncoder().encode("GET / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n"),
  );
  const buffer = new Uint8Array(4096);
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    console.log(new TextDecoder().decode(buffer.subarray(0, count)));
  }
}

path.close();
await path.closed?.();
