/**
 * The tables of an orchestrator beside the ledger and the audit log: what each is found by, and when a record is
 * forgotten. What a new index needs in PostgreSQL is a migration of its own (`../postgres/migrations/`).
 */

import {
  type ApiKey,
  apiKeySchema,
  type Enrolment,
  enrolmentSchema,
  type RefreshFamily,
  refreshFamilySchema,
} from "../../protocol/sharing/access_records.ts";
import { type Payout, payoutSchema } from "../../protocol/sharing/payout.ts";
import {
  type Device,
  deviceSchema,
  type SharingSession,
  sharingSessionSchema,
  type User,
  userSchema,
} from "../../protocol/sharing/records.ts";
import type { Table, TableSpec } from "./table.ts";

const KEEP_ENDED_SESSIONS_MS = 90 * 86_400_000;

export const usersSpec: TableSpec<User> = {
  name: "users",
  schema: userSchema,
  id: ({ userId }) => userId,
  indexes: { telegram: { unique: true, of: ({ telegramId }) => telegramId }, status: { of: ({ status }) => status } },
};

export const devicesSpec: TableSpec<Device> = {
  name: "devices",
  schema: deviceSchema,
  id: ({ nodeId }) => nodeId,
  indexes: { owner: { of: ({ ownerId }) => ownerId }, standing: { of: ({ standing }) => standing } },
};

/** Those of nodes and of clients; forgotten 90 days after their end. */
export const sessionsSpec: TableSpec<SharingSession> = {
  name: "sessions",
  schema: sharingSessionSchema,
  id: ({ sessionId }) => sessionId,
  indexes: {
    user: { of: ({ userId }) => userId },
    node: { of: ({ nodeId }) => nodeId },
    /** "node" or "client", while it lasts: what a process that was killed has left open. */
    open: { of: ({ kind, endedAtMs }) => endedAtMs === undefined ? kind : undefined },
  },
  expiresAtMs: ({ endedAtMs }) => endedAtMs === undefined ? undefined : endedAtMs + KEEP_ENDED_SESSIONS_MS,
};

export const apiKeysSpec: TableSpec<ApiKey> = {
  name: "api_keys",
  schema: apiKeySchema,
  id: ({ keyId }) => keyId,
  indexes: { user: { of: ({ userId }) => userId } },
  expiresAtMs: ({ expiresAtMs }) => expiresAtMs,
};

export const refreshFamiliesSpec: TableSpec<RefreshFamily> = {
  name: "refresh_families",
  schema: refreshFamilySchema,
  id: ({ familyId }) => familyId,
  indexes: { user: { of: ({ userId }) => userId } },
  expiresAtMs: ({ expiresAtMs }) => expiresAtMs,
};

export const enrolmentsSpec: TableSpec<Enrolment> = {
  name: "enrolments",
  schema: enrolmentSchema,
  id: ({ codeId }) => codeId,
  indexes: { kind: { of: ({ kind }) => kind }, owner: { of: ({ ownerId }) => ownerId } },
  expiresAtMs: ({ expiresAtMs }) => expiresAtMs,
};

export const payoutsSpec: TableSpec<Payout> = {
  name: "payouts",
  schema: payoutSchema,
  id: ({ payoutId }) => payoutId,
  indexes: { user: { of: ({ userId }) => userId }, status: { of: ({ status }) => status } },
};

export interface SharingTables {
  readonly users: Table<User>;
  readonly devices: Table<Device>;
  readonly sessions: Table<SharingSession>;
  readonly apiKeys: Table<ApiKey>;
  readonly refreshFamilies: Table<RefreshFamily>;
  readonly enrolments: Table<Enrolment>;
  readonly payouts: Table<Payout>;
}

/** All of them, where `make` makes one. */
export function createSharingTables(make: <T>(spec: TableSpec<T>) => Table<T>): SharingTables {
  return {
    users: make(usersSpec),
    devices: make(devicesSpec),
    sessions: make(sessionsSpec),
    apiKeys: make(apiKeysSpec),
    refreshFamilies: make(refreshFamiliesSpec),
    enrolments: make(enrolmentsSpec),
    payouts: make(payoutsSpec),
  };
}
