/**
 * Node's sockets keep what Deno's do. Here by Deno's `node:` modules; in Node itself by `tests/npm/package_test.ts`.
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import type { NetAddr, Socket, TcpListener } from "../runtime_types.ts";
import type * as denoRuntime from "../runtime.ts";
import { testWith } from "../../testing/requirements.ts";
import { testStreamContract } from "../../testing/stream_contract.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { makeTlsCertificate } from "../../testing/tls_certificate.ts";
import { within } from "../../testing/waiting.ts";
import { NodeDatagrams } from "./datagrams.ts";
import type { NodeSocket } from "./node_socket.ts";
import * as nodeRuntime from "./runtime.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };

Deno.test("Node's runtime has every name of Deno's", () => {
  const twin: typeof denoRuntime = nodeRuntime;
  assert(twin);
});

async function connected(listener: TcpListener): Promise<[Socket, Socket]> {
  const { hostname, port } = listener.addr;
  return await Promise.all([nodeRuntime.connectTcp({ hostname, port }), listener.accept()]);
}

testStreamContract("TCP of Node's modules", {
  async makePair() {
    const listener = await nodeRuntime.openTcpListener(LOOPBACK);
    const pair = await connected(listener);
    listener.close();
    return pair;
  },
  cut: (end) => (end as NodeSocket).socket.resetAndDestroy(),
});

Deno.test("Node's TCP: a refused dial and an aborted one say so", async () => {
  const listener = await nodeRuntime.openTcpListener(LOOPBACK);
  const to = listener.addr;
  listener.close();
  await assertRejects(() => listener.accept());
  const error = await assertRejects(() => nodeRuntime.connectTcp(to));
  assert(nodeRuntime.isRefused(error));
  const reason = new Error("enough");
  const aborted = await assertRejects(() => nodeRuntime.connectTcp({ ...to, signal: AbortSignal.abort(reason) }));
  assertEquals(aborted, reason);
});

Deno.test("Node's TCP: a port that is taken is told as such", async () => {
  const listener = await nodeRuntime.openTcpListener(LOOPBACK);
  const error = await assertRejects(() => nodeRuntime.openTcpListener(listener.addr));
  assert(nodeRuntime.isPortTaken(error));
  listener.close();
});

testWith({ tools: ["openssl"] }, "Node's TLS: who is trusted is let in, and nobody else", async () => {
  using folder = new TempDirectory();
  const { cert, key } = await makeTlsCertificate(folder, "server");
  using server = Deno.listenTls({ ...LOOPBACK, cert, key });
  const accepting = (async () => {
    for await (const conn of server) {
      await conn.handshake().catch(() => {});
      conn.close();
    }
  })();
  const shake = async (caCerts: string[]) => {
    using tcp = await nodeRuntime.connectTcp({ hostname: LOOPBACK.hostname, port: server.addr.port });
    using secure = await nodeRuntime.startTls(tcp, { hostname: "127.0.0.1", alpnProtocols: ["http/1.1"], caCerts });
    await secure.handshake();
  };
  await shake([cert]);
  await assertRejects(() => shake([]));
  server.close();
  await accepting;
});

Deno.test("Node's UDP: datagrams go both ways, and closing ends a receive", async () => {
  const [near, far] = [nodeRuntime.datagramSocket(LOOPBACK), await nodeRuntime.openDatagramSocket(LOOPBACK)];
  await near.send(Uint8Array.of(1, 2, 3), far.addr);
  const into = new Uint8Array(2);
  const [bytes, from] = await within("a datagram", far.receive(into));
  assertEquals([...bytes], [1, 2]);
  await far.send(Uint8Array.of(4), from);
  const [answer, back] = await within("an answer", near.receive(into));
  assertEquals([[...answer], back satisfies NetAddr], [[4], far.addr]);
  const receiving = assertRejects(() => near.receive(into));
  near.close();
  near.close();
  await receiving;
  const error = await assertRejects(() => nodeRuntime.openDatagramSocket(far.addr));
  assert(nodeRuntime.isPortTaken(error));
  far.close();
});

Deno.test("Node's UDP: what could not be bound is closed, and another failure is told once", async () => {
  const taken = await nodeRuntime.openDatagramSocket(LOOPBACK);
  const unbound = new NodeDatagrams({ hostname: taken.addr.hostname, port: taken.addr.port });
  const closing = new Promise((resolve) => unbound.socket.once("close", resolve));
  await assertRejects(() => unbound.bound);
  await within("the socket is closed", closing);
  unbound.close();
  taken.close();

  const socket = new NodeDatagrams(LOOPBACK);
  await socket.bound;
  const into = new Uint8Array(2);
  const receiving = assertRejects(() => socket.receive(into), Error, "of the moment");
  socket.socket.emit("error", new Error("of the moment"));
  await within("a failure", receiving);
  await socket.send(Uint8Array.of(7), socket.addr);
  assertEquals((await within("a datagram", socket.receive(into)))[0][0], 7);
  socket.close();
});

Deno.test("Node's UDP: a socket that must know its address at once is refused", () => {
  const error = assertThrows(() => nodeRuntime.listenDatagrams(LOOPBACK), CulvertError);
  assertEquals(error.code, "unsupported");
});

Deno.test("Node's files: the beginning of one, and what happens beside it", async () => {
  using folder = new TempDirectory();
  Deno.writeTextFileSync(folder.path("a"), "abcdef");
  const read = async (bytes: number) =>
    new TextDecoder().decode(await nodeRuntime.readFileStart(folder.path("a"), bytes));
  assertEquals([await read(3), await read(10)], ["abc", "abcdef"]);
  const watch = nodeRuntime.watchDirectory(folder.path("."));
  const events = watch[Symbol.asyncIterator]();
  const next = events.next();
  Deno.writeTextFileSync(folder.path("b"), "new");
  assert(!(await within("an event", next)).done);
  watch.close();
  await events.return?.();
});

Deno.test("Node knows this machine's addresses", () => {
  assert(nodeRuntime.interfaceAddresses().includes("127.0.0.1"));
});
