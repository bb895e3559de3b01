import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Script, TestProxy, TestServer } from "./fixtures/test_kit.ts";

/** Client and origin with one request on its way: what the origin heard, and both sides to go on with. */
async function exchange(request: string): Promise<{ heard: string; client: Script; far: Script } & AsyncDisposable> {
  const proxy = new TestProxy();
  const server = new TestServer();
  const client = await proxy.connect();
  const accepted = server.accept();
  await client.send(request.replaceAll("{port}", String(server.port)));
  const far = await accepted;
  const heard = (await far.until("\r\n\r\n")).replaceAll(String(server.port), "{port}");
  return {
    heard,
    client,
    far,
    async [Symbol.asyncDispose]() {
      client.close();
      server[Symbol.dispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

const GET = "GET http://site.test:{port}/path?q=1 HTTP/1.1\r\nHost: site.test:{port}\r\n\r\n";
const POST = "POST http://site.test:{port}/ HTTP/1.1\r\nHost: x\r\n";

const requests: { name: string; sent: string; heard: string }[] = [
  {
    name: "the absolute form becomes the origin form",
    sent: GET,
    heard: "GET /path?q=1 HTTP/1.1\r\nHost: site.test:{port}\r\n\r\n",
  },
  {
    name: "Host is taken from the target, not from the field",
    sent: "GET http://site.test:{port} HTTP/1.1\r\nhost: other.example\r\n\r\n",
    heard: "GET / HTTP/1.1\r\nHost: site.test:{port}\r\n\r\n",
  },
  {
    name: "OPTIONS without a path is about the server",
    sent: "OPTIONS http://site.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n",
    heard: "OPTIONS * HTTP/1.1\r\nHost: site.test:{port}\r\n\r\n",
  },
  {
    name: "fields of this hop stay here, others pass as they are spelled",
    sent:
      "GET http://site.test:{port}/ HTTP/1.1\r\nHost: x\r\nX-Kept:  two words \r\nConnection: X-Private, keep-alive\r\n" +
      "X-Private: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Thing: 1\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n",
    heard: "GET / HTTP/1.1\r\nHost: site.test:{port}\r\nX-Kept: two words\r\n\r\n",
  },
  {
    name: "a client that will close says so to the origin",
    sent: "GET http://site.test:{port}/ HTTP/1.0\r\n\r\n",
    heard: "GET / HTTP/1.1\r\nHost: site.test:{port}\r\nConnection: close\r\n\r\n",
  },
  {
    name: "equal lengths are told once",
    sent: POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    heard: "POST / HTTP/1.1\r\nHost: site.test:{port}\r\nContent-Length: 2\r\n\r\n",
  },
];

for (const { name, sent, heard } of requests) {
  Deno.test(`HTTP requests: ${name}`, async () => {
    await using it = await exchange(sent);
    assertEquals(it.heard, heard);
  });
}

const responses: { name: string; request?: string; answer: string; told: string; closes?: boolean }[] = [
  {
    name: "a length",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc",
    told: "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 3\r\n\r\nabc",
  },
  {
    name: "chunks with extensions and trailers",
    answer:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n02\r\nde\r\n0\r\nX-Sum: 9\r\nConnection: x\r\n\r\n',
    told: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 9\r\n\r\n",
  },
  {
    name: "a body that ends with its connection goes on in chunks",
    answer: "HTTP/1.0 200 Fine\r\n\r\nabc",
    told: "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
  },
  {
    name: "HTTP/1.0 gets no chunks",
    request: "GET http://site.test:{port}/ HTTP/1.0\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    told: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
    closes: true,
  },
  {
    name: "HEAD has a length and no body",
    request: GET.replace("GET", "HEAD"),
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n",
    told: "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n",
  },
  { name: "204 has no body", answer: "HTTP/1.1 204 No Content\r\n\r\n", told: "HTTP/1.1 204 No Content\r\n\r\n" },
  {
    name: "304 has no body",
    answer: "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n",
    told: "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n",
  },
  {
    name: "an interim answer passes before the final one",
    answer: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    told: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
  },
];

for (const { name, request, answer, told, closes } of responses) {
  Deno.test(`HTTP responses: ${name}`, async () => {
    await using it = await exchange(request ?? GET);
    await it.far.send(answer);
    if (answer.startsWith("HTTP/1.0")) await it.far.conn.closeWrite();
    assertEquals(new TextDecoder().decode(await it.client.take(told.length)), told);
    if (closes) return assertEquals(await it.client.rest(), "");
    await it.client.send("GET / HTTP/1.1\r\n\r\n");
    assertStringIncludes(await it.client.rest(), "HTTP/1.1 400 ");
  });
}

Deno.test("HTTP: requests follow each other on one connection to one origin, and to another", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using other = new TestServer();
  using client = await proxy.connect();
  const ask = (port: number, path: string) =>
    client.send(`GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const answer = async (far: Script, path: string) => {
    assertMatch(await far.until("\r\n\r\n"), new RegExp(`^GET ${path} `));
    await far.send(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
    assert((await client.until(path)).startsWith("HTTP/1.1 200 OK\r\n"));
  };
  const first = server.accept();
  await ask(server.port, "/one");
  const far = await first;
  await answer(far, "/one");
  await ask(server.port, "/two");
  await answer(far, "/two");
  const second = other.accept();
  await ask(other.port, "/three");
  await answer(await second, "/three");
  assertEquals(await far.rest(), "");
});

Deno.test("HTTP: pipelined requests are answered in order", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using client = await proxy.connect();
  const accepted = server.accept();
  const names = ["a", "b", "c", "d"];
  await client.send(
    names.map((name) =>
      `POST http://127.0.0.1:${server.port}/${name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n${name}!\r\n0\r\n\r\n`
    )
      .join(""),
  );
  const far = await accepted;
  for (const name of names) {
    assertStringIncludes(await far.until("0\r\n\r\n"), `POST /${name} `);
    await far.send(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${name}`);
    assertMatch(await client.until(`\r\n\r\n${name}`), /^HTTP\/1\.1 200 OK/);
  }
});

Deno.test("HTTP: a kept connection that the origin has closed is replaced without a word", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using client = await proxy.connect();
  for (const round of [1, 2, 3]) {
    const accepted = server.accept();
    await client.send(`GET http://127.0.0.1:${server.port}/${round} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const far = await accepted;
    await far.until("\r\n\r\n");
    await far.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await client.until("ok");
    far.close();
  }
});

Deno.test("HTTP: a CONNECT sent along with the request before it gets every byte of its stream", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using client = await proxy.connect();
  const name = `127.0.0.1:${server.port}`;
  const first = server.accept();
  await client.send(`GET http://${name}/ HTTP/1.1\r\nHost: x\r\n\r\nCONNECT ${name} HTTP/1.1\r\n\r\n`);
  const far = await first;
  const second = server.accept();
  await far.until("\r\n\r\n");
  await far.send("HTTP/1.1 204 No Content\r\n\r\n");
  assertMatch(await client.until("\r\n\r\n"), /^HTTP\/1\.1 204 /);
  assertMatch(await client.until("\r\n\r\n"), /^HTTP\/1\.1 200 /);
  await client.send("first bytes");
  assertEquals(new TextDecoder().decode(await (await second).take(11)), "first bytes");
});

Deno.test("HTTP: 100 Continue is passed both ways", async () => {
  await using it = await exchange(POST + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  assertStringIncludes(it.heard, "Expect: 100-continue\r\n");
  await it.far.send("HTTP/1.1 100 Continue\r\n\r\n");
  assertEquals(await it.client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  await it.client.send("body");
  assertEquals(new TextDecoder().decode(await it.far.take(4)), "body");
  await it.far.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  assertMatch(await it.client.until("\r\n\r\n"), /^HTTP\/1\.1 201 /);
});

Deno.test("HTTP: a body that was not asked for after Expect ends the connection", async () => {
  await using it = await exchange(POST + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  await it.far.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
  assertMatch(await it.client.rest(), /^HTTP\/1\.1 417 [^]*Connection: close\r\n\r\nno$/);
});

Deno.test("HTTP: an origin that answers before the body has come is heard", async () => {
  await using it = await exchange(POST + "Content-Length: 10000000\r\n\r\nstart");
  await it.far.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
  assertMatch(await it.client.until("\r\n\r\nno"), /^HTTP\/1\.1 413 /);
});

Deno.test("HTTP: an origin that goes away while the client waits to send its body is told as 502", async () => {
  await using it = await exchange(POST + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  it.far.close();
  assertMatch(await it.client.rest(), /^HTTP\/1\.1 502 [^]*error=connection_terminated/);
});

Deno.test("HTTP: an upgrade becomes a plain stream both ways", async () => {
  await using it = await exchange(GET.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
  assertMatch(it.heard, /Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n$/);
  await it.far.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nfirst frame");
  assertMatch(
    await it.client.until("frame"),
    /^HTTP\/1\.1 101 [^]*Upgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst frame$/,
  );
  await it.client.send("second frame");
  assertEquals(new TextDecoder().decode(await it.far.take(12)), "second frame");
  await it.client.conn.closeWrite();
  assertEquals(await it.far.rest(), "");
});

Deno.test("HTTP: a cut answer is not made to look whole", async () => {
  for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
    await using it = await exchange(GET);
    await it.far.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nabcde\r\n`);
    it.far.close();
    const told = await it.client.rest();
    assert(!told.endsWith("0\r\n\r\n"), told);
  }
});

Deno.test("HTTP: a client that goes away in the middle of its body takes the origin along", async () => {
  await using it = await exchange(POST + "Content-Length: 100\r\n\r\npart");
  it.client.close();
  assertEquals(await it.far.rest(), "part");
});

Deno.test("HTTP: a client that goes away while the origin is silent takes the origin along", async () => {
  await using it = await exchange(GET);
  it.client.close();
  assertEquals(await it.far.rest(), "");
});

Deno.test("HTTP: a client that ends its half after its request is still answered", async () => {
  await using it = await exchange(GET);
  await it.client.conn.closeWrite();
  assertEquals(await it.far.rest(), "");
  await it.far.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
  assertMatch(await it.client.rest(), /^HTTP\/1\.1 200 [^]*late$/);
});

Deno.test("HTTP: an empty body is no body to CONNECT", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using client = await proxy.connect();
  const accepted = server.accept();
  await client.send(`CONNECT 127.0.0.1:${server.port} HTTP/1.0\r\nContent-Length: 0\r\n\r\n`);
  assertMatch(await client.until("\r\n\r\n"), /^HTTP\/1\.1 200 /);
  await accepted;
});

const badAnswers: [name: string, answer: string][] = [
  ["not HTTP", "SSH-2.0-OpenSSH\r\n\r\n"],
  ["nothing", ""],
  ["two framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
  ["an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
  ["an upgrade nobody asked for", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"],
  ["a head without end", "HTTP/1.1 200 OK\r\nX: " + "x".repeat(33_000)],
];

for (const [name, answer] of badAnswers) {
  Deno.test(`HTTP: an answer that makes no sense is told as 502: ${name}`, async () => {
    await using it = await exchange(GET);
    await it.far.send(answer);
    await it.far.conn.closeWrite();
    assertMatch(await it.client.rest(), /^HTTP\/1\.1 502 [^]*Proxy-Status: culvert; error=/);
  });
}

const HEAD = "POST http://site.test:1/ HTTP/1.1\r\nHost: site.test\r\n";
const smuggled: [name: string, request: string][] = [
  ["Content-Length with Transfer-Encoding", HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["differing lengths", HEAD + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"],
  ["a list of lengths", HEAD + "Content-Length: 5, 5\r\n\r\n"],
  ["a signed length", HEAD + "Content-Length: +5\r\n\r\n"],
  ["a hexadecimal length", HEAD + "Content-Length: 0x5\r\n\r\n"],
  ["an empty length", HEAD + "Content-Length:\r\n\r\n"],
  ["an endless length", HEAD + "Content-Length: 99999999999999999999\r\n\r\n"],
  ["chunked twice", HEAD + "Transfer-Encoding: chunked, chunked\r\n\r\n"],
  ["another coding", HEAD + "Transfer-Encoding: xchunked\r\n\r\n"],
  ["an empty coding", HEAD + "Transfer-Encoding:\r\n\r\n"],
  ["chunked in HTTP/1.0", HEAD.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["a folded field", HEAD + "X: a\r\n b\r\n\r\n"],
  ["a space before the colon", HEAD + "Content-Length : 5\r\n\r\n"],
  ["a NUL in a value", HEAD + "X: a\0b\r\n\r\n"],
  ["a bare CR in a value", HEAD + "X: a\rb\r\n\r\n"],
  ["a bare LF", HEAD + "X: a\nContent-Length: 5\r\n\r\n"],
  ["an empty field name", HEAD + ": a\r\n\r\n"],
  ["a field without colon", HEAD + "nothing\r\n\r\n"],
  ["no Host", "GET http://site.test:1/ HTTP/1.1\r\n\r\n"],
  ["two Hosts", HEAD + "Host: other\r\n\r\n"],
  ["user info in the target", "GET http://a@site.test:1/ HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a fragment in the target", "GET http://site.test:1/#x HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["another scheme", "GET https://site.test:1/ HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["another version", "GET http://site.test:1/ HTTP/2.0\r\nHost: x\r\n\r\n"],
  ["two spaces in the request line", "GET  http://site.test:1/ HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["CONNECT with a body", "CONNECT site.test:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"],
  ["CONNECT without a port", "CONNECT site.test HTTP/1.1\r\n\r\n"],
  ["noise", "\x16\x03\x01\x02\x00\x01\x00\n"],
];

for (const [name, request] of smuggled) {
  Deno.test(`HTTP: a request with two readings is refused: ${name}`, async () => {
    await using proxy = new TestProxy();
    using client = await proxy.connect();
    await client.send(request);
    assertMatch(await client.rest(), /^HTTP\/1\.1 400 /);
  });
}

Deno.test("HTTP: a chunk that makes no sense ends both sides, and the origin sees no end", async () => {
  for (const chunk of ["5\r\nabcdeX", "-1\r\n", "0x1\r\n", "\r\n", "ffffffffffffffff\r\n", "1 \r\n", "1\n"]) {
    await using it = await exchange(POST + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n" + chunk);
    assert(!(await it.far.rest()).includes("0\r\n\r\n"));
    assertMatch(await it.client.rest(), /^HTTP\/1\.1 400 /, chunk);
  }
});

Deno.test("HTTP: a head longer than the limit is refused as such", async () => {
  await using proxy = new TestProxy();
  using client = await proxy.connect();
  await client.send(HEAD + "X: " + "x".repeat(32 * 1024));
  assertMatch(await client.rest(), /^HTTP\/1\.1 431 /);
});

Deno.test("HTTP: a head longer than the limit is refused even if it comes right behind a large body", async () => {
  const body = "b".repeat(1_000_000);
  const long = GET.replace("\r\n\r\n", `\r\nX: ${"x".repeat(40_000)}\r\n\r\n`);
  await using it = await exchange(POST + `Content-Length: ${body.length}\r\n\r\n`);
  await Promise.all([it.client.send(body + long), it.far.take(body.length)]);
  await it.far.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  assertMatch(await it.client.rest(), /ok(HTTP\/1\.1 431 )/);
});

Deno.test("HTTP: large bodies arrive whole, up and down at once", async () => {
  const size = 3_000_000;
  const body = Uint8Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
  await using it = await exchange(POST + `Content-Length: ${size}\r\n\r\n`);
  const [up, down] = await Promise.all([
    it.far.take(size),
    it.client.until("\r\n\r\n").then(() => it.client.take(size)),
    it.client.send(body),
    it.far.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`).then(() => it.far.send(body)),
  ]);
  assertEquals(up.length, size);
  assert(up.every((byte, at) => byte === body[at]));
  assert(down.every((byte, at) => byte === body[at]));
});
