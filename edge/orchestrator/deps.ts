/**
 * What the orchestrator's API is made from: stores, the ledger, the nodes that are connected, and those who decide about
 * nodes and payouts. `roles/orchestrator.ts` puts it together; tests have doubles.
 */

import type { Hono } from "hono";
import type { Counters } from "../../kv/sharing/counters.ts";
import type { Table } from "../../kv/sharing/table.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { ApiKey, Enrolment, RefreshFamily } from "../../protocol/sharing/access_records.ts";
import type { LedgerStore } from "../../protocol/sharing/ledger.ts";
import type { Micros } from "../../protocol/sharing/money.ts";
import type { NodeStatus } from "../../protocol/sharing/node_messages.ts";
import type { Payout, PayoutState } from "../../protocol/sharing/payout.ts";
import type { Device, NodeStanding, SharingSession, User } from "../../protocol/sharing/records.ts";
import type { AuditEntry } from "../../protocol/stored_records.ts";
import type { AuditTrail } from "./access/audit.ts";

/** `Table`s that are found by these indexes: users by `telegram` (unique), what belongs to somebody by `user` or `owner`. */
export interface AccessTables {
  readonly users: Table<User>;
  readonly devices: Table<Device>;
  readonly sessions: Table<SharingSession>;
  readonly apiKeys: Table<ApiKey>;
  readonly refreshFamilies: Table<RefreshFamily>;
  readonly enrolments: Table<Enrolment>;
}

export interface AuditReader extends AuditTrail {
  /** The newest first. */
  list(page: { readonly limit?: number; readonly before?: string }): Promise<readonly AuditEntry[]>;
  verify(): Promise<AuditVerdict>;
}

export interface AuditVerdict {
  readonly isWhole: boolean;
  readonly entries: number;
  readonly detail?: string | undefined;
}

/** What is shown of a node that is connected: a part of `LiveNode`, and what `node_tunnels.ts` knows besides. */
export interface ConnectedNode {
  readonly nodeId: string;
  readonly virtualAddress: string;
  readonly region: string;
  readonly country: string | undefined;
  readonly city: string | undefined;
  readonly connectedAtMs: number;
  readonly isOpen: boolean;
  readonly tunnels: number;
  readonly streams: number;
  readonly rttMs: number | undefined;
  readonly status?: NodeStatus | undefined;
}

/** Whom counters know as online: nodes, by whatever process of the orchestrator they are connected to. */
export const ONLINE_NODES = "nodes";

/** Those of this process. */
export interface ConnectedNodes {
  get(nodeId: string): ConnectedNode | undefined;
  all(): Iterable<ConnectedNode>;
  readonly size: number;
  disconnect(nodeId: string, reason: string): void;
  notify(nodeId: string, text: string): void;
}

/** What clients move, at all processes of the orchestrator together. */
export interface TrafficByTime {
  /** Bytes of all clients by minute, the oldest first, the present one last. */
  bytesByMinute(): Promise<number[]>;
}

/** Who judges nodes: writes the standing down, tells the owner, audits it, and ends the tunnels of one that is banned. */
export interface StandingDesk {
  /** False when there is no such node. */
  decree(
    nodeId: string,
    change: { readonly standing: NodeStanding; readonly reason: string },
    by: string,
  ): Promise<boolean>;
}

/** What stands against it: a code of a problem, and a sentence for whoever asked, without its full stop. */
export interface DeskRefusal {
  readonly refusal: "insufficient" | "conflict" | "not_found" | "bad_request";
  readonly reason: string;
}

/** Who holds and pays out what operators have earned. Each deed is audited there. */
export interface PayoutDesk {
  request(
    asked: { readonly userId: string; readonly amount: Micros; readonly destination: string },
  ): Promise<Payout | DeskRefusal>;
  /** The newest first. */
  list(
    which: {
      readonly userId?: string;
      readonly status?: PayoutState;
      readonly limit: number;
      readonly after?: string;
    },
  ): Promise<readonly Payout[]>;
  decide(
    made: {
      readonly payoutId: string;
      readonly decision: "paid" | "refused";
      readonly note: string;
      readonly by: string;
    },
  ): Promise<Payout | DeskRefusal>;
}

/** Where paying in begins. */
export interface Checkout {
  readonly providers: readonly string[];
  begin(
    asked: { readonly userId: string; readonly provider: string; readonly amount: Micros },
  ): Promise<{ readonly url: string } | DeskRefusal>;
}

export interface PriceRow {
  readonly region: string;
  readonly tier: string;
  readonly microsPerGib: Micros;
  readonly feeBasisPoints: number;
}

export interface OrchestratorSettings {
  readonly title: string;
  readonly currency: string;
  readonly orchestratorId: string;
  readonly proxy: { readonly host: string; readonly port: number };
  readonly signUp: "open" | "invited";
  readonly telegram?: { readonly botToken: string; readonly botName: string } | undefined;
  readonly smallestTopUp: Micros;
  readonly smallestPayout: Micros;
  readonly consentVersion: string;
  /** The column of the price list that new accounts are in. */
  readonly tier: string;
  /** Whether pages come over TLS: cookies are marked so, and browsers are told to stay with it. */
  readonly isSecure: boolean;
}

export interface OrchestratorDeps {
  readonly settings: OrchestratorSettings;
  readonly tables: AccessTables;
  readonly audit: AuditReader;
  /** What all processes of the orchestrator count together: how often somebody asks, and who is online. */
  readonly counters: Pick<Counters, "take" | "online">;
  readonly ledger: Pick<LedgerStore, "apply" | "balance" | "pending" | "transfers" | "totals">;
  readonly nodes: ConnectedNodes;
  readonly traffic?: TrafficByTime | undefined;
  readonly desk: StandingDesk;
  readonly payouts: PayoutDesk;
  readonly checkout: Checkout;
  /** What an account's programs use now; what they have used is in the table of sessions. */
  usesOf?(userId: string): Iterable<SharingSession>;
  prices(): readonly PriceRow[] | Promise<readonly PriceRow[]>;
  /** Secret Ed25519 keys that access tokens are signed with; the first signs, all check. */
  readonly tokenKeys: readonly Uint8Array[];
  /** 32 secret bytes that refresh tokens are made with. */
  readonly refreshKey: Uint8Array;
  /** The app that answers at `/` and `/web/`, with headers of its own. */
  readonly pages?: Hono | undefined;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly version: string;
}
