/**
 * A client of a network without a proxy port: it asks its supernode for an exit, believes nobody's word for whose key that
 * is, and makes a request through it that the supernode cannot read.
 *
 * Run: `deno task up`, then `deno run -A examples/client_of_a_network.ts URL` with the URL of a supernode (`http://PEERID@…`).
 */

import {
  clockOf,
  decodeBase64,
  generateSecrets,
  hostPrimitives,
  Identity,
  noMetrics,
  openSealCrypto,
  openSessionPath,
  PeerConnection,
  randomOf,
  refusalOfPeerKeys,
  silentLog,
  SlabPool,
  writeAll,
} from "../mod.ts";

const url = new URL(Deno.args[0]!);
const supernode = { url: url.origin, supernodeId: url.username };

const host = { clock: clockOf(globalThis), random: randomOf(crypto), log: silentLog, metrics: noMetrics };
const primitives = hostPrimitives();
const identity = new Identity(generateSecrets(host.random), primitives);

using connection = new PeerConnection({
  ...host,
  primitives,
  identity,
  role: "client",
  region: "any",
  supernodes: [supernode],
});

const { session: { sessionId, exit } } = await connection.control.request({ what: "exit", wish: {} });
const refusal = refusalOfPeerKeys(exit, { role: "exit", wallMs: host.clock.wallNow(), primitives });
if (refusal) throw new Error(`The exit that was offered is none: ${refusal}`);

using sealCrypto = await openSealCrypto();
using path = openSessionPath({
  ...host,
  crypto: sealCrypto,
  slabs: new SlabPool(),
  session: { sessionId, exitPeerId: exit.peerId, exitKey: decodeBase64(exit.wireguardKey)! },
  local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
  open: (signal) => connection.open(signal),
  at: identity.peerId,
});

// With a trail the page tells by which way it came.
using stream = await path.dial({ host: "hello.culvert", port: 80 }, { trail: [] });
await writeAll(stream, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: hello.culvert\r\nConnection: close\r\n\r\n"));
const buffer = new Uint8Array(4096);
for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
  console.log(new TextDecoder().decode(buffer.subarray(0, count)));
}
