import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import * as api from "../api.ts";
import { BASE_URL, startOrchestrator } from "../fixtures/orchestrator.ts";

Deno.test("whoever is invited opens an account, logs in, refreshes and logs out", async () => {
  const orchestrator = await startOrchestrator();
  const { code } = await orchestrator.access.codes.make({ kind: "account", label: "Ada", roles: ["operator"] });
  const opened = await orchestrator.post("/v1/accounts", { invitation: code.toUpperCase(), name: "Ada" });
  assertEquals(opened.status, 201);
  api.openAccount.answer.schema.parse(opened.body);
  const { userId, roles } = opened.body.user;
  assertEquals(roles, ["user", "operator"]);
  assert(!("secretHash" in opened.body.user));

  const again = await orchestrator.post("/v1/accounts", { invitation: code, name: "Eve" });
  assertEquals([again.status, again.body.code], [401, "login_refused"]);

  const session = await orchestrator.post("/v1/session", { userId, secret: opened.body.secret });
  assertEquals(session.status, 201);
  const refreshed = await orchestrator.post("/v1/session/refresh", { refreshToken: session.body.refreshToken });
  assertEquals(refreshed.status, 200);
  assertEquals((await orchestrator.get("/v1/account", { token: refreshed.body.accessToken })).body.userId, userId);

  const ended = await orchestrator.post("/v1/session/end", { refreshToken: refreshed.body.refreshToken });
  assertEquals(ended.status, 200);
  const late = await orchestrator.post("/v1/session/refresh", { refreshToken: refreshed.body.refreshToken });
  assertEquals([late.status, late.body.code], [401, "token_expired"]);
  assertEquals(await orchestrator.audited(), ["account.opened", "login", "login refused", "login", "logout"]);
});

Deno.test("a refresh token that is used twice ends the login of whoever has the next one, and is audited", async () => {
  const orchestrator = await startOrchestrator();
  const { refreshToken: stolen } = await orchestrator.user();
  const { clock } = orchestrator.deps;
  const owners = await orchestrator.post("/v1/session/refresh", { refreshToken: stolen });
  clock.advance(11_000);
  const thiefs = await orchestrator.post("/v1/session/refresh", { refreshToken: stolen }, { address: "198.51.100.9" });
  assertEquals([thiefs.status, thiefs.body.code], [401, "token_expired"]);
  const after = await orchestrator.post("/v1/session/refresh", { refreshToken: owners.body.refreshToken });
  assertEquals([after.status, after.body.code], [401, "token_expired"]);
  const [entry] = await orchestrator.deps.audit.list({ limit: 1 });
  assertEquals([entry?.actor, entry?.action, entry?.outcome], ["198.51.100.9", "refresh.reused", "refused"]);
  assertStringIncludes(entry?.detail ?? "", "stolen");
});

Deno.test("a refresh whose answer was lost may be asked for again within ten seconds", async () => {
  const orchestrator = await startOrchestrator();
  const { refreshToken } = await orchestrator.user();
  const first = await orchestrator.post("/v1/session/refresh", { refreshToken });
  orchestrator.deps.clock.advance(9_000);
  const second = await orchestrator.post("/v1/session/refresh", { refreshToken });
  assertEquals(second.body.refreshToken, first.body.refreshToken);
});

Deno.test("a page's refresh token is a cookie that only this site's pages can use", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, secret } = await orchestrator.user();
  const session = await orchestrator.post("/v1/session", { userId, secret, refresh: "cookie" });
  assertEquals(session.body.refreshToken, undefined);
  const cookie = session.headers.get("set-cookie") ?? "";
  assertMatch(
    cookie,
    /^__Secure-culvert_refresh=\S+; Path=\/v1\/session; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure$/,
  );
  const [pair] = cookie.split(";");
  const refresh = (headers: Record<string, string>) =>
    orchestrator.post("/v1/session/refresh", {}, { headers: { cookie: pair!, ...headers } });

  for (
    const headers of [{}, { "sec-fetch-site": "cross-site" }, { "sec-fetch-site": "same-site" }, {
      origin: "https://evil.example",
    }]
  ) {
    const refused = await refresh(headers as Record<string, string>);
    assertEquals([refused.status, refused.body.code], [403, "cross_site"]);
  }
  const ours = await refresh({ "sec-fetch-site": "same-origin" });
  assertEquals(ours.status, 200);
  const byOrigin = await refresh({ origin: BASE_URL });
  assertEquals(byOrigin.status, 200);
  const ended = await orchestrator.post("/v1/session/end", {}, {
    headers: { cookie: pair!, "sec-fetch-site": "same-origin" },
  });
  assertMatch(ended.headers.get("set-cookie") ?? "", /refresh=; .*Max-Age=0/);
});

Deno.test("guessing a secret gets slower and slower by address, and the account's owner does not wait", async () => {
  const orchestrator = await startOrchestrator();
  const { userId, secret } = await orchestrator.user();
  const guess = () => orchestrator.post("/v1/session", { userId, secret: "x" }, { address: "203.0.113.7" });
  for (let tries = 0; tries < 6; tries++) assertEquals((await guess()).body.code, "login_refused");
  const waiting = await guess();
  assertEquals([waiting.status, waiting.body.code], [429, "rate_limited"]);
  assertEquals(waiting.headers.get("retry-after"), "1");
  const right = await orchestrator.post("/v1/session", { userId, secret }, { address: "203.0.113.7" });
  assertEquals(right.status, 429, "not even the right one is looked at");
  assertEquals((await orchestrator.post("/v1/session", { userId, secret })).status, 201);
  const refusals = (await orchestrator.audited()).filter((action) => action === "login refused");
  assertEquals(refusals.length, 6);
});

Deno.test("guesses that come all at once are no more than those that come one after another", async () => {
  const orchestrator = await startOrchestrator();
  const { userId } = await orchestrator.user();
  const guess = () => orchestrator.post("/v1/session", { userId, secret: "x" }, { address: "203.0.113.7" });
  const codes = (await Promise.all(Array.from({ length: 50 }, guess))).map(({ body }) => body.code);
  assertEquals(codes.filter((code) => code === "login_refused").length, 6);
});

Deno.test("forged Telegram logins are refused and audited", async () => {
  const orchestrator = await startOrchestrator();
  const initData = "user=%7B%22id%22%3A1%7D&auth_date=1767225600&hash=" + "0".repeat(64);
  const answer = await orchestrator.post("/v1/session/telegram", { initData });
  assertEquals([answer.status, answer.body.code], [401, "login_refused"]);
  const [entry] = await orchestrator.deps.audit.list({ limit: 1 });
  assertEquals(entry?.detail, "Telegram login: Telegram's answer is not signed for this bot");
});

Deno.test("Telegram opens an account once, and only where anybody may without an invitation", async () => {
  // The vector of protocol/sharing/telegram_login_test.ts, made at the time the test's clock shows.
  const widget = {
    id: 279058397,
    first_name: "Ada",
    last_name: "Löve lace",
    username: "ada",
    photo_url: "https://t.me/i/userpic/320/a.jpg",
    auth_date: 1767225600,
    hash: "f4f993a2b77dc274e9e1cf45a5332d5971f00e698f5df2b2ef5c72b3dd68e027",
  };
  const open = await startOrchestrator();
  const first = await open.post("/v1/session/telegram", { widget });
  const second = await open.post("/v1/session/telegram", { widget });
  assertEquals([first.status, second.status], [201, 201]);
  assertEquals(first.body.user.userId, second.body.user.userId);
  assertEquals(first.body.user.name, "Ada Löve lace");

  const closed = await startOrchestrator({ settings: { signUp: "invited" } });
  assertEquals((await closed.post("/v1/session/telegram", { widget })).body.code, "login_refused");
  const { token, userId } = await closed.user();
  const linked = await closed.post("/v1/session/telegram", { widget }, { token });
  assertEquals([linked.status, linked.body.user.userId], [201, userId]);
  const other = await closed.user();
  const taken = await closed.post("/v1/session/telegram", { widget }, { token: other.token });
  assertEquals([taken.status, taken.body.code], [409, "conflict"]);
  assertEquals((await closed.post("/v1/session/telegram", { widget })).body.user.userId, userId);

  const none = await startOrchestrator({ settings: { telegram: undefined } });
  assertEquals((await none.post("/v1/session/telegram", { widget })).status, 404);
});

Deno.test("tokens are told apart: none, one of another, one that has expired, one of a suspended account", async () => {
  const orchestrator = await startOrchestrator();
  const stranger = await startOrchestrator({ tokenKeys: [new Uint8Array(32).fill(9)] });
  const { token, userId } = await orchestrator.user();
  const admin = await orchestrator.user("admin");
  const codeOf = async (token?: string) =>
    (await orchestrator.get("/v1/account", token === undefined ? {} : { token })).body.code;
  assertEquals(await codeOf(), "unauthorized");
  assertEquals(await codeOf((await stranger.user()).token), "unauthorized");
  assertEquals(await codeOf("a.b.c"), "unauthorized");
  const none = `${btoa('{"alg":"none","typ":"at+jwt"}')}.${token.split(".")[1]}.`.replaceAll("=", "");
  assertEquals(await codeOf(none), "unauthorized");
  assertEquals(
    (await orchestrator.get("/v1/account", { token: "x" })).headers.get("www-authenticate"),
    'Bearer realm="culvert"',
  );

  const change = { userId, status: "suspended", reason: "fraud" };
  assertEquals((await orchestrator.post("/v1/admin/user", change, { token: admin.token })).status, 200);
  assertEquals(await codeOf(token), "suspended");
  orchestrator.deps.clock.advance(15 * 60_000);
  assertEquals(await codeOf(token), "token_expired");
});
