import { assertEquals, assertStringIncludes } from "@std/assert";
import { DialError } from "../protocol/errors.ts";
import {
  encodeCredentials,
  encodeGreeting,
  encodeRequest,
  parseReply,
  SocksCommand,
  SocksReply,
} from "../protocol/socks.ts";
import type { Path } from "../protocol/stream.ts";
import type { ProxyRefusal } from "./proxy.ts";
import { LoopbackPath, type Script, TestProxy, TestServer, textOf } from "./proxy/fixtures/test_kit.ts";

const SITE = { host: "site.test", port: 80 };

/** What SOCKS5 says to the password, and then to the request. */
async function socks(client: Script, user: string, target = SITE): Promise<{ status: number; reply?: number }> {
  await client.send(encodeGreeting([2]));
  await client.take(2);
  await client.send(encodeCredentials({ user, password: "secret" })!);
  const [, status] = await client.take(2);
  if (status !== 0) return { status: status! };
  await client.send(encodeRequest({ command: SocksCommand.connect, target })!);
  const head = await client.take(4);
  const parsed = parseReply(Uint8Array.of(...head, ...await client.take(head[3] === 1 ? 6 : 18)));
  return { status, reply: parsed.status === "done" ? parsed.value.reply : -1 };
}

function basic(user: string): string {
  return `Proxy-Authorization: Basic ${btoa(`${user}:secret`)}\r\n`;
}

async function connect(client: Script, user: string, target = "site.test:80"): Promise<string> {
  await client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${basic(user)}\r\n`);
  return await client.until("\r\n\r\n");
}

const refusals: readonly { readonly refusal: ProxyRefusal; readonly socks: object; readonly line: string }[] = [
  {
    refusal: { status: 407, reason: "The user name has an unknown key: contry" },
    socks: { status: 1 },
    line: "HTTP/1.1 407 Proxy Authentication Required",
  },
  {
    refusal: { status: 402, reason: "The account has no money left" },
    socks: { status: 0, reply: SocksReply.denied },
    line: "HTTP/1.1 402 Payment Required",
  },
  {
    refusal: { status: 403, reason: "The account is suspended" },
    socks: { status: 0, reply: SocksReply.denied },
    line: "HTTP/1.1 403 Forbidden",
  },
  {
    refusal: { status: 503, reason: "The accounts cannot be looked up", proxyError: "proxy_internal_error" },
    socks: { status: 0, reply: SocksReply.failed },
    line: "HTTP/1.1 503 Service Unavailable",
  },
];

for (const { refusal, socks: expected, line } of refusals) {
  Deno.test(`a login that is refused with ${refusal.status} is told why in every dialect`, async () => {
    await using proxy = new TestProxy({ auth: () => refusal });
    using http = await proxy.connect();
    const head = await connect(http, "ann");
    assertStringIncludes(head, line);
    const error = refusal.proxyError ?? "http_request_denied";
    assertStringIncludes(head, `Proxy-Status: culvert; error=${error}; details="${refusal.reason}"`);
    assertEquals(head.includes("Proxy-Authenticate: Basic"), refusal.status === 407);
    assertEquals(await http.rest(), `${refusal.reason}.\n`);
    using socks5 = await proxy.connect();
    assertEquals(await socks(socks5, "ann"), expected);
    assertEquals((proxy.path as LoopbackPath).dialled, []);
  });
}

Deno.test("a login may bring a path of its own, whoever else uses the port", async () => {
  using server = new TestServer();
  const target = { host: "site.test", port: server.port };
  const paths: Record<string, LoopbackPath> = { ann: new LoopbackPath(), bob: new LoopbackPath() };
  await using proxy = new TestProxy({ auth: (user) => user in paths ? { path: paths[user]! } : user === "plain" });
  for (const user of ["ann", "bob", "ann", "plain"]) {
    using client = await proxy.connect();
    const accepted = server.accept();
    assertEquals(await socks(client, user, target), { status: 0, reply: SocksReply.succeeded });
    await accepted;
  }
  assertEquals([paths.ann!.dialled.length, paths.bob!.dialled.length], [2, 1]);
  assertEquals((proxy.path as LoopbackPath).dialled.length, 1);
});

Deno.test("a login function is told where its client connects from", async () => {
  const from: string[] = [];
  await using proxy = new TestProxy({ auth: (_user, _password, client) => (from.push(client.host), false) });
  using client = await proxy.connect();
  assertEquals(await socks(client, "ann"), { status: 1 });
  assertEquals(from, ["127.0.0.1"]);
});

Deno.test("on one HTTP connection, a request of another account never goes out on what was dialled for the first", async () => {
  using server = new TestServer();
  const paths: Record<string, LoopbackPath> = { ann: new LoopbackPath(), bob: new LoopbackPath() };
  await using proxy = new TestProxy({ auth: (user) => user in paths && { path: paths[user]! } });
  using client = await proxy.connect();
  const origin = `site.test:${server.port}`;
  let far: Script | undefined;
  for (const [user, isNew] of [["ann", true], ["ann", false], ["bob", true], ["ann", true]] as const) {
    const accepted = isNew ? server.accept() : undefined;
    await client.send(`GET http://${origin}/ HTTP/1.1\r\nHost: ${origin}\r\n${basic(user)}\r\n`);
    if (accepted) far = await accepted;
    await far!.until("\r\n\r\n");
    await far!.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assertStringIncludes(await client.until("\r\n\r\n"), "200 OK");
    assertEquals(textOf(await client.take(2)), "ok");
  }
  assertEquals([paths.ann!.dialled.length, paths.bob!.dialled.length], [2, 1]);
});

const failures = [
  { failure: "unpaid", status: 402, error: "http_request_denied", reply: SocksReply.denied },
  { failure: "denied", status: 403, error: "http_request_denied", reply: SocksReply.denied },
  { failure: "failed", status: 502, error: "destination_unavailable", reply: SocksReply.failed },
  { failure: "timeout", status: 504, error: "connection_timeout", reply: SocksReply.ttlExpired },
  { failure: "busy", status: 503, error: "connection_limit_reached", reply: SocksReply.failed },
] as const;

for (const { failure, status, error, reply } of failures) {
  Deno.test(`a path of the login's own that fails as ${failure} is told with its words`, async () => {
    const path: Path = {
      dial: () => Promise.reject(new DialError(failure, 'said "so"', { isForAll: true })),
      close() {},
      [Symbol.dispose]() {},
    };
    await using proxy = new TestProxy({ auth: () => ({ path }) });
    using http = await proxy.connect();
    const head = await connect(http, "ann");
    assertStringIncludes(head, `HTTP/1.1 ${status} `);
    assertStringIncludes(head, `Proxy-Status: culvert; error=${error}; details="said \\"so\\""`);
    using socks5 = await proxy.connect();
    assertEquals(await socks(socks5, "ann"), { status: 0, reply });
  });
}
