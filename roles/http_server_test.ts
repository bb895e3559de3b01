import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { parseTarget } from "../protocol/stream.ts";
import { serveHttp } from "./http_server.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const serving = { listen: LOOPBACK, what: "a test", flag: "--listen", fetch: () => new Response("served") };

async function connect(address: string): Promise<Deno.TcpConn> {
  const { host, port } = parseTarget(address)!;
  return await Deno.connect({ hostname: host, port });
}

/** Reads until the server closes; gives what it said. */
async function lastWords(conn: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let text = "";
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

Deno.test("answers requests, and ends with every connection closed", async () => {
  await using server = await serveHttp(serving);
  const response = await fetch(`http://${server.address}/any`);
  assertEquals(await response.text(), "served");
});

Deno.test("closes a client that never finishes its request head, and one that says nothing", async () => {
  await using server = await serveHttp({ ...serving, headTimeoutMs: 100 });
  using dawdling = await connect(server.address);
  await dawdling.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHos"));
  using silent = await connect(server.address);
  assertStringIncludes(await lastWords(dawdling), "408");
  await lastWords(silent);
});

Deno.test("closes connections beyond the limit and serves those within it", async () => {
  await using server = await serveHttp({ ...serving, maxConnections: 1 });
  using first = await connect(server.address);
  await first.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const buffer = new Uint8Array(4096);
  assert(await first.read(buffer) !== null);
  using second = await connect(server.address);
  assertEquals(await lastWords(second), "");
});

Deno.test("says which flag names an address that is taken", async () => {
  await using server = await serveHttp(serving);
  const error = await assertRejects(
    () => serveHttp({ ...serving, listen: parseTarget(server.address)! }),
    CulvertError,
  );
  assertStringIncludes(error.message, "--listen");
  assertStringIncludes(error.message, "another program has this port");
});
