/**
 * Lets a role that owns nothing use the tables: read and write all of them, but only read and add to those that are
 * append-only. So the program that serves strangers cannot lift the bar on rewriting either.
 */

import { type Database, inDatabase, type Sql } from "./client.ts";

/** Grants to `role`, as the tables' owner, what a program of this version needs. Again does no harm. */
export async function grantUse(database: Database, role: string): Promise<void> {
  await inDatabase(database, `let ${role} use the tables`, async (sql) => {
    await sql`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${sql(role)}`;
    for (const { name, isAppendOnly } of await tablesOf(sql)) {
      if (isAppendOnly) await sql`GRANT SELECT, INSERT ON ${sql(name)} TO ${sql(role)}`;
      else await sql`GRANT SELECT, INSERT, UPDATE, DELETE ON ${sql(name)} TO ${sql(role)}`;
    }
  });
}

/** Those that this role owns, but for the list of what was done to them, which counts as append-only. */
function tablesOf(sql: Sql): Promise<{ name: string; isAppendOnly: boolean }[]> {
  return sql<{ name: string; isAppendOnly: boolean }[]>`
    SELECT relname AS name, relname = 'schema_migrations' OR EXISTS (
      SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
      WHERE tgrelid = pg_class.oid AND proname = 'refuse_rewriting'
    ) AS "isAppendOnly"
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' AND relowner = current_user::regrole`;
}
