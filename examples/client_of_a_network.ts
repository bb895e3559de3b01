/**
 * A client of a network without a proxy port: it asks its supernode for an exit, believes nobody's word for whose key that
 * is, and makes a request through it that the supernode cannot read.
 *
 * Run: `deno task up`, then `deno run -A examples/client_of_a_network.ts URL` with the URL of a supernode (`http://PEERID@…`).
 */

import { clockOf, openNetwork, randomOf, writeAll } from "../mod.ts";

await using network = await openNetwork({
  supernodes: [Deno.args[0]!],
  clock: clockOf(globalThis),
  random: randomOf(crypto),
});

// With a trail the page tells by which way it came.
using stream = await network.dial({ host: "hello.culvert", port: 80 }, { trail: [] });
await writeAll(stream, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n"));
const buffer = new Uint8Array(4096);
for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
  console.log(new TextDecoder().decode(buffer.subarray(0, count)));
}
console.log(`by exit ${network.exitPeerId}`);
