import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { DialFailure } from "../protocol/errors.ts";
import { dialReplyOf } from "../protocol/dial_reply.ts";
import {
  encodeCredentials,
  encodeDatagramHeader,
  encodeGreeting,
  encodeRequest,
  parseDatagram,
  parseReply,
  SocksCommand,
  SocksReply,
} from "../protocol/socks.ts";
import { encodeSocks4Request } from "../protocol/socks4.ts";
import type { Path, Target } from "../protocol/stream.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { serveProxy } from "./proxy.ts";
import {
  bytesOf,
  LoopbackPath,
  type Script,
  TestDatagrams,
  TestProxy,
  TestServer,
  textOf,
} from "./proxy/fixtures/test_kit.ts";

const NO_AUTH = encodeGreeting([0]);

async function socks5Reply(script: Script): Promise<{ reply: number; bound: Target }> {
  const head = await script.take(4);
  const rest = await script.take(head[3] === 1 ? 6 : 18);
  const parsed = parseReply(Uint8Array.of(...head, ...rest));
  assert(parsed.status === "done");
  return parsed.value;
}

function socks5Connect(target: Target): Uint8Array {
  return encodeRequest({ command: SocksCommand.connect, target })!;
}

interface Opening {
  readonly name: string;
  /** Sends the whole handshake at once and checks the success reply. */
  open(client: Script, target: Target, more?: string): Promise<void>;
}

const openings: Opening[] = [
  {
    name: "SOCKS5",
    async open(client, target, more = "") {
      await client.send(Uint8Array.of(...NO_AUTH, ...socks5Connect(target), ...bytesOf(more)));
      assertEquals(await client.take(2), Uint8Array.of(5, 0));
      assertEquals((await socks5Reply(client)).reply, SocksReply.succeeded);
    },
  },
  {
    name: "SOCKS4",
    async open(client, target, more = "") {
      const request = encodeSocks4Request({ command: 1, target: { ...target, host: "127.0.0.1" }, user: "me" })!;
      await client.send(Uint8Array.of(...request, ...bytesOf(more)));
      assertEquals((await client.take(8))[1], 90);
    },
  },
  {
    name: "SOCKS4a",
    async open(client, target, more = "") {
      await client.send(
        Uint8Array.of(...encodeSocks4Request({ command: 1, target, user: "" })!, ...bytesOf(more)),
      );
      assertEquals((await client.take(8))[1], 90);
    },
  },
  {
    name: "HTTP CONNECT",
    async open(client, target, more = "") {
      const authority = `${target.host}:${target.port}`;
      await client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n${more}`);
      assertStringIncludes(await client.until("\r\n\r\n"), "HTTP/1.1 200 ");
    },
  },
];

for (const { name, open } of openings) {
  Deno.test(`${name}: bytes sent along with the handshake arrive, and both halves end on their own`, async () => {
    await using proxy = new TestProxy();
    using server = new TestServer();
    using client = await proxy.connect();
    const accepted = server.accept();
    await open(client, { host: "site.test", port: server.port }, "early ");
    const far = await accepted;
    await client.send("bird");
    assertEquals(textOf(await far.take(10)), "early bird");
    await client.conn.closeWrite();
    assertEquals(await far.rest(), "");
    await far.send("still talking");
    await far.conn.closeWrite();
    assertEquals(await client.rest(), "still talking");
  });

  Deno.test(`${name}: the far side may end its half first`, async () => {
    await using proxy = new TestProxy();
    using server = new TestServer();
    using client = await proxy.connect();
    const accepted = server.accept();
    await open(client, { host: "site.test", port: server.port });
    const far = await accepted;
    await far.send("all said");
    await far.conn.closeWrite();
    assertEquals(await client.rest(), "all said");
    await client.send("an answer");
    await client.conn.closeWrite();
    assertEquals(await far.rest(), "an answer");
  });

  Deno.test(`${name}: a handshake that comes a byte at a time is understood`, async () => {
    await using proxy = new TestProxy();
    using server = new TestServer();
    using client = await proxy.connect();
    client.conn.setNoDelay(true);
    const slow = new Proxy(client, {
      get(script, key) {
        if (key === "take") return (count: number) => script.take(count);
        if (key === "until") return (mark: string) => script.until(mark);
        return async (data: string | Uint8Array) => {
          for (const byte of typeof data === "string" ? bytesOf(data) : data) await script.send(Uint8Array.of(byte));
        };
      },
    });
    const accepted = server.accept();
    await open(slow, { host: "site.test", port: server.port });
    await accepted;
  });

  Deno.test(`${name}: killing either end mid-transfer closes the other`, async () => {
    await using proxy = new TestProxy();
    using server = new TestServer();
    for (const victim of ["client", "server"]) {
      using client = await proxy.connect();
      const accepted = server.accept();
      await open(client, { host: "site.test", port: server.port });
      const far = await accepted;
      const [dead, left] = victim === "client" ? [client, far] : [far, client];
      const flood = flow(dead);
      await left.take(100_000);
      dead.close();
      await flood;
      await left.drain();
      await assertRejects(() => flow(left, true));
    }
  });
}

/** Sends until it cannot. */
async function flow(script: Script, tell = false): Promise<void> {
  const block = new Uint8Array(65536);
  try {
    for (;;) await script.send(block);
  } catch (error) {
    if (tell) throw error;
  }
}

const failures: DialFailure[] = [
  "failed",
  "denied",
  "unresolved",
  "network_unreachable",
  "host_unreachable",
  "refused",
  "timeout",
  "unsupported",
  "busy",
  "unauthorized",
  "path_down",
];

for (const failure of failures) {
  Deno.test(`a dial that fails as ${failure} is told as such in every dialect`, async () => {
    await using proxy = new TestProxy();
    const target = { host: `${failure}.fail`, port: 80 };
    const { socks5, status, proxyError } = dialReplyOf(failure);

    using five = await proxy.connect();
    await five.send(Uint8Array.of(...NO_AUTH, ...socks5Connect(target)));
    await five.take(2);
    assertEquals((await socks5Reply(five)).reply, socks5);

    using four = await proxy.connect();
    await four.send(encodeSocks4Request({ command: 1, target, user: "" })!);
    assertEquals((await four.take(8))[1], 91);

    for (const line of [`CONNECT ${target.host}:80`, `GET http://${target.host}/`]) {
      using http = await proxy.connect();
      await http.send(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const answer = await http.rest();
      assertStringIncludes(answer, `HTTP/1.1 ${status} `);
      assertStringIncludes(answer, `Proxy-Status: culvert; error=${proxyError}\r\n`);
    }
  });
}

Deno.test("a dial without an answer ends at its deadline", async () => {
  const clock = new FakeClock();
  await using proxy = new TestProxy({ clock });
  using client = await proxy.connect();
  await client.send(Uint8Array.of(...NO_AUTH, ...socks5Connect({ host: "silence.never", port: 1 })));
  await client.take(2);
  const path = proxy.path as LoopbackPath;
  const reply = socks5Reply(client);
  while (path.dialled.length === 0) await macrotask();
  clock.advance(30_000);
  assertEquals((await reply).reply, SocksReply.ttlExpired);
});

/** Lets sockets make progress. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("only hosts under .culvert are told the trail", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  for (const host of ["hello.culvert", "site.test"]) {
    using client = await proxy.connect();
    const accepted = server.accept();
    await openings[0]!.open(client, { host, port: server.port });
    await accepted;
  }
  assertEquals((proxy.path as LoopbackPath).trails, [
    [{ name: "ingress", at: `127.0.0.1:${proxy.port} socks5` }],
    undefined,
  ]);
});

Deno.test("BIND and unknown commands are refused as unsupported", async () => {
  await using proxy = new TestProxy();
  for (const command of [SocksCommand.bind, 0, 9]) {
    using client = await proxy.connect();
    const request = encodeRequest({ command, target: { host: "127.0.0.1", port: 1 } })!;
    await client.send(Uint8Array.of(...NO_AUTH, ...request));
    await client.take(2);
    assertEquals((await socks5Reply(client)).reply, SocksReply.commandUnsupported);
    assertEquals(await client.rest(), "");
  }
});

const PASSWORDS = { ada: "löve lace", bob: "" };

Deno.test("SOCKS5 passwords: right ones open, wrong ones and none are refused", async () => {
  await using proxy = new TestProxy({ auth: PASSWORDS });
  using server = new TestServer();
  const rows: [name: string, user: string, password: string, accepted: boolean][] = [
    ["right", "ada", "löve lace", true],
    ["right, empty", "bob", "", true],
    ["wrong", "ada", "lovelace", false],
    ["prefix", "ada", "l", false],
    ["unknown", "eve", "", false],
    ["inherited", "toString", "", false],
  ];
  for (const [name, user, password, accepted] of rows) {
    using client = await proxy.connect();
    await client.send(encodeGreeting([0, 2]));
    assertEquals(await client.take(2), Uint8Array.of(5, 2));
    await client.send(encodeCredentials({ user, password })!);
    assertEquals((await client.take(2))[1] === 0, accepted, name);
    if (!accepted) {
      assertEquals(await client.rest(), "", name);
      continue;
    }
    const incoming = server.accept();
    await client.send(socks5Connect({ host: "127.0.0.1", port: server.port }));
    assertEquals((await socks5Reply(client)).reply, SocksReply.succeeded, name);
    await incoming;
  }
  using client = await proxy.connect();
  await client.send(NO_AUTH);
  assertEquals(await client.take(2), Uint8Array.of(5, 0xff));
});

Deno.test("SOCKS4 is rejected where a password is asked for", async () => {
  await using proxy = new TestProxy({ auth: () => true });
  using client = await proxy.connect();
  await client.send(encodeSocks4Request({ command: 1, target: { host: "127.0.0.1", port: 1 }, user: "ada" })!);
  assertEquals((await client.take(8))[1], 91);
});

Deno.test("HTTP passwords: right ones open, others are answered 407 and asked for", async () => {
  await using proxy = new TestProxy({ auth: PASSWORDS });
  using server = new TestServer();
  for (const credentials of [undefined, "ada:lovelace", "eve:", "ada"]) {
    for (const line of [`CONNECT 127.0.0.1:${server.port}`, `GET http://127.0.0.1:${server.port}/`]) {
      using client = await proxy.connect();
      const field = credentials === undefined ? "" : `Proxy-Authorization: Basic ${btoa(credentials)}\r\n`;
      await client.send(`${line} HTTP/1.1\r\nHost: x\r\n${field}\r\n`);
      const answer = await client.rest();
      assertStringIncludes(answer, "HTTP/1.1 407 ");
      assertStringIncludes(answer, "Proxy-Authenticate: Basic realm=");
    }
  }
  using client = await proxy.connect();
  const accepted = server.accept();
  const credentials = btoa(String.fromCharCode(...new TextEncoder().encode("ada:löve lace")));
  await client.send(
    `GET http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: basic ${credentials}\r\n\r\n`,
  );
  const far = await accepted;
  assert(!(await far.until("\r\n\r\n")).includes("Proxy-"));
});

Deno.test("a handshake that is not complete at its deadline ends the connection, however busily bytes drip", async () => {
  const clock = new FakeClock();
  await using proxy = new TestProxy({ clock });
  for (const start of ["", "\x05", "\x05\x01\x00", "\x04\x01", "GET http://a", "CONNECT a:1 HTTP/1.1\r\n"]) {
    using client = await proxy.connect();
    await client.send(start);
    while (proxy.server.connections === 0) await macrotask();
    for (let second = 0; second < 10; second++) {
      assertEquals(proxy.server.connections, 1, JSON.stringify(start));
      if (start !== "" && second < 9) await client.send("x").catch(() => {});
      clock.advance(1_000);
    }
    await client.rest();
    while (proxy.server.connections > 0) await macrotask();
  }
});

Deno.test("connections beyond the limit are told so, many more are closed at once, and room is used again", async () => {
  await using proxy = new TestProxy({ limits: { maxConnections: 2 } });
  using server = new TestServer();
  const target = { host: "127.0.0.1", port: server.port };
  using first = await proxy.connect();
  using second = await proxy.connect();
  const fars: Script[] = [];
  for (const client of [first, second]) {
    const accepted = server.accept();
    await openings[0]!.open(client, target);
    fars.push(await accepted);
  }
  const busy = dialReplyOf("busy");
  {
    using socks = await proxy.connect();
    await socks.send(Uint8Array.of(...NO_AUTH, ...socks5Connect(target)));
    await socks.take(2);
    assertEquals((await socks5Reply(socks)).reply, busy.socks5);
    using http = await proxy.connect();
    await http.send(`GET http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    assertMatch(await http.rest(), new RegExp(`^HTTP/1.1 ${busy.status} [^]*error=${busy.proxyError}`));
  }
  while (proxy.server.connections > 2) await macrotask();
  {
    using waiting = new DisposableStack();
    for (let turnedAway = 0; turnedAway < 64; turnedAway++) waiting.use(await proxy.connect());
    using tooMany = await proxy.connect();
    assertEquals(await tooMany.rest(), "");
  }
  first.close();
  fars[0]!.close();
  while (proxy.server.connections > 1) await macrotask();
  using fourth = await proxy.connect();
  const accepted = server.accept();
  await openings[0]!.open(fourth, target);
  await accepted;
});

Deno.test("shutdown lets streams drain, and its signal ends those that do not", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  using client = await proxy.connect();
  const accepted = server.accept();
  await openings[0]!.open(client, { host: "127.0.0.1", port: server.port });
  const far = await accepted;
  const hard = new AbortController();
  const done = proxy.server.shutdown(hard.signal);
  await assertRejects(() => proxy.connect());
  await client.send("still open");
  assertEquals(textOf(await far.take(10)), "still open");
  hard.abort();
  await done;
  assertEquals(await far.rest(), "");
  await proxy.server.shutdown();
});

Deno.test("shutdown closes HTTP connections that wait for another request, and keeps none", async () => {
  await using proxy = new TestProxy();
  using server = new TestServer();
  const request = `GET http://127.0.0.1:${server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`;
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  using idle = await proxy.connect();
  using busy = await proxy.connect();
  const fars: Script[] = [];
  for (const client of [idle, busy]) {
    const accepted = server.accept();
    await client.send(request);
    fars.push(await accepted);
    await fars.at(-1)!.until("\r\n\r\n");
  }
  await fars[0]!.send(answer);
  await idle.until("ok");
  const done = proxy.server.shutdown();
  assertEquals(await idle.rest(), "");
  await fars[1]!.send(answer);
  assertMatch(await busy.rest(), /\r\nConnection: close\r\n\r\nok$/);
  busy.close();
  await done;
});

Deno.test("a connection accepted as the proxy closes is closed with it", async () => {
  using real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = Promise.withResolvers<Deno.TcpConn>();
  const listener = new Proxy(real, {
    get(target, key) {
      if (key === "accept") return () => accepting.promise;
      if (key === "close") return () => {};
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using proxy = new TestProxy({ listen: listener, clock: new FakeClock() });
  using client = await proxy.connect();
  accepting.resolve(await real.accept());
  proxy.server[Symbol.dispose]();
  assertEquals(await client.rest(), "");
});

Deno.test("a stream whose program has vanished ends once the other half is silent for long", async () => {
  const clock = new FakeClock();
  await using proxy = new TestProxy({ clock });
  using server = new TestServer();
  using client = await proxy.connect();
  const accepted = server.accept();
  await openings[0]!.open(client, { host: "127.0.0.1", port: server.port });
  const far = await accepted;
  client.close();
  assertEquals(await far.rest(), "");
  assertEquals(proxy.server.connections, 1);
  while (proxy.server.connections > 0) {
    clock.advance(300_000);
    await macrotask();
  }
});

Deno.test("an accept that fails is tried again after a pause", async () => {
  const clock = new FakeClock();
  const real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let failures = 3;
  const listener = new Proxy(real, {
    get(target, key) {
      if (key === "accept" && failures-- > 0) {
        return () => Promise.reject(new Error("Too many open files (os error 24)"));
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using proxy = new TestProxy({ listen: listener, clock });
  using client = await proxy.connect();
  await clock.advanceAsync(10);
  await clock.advanceAsync(20);
  await clock.advanceAsync(40);
  await client.send("\x05\x01\x00");
  assertEquals(await client.take(2), Uint8Array.of(5, 0));
});

Deno.test("a connection that is over before it is accepted holds up no other", async () => {
  const real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let reset = 50;
  const listener = new Proxy(real, {
    get(target, key) {
      if (key === "accept" && reset-- > 0) return () => Promise.reject(new Deno.errors.NotConnected("os error 107"));
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using proxy = new TestProxy({ listen: listener, clock: new FakeClock() });
  using client = await proxy.connect();
  await client.send("\x05\x01\x00");
  assertEquals(await client.take(2), Uint8Array.of(5, 0));
});

Deno.test("limits that make no sense are refused by name", () => {
  const path = new LoopbackPath();
  assertThrows(
    () =>
      serveProxy({
        listen: { hostname: "127.0.0.1", port: 0 },
        path,
        clock: new FakeClock(),
        limits: { maxConnections: 0 },
      }),
    RangeError,
    "limits.maxConnections must be a whole number from 1, got 0",
  );
});

async function associate(client: Script): Promise<Target> {
  const request = encodeRequest({ command: SocksCommand.udpAssociate, target: { host: "0.0.0.0", port: 0 } })!;
  await client.send(Uint8Array.of(...NO_AUTH, ...request));
  await client.take(2);
  const { reply, bound } = await socks5Reply(client);
  assertEquals(reply, SocksReply.succeeded);
  return bound;
}

Deno.test("UDP ASSOCIATE carries datagrams both ways for one client, until the control connection ends", async () => {
  await using proxy = new TestProxy();
  using client = await proxy.connect();
  const bound = await associate(client);
  using echo = new TestDatagrams();
  using local = new TestDatagrams();
  using stranger = new TestDatagrams();
  const echoPort = echo.port;
  const relay = { transport: "udp", hostname: bound.host, port: bound.port } as const;
  const wrap = (text: string) =>
    Uint8Array.of(...encodeDatagramHeader({ host: "echo.test", port: echoPort })!, ...bytesOf(text));

  const fragment = wrap("fragment");
  fragment[2] = 1;
  await local.socket.send(fragment, relay);
  await local.socket.send(wrap("hello"), relay);
  const [heard, from] = await echo.socket.receive();
  assertEquals(textOf(heard), "hello");
  await stranger.socket.send(wrap("let me in"), relay);
  await local.socket.send(wrap("again"), relay);
  assertEquals(textOf((await echo.socket.receive())[0]), "again");

  await echo.socket.send(bytesOf("and back"), from);
  const [answer] = await local.socket.receive();
  const parsed = parseDatagram(answer)!;
  assertEquals(parsed.address, { host: "127.0.0.1", port: echoPort });
  assertEquals(textOf(answer.subarray(parsed.dataAt)), "and back");

  client.close();
  while (proxy.server.connections > 0) await macrotask();
});

Deno.test("UDP ASSOCIATE on a port of both families tells an IPv4 program an IPv4 address", async () => {
  await using proxy = new TestProxy({ listen: { hostname: "::", port: 0 } });
  using client = await proxy.connect();
  assertEquals((await associate(client)).host, "127.0.0.1");
});

Deno.test("UDP ASSOCIATE ends after a long silence", async () => {
  const clock = new FakeClock();
  await using proxy = new TestProxy({ clock });
  using client = await proxy.connect();
  await associate(client);
  clock.advance(300_000);
  assertEquals(await client.rest(), "");
});

Deno.test("UDP ASSOCIATE is refused where the path has no datagrams, and beyond the limit", async () => {
  const full = new LoopbackPath();
  const streamsOnly: Path = { dial: (target) => full.dial(target), close() {}, [Symbol.dispose]() {} };
  const rows: [Partial<ConstructorParameters<typeof TestProxy>[0]>, number][] = [
    [{ path: streamsOnly }, SocksReply.commandUnsupported],
    [{ limits: { maxUdpAssociations: 0 } }, SocksReply.failed],
  ];
  for (const [options, expected] of rows) {
    await using proxy = new TestProxy(options);
    using client = await proxy.connect();
    const request = encodeRequest({ command: SocksCommand.udpAssociate, target: { host: "0.0.0.0", port: 0 } })!;
    await client.send(Uint8Array.of(...NO_AUTH, ...request));
    await client.take(2);
    assertEquals((await socks5Reply(client)).reply, expected);
  }
});

Deno.test("a browser that takes the port for a site is told what it is", async () => {
  await using proxy = new TestProxy();
  using client = await proxy.connect();
  await client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const answer = await client.rest();
  assertMatch(answer, /^HTTP\/1\.1 400 /);
  assertStringIncludes(answer, "proxy port");
});
