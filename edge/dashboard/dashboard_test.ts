import { assert, assertEquals } from "@std/assert";
import { createMetrics } from "../metrics.ts";
import { ADDRESS, TestDashboard, TOKEN } from "./fixtures/dashboard.ts";
import type { NetworkSource } from "./inventory.ts";
import { SESSION_MS } from "./logins.ts";
import { dashboardOperations } from "./operations.ts";

const EVIL = "http://evil.example";
const API = ["/logins", "/watch", "/peers", "/sessions", "/deeds"];

Deno.test("whoever logs in sees the network, its tables, and does something", async () => {
  using dashboard = await TestDashboard.open({ hasParts: true });
  const watching = await dashboard.watch();
  const { view } = await watching.until("view");
  assertEquals([view.title, view.nodes.length], ["culvert up", 24]);
  assert((await watching.until("history")).points.length > 0);
  assert((await watching.until("log")).lines.length > 0);
  const { body } = await dashboard.ask("/peers?search=exit&sort=name&limit=2");
  assertEquals([body.total, (body.rows as { name: string }[]).map(({ name }) => name)], [6, ["exit-1", "exit-2"]]);
  assertEquals((await dashboard.ask("/sessions")).body.total, 12);
  assertEquals((await dashboard.ask("/deeds", { body: { kind: "kill_part", name: "exit-1" } })).body, {
    text: "exit-1 was killed",
  });
  // It is told without waiting for the next second.
  assertEquals((await watching.until("log")).lines.map(({ text }) => text), ["exit-1 was killed"]);
  const killed = (await watching.until("view")).view.nodes.find(({ label }) => label === "exit-1");
  assertEquals([killed?.state, killed?.part], ["gone", "exit-1"]);
  const lines = (await watching.until("log")).lines.map(({ text }) => text);
  assertEquals(lines.slice(0, 2), ["Part exit-1 is down", "Exit exit-1 went"]);
  assert(
    lines.slice(2).every((line) => /^The session of client-\d+ moved from exit-1 to exit-\d$/.test(line)),
    lines.join(),
  );
  await watching.close();
});

Deno.test("without a session nothing is told but how to log in", async () => {
  using dashboard = new TestDashboard();
  for (const path of API.slice(1)) {
    const options = path === "/deeds" ? { body: { kind: "end_session", sessionId: "x" } } : {};
    for (
      const authorization of ["", "Bearer x", `Bearer ${TOKEN.replaceAll(" ", "-")}`, `Basic ${btoa(`:${TOKEN}`)}`]
    ) {
      const { status, body } = await dashboard.ask(path, { ...options, headers: { authorization } });
      assertEquals([status, body.code], [401, "unauthorized"], `${path} ${authorization}`);
    }
  }
  assertEquals(dashboard.source.done, []);
  const { status, body } = await dashboard.ask("/logins", { body: { token: "wrong" } });
  assertEquals([status, body.code], [401, "login_refused"]);
});

Deno.test("a session that is over is told apart from none", async () => {
  using dashboard = await TestDashboard.open();
  dashboard.clock.advance(SESSION_MS);
  const { status, body } = await dashboard.ask("/peers");
  assertEquals([status, body.code], [401, "token_expired"]);
  await dashboard.logIn();
  assertEquals((await dashboard.ask("/peers")).status, 200);
});

Deno.test("a session goes on over a restart with the same token", async () => {
  using before = await TestDashboard.open();
  using after = new TestDashboard({ clock: before.clock });
  after.session = before.session;
  assertEquals((await after.ask("/peers")).status, 200);
});

Deno.test("no strange page may ask for anything, whatever it knows", async () => {
  using dashboard = await TestDashboard.open();
  for (const path of API) {
    for (const headers of [{ origin: EVIL }, { "sec-fetch-site": "cross-site" }, { "sec-fetch-site": "same-site" }]) {
      const body = path === "/logins" ? { token: TOKEN } : path === "/deeds" ? {} : undefined;
      const answer = await dashboard.ask(path, { headers, body });
      assertEquals([answer.status, answer.body.code], [403, "cross_site"]);
      assertEquals(answer.headers.get("access-control-allow-origin"), null);
    }
  }
});

Deno.test("under a stranger's name not even the page is there", async () => {
  using dashboard = await TestDashboard.open();
  for (const path of ["/api/dashboard/peers", "/api", "/api/openapi.json"]) {
    const answer = await dashboard.ask(path, { origin: "http://rebound.example:8080" });
    assertEquals([answer.status, answer.body.code], [421, "misdirected"]);
  }
  using named = await TestDashboard.open({ deps: { hosts: ["dash.example.org"] } });
  const { status } = await named.ask("/peers", { origin: "https://dash.example.org" });
  assertEquals(status, 200);
});

Deno.test("a deed is JSON as described, of those that can be done here", async () => {
  using dashboard = await TestDashboard.open();
  const [peer] = dashboard.source.of("client");
  const { peerId } = peer!;
  const cases = [
    [{ body: "kind=drain", headers: { "content-type": "application/x-www-form-urlencoded" } }, "wrong_type"],
    [{ body: JSON.stringify({ kind: "revoke", peerId }), headers: { "content-type": "text/plain" } }, "wrong_type"],
    [{ body: "{" }, "bad_request"],
    [{ body: { kind: "explode" } }, "bad_request"],
    [{ body: { kind: "revoke", peerId: "../../etc" } }, "bad_request"],
    [{ body: { kind: "revoke", peerId, reason: "two\nlines" } }, "bad_request"],
    [{ body: { kind: "push", peerId, order: "DISCONNECT" } }, "bad_request"],
    [{ body: { kind: "kill_part", name: "exit-1" } }, "bad_request"],
    [{ body: { kind: "push", peerId, order: { text: "x".repeat(70_000) } } }, "too_large"],
    [{ body: { kind: "unrevoke", peerId } }, "not_found"],
  ] as const;
  for (const [options, code] of cases) {
    assertEquals((await dashboard.ask("/deeds", options)).body.code, code, JSON.stringify(options).slice(0, 80));
  }
  const { body } = await dashboard.ask("/deeds", { body: { kind: "revoke", peerId, reason: "a guest no more" } });
  assertEquals(body.text, `${peerId} is shut out: a guest no more`);
  assertEquals(dashboard.source.done.map(({ kind }) => kind), ["unrevoke", "revoke"]);
});

Deno.test("deeds that take their time are few at once, and are given up in the end", async () => {
  const stuck: Pick<NetworkSource, "act"> = {
    act: (_deed, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
  };
  using dashboard = await TestDashboard.open();
  Object.assign(dashboard.source, stuck);
  const sessionId = [...dashboard.source.sessions.keys()][0]!;
  const ask = () => dashboard.ask("/deeds", { body: { kind: "end_session", sessionId } });
  const waiting = Array.from({ length: 8 }, ask);
  await dashboard.clock.advanceAsync(1);
  assertEquals((await ask()).body.code, "busy");
  await dashboard.clock.advanceAsync(120_000);
  for (const each of waiting) assertEquals((await each).body.code, "internal");
});

Deno.test("a query is as described", async () => {
  using dashboard = await TestDashboard.open();
  for (const query of ["limit=0", "limit=201", "limit=x", "offset=-1", "offset=1.5", "sort=toString", "sort=--name"]) {
    assertEquals((await dashboard.ask(`/peers?${query}`)).body.code, "bad_request", query);
  }
  assertEquals((await dashboard.ask(`/peers?search=${"x".repeat(129)}`)).body.code, "bad_request");
  assertEquals((await dashboard.ask("/sessions?sort=rttMs")).body.code, "bad_request");
  assertEquals((await dashboard.ask("/sessions?sort=-createdAtMs&limit=200&offset=12")).body, { rows: [], total: 12 });
});

Deno.test("a source in trouble is said to be, and so is that it is well again", async () => {
  using dashboard = await TestDashboard.open();
  const watching = await dashboard.watch();
  await watching.until("log");
  dashboard.source.trouble = new Error("connection refused\u0007");
  await dashboard.clock.advanceAsync(1000);
  assertEquals((await watching.until("trouble")).text, "connection refused");
  assertEquals((await watching.until("log")).lines[0]!.tone, "bad");
  // Who comes now is told what was seen last, and that it is old.
  const late = await dashboard.watch();
  await late.until("view");
  await late.until("trouble");
  const { status, body } = await dashboard.ask("/peers");
  assertEquals([status, body.code], [503, "unavailable"]);
  dashboard.source.trouble = undefined;
  await dashboard.clock.advanceAsync(1000);
  await late.until("view");
  assertEquals((await late.until("log")).lines[0]!.tone, "good");
  assertEquals((await dashboard.ask("/peers")).status, 200);
  await Promise.all([watching.close(), late.close()]);
});

Deno.test("who watches is told when the server stops, and nobody comes in after", async () => {
  const dashboard = await TestDashboard.open();
  const watching = await dashboard.watch();
  await watching.until("log");
  dashboard[Symbol.dispose]();
  assertEquals(await watching.until("bye"), { type: "bye" });
  assertEquals(await watching.next(), undefined);
  assertEquals((await dashboard.ask("/watch")).body.code, "busy");
  assertEquals(dashboard.clock.pendingTimers, 0);
});

Deno.test("each path has its methods, and what is elsewhere is not there", async () => {
  using dashboard = await TestDashboard.open();
  for (const { path, method } of dashboardOperations()) {
    for (const other of ["PUT", "DELETE", method === "get" ? "POST" : "GET"]) {
      const { status, headers } = await dashboard.ask(path, { method: other });
      assertEquals([status, headers.get("allow")], [405, method.toUpperCase()], `${other} ${path}`);
    }
  }
  assertEquals((await dashboard.fetch("/watch", { method: "HEAD" })).status, 405);
  assertEquals((await dashboard.ask("/api/nothing")).status, 404);
});

Deno.test("every answer says that it is what it is, for nobody's cache and in nobody's frame", async () => {
  using dashboard = await TestDashboard.open();
  for (const path of ["/peers", "/nothing", "/api/dashboard/logins"]) {
    const { headers } = await dashboard.ask(path);
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cache-control"), "no-store");
    assertEquals(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assertEquals(headers.get("set-cookie"), null);
  }
});

Deno.test("neither token nor session is in the log, and requests are counted", async () => {
  const metrics = createMetrics();
  using dashboard = await TestDashboard.open({ deps: { metrics } });
  await dashboard.ask("/logins", { body: { token: `${TOKEN}, nearly` } });
  await dashboard.ask("/deeds", { body: { kind: "drain", supernodeId: dashboard.source.supernodes[0]!.supernodeId } });
  const said = JSON.stringify(dashboard.log.lines);
  assert(said.includes(ADDRESS));
  assert(!said.includes(TOKEN) && !said.includes(dashboard.session!));
  const text = await metrics.text();
  assert(text.includes('dashboard_requests_total{operation="logIn",result="login_refused"} 1'), text);
  assert(text.includes('dashboard_requests_total{operation="act",result="ok"} 1'), text);
});

Deno.test("who logs out is out at once, with all that is open, and nobody else is", async () => {
  using dashboard = await TestDashboard.open();
  const other = dashboard.session!;
  const going = await dashboard.logIn();
  const watching = await dashboard.watch();
  await watching.until("log");
  assertEquals((await dashboard.ask("/logins/end", { method: "POST" })).body, { ok: true });
  while (await watching.next());
  assertEquals([dashboard.session, (await dashboard.ask("/peers")).body.code], [going.session, "token_expired"]);
  assertEquals((await dashboard.ask("/logins/end", { method: "POST" })).status, 401);
  dashboard.session = other;
  assertEquals((await dashboard.ask("/peers")).status, 200);
});
