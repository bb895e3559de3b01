import { assert, assertEquals } from "@std/assert";
import { portablePrimitives as primitives } from "../../../protocol/primitives.ts";
import type { User } from "../../../protocol/sharing/records.ts";
import { startOrchestrator, type TestOrchestrator } from "../fixtures/orchestrator.ts";
import { hashSecret } from "./secrets.ts";

const SECRET = "p".repeat(26);

async function start(overrides: Partial<User> = {}) {
  const orchestrator = await startOrchestrator();
  const user = await orchestrator.access.accounts.create({
    name: "Ada",
    roles: [],
    proxySecretHash: hashSecret(SECRET, primitives),
    ...overrides,
  });
  return { orchestrator, user: user!, logins: orchestrator.access.proxyLogins };
}

async function lastRefusal({ deps }: TestOrchestrator): Promise<readonly (string | undefined)[]> {
  const entry = (await deps.audit.list({ limit: 100 })).find(({ action }) => action === "proxy.login");
  return [entry?.actor, entry?.subject, entry?.outcome, entry?.detail];
}

Deno.test("a proxy login gives the account; a wrong secret and an unknown account look the same, and are audited", async () => {
  const { orchestrator, user, logins } = await start();
  assertEquals(await logins.check(user.userId, SECRET, "192.0.2.1"), user);
  const wrong = await logins.check(user.userId, "x", "192.0.2.2");
  assertEquals(wrong, { status: 407, reason: "The account or its proxy secret is wrong" });
  assertEquals(await lastRefusal(orchestrator), ["192.0.2.2", user.userId, "refused", "wrong proxy secret"]);
  assertEquals(await logins.check("zzzzzzzzzzzz", SECRET, "192.0.2.3"), wrong);
});

Deno.test("guesses that come all at once are no more than those that come one after another", async () => {
  const { user, logins } = await start();
  const guesses = Array.from({ length: 50 }, () => logins.check(user.userId, "x", "203.0.113.7"));
  const reasons = (await Promise.all(guesses)).map((refusal) => "userId" in refusal ? "" : refusal.reason);
  assertEquals(reasons.filter((reason) => reason === "The account or its proxy secret is wrong").length, 6);
});

Deno.test("an account without a proxy secret lets nobody in, not even with an empty one", async () => {
  const orchestrator = await startOrchestrator();
  const user = await orchestrator.access.accounts.create({ name: "Ada", roles: [] });
  assert(!("userId" in await orchestrator.access.proxyLogins.check(user!.userId, "", "192.0.2.1")));
});

Deno.test("a suspended account is refused at once, and told so", async () => {
  const { orchestrator, user, logins } = await start();
  await logins.check(user.userId, SECRET, "192.0.2.1");
  await orchestrator.access.accounts.change(user.userId, (each) => ({ ...each, status: "suspended" as const }));
  const refused = { status: 403, reason: "The account is suspended" };
  assertEquals(await logins.check(user.userId, SECRET, "192.0.2.1"), refused as never);
  assertEquals(await lastRefusal(orchestrator), ["192.0.2.1", user.userId, "refused", "The account is suspended"]);
});

Deno.test("what another process changes counts after five seconds", async () => {
  const { orchestrator, user, logins } = await start();
  await logins.check(user.userId, SECRET, "192.0.2.1");
  const found = await orchestrator.tables.users.get(user.userId);
  await orchestrator.tables.users.replace(found!, { ...user, status: "suspended" });
  orchestrator.deps.clock.advance(4999);
  assert("userId" in await logins.check(user.userId, SECRET, "192.0.2.1"));
  orchestrator.deps.clock.advance(1);
  assert(!("userId" in await logins.check(user.userId, SECRET, "192.0.2.1")));
});

Deno.test("an account can be tied to addresses and networks", async () => {
  const { user, logins } = await start({ proxyAllowed: ["192.0.2.0/24", "2001:db8::/32"] });
  for (const address of ["192.0.2.200", "::ffff:192.0.2.1", "2001:db8::7"]) {
    assert("userId" in await logins.check(user.userId, SECRET, address), address);
  }
  for (const address of ["192.0.3.1", "2001:db9::1", undefined]) {
    const refused = await logins.check(user.userId, SECRET, address);
    assertEquals(!("userId" in refused) && refused.status, 403, address);
  }
});

Deno.test("credential stuffing gets slower and slower by address and account, and the log stays short", async () => {
  const { orchestrator, user, logins } = await start();
  await logins.check(user.userId, SECRET, "192.0.2.1");
  for (let tries = 0; tries < 2000; tries++) {
    await logins.check(user.userId, `guess ${tries}`, `198.51.${tries >> 8}.${tries & 255}`);
  }
  const stranger = await logins.check(user.userId, SECRET, "203.0.113.1");
  assert(!("userId" in stranger) && stranger.reason.startsWith("Too many wrong logins"));
  assert("userId" in await logins.check(user.userId, SECRET, "192.0.2.1"), "where it is at home it goes on");
  const entries = await orchestrator.deps.audit.list({ limit: 1000 });
  assertEquals(entries.filter(({ action }) => action === "proxy.login").length, 6);
});

Deno.test("a store that cannot be reached is told apart from a wrong login, and costs nobody a wait", async () => {
  const { orchestrator, user, logins } = await start();
  orchestrator.deps.clock.advance(10_000);
  orchestrator.tables.users.get = () => Promise.reject(new Error("gone"));
  for (let tries = 0; tries < 20; tries++) {
    const refused = await logins.check(user.userId, SECRET, "192.0.2.1");
    assertEquals(!("userId" in refused) && refused.status, 503);
  }
});
