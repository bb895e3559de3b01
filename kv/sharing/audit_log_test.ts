import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { openKv } from "../open.ts";
import { createPostgresAuditLog } from "../postgres/audit_log.ts";
import { auditMigrations } from "../postgres/migrations/audit.ts";
import { createMemoryAuditLog } from "./audit_log.ts";
import { auditLogCases, event } from "./fixtures/audit_log_contract.ts";
import { testSharingStore } from "./fixtures/stores_contract.ts";
import { createKvAuditLog } from "./kv_audit_log.ts";

const postgres = testSharingStore("the chained audit log", {
  memory: (clock) => createMemoryAuditLog(clock),
  kv: (kv, clock) => createKvAuditLog(kv, clock, { space: "test" }),
  postgres: (database) => createPostgresAuditLog(database),
  migrations: auditMigrations,
}, auditLogCases);

Deno.test("what somebody did to the log in Deno KV is found", async () => {
  const rows: { name: string; tamper: (kv: Deno.Kv) => Promise<unknown>; says: string }[] = [
    {
      name: "changed",
      async tamper(kv) {
        const { value } = await kv.get<Record<string, unknown>>(["test", "audit_chain", 2]);
        await kv.set(["test", "audit_chain", 2], { ...value, actor: "nobody" });
      },
      says: "entry 2 was changed",
    },
    {
      name: "removed",
      tamper: (kv) => kv.delete(["test", "audit_chain", 2]),
      says: "entry 2 is missing: 3 stands in its place",
    },
    {
      name: "unreadable",
      tamper: (kv) => kv.set(["test", "audit_chain", 1], "x"),
      says: "entry 1 is missing: 2 stands in its place",
    },
    {
      name: "reordered",
      async tamper(kv) {
        const [one, two] = await Promise.all([1, 2].map((at) => kv.get(["test", "audit_chain", at])));
        await kv.set(["test", "audit_chain", 1], two!.value);
        await kv.set(["test", "audit_chain", 2], one!.value);
      },
      says: "entry 1 is missing: 2 stands in its place",
    },
    {
      name: "cut",
      tamper: (kv) => kv.delete(["test", "audit_chain", 3]),
      says: "entries up to 3 are missing at the end",
    },
  ];
  for (const { name, tamper, says } of rows) {
    using kv = await openKv(":memory:");
    const log = createKvAuditLog(kv, new FakeClock(), { space: "test" });
    for (const action of ["a", "b", "c"]) await log.append(event(action));
    await tamper(kv);
    // Another process has added nothing itself, so only the store's own head helps it.
    const other = createKvAuditLog(kv, new FakeClock(), { space: "test" });
    for (const each of [log, other]) assertEquals((await each.verify()).detail, says, name);
  }
});

postgres.test("PostgreSQL refuses to change, remove or empty the audit log, whoever asks", async ({ database, server, url }) => {
  const log = createPostgresAuditLog(database);
  await log.append(event("a"));
  const deeds = [
    "UPDATE audit_log SET actor = 'nobody'",
    "UPDATE audit_log SET actor = 'nobody' WHERE false",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "TRUNCATE audit_log CASCADE",
    "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (sequence) DO UPDATE SET actor = 'nobody'",
    "MERGE INTO audit_log USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
  ];
  for (const who of [url, server.superuserUrlOf(url)]) {
    for (const deed of deeds) {
      await assertRejects(() => server.query(deed, who), Error, "audit_log is append-only", deed);
    }
  }
  const replica = `SET session_replication_role = replica; ${deeds[0]}`;
  await assertRejects(() => server.query(replica, server.superuserUrlOf(url)), Error, "audit_log is append-only");
  assertEquals((await log.list()).map(({ actor }) => actor), ["root"]);
});

postgres.test("a program's role that does not own the tables cannot lift the bar", async ({ database, server, url }) => {
  const superuser = server.superuserUrlOf(url);
  await server.query("CREATE ROLE guest_of_audit LOGIN", superuser);
  await server.query("GRANT SELECT, INSERT ON audit_log TO guest_of_audit", superuser);
  const guestUrl = url.replace("//culvert@", "//guest_of_audit@");
  const deeds = [
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_log_is_append_only ON audit_log",
    "DROP TABLE audit_log",
  ];
  for (const deed of deeds) await assertRejects(() => server.query(deed, guestUrl), Error, "must be owner", deed);
  await assertRejects(() => server.query("DELETE FROM audit_log", guestUrl), Error, "permission denied");
  await createPostgresAuditLog(database).append(event("a"));
  assertEquals(await server.query("SELECT action FROM audit_log", guestUrl), "a");
});

postgres.test("what the database's owner did to the log, with the bar lifted, is found", async ({ database, server, url }) => {
  const rows: { name: string; tamper: string; says: string }[] = [
    { name: "changed", tamper: "UPDATE audit_log SET detail = 'x' WHERE sequence = 2", says: "entry 2 was changed" },
    { name: "removed", tamper: "DELETE FROM audit_log WHERE sequence = 3", says: "entry 2 was changed" },
    {
      name: "and the first",
      tamper: "DELETE FROM audit_log WHERE sequence = 1",
      says: "entry 1 is missing: 2 stands in its place",
    },
    {
      name: "renumbered",
      tamper: "UPDATE audit_log SET sequence = sequence - 1 WHERE sequence = 2",
      says: "entry 1 does not follow on the one before it",
    },
    { name: "emptied", tamper: "DELETE FROM audit_log", says: "entries up to 4 are missing at the end" },
  ];
  const log = createPostgresAuditLog(database);
  for (const action of ["a", "b", "c", "d"]) await log.append(event(action));
  await server.query("ALTER TABLE audit_log DISABLE TRIGGER ALL", url);
  for (const { name, tamper, says } of rows) {
    await server.query(tamper, url);
    assertEquals((await log.verify()).detail, says, name);
  }
});

postgres.test("while PostgreSQL is away an append says so, and the chain goes on", async ({ database, server }) => {
  const log = createPostgresAuditLog(database);
  await log.append(event("a"));
  await server.crash();
  const error = await assertRejects(() => log.append(event("b")), CulvertError, "Cannot add to the audit log: ");
  assertEquals(error.code, "store_unreachable");
  await server.resume();
  await log.append(event("c"));
  assertEquals((await log.verify()).isWhole, true);
});
