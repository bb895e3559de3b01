/**
 * How the database itself keeps a table from being rewritten: a trigger that refuses UPDATE, DELETE and TRUNCATE,
 * whoever tries, the table's owner and the superuser too, and whether or not a row would be touched. Only who may drop
 * the trigger gets around it; a role of the program that does not own the tables may not
 * (`docs/orchestrator-stores.md`).
 */

/** To be made before the first table that uses it; again does no harm. */
export const APPEND_ONLY_FUNCTION = `
CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
`;

/** The statements that make a table append-only. */
export function appendOnly(table: string): string {
  return `
CREATE TRIGGER ${table}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_is_append_only;
`;
}
