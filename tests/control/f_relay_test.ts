/**
 * Step F of the operational spec: the relay data plane over supernodes, for streams. What it does with WireGuard is not
 * here.
 */

import { assert, assertEquals } from "@std/assert";
import { parseTarget, readFull, writeAll } from "../../protocol/stream.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { listedExit, Network, type Started, twoRegions } from "../fixtures/control_network.ts";

const BYTES = 4 * 1024 * 1024;

/** Sends back what it gets, until the end. */
class EchoServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving = this.#serve();

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    const echoes: Promise<void>[] = [];
    for await (const conn of this.#listener) echoes.push(conn.readable.pipeTo(conn.writable).catch(() => {}));
    await Promise.all(echoes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

/** A stream through the client's proxy to a port of this machine. */
async function connectTo(port: number, proxy: string): Promise<Deno.TcpConn> {
  const { host, port: proxyPort } = parseTarget(proxy)!;
  const conn = await Deno.connect({ hostname: host, port: proxyPort });
  await writeAll(conn, new TextEncoder().encode(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`));
  const answer = new Uint8Array(1024);
  const text = new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
  assert(/^HTTP\/1\.1 200 [^]*\r\n\r\n$/.test(text), text);
  return conn;
}

/** Random bytes there and back, and then the end, there and back. */
async function echoed(conn: Deno.TcpConn, length: number): Promise<void> {
  const sent = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(sent.subarray(at, at + 65_536));
  const sending = writeAll(conn, sent).then(() => conn.closeWrite());
  const received = new Uint8Array(length);
  assert(await readFull(conn, received));
  await sending;
  assertEquals(await conn.read(new Uint8Array(1)), null);
  assertEquals(await digestOf(received), await digestOf(sent));
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function relayed(at: Started): Promise<{ streams: number; bytes: number }> {
  const text = await at.metrics();
  const bytes = [...text.matchAll(/^relay_bytes_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  return { streams: Number(/^relay_streams_active (\d+)$/m.exec(text)?.[1]), bytes };
}

Deno.test("F: what a client sends goes by way of both supernodes to the exit and comes back whole, and nothing is left", async () => {
  await using network = new Network();
  using directory = new TempDirectory();
  await using server = new EchoServer();
  const { north, south } = await twoRegions(network);
  const policy = directory.path("policy.toml");
  await Deno.writeTextFile(policy, `allow_addresses = ["loopback"]\n[ports]\nallow = [${server.port}]\n`);
  await listedExit(network, south, "south", { egressPolicy: policy });
  const client = await network.startClient(north, { region: "south" });
  using one = await connectTo(server.port, client.proxy);
  await echoed(one, BYTES);
  const many = await Promise.all(Array.from({ length: 16 }, () => connectTo(server.port, client.proxy)));
  await Promise.all(many.map((conn, at) => echoed(conn, 1000 * (at + 1))));
  for (const conn of many) conn.close();
  await client.role.stop();
  for (const at of [north, south]) {
    await eventually("no streams", async () => (await relayed(at)).streams === 0);
    assert((await relayed(at)).bytes > 2 * BYTES, "all of it has passed here");
  }
});
