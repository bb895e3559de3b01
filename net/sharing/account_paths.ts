/**
 * The accounts whose clients are connected, and the Paths they were given. One of each per orchestrator; what goes through
 * a Path is in `account_path.ts`.
 *
 *   user name, secret ─ who is it? (elsewhere) ─▶ path(user, login) ─▶ the same Path again for the same user name
 */

import type { Clock } from "../../protocol/clock.ts";
import { EgressPolicy, type PolicySource } from "../../protocol/egress_policy.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { QualityOf } from "../../protocol/sharing/choice.ts";
import type { ReportNode } from "../../protocol/sharing/node_report.ts";
import { formatProxyLogin, type ProxyLogin } from "../../protocol/sharing/proxy_login.ts";
import type { SharingSession, User } from "../../protocol/sharing/records.ts";
import { type StickyLimits, StickySessions } from "../../protocol/sharing/sticky.ts";
import type { TollBooth } from "../../protocol/sharing/toll.ts";
import type { Path } from "../../protocol/stream.ts";
import { DialDeadlines } from "../dial_deadlines.ts";
import { type AbuseDefaults, AbuseLimits, defaultAbuseLimits, type TellAbuse } from "./abuse_limits.ts";
import { AccountPath } from "./account_path.ts";
import { type ClientSession, ClientSessions } from "./client_sessions.ts";
import type { LiveNodes } from "./live_nodes.ts";
import { NodePools } from "./node_pools.ts";

export interface AccountPathsOptions {
  readonly nodes: LiveNodes;
  readonly booth: TollBooth;
  /** What is known of each node. */
  readonly quality: QualityOf;
  /** What no client may reach through any node. */
  readonly policy: EgressPolicy | PolicySource;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics?: Metrics;
  readonly limits?: Partial<AbuseDefaults>;
  readonly sticky?: StickyLimits;
  /** How long a node may take over a dial before another is tried. Default 9 s, so that three fit into a client's 30. */
  readonly nodeTimeoutMs?: number;
  readonly report?: ReportNode;
  /** Is told of refusals, once per burst. */
  readonly tellAbuse?: TellAbuse;
  /** A client's use of a node has ended. */
  readonly onSession?: (session: SharingSession) => void;
}

/** What every account's Path works with. */
export interface AccountTools {
  readonly nodes: LiveNodes;
  readonly pools: NodePools;
  readonly quality: QualityOf;
  readonly booth: TollBooth;
  readonly policy: PolicySource;
  readonly sticky: StickySessions;
  readonly sessions: ClientSessions;
  readonly deadlines: DialDeadlines;
  readonly clock: Clock;
  readonly random: Random;
  readonly report: ReportNode;
  /** A dial worked, after so many nodes that did not. */
  count(failedNodes: number): void;
}

/** Accounts that nobody uses are kept for their limits, and Paths to be found again, up to so many. */
const MAX_ACCOUNTS = 20_000;
const MAX_PATHS_PER_ACCOUNT = 64;

interface Account {
  readonly limits: AbuseLimits;
  /** By user name, the one unused for the longest first. */
  readonly paths: Map<string, AccountPath>;
}

export class AccountPaths implements Disposable {
  readonly #tools: AccountTools;
  readonly #defaults: AbuseDefaults;
  readonly #tell: TellAbuse;
  /** The one unused for the longest first. */
  readonly #accounts = new Map<string, Account>();

  constructor(options: AccountPathsOptions) {
    const { nodes, booth, quality, policy, clock, random, metrics = noMetrics } = options;
    const dials = metrics.counter("sharing_dials_total", "Clients' dials that worked, by nodes that failed first", [
      "failed_nodes",
    ]);
    this.#tools = {
      nodes,
      booth,
      quality,
      clock,
      random,
      policy: policy instanceof EgressPolicy ? fixed(policy) : policy,
      pools: new NodePools(nodes, quality, clock),
      sticky: new StickySessions(options.sticky),
      sessions: new ClientSessions(clock, random, options.onSession),
      deadlines: new DialDeadlines(clock, options.nodeTimeoutMs ?? 9_000),
      report: options.report ?? (() => {}),
      count: (failedNodes) => dials.add(1, FAILED_NODES[failedNodes]!),
    };
    this.#defaults = { ...defaultAbuseLimits, ...options.limits };
    this.#tell = options.tellAbuse ?? (() => {});
  }

  /** The Path of a client that has proven who it is. Not to be closed by whoever uses it. */
  path(user: Pick<User, "userId" | "limits">, login: ProxyLogin): Path {
    const account = this.#account(user.userId);
    account.limits.apply(user.limits);
    const key = formatProxyLogin(login);
    const path = account.paths.get(key) ?? new AccountPath(login, account.limits, this.#tools);
    account.paths.delete(key);
    account.paths.set(key, path);
    if (account.paths.size > MAX_PATHS_PER_ACCOUNT) this.#forgetUnused(account);
    return path;
  }

  /** Ends all that an account has open: it was suspended, or its secret was changed. */
  end(userId: string): void {
    for (const path of this.#accounts.get(userId)?.paths.values() ?? []) path.close();
    this.#accounts.delete(userId);
  }

  /** Connections that the account has open. */
  openConnections(userId: string): number {
    return this.#accounts.get(userId)?.limits.open ?? 0;
  }

  /** What clients use now. */
  sessions(): Iterable<ClientSession> {
    return this.#tools.sessions.all();
  }

  [Symbol.dispose](): void {
    for (const userId of [...this.#accounts.keys()]) this.end(userId);
    this.#tools.deadlines[Symbol.dispose]();
    this.#tools.sessions[Symbol.dispose]();
  }

  #account(userId: string): Account {
    const known = this.#accounts.get(userId);
    if (known) {
      this.#accounts.delete(userId);
      this.#accounts.set(userId, known);
      return known;
    }
    if (this.#accounts.size >= MAX_ACCOUNTS) this.#forgetOldest();
    const { clock } = this.#tools;
    const limits = new AbuseLimits({ userId, clock, defaults: this.#defaults, tell: this.#tell });
    const account = { limits, paths: new Map<string, AccountPath>() };
    this.#accounts.set(userId, account);
    return account;
  }

  #forgetOldest(): void {
    for (const [userId, { limits }] of this.#accounts) {
      if (limits.open > 0) continue;
      this.#accounts.delete(userId);
      return;
    }
  }

  /** Paths with something open stay: they are what is closed when the account is. */
  #forgetUnused({ paths }: Account): void {
    for (const [key, path] of paths) {
      if (path.openCount > 0) continue;
      paths.delete(key);
      return;
    }
  }
}

function fixed(policy: EgressPolicy): PolicySource {
  return { current: policy, subscribe: () => ({ [Symbol.dispose]() {} }) };
}

const FAILED_NODES = ["0", "1", "2"].map((failed_nodes) => ({ failed_nodes }));
