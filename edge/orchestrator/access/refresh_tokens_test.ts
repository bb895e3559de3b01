import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { createMemoryTable } from "../../../kv/sharing/memory_table.ts";
import type { Table } from "../../../kv/sharing/table.ts";
import { refreshFamiliesSpec } from "../../../kv/sharing/tables.ts";
import type { RefreshFamily } from "../../../protocol/sharing/access_records.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import { REFRESH_IDLE_MS, RefreshTokens } from "./refresh_tokens.ts";

const DAY_MS = 86_400_000;

function start(slowed: (table: Table<RefreshFamily>) => Table<RefreshFamily> = (table) => table) {
  const clock = new FakeClock();
  const families = createMemoryTable(clock, refreshFamiliesSpec);
  const deps = { families: slowed(families), key: new Uint8Array(32).fill(3), clock, random: new SeededRandom(7) };
  return { clock, families, tokens: new RefreshTokens(deps) };
}

async function next(tokens: RefreshTokens, token: string): Promise<string> {
  const exchange = await tokens.exchange(token);
  assert(exchange.kind === "issued", exchange.kind);
  return exchange.issued.token;
}

Deno.test("a login lasts as long as it is used, and ends 30 days after its last use and 180 after its beginning", async () => {
  const { clock, tokens } = start();
  let { token } = await tokens.begin("abcdefghijkl", "secret");
  for (let day = 0; day < 160; day += 20) {
    clock.advance(20 * DAY_MS);
    token = await next(tokens, token);
  }
  clock.advance(20 * DAY_MS);
  assertEquals((await tokens.exchange(token)).kind, "ended");

  const idle = await tokens.begin("abcdefghijkl", "secret");
  clock.advance(REFRESH_IDLE_MS);
  assertEquals((await tokens.exchange(idle.token)).kind, "ended");
});

Deno.test("nothing that is kept leads to a token", async () => {
  const { families, tokens } = start();
  const { token, family } = await tokens.begin("abcdefghijkl", "secret");
  const kept = JSON.stringify((await families.get(family.familyId))?.record);
  assert(!kept.includes(token.split(".")[2]!));
});

Deno.test("who knows a login's id alone can neither use nor end it", async () => {
  const { tokens } = start();
  const { token, family } = await tokens.begin("abcdefghijkl", "secret");
  const forged = `${family.familyId}.0.${"A".repeat(43)}`;
  assertEquals((await tokens.exchange(forged)).kind, "unknown");
  assertEquals(await tokens.end(forged), undefined);
  await next(tokens, token);
});

Deno.test("of several that use one token at the same time all get the same next one", async () => {
  const { tokens } = start();
  const { token } = await tokens.begin("abcdefghijkl", "secret");
  const given = await Promise.all([1, 2, 3, 4].map(() => next(tokens, token)));
  assertEquals(new Set(given).size, 1);
  await next(tokens, given[0]!);
});

Deno.test("whoever uses a stolen token and whoever it was stolen from: the second of them ends the login for both", async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 5 }), async (uses) => {
    const { clock, tokens } = start();
    const stolen = (await tokens.begin("abcdefghijkl", "secret")).token;
    let first = stolen;
    for (let use = 0; use < uses; use++) {
      first = await next(tokens, first);
      clock.advance(60_000);
    }
    assertEquals((await tokens.exchange(stolen)).kind, "reused");
    assertEquals((await tokens.exchange(first)).kind, "ended");
    assertEquals((await tokens.exchange(stolen)).kind, "ended");
  }));
});

Deno.test("a store that is interrupted at any point loses no login to its owner and gives nobody two", async () => {
  for (let failAt = 0; failAt < 6; failAt++) {
    let calls = 0;
    const { tokens } = start((table) => {
      const interrupted =
        <A extends unknown[], R>(call: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
          const result = await call(...args);
          if (calls++ === failAt) throw new Error("interrupted");
          return result;
        };
      return Object.assign(Object.create(table), {
        get: interrupted((id: string) => table.get(id)),
        insert: interrupted((record: RefreshFamily) => table.insert(record)),
        replace: interrupted((...args: Parameters<typeof table.replace>) => table.replace(...args)),
      });
    });
    const begun = await tokens.begin("abcdefghijkl", "secret").catch(() => tokens.begin("abcdefghijkl", "secret"));
    // Whoever hears nothing asks again with the token they have.
    const second = await next(tokens, begun.token).catch(() => next(tokens, begun.token));
    await next(tokens, second).catch(() => next(tokens, second));
  }
});

Deno.test("all logins of a user end but the one that is named", async () => {
  const { tokens } = start();
  const kept = await tokens.begin("abcdefghijkl", "secret");
  const ended = await tokens.begin("abcdefghijkl", "telegram");
  const others = await tokens.begin("bbbbbbbbbbbb", "secret");
  assertEquals(await tokens.endAll("abcdefghijkl", "a new secret", kept.family.familyId), 1);
  assertEquals((await tokens.exchange(ended.token)).kind, "ended");
  await next(tokens, kept.token);
  await next(tokens, others.token);
});

Deno.test("however many logins somebody has begun, all of them end", async () => {
  const { tokens } = start();
  const begun = await Promise.all(Array.from({ length: 1100 }, () => tokens.begin("abcdefghijkl", "secret")));
  assertEquals(await tokens.endAll("abcdefghijkl", "a new secret"), 1100);
  for (const { token } of begun) assertEquals((await tokens.exchange(token)).kind, "ended");
});
