import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createMetrics, type MetricsRegistry } from "../../edge/metrics.ts";
import { postgresForTests } from "../../kv/postgres/fixtures/test_database.ts";
import { clockOf } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { transferId } from "../../protocol/sharing/ledger.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { REDIS_NEEDS, RedisServer } from "../../testing/redis_server.ts";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually } from "../../testing/waiting.ts";
import { openStores, type OrchestratorStores, type StoreSettings } from "./stores.ts";

const postgres = postgresForTests();

class World implements Disposable {
  readonly #folder = new TempDirectory();
  readonly log = new LogCollector();
  readonly metrics: MetricsRegistry = createMetrics();
  readonly checks = new Map<string, () => string | undefined>();

  open(settings: StoreSettings): Promise<OrchestratorStores & AsyncDisposable> {
    return openStores(settings, {
      clock: clockOf(globalThis),
      log: this.log,
      metrics: this.metrics,
      check: (name, probe) => void this.checks.set(name, probe),
      signal: new AbortController().signal,
      stateDir: this.#folder.path("state"),
    }, { space: "orchestrator" });
  }

  get problem(): string | undefined {
    return this.checks.get("store")!();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

const user = {
  userId: "abcdefghijkl",
  name: "Ann",
  roles: ["user" as const],
  status: "active" as const,
  tier: "standard",
  createdAtMs: 1,
};
const minute = { windowMs: 60_000 };

/** What any orchestrator does with its stores; what is kept is found again when they are opened anew. */
async function useAll({ tables, audit, ledger, counters }: OrchestratorStores): Promise<void> {
  assert(await tables.users.insert(user));
  await audit.append({ actor: "root", action: "create", outcome: "done" });
  const hold = { debit: "payments:test", credit: "client:abcdefghijkl", reason: "topup" as const };
  const [outcome] = await ledger.apply([{
    id: "s",
    transfers: [{ ...hold, id: transferId("s", "topup"), phase: "posted", amount: 5n }],
  }]);
  assertEquals(outcome?.status, "applied");
  assertEquals(await counters.add("a", 1, minute), 1);
}

async function checkKept({ tables, audit, ledger }: OrchestratorStores): Promise<void> {
  assertEquals((await tables.users.get(user.userId))?.record, user);
  assertEquals((await audit.verify()).entries, 1);
  assertEquals((await ledger.balance("client:abcdefghijkl")).creditsPosted, 5n);
}

Deno.test("by default everything is in a file of the state directory", async () => {
  using world = new World();
  {
    await using stores = await world.open({});
    await useAll(stores);
    assertEquals(world.problem, undefined);
  }
  await using stores = await world.open({});
  await checkKept(stores);
});

Deno.test("of two processes on one file the newer has it, and the older is told and can write no more", async () => {
  using world = new World();
  await using older = await world.open({});
  await using newer = await world.open({});
  assertStringIncludes((await older.lost).message, "has taken it over with the same identity");
  const error = await assertRejects(() => older.tables.users.insert(user), CulvertError);
  assertEquals(error.code, "store_fenced");
  assert(await newer.tables.users.insert(user));
});

Deno.test("settings that contradict each other are told", async () => {
  using world = new World();
  const database = "postgres://127.0.0.1/x";
  await assertRejects(() => world.open({ kv: "a", database }), Error, "--kv and --database must not both be given");
  await assertRejects(
    () => world.open({ databaseOwner: database }),
    Error,
    "--database-owner must come with --database",
  );
});

postgres.test(
  "on PostgreSQL everything outlives the process, and a server that goes is told and comes back",
  async ({ server, url: database }) => {
    using world = new World();
    {
      await using stores = await world.open({ database });
      await useAll(stores);
    }
    await using stores = await world.open({ database });
    await checkKept(stores);

    await server.crash();
    const error = await assertRejects(() => stores.tables.users.get(user.userId), CulvertError);
    assertEquals(error.code, "store_unreachable");
    assertStringIncludes(world.problem!, "PostgreSQL cannot be reached");
    assertEquals((await world.log.waitFor("PostgreSQL cannot be used")).level, "error");
    assertStringIncludes(await world.metrics.text(), "store_up 0");

    await server.resume();
    await world.log.waitFor("PostgreSQL can be used again");
    assertEquals(world.problem, undefined);
    await checkKept(stores);
  },
);

postgres.test("a PostgreSQL that is not up yet is waited for", async ({ server, url: database }) => {
  using world = new World();
  await server.stop();
  const opening = world.open({ database });
  await world.log.waitFor("Waiting for PostgreSQL");
  await server.resume();
  await using stores = await opening;
  await useAll(stores);
});

postgres.test(
  "over a socket, with an owner of the tables, the program's role cannot rewrite the past",
  async ({ server, url: owner }) => {
    using world = new World();
    await server.query("CREATE ROLE tenant LOGIN");
    const name = new URL(owner).pathname;
    const database = `postgres://tenant@localhost:${server.port}${name}?host=${server.socketFolder}`;
    await using stores = await world.open({ database, databaseOwner: owner });
    await useAll(stores);
    await checkKept(stores);
    const tenant = owner.replace("//culvert@", "//tenant@");
    for (const table of ["audit_log", "billing_history"]) {
      for (const deed of [`UPDATE ${table} SET at_ms = 0`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
        await assertRejects(() => server.query(deed, tenant), Error, "permission denied", deed);
      }
      await assertRejects(
        () => server.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`, tenant),
        Error,
        "must be owner",
      );
      for (const deed of [`DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
        await assertRejects(() => server.query(deed, owner), Error, `${table} is append-only`, deed);
      }
    }
  },
);

testWith(REDIS_NEEDS, "Redis is shared, may go and come back, and is told of by log and metric", async () => {
  using world = new World();
  await using server = await RedisServer.start();
  await using stores = await world.open({ kv: ":memory:", redis: server.url });
  using other = new World();
  await using others = await other.open({ kv: ":memory:", redis: server.url });
  await stores.counters.add("a", 2, minute);
  assertEquals(await others.counters.add("a", 3, minute), 5);

  await server.stop();
  assertEquals(await stores.counters.add("b", 1, minute), 1);
  const said = await world.log.waitFor("Redis cannot be used: each orchestrator counts and limits for itself");
  assertEquals([said.level, world.problem], ["error", undefined]);
  assertStringIncludes(await world.metrics.text(), "redis_up 0");

  await server.resume();
  await world.log.waitFor("Redis can be used again: what was counted meanwhile is added");
  await eventually("counters are shared again", async () => {
    await stores.counters.add("c", 1, minute);
    return (await others.counters.history("c", minute))[0]! > 0;
  });
});

testWith(
  REDIS_NEEDS,
  "an orchestrator starts without the Redis it is told to use, and uses it once it is there",
  async () => {
    using world = new World();
    await using server = await RedisServer.start();
    await server.stop();
    await using stores = await world.open({ kv: ":memory:", redis: server.url });
    assertEquals(await stores.counters.add("a", 1, minute), 1);
    await server.resume();
    await world.log.waitFor("Redis can be used again: what was counted meanwhile is added");
  },
);
