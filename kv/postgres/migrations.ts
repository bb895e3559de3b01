/** Every step of an orchestrator's database, in order. Whoever needs one adds a file of their own to `migrations/`. */

import type { Migration } from "./migrate.ts";
import { auditMigrations } from "./migrations/audit.ts";
import { ledgerMigrations } from "./migrations/ledger.ts";
import { tableMigrations } from "./migrations/tables.ts";

export const migrations: readonly Migration[] = [...tableMigrations, ...auditMigrations, ...ledgerMigrations];
