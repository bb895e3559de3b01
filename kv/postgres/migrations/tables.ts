/** The tables of `kv/sharing/tables.ts`, as `../table.ts` uses them. */

import type { Migration } from "../migrate.ts";

const COMMON_COLUMNS = `
  id text COLLATE "C" PRIMARY KEY,
  record json NOT NULL,
  version bigint NOT NULL DEFAULT nextval('table_versions'),
  expires_at_ms bigint`;

export const tableMigrations: readonly Migration[] = [{
  name: "tables_1",
  statements: `
CREATE SEQUENCE table_versions;

CREATE TABLE users (${COMMON_COLUMNS},
  by_telegram text UNIQUE,
  by_status text
);
CREATE INDEX users_by_status ON users (by_status, id);

CREATE TABLE devices (${COMMON_COLUMNS},
  by_owner text,
  by_standing text
);
CREATE INDEX devices_by_owner ON devices (by_owner, id);
CREATE INDEX devices_by_standing ON devices (by_standing, id);

CREATE TABLE sessions (${COMMON_COLUMNS},
  by_user text,
  by_node text,
  by_open text
);
CREATE INDEX sessions_by_user ON sessions (by_user, id);
CREATE INDEX sessions_by_node ON sessions (by_node, id);
CREATE INDEX sessions_by_open ON sessions (by_open, id) WHERE by_open IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE api_keys (${COMMON_COLUMNS},
  by_user text
);
CREATE INDEX api_keys_by_user ON api_keys (by_user, id);
CREATE INDEX api_keys_expiry ON api_keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE refresh_families (${COMMON_COLUMNS},
  by_user text
);
CREATE INDEX refresh_families_by_user ON refresh_families (by_user, id);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at_ms);

CREATE TABLE enrolments (${COMMON_COLUMNS},
  by_kind text,
  by_owner text
);
CREATE INDEX enrolments_by_kind ON enrolments (by_kind, id);
CREATE INDEX enrolments_by_owner ON enrolments (by_owner, id);
CREATE INDEX enrolments_expiry ON enrolments (expires_at_ms);

CREATE TABLE payouts (${COMMON_COLUMNS},
  by_user text,
  by_status text
);
CREATE INDEX payouts_by_user ON payouts (by_user, id);
CREATE INDEX payouts_by_status ON payouts (by_status, id);
`,
}];
