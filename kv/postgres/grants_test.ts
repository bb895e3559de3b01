import { assertEquals, assertRejects } from "@std/assert";
import { postgresForTests } from "./fixtures/test_database.ts";
import { grantUse } from "./grants.ts";
import { migrate } from "./migrate.ts";
import { migrations } from "./migrations.ts";

const postgres = postgresForTests();

postgres.test("a role that owns nothing may use the tables, and rewrite nothing that is append-only", async (test) => {
  const { database, server, url } = test;
  await server.query("CREATE ROLE tenant LOGIN", server.superuserUrlOf(url));
  const tenantUrl = url.replace("//culvert@", "//tenant@");
  await migrate(database, migrations);
  for (let turn = 0; turn < 2; turn++) await grantUse(database, "tenant");

  await server.query("INSERT INTO users (id, record) VALUES ('a', '{}')", tenantUrl);
  await server.query("UPDATE users SET by_status = 'x'; DELETE FROM users", tenantUrl);
  const entry = "(1, 0, 'a', 'b', 'done', '0', '1')";
  const columns = "(sequence, at_ms, actor, action, outcome, previous_hash, hash)";
  await server.query(`INSERT INTO audit_log ${columns} VALUES ${entry}`, tenantUrl);
  assertEquals(await server.query("SELECT actor FROM audit_log", tenantUrl), "a");

  const refused = [
    "UPDATE audit_log SET actor = 'x'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "DELETE FROM schema_migrations",
    "TRUNCATE users",
  ];
  for (const deed of refused) {
    await assertRejects(() => server.query(deed, tenantUrl), Error, "permission denied", deed);
  }
  const ownersOnly = [
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_log_is_append_only ON audit_log",
    "DROP TABLE audit_log",
    "DROP FUNCTION refuse_rewriting() CASCADE",
  ];
  for (const deed of ownersOnly) {
    await assertRejects(() => server.query(deed, tenantUrl), Error, "must be owner", deed);
  }
});
