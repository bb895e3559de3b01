import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CulvertError } from "../../../protocol/errors.ts";
import { portablePrimitives as primitives } from "../../../protocol/primitives.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { ACCESS_TOKEN_MS, AccessTokens } from "./access_tokens.ts";

const orchestratorId = "a".repeat(26);
const claims = { userId: "abcdefghijkl", familyId: "family" };
const key = (fill: number) => new Uint8Array(32).fill(fill);

function open(clock: FakeClock, keys = [key(1)], id = orchestratorId): Promise<AccessTokens> {
  return AccessTokens.open({ keys, orchestratorId: id, clock, primitives });
}

Deno.test("an access token says for a quarter of an hour who it is", async () => {
  const clock = new FakeClock();
  const tokens = await open(clock);
  const { token, expiresAtMs } = await tokens.make(claims);
  assertEquals(expiresAtMs, clock.wallNow() + ACCESS_TOKEN_MS);
  assertEquals(await tokens.check(token), claims);
  clock.advance(ACCESS_TOKEN_MS - 1000);
  assertEquals(await tokens.check(token), claims);
  clock.advance(1000);
  assertEquals(await tokens.check(token), "expired");
});

Deno.test("an access token is signed with Ed25519, and names its key and what it is", async () => {
  const tokens = await open(new FakeClock());
  const [header] = (await tokens.make(claims)).token.split(".");
  const { alg, typ, kid } = JSON.parse(atob(header!));
  assertEquals([alg, typ, kid.length], ["EdDSA", "at+jwt", 11]);
});

Deno.test("a token counts with its key and its orchestrator only; a key that was replaced still checks", async () => {
  const clock = new FakeClock();
  const { token } = await (await open(clock)).make(claims);
  assertEquals(await (await open(clock, [key(2)])).check(token), undefined);
  assertEquals(await (await open(clock, [key(1)], "b".repeat(26))).check(token), undefined);
  assertEquals(await (await open(clock, [key(2), key(1)])).check(token), claims);
});

Deno.test("a token that was changed anywhere, or says itself how it is to be checked, is none", async () => {
  const tokens = await open(new FakeClock());
  const { token } = await tokens.make(claims);
  const [header, payload, signature] = token.split(".");
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");
  const { kid } = JSON.parse(atob(header!));
  for (const alg of ["none", "HS256", "RS256"]) {
    assertEquals(await tokens.check(`${encode({ alg, typ: "at+jwt", kid })}.${payload}.${signature}`), undefined);
  }
  assertEquals(await tokens.check(`${header}.${encode({ ...claims, sub: "zzzzzzzzzzzz" })}.${signature}`), undefined);
  await fc.assert(fc.asyncProperty(fc.nat(token.length - 2), fc.constantFrom(..."Aa0_-."), async (at, letter) => {
    const changed = token.slice(0, at) + letter + token.slice(at + 1);
    if (changed !== token) assertEquals(await tokens.check(changed), undefined);
  }));
  await fc.assert(fc.asyncProperty(fc.string(), async (junk) => assert(await tokens.check(junk) === undefined)));
});

Deno.test("keys that cannot sign are refused at the start", async () => {
  const error = await assertRejects(() => open(new FakeClock(), [new Uint8Array(31)]), CulvertError);
  assertEquals(error.code, "invalid_key");
  await assertRejects(() => open(new FakeClock(), []), CulvertError, "there must be keys");
});
