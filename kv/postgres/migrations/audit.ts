/** The table of `../audit_log.ts`. That no two entries follow on the same one is the database's business too. */

import type { Migration } from "../migrate.ts";
import { APPEND_ONLY_FUNCTION, appendOnly } from "./append_only.ts";

export const auditMigrations: readonly Migration[] = [{
  name: "audit_1",
  statements: `
${APPEND_ONLY_FUNCTION}
CREATE TABLE audit_log (
  sequence bigint PRIMARY KEY CHECK (sequence > 0),
  at_ms bigint NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  subject text,
  outcome text NOT NULL,
  detail text,
  previous_hash text NOT NULL UNIQUE,
  hash text NOT NULL UNIQUE
);
${appendOnly("audit_log")}`,
}];
