/**
 * The proxy as real programs see it: curl in every dialect it speaks, against sites on loopback. The far side of the
 * proxy is this process; what is tested is the ingress.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { type LoopbackPath, TestDatagrams, TestProxy } from "../net/proxy/fixtures/test_kit.ts";
import {
  encodeDatagramHeader,
  encodeGreeting,
  encodeRequest,
  parseDatagram,
  parseReply,
  SocksCommand,
} from "../protocol/socks.ts";
import { testWith } from "../testing/requirements.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { makeTlsCertificate } from "../testing/tls_certificate.ts";

function curlTest(name: string, test: () => Promise<void>): void {
  testWith({ tools: ["curl", "openssl"] }, name, test);
}

interface CurlResult {
  readonly ok: boolean;
  readonly body: Uint8Array;
  readonly errors: string;
}

async function curl(...args: string[]): Promise<CurlResult> {
  const command = new Deno.Command("curl", {
    args: ["--disable", "--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "", ...args],
    env: { http_proxy: "", https_proxy: "", all_proxy: "" },
  });
  const { success, stdout, stderr } = await command.output();
  return { ok: success, body: stdout, errors: new TextDecoder().decode(stderr) };
}

function text(result: CurlResult): string {
  assert(result.ok, result.errors);
  return new TextDecoder().decode(result.body);
}

/** A site on a free port: says what it was asked, serves and hashes large bodies. */
class Site implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(tls?: { cert: string; key: string }) {
    const handler = (request: Request) => this.#answer(request);
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, ...tls }, handler) as Deno.HttpServer<
      Deno.NetAddr
    >;
  }

  get port(): number {
    return this.#server.addr.port;
  }

  async #answer(request: Request): Promise<Response> {
    const { host, pathname } = new URL(request.url);
    if (pathname === "/large") return new Response(LARGE);
    if (pathname === "/streamed") return new Response(new Blob([LARGE]).stream());
    if (request.body) return new Response(await sha256(await request.bytes()));
    return new Response(`${request.method} ${pathname} for ${host}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const LARGE = Uint8Array.from({ length: 20_000_000 }, (_, at) => (at * 131 + (at >> 11)) & 0xff);

async function sha256(bytes: BufferSource): Promise<string> {
  return encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

const dialects: [name: string, proxyArguments: (port: number) => string[], resolvesFarAway: boolean][] = [
  ["--socks5", (port) => ["--socks5", `127.0.0.1:${port}`], false],
  ["--socks5-hostname", (port) => ["--socks5-hostname", `127.0.0.1:${port}`], true],
  ["--socks4", (port) => ["--socks4", `127.0.0.1:${port}`], false],
  ["--socks4a", (port) => ["--socks4a", `127.0.0.1:${port}`], true],
  ["--proxy http", (port) => ["--proxy", `http://127.0.0.1:${port}`], true],
  ["--proxytunnel", (port) => ["--proxy", `http://127.0.0.1:${port}`, "--proxytunnel"], true],
];

for (const [name, proxyArguments, resolvesFarAway] of dialects) {
  curlTest(`curl ${name}: fetches a page, and the name is resolved where the dialect says`, async () => {
    await using site = new Site();
    await using proxy = new TestProxy();
    const authority = `${resolvesFarAway ? "site.test" : "127.0.0.1"}:${site.port}`;
    const got = text(await curl(...proxyArguments(proxy.port), `http://${authority}/page`));
    assertEquals(got, `GET /page for ${authority}`);
    const [dialled] = (proxy.path as LoopbackPath).dialled;
    assertEquals(dialled, { host: resolvesFarAway ? "site.test" : "127.0.0.1", port: site.port });
  });

  curlTest(`curl ${name}: large downloads and uploads arrive whole`, async () => {
    await using site = new Site();
    await using proxy = new TestProxy();
    const url = `http://127.0.0.1:${site.port}`;
    const hash = await sha256(LARGE);
    for (const path of ["/large", "/streamed"]) {
      const { ok, body, errors } = await curl(...proxyArguments(proxy.port), url + path);
      assert(ok, errors);
      assertEquals(await sha256(body as BufferSource), hash);
    }
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeFile(file, LARGE);
      for (
        const how of [["--data-binary", `@${file}`], ["--upload-file", file, "--header", "Transfer-Encoding: chunked"]]
      ) {
        assertEquals(text(await curl(...proxyArguments(proxy.port), ...how, url)), hash);
      }
    } finally {
      await Deno.remove(file);
    }
  });

  curlTest(`curl ${name}: a refused connection is an error, not an empty page`, async () => {
    await using proxy = new TestProxy();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const result = await curl(...proxyArguments(proxy.port), `http://127.0.0.1:${port}/`);
    assert(!result.ok);
    // SOCKS4 cannot say why, SOCKS5 says 5, and a refused tunnel or request is HTTP's 502.
    assertMatch(result.errors, /refused|rejected|502|\(5\)/i);
  });
}

curlTest("curl keeps one proxy connection for several requests over plain HTTP", async () => {
  await using site = new Site();
  await using proxy = new TestProxy();
  const url = `http://site.test:${site.port}`;
  const result = await curl("--proxy", `http://127.0.0.1:${proxy.port}`, `${url}/1`, `${url}/2`, `${url}/3`);
  assertEquals(text(result), [1, 2, 3].map((page) => `GET /${page} for site.test:${site.port}`).join(""));
  assertEquals((proxy.path as LoopbackPath).dialled.length, 1);
});

curlTest("curl speaks TLS through CONNECT and through SOCKS", async () => {
  using folder = new TempDirectory();
  const { cert, key, certFile } = await makeTlsCertificate(folder, "site", { host: "DNS:site.test" });
  await using site = new Site({ cert, key });
  await using proxy = new TestProxy();
  for (const scheme of ["http", "socks5h", "socks4a"]) {
    const url = `https://site.test:${site.port}/secret`;
    const got = await curl("--proxy", `${scheme}://127.0.0.1:${proxy.port}`, "--cacert", certFile, url);
    assertStringIncludes(text(got), "GET /secret for site.test");
  }
});

curlTest("curl gets in with the right password only", async () => {
  await using site = new Site();
  await using proxy = new TestProxy({ auth: { ada: "p:w@rd" } });
  for (const scheme of ["http", "socks5h"]) {
    for (const [credentials, welcome] of [["ada:p:w@rd", true], ["ada:wrong", false], [undefined, false]] as const) {
      const who = credentials === undefined ? [] : ["--proxy-user", credentials];
      const url = `http://site.test:${site.port}/`;
      const result = await curl("--proxy", `${scheme}://127.0.0.1:${proxy.port}`, ...who, url);
      assertEquals(result.ok, welcome, `${scheme} ${credentials}: ${result.errors}`);
    }
  }
});

Deno.test("a DNS query travels through UDP ASSOCIATE and is answered", async () => {
  await using proxy = new TestProxy();
  using server = new TestDatagrams();
  using local = new TestDatagrams();
  using client = await proxy.connect();
  await client.send(encodeGreeting([0]));
  await client.take(2);
  const announced = { host: "127.0.0.1", port: local.port };
  await client.send(encodeRequest({ command: SocksCommand.udpAssociate, target: announced })!);
  const reply = parseReply(await client.take(10));
  assert(reply.status === "done" && reply.value.reply === 0);
  const { host: hostname, port } = reply.value.bound;

  const query = dnsQuery(0x1234, ["hello", "example"]);
  const wrapped = [...encodeDatagramHeader({ host: "dns.test", port: server.port })!, ...query];
  await local.socket.send(Uint8Array.from(wrapped), { transport: "udp", hostname, port });

  const [asked, from] = await server.socket.receive();
  assertEquals(asked, query);
  await server.socket.send(dnsAnswer(asked, [192, 0, 2, 7]), from);

  const [answer] = await local.socket.receive();
  const parsed = parseDatagram(answer)!;
  assertEquals(parsed.address, { host: "127.0.0.1", port: server.port });
  assertEquals(answer.subarray(-4), Uint8Array.of(192, 0, 2, 7));
});

/** One question, type A, class IN (RFC 1035 §4). */
function dnsQuery(id: number, labels: readonly string[]): Uint8Array<ArrayBuffer> {
  const name = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.of(id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 0, 1, 0, 1);
}

/** The same question with one answer, whose name points back at it. */
function dnsAnswer(query: Uint8Array, address: readonly number[]): Uint8Array<ArrayBuffer> {
  const answer = Uint8Array.of(...query, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address);
  answer[2] = 0x81;
  answer[3] = 0x80;
  answer[7] = 1;
  return answer;
}
