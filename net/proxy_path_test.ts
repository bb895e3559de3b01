import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure } from "../protocol/errors.ts";
import { silentLog } from "../protocol/log.ts";
import { noMetrics } from "../protocol/metrics.ts";
import { policyOf } from "../protocol/egress_policy.ts";
import { writeAll } from "../protocol/stream.ts";
import { testPathContract } from "../testing/path_contract.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { within } from "../testing/waiting.ts";
import { direct, echo, Target } from "./fixtures/tunnel_ends.ts";
import { type OpenOptions, openPath } from "./open.ts";
import { proxyProbe } from "./open_proxy.ts";
import { type Script, TestProxy, TestServer } from "./proxy/fixtures/test_kit.ts";

const options: OpenOptions = {
  clock: clockOf(globalThis),
  random: new SeededRandom(1),
  log: silentLog,
  metrics: noMetrics,
  policy: policyOf(),
};

const SCHEMES = ["socks5", "http"] as const;

for (const scheme of SCHEMES) {
  testPathContract(`a path through a proxy by ${scheme}`, {
    has: scheme === "http" ? ["refusing", "unresolved", "silent"] : ["refusing", "silent", "datagramEcho"],
    setUp() {
      const proxy = new TestProxy({ path: direct() });
      const target = new Target(echo);
      const udp = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
      const echoing = (async () => {
        for await (const [bytes, from] of udp) await udp.send(bytes, from);
      })();
      const path = openPath(`${scheme}://127.0.0.1:${proxy.port}`, options);
      return Promise.resolve({
        path,
        echo: target.at,
        refusing: { host: "refused.fails", port: 1 },
        unresolved: { host: "unresolved.fails", port: 1 },
        silent: { host: "hangs", port: 1 },
        datagramEcho: { host: "127.0.0.1", port: (udp.addr as Deno.NetAddr).port },
        async [Symbol.asyncDispose]() {
          path.close();
          udp.close();
          await echoing;
          await target.stop();
          await proxy[Symbol.asyncDispose]();
        },
      });
    },
  });

  Deno.test(`${scheme}: who has the password gets in, who has not is told`, async () => {
    await using proxy = new TestProxy({ path: direct(), auth: { ann: "p:s@" } });
    using target = new Target(echo);
    const url = (who: string) => `${scheme}://${who}127.0.0.1:${proxy.port}/`;
    using known = openPath(url("ann:p%3As%40@"), options);
    (await known.dial(target.at)).close();
    for (const who of ["", "ann:wrong@"]) {
      using unknown = openPath(url(who), options);
      const error = await assertRejects(() => unknown.dial(target.at), DialError);
      assertEquals(error.code, "unauthorized", who);
    }
    await target.stop();
  });

  Deno.test(`${scheme}: a proxy that is not there, hangs up or talks nonsense is the path's fault`, async () => {
    const codes: string[] = [];
    const codeOf = async (port: number) => {
      using path = openPath(`${scheme}://127.0.0.1:${port}/`, options);
      codes.push((await assertRejects(() => path.dial({ host: "a.example", port: 1 }), DialError)).code);
    };
    const plays: ((script: Script) => unknown)[] = [
      (script) => script.close(),
      (script) => script.send("SSH-2.0-nonsense\r\n\r\n"),
      async (script) => {
        await script.take(1);
        await script.send("\0\0\r\n\r\n");
      },
    ];
    let port = 0;
    for (const play of plays) {
      using server = new TestServer();
      ({ port } = server);
      const dialling = codeOf(port);
      await play(await server.accept());
      await within("an answer", dialling);
    }
    await codeOf(port);
    assertEquals(codes.at(-1), "path_down");
    for (const code of codes) assertMatch(code, /^(path_down|failed)$/);
  });
}

Deno.test("http: failures come back as what they were, and a name that is no host's is not sent", async () => {
  await using proxy = new TestProxy({ path: direct() });
  using path = openPath(`http://127.0.0.1:${proxy.port}`, options);
  const reasons: DialFailure[] = ["denied", "unresolved", "refused", "timeout", "busy", "path_down", "unpaid"];
  for (const reason of reasons) {
    const error = await assertRejects(() => path.dial({ host: `${reason}.fails`, port: 1 }), DialError);
    assertEquals(error.code, reason);
  }
  for (const host of ["a b", "x\r\nHost: y", "ü.example", ""]) {
    const error = await assertRejects(() => path.dial({ host, port: 1 }), DialError);
    assertEquals(error.code, "unresolved", host);
  }
});

Deno.test("http: what the target says first is not lost with the proxy's answer", async () => {
  using server = new TestServer();
  using path = openPath(`http://127.0.0.1:${server.port}`, options);
  const dialling = path.dial({ host: "mail.example", port: 25 });
  const script = await server.accept();
  assertMatch(await script.until("\r\n\r\n"), /^CONNECT mail\.example:25 HTTP\/1\.1\r\nHost: mail\.example:25\r\n/);
  await script.send("HTTP/1.1 200 Fine\r\n\r\n220 mail.example");
  using stream = await dialling;
  const into = new Uint8Array(100);
  assertEquals(new TextDecoder().decode(into.subarray(0, await stream.read(into) ?? 0)), "220 mail.example");
});

Deno.test("closing the path closes its streams, and dials no more", async () => {
  await using proxy = new TestProxy({ path: direct() });
  using target = new Target(echo);
  const path = openPath(`socks5://127.0.0.1:${proxy.port}`, options);
  const stream = await path.dial(target.at);
  const hanging = assertRejects(() => path.dial({ host: "hangs", port: 1 }), DialError, "closed");
  path.close();
  await hanging;
  await assertRejects(() => writeAll(stream, new Uint8Array(1)));
  await assertRejects(() => path.dial(target.at), DialError, "closed");
  await target.stop();
});

Deno.test("the probe: a proxy that knows no hello.culvert works if it answers; one with a probe has to reach that", async () => {
  const { signal } = new AbortController();
  const works = async (url: string) => {
    using path = openPath(url, options);
    return await proxyProbe(url)(path, signal).then(() => true, () => false);
  };
  // Its path makes nothing of that name, as one of somebody else's would.
  await using proxy = new TestProxy({
    path: { ...direct(), dial: () => Promise.reject(new DialError("failed", "who?")) },
  });
  const url = `socks5://127.0.0.1:${proxy.port}/`;
  assert(await works(url));
  assert(!await works(`${url}?probe=web.example:80`));
  const { port } = proxy;
  await proxy[Symbol.asyncDispose]();
  assert(!await works(`socks5://127.0.0.1:${port}/`));
});

Deno.test("a URL that is wrong is refused, and its password not repeated", () => {
  for (
    const rest of ["", "ann:secret@", "ann:secret@host", "ann@host:1", "host:1-9", "host:1/?probe=", "host:1/?prob=a:1"]
  ) {
    const error = assertThrows(() => openPath(`socks5://${rest}`, options), CulvertError);
    assertEquals(error.code, "bad_url", rest);
    assert(!error.message.includes("secret"), error.message);
  }
});
