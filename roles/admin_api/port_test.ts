import { request } from "node:http";
import { assertEquals } from "@std/assert";
import { FakeSource } from "../../edge/dashboard/fixtures/fake_source.ts";
import { openApiOf } from "../../edge/openapi.ts";
import { createMetrics } from "../../edge/metrics.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { createAdminApp } from "./http.ts";
import { openAdminPort } from "./port.ts";

const TOKEN = "a token of this test";

async function startPort(adminHost: string[] = []) {
  await using resources = new AsyncDisposableStack();
  const stateDir = resources.adopt(await Deno.makeTempDir(), (path) => Deno.remove(path, { recursive: true }));
  const [clock, log, metrics] = [new FakeClock(), new LogCollector(), createMetrics()];
  const source = new FakeSource({ clock });
  const settings = { adminApi: true, adminListen: { host: "127.0.0.1", port: 0 }, adminHost, adminToken: TOKEN };
  const describe = () => openApiOf({ title: "A test", version: "1", description: "", operations: [], schemas: [] });
  const port = await openAdminPort(settings, {
    role: "base",
    source,
    api(guard) {
      const app = createAdminApp({ guard, log, metrics }, describe);
      app.get("/v1/status", (context) => context.json({ ok: true }));
      return app;
    },
  }, { stateDir, random: new SeededRandom(1), clock, log, metrics });
  resources.use(port);
  const at = `http://${port!.addresses.admin}`;
  const ask = async (path: string, headers: Record<string, string> = {}, token = TOKEN) => {
    const body = path.endsWith("/logins") ? JSON.stringify({ token }) : undefined;
    const response = await fetch(at + path, {
      ...body !== undefined && { method: "POST", body },
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const moved = resources.move();
  return { at, clock, log, source, ask, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** `fetch` does not let anybody choose the host. */
function statusUnderName(at: string, path: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${TOKEN}` };
    request(at + path, { headers, agent: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode));
    }).on("error", reject).end();
  });
}

Deno.test("the API takes no requests of strange pages, nor under a stranger's name, and its answers are for nobody's cache", async () => {
  await using port = await startPort();
  const good = await port.ask("/v1/status");
  assertEquals([good.status, good.text], [200, '{"ok":true}']);
  for (const path of ["/v1/status", "/v1/nothing"]) {
    for (const headers of [{ origin: "http://evil.example" }, { "sec-fetch-site": "cross-site" }]) {
      const refused = await port.ask(path, headers);
      assertEquals([refused.status, JSON.parse(refused.text).code], [403, "cross_site"]);
    }
  }
  for (const path of ["/v1/status", "/v1", "/", "/api/dashboard/peers"]) {
    assertEquals(await statusUnderName(port.at, path, "rebound.example"), 421);
  }
  // Whoever links to the description may.
  assertEquals((await port.ask("/v1/openapi.json", { "sec-fetch-site": "cross-site" }, "x")).status, 200);
  for (const answer of [good, await port.ask("/v1/status", {}, "wrong")]) {
    assertEquals(answer.headers.get("cache-control"), "no-store");
    assertEquals(answer.headers.get("x-content-type-options"), "nosniff");
  }
});

Deno.test("the API and the dashboard have wrong tokens limited together, and the right one is in again at once after", async () => {
  await using port = await startPort();
  for (let time = 0; time < 10; time++) {
    assertEquals((await port.ask("/v1/status", {}, `guess ${time}`)).status, 401);
    assertEquals((await port.ask("/api/dashboard/logins", {}, `guess ${time}`)).status, 401);
  }
  for (const path of ["/v1/status", "/api/dashboard/logins"]) {
    assertEquals((await port.ask(path, {}, "guess")).status, 429);
    assertEquals((await port.ask(path)).status, 429);
  }
  // Without a token nothing is guessed.
  const none = await fetch(`${port.at}/v1/status`);
  assertEquals(none.status, 401);
  await none.body?.cancel();
  assertEquals(port.log.lines.filter(({ message }) => message.startsWith("A wrong token")).length, 20);
  port.clock.advance(500);
  assertEquals((await port.ask("/v1/status")).status, 200);
});

Deno.test("under a name of its own, requests are from whom the reverse proxy has them from", async () => {
  await using port = await startPort(["dash.example.org"]);
  const stranger = { "x-forwarded-for": "192.0.2.1, 198.51.100.9" };
  for (let time = 0; time < 20; time++) await port.ask("/v1/status", stranger, "guess");
  assertEquals((await port.ask("/v1/status", stranger)).status, 429);
  assertEquals((await port.ask("/v1/status", { "x-forwarded-for": "203.0.113.1" })).status, 200);
  assertEquals((await port.ask("/v1/status")).status, 200);
});

Deno.test("nobody looks at the network before somebody has logged in", async () => {
  await using port = await startPort();
  for (const path of ["/", "/api", "/api/dashboard/peers", "/api/dashboard/watch"]) await port.ask(path);
  await port.ask("/api/dashboard/logins", {}, "wrong");
  await port.clock.advanceAsync(60_000);
  assertEquals([port.source.asked, port.clock.pendingTimers], [0, 0]);
  assertEquals((await port.ask("/api/dashboard/logins")).status, 201);
  await port.clock.advanceAsync(2001);
  assertEquals(port.source.asked, 2);
});
