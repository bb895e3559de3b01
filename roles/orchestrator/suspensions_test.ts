import { assertEquals } from "@std/assert";
import { Accounts } from "../../edge/orchestrator/access/accounts.ts";
import { createMemoryTable } from "../../kv/sharing/memory_table.ts";
import { usersSpec } from "../../kv/sharing/tables.ts";
import { silentLog } from "../../protocol/log.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { watchSuspensions } from "./suspensions.ts";

Deno.test("an account that another process has suspended is ended here as well, while it has something open", async () => {
  const clock = new FakeClock();
  const users = createMemoryTable(clock, usersSpec);
  const deps = { users, clock, random: new SeededRandom(1), tier: "standard" };
  const [here, elsewhere] = [new Accounts(deps), new Accounts(deps)];
  const ada = (await here.create({ name: "Ada", roles: [] }))!;
  const eve = (await here.create({ name: "Eve", roles: [] }))!;
  const idle = (await here.create({ name: "Ida", roles: [] }))!;
  const sessions = [
    { userId: ada.userId, openStreams: 1 },
    { userId: eve.userId, openStreams: 2 },
    { userId: eve.userId, openStreams: 1 },
    { userId: idle.userId, openStreams: 0 },
  ];
  const expelled: string[] = [];
  using _watch = watchSuspensions({
    accounts: here,
    sessions: () => sessions,
    expel: (userId) => void expelled.push(userId),
    clock,
    log: silentLog,
  });
  await clock.advanceAsync(10_000);
  assertEquals(expelled, []);
  for (const { userId } of [eve, idle]) {
    await elsewhere.change<never>(userId, (user) => ({ ...user, status: "suspended", reason: "fraud" }));
  }
  await clock.advanceAsync(10_000);
  assertEquals(expelled, [eve.userId]);
});
