/**
 * An orchestrator at work: who is let in, which nodes there are, how good they are, what passes and what it costs.
 *
 *   nodes ─▶ NodeTunnels ─ gate ─▶ LiveNode ◀─ choice ─ AccountPaths ◀─ auth ─ clients' port
 *                             │        ▲                     │ toll
 *              QualityDesk ◀──┴─ watchdog, dials        LedgerTollBooth ─▶ ledger
 *
 * Ports are opened elsewhere (`../orchestrator.ts`). Closing ends clients first, so that what they used is charged.
 */

import type { Access } from "../../edge/orchestrator/access.ts";
import { NodeDoor } from "../../edge/orchestrator/node_door.ts";
import type { AuditLog } from "../../kv/sharing/audit_log.ts";
import type { Counters } from "../../kv/sharing/counters.ts";
import type { SharingTables } from "../../kv/sharing/tables.ts";
import type { AddressRisk } from "../../net/sharing/ip_quality/ip_quality.ts";
import { AccountPaths } from "../../net/sharing/account_paths.ts";
import type { AbuseEvent } from "../../net/sharing/abuse_limits.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import { NodeTunnels } from "../../net/sharing/node_tunnels.ts";
import { Watchdog } from "../../net/sharing/watchdog.ts";
import type { PolicySource } from "../../protocol/egress_policy.ts";
import { DialError, messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { LedgerStore } from "../../protocol/sharing/ledger.ts";
import type { PriceList } from "../../protocol/sharing/prices.ts";
import type { ProbeTickets } from "../../protocol/sharing/probe_ticket.ts";
import type { SharingSession } from "../../protocol/sharing/records.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { isLoopback } from "../listening.ts";
import { repeat } from "../repeating.ts";
import type { RoleContext } from "../role.ts";
import { LedgerTollBooth } from "./billing/toll_booth.ts";
import { DealingWatch } from "./dealing_watch.ts";
import { NodeEarnings } from "./node_earnings.ts";
import { NodeGate } from "./node_gate.ts";
import { OnlineNodes } from "./online_nodes.ts";
import { tiersOf } from "./price_rows.ts";
import { proxyAuth } from "./proxy_auth.ts";
import { QualityDesk } from "./quality_desk.ts";
import { FIRST_TIER, type OrchestratorSettings } from "./settings.ts";
import { watchSuspensions } from "./suspensions.ts";
import { TrafficCounts } from "./traffic_counts.ts";

export interface NetworkParts {
  readonly settings: OrchestratorSettings;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly tables: SharingTables;
  readonly audit: AuditLog;
  readonly ledger: LedgerStore;
  readonly counters: Counters;
  /** Whether other processes of the same orchestrator may charge by that ledger too. */
  readonly isShared: boolean;
  readonly access: Access;
  readonly prices: PriceList;
  readonly policy: PolicySource;
  readonly tickets: ProbeTickets;
  /** How nodes reach the orchestrator, and what to trust there beside the usual. */
  readonly places: { readonly publicUrl: URL };
  readonly caCerts: readonly string[] | undefined;
  riskOf?(address: string): Promise<AddressRisk>;
}

export class SharingNetwork implements AsyncDisposable {
  readonly nodes: NodeTunnels;
  readonly desk: QualityDesk;
  readonly paths: AccountPaths;
  readonly booth: LedgerTollBooth;
  readonly traffic: TrafficCounts;
  readonly #watchdog: Watchdog;
  readonly #dealing: DealingWatch;
  readonly #online: OnlineNodes;
  readonly #parts: NetworkParts;
  readonly #context: RoleContext;
  readonly #listening: Disposable;
  readonly #suspending: Disposable | undefined;
  readonly #complaining: Disposable;
  #complaint: string | undefined;
  readonly #tasks = new Set<Promise<unknown>>();

  constructor(parts: NetworkParts, context: RoleContext) {
    this.#parts = parts;
    this.#context = context;
    const { access, tables } = parts;
    const { clock } = context;
    const earnings = new NodeEarnings(parts.ledger, clock);
    const audit = (event: AuditEvent) => parts.audit.append(event);
    this.nodes = this.#openNodes(earnings);
    const { counters } = parts;
    this.#online = new OnlineNodes({ counters, clock, log: context.log, nodes: () => this.nodes.all() });
    this.desk = new QualityDesk({
      ...context,
      devices: tables.devices,
      nodes: this.nodes,
      audit,
      ...parts.riskOf && { riskOf: (address) => parts.riskOf!(address) },
    });
    const { devices } = tables;
    const { primitives, prices, settings } = parts;
    const door = new NodeDoor({ devices, access, primitives, clock, defaultRegion: settings.region });
    this.#gate = new NodeGate({ door, devices, desk: this.desk, prices, tiers: tiersOf(prices) });
    this.booth = this.#openBooth();
    this.paths = this.#openPaths();
    this.traffic = new TrafficCounts({
      ...{ counters: parts.counters, clock, log: context.log },
      sessions: () => this.paths.sessions(),
    });
    this.#dealing = new DealingWatch({
      ...{ accounts: access.accounts, nodes: this.nodes, audit, clock, log: context.log },
      sessions: () => this.paths.sessions(),
    });
    this.#watchdog = new Watchdog({
      ...context,
      nodes: this.nodes,
      url: () => parts.places.publicUrl,
      caCerts: parts.caCerts,
      tickets: parts.tickets,
      onProbe: (node, probe) => this.desk.probed(node, probe),
      isNewcomer: (nodeId) => this.desk.isNewcomer(nodeId),
    });
    this.#complaining = repeat({
      clock,
      everyMs: COMPLAIN_EVERY_MS,
      look: () => Promise.resolve(this.#complain()),
      onProblem: () => {},
    });
    this.#suspending = parts.isShared
      ? watchSuspensions({
        ...{ accounts: access.accounts, clock, log: context.log },
        sessions: () => this.paths.sessions(),
        expel: (userId) => this.expel(userId),
      })
      : undefined;
    this.#listening = access.accounts.onChange(({ userId, status }) => status === "active" || this.expel(userId));
  }

  readonly #gate: NodeGate;

  /** For the clients' port. */
  get auth(): ReturnType<typeof proxyAuth> {
    return proxyAuth({
      logins: this.#parts.access.proxyLogins,
      paths: this.paths,
      seen: (userId, address) => this.#dealing.seen(userId, address),
    });
  }

  /** What an account's programs use now. */
  *usesOf(userId: string): Iterable<SharingSession> {
    for (const session of this.paths.sessions()) {
      if (session.userId === userId) yield currentUse(session);
    }
  }

  /** Ends all that an account has open. */
  expel(userId: string): void {
    this.paths.end(userId);
    this.booth.expel(userId, new DialError("denied", "the account is not active", { isForAll: true }));
  }

  /** Ends what clients have open, charges it, and lets nodes go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]();
    this.#suspending?.[Symbol.dispose]();
    this.#complaining[Symbol.dispose]();
    this.#dealing[Symbol.dispose]();
    this.traffic[Symbol.dispose]();
    this.#online[Symbol.dispose]();
    await this.#watchdog[Symbol.asyncDispose]();
    await this.booth.close();
    this.paths[Symbol.dispose]();
    this.nodes.close();
    await this.nodes.closed();
    await this.desk.settled();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** Nodes are not judged while none can be: whoever runs this is to know, once. On one machine alone none can be. */
  #complain(): void {
    const { problem } = this.#watchdog;
    const { hostname, port } = this.#parts.places.publicUrl;
    if (problem !== undefined && problem !== this.#complaint && !isLoopback({ host: hostname, port: Number(port) })) {
      this.#context.log.warn(problem);
    }
    this.#complaint = problem;
  }

  #openNodes(earnings: NodeEarnings): NodeTunnels {
    const { identity, primitives, audit } = this.#parts;
    return new NodeTunnels({
      ...this.#context,
      identity,
      primitives,
      admit: (hello, from) => this.#gate.admit(hello, from),
      earnings: (nodeId, ownerId) => earnings.of(nodeId, ownerId),
      onUpdate: (node, update) => this.#spawn("A node's update", this.#gate.update(node.nodeId, update)),
      onUp: ({ nodeId }) => this.#spawn("That a node is online", this.#online.up(nodeId)),
      onGone: ({ ownerId, ...session }, end) => {
        this.#spawn("That a node has gone", this.#online.gone(session.nodeId));
        this.#keep({ ...session, kind: "node", userId: ownerId, end });
      },
      onIncident: ({ code, reason, address, nodeId }) => {
        const event = { actor: address, action: `node.${code}`, outcome: "refused" as const, detail: reason };
        this.#spawn("An incident", audit.append({ ...event, ...nodeId !== undefined && { subject: nodeId } }));
      },
    });
  }

  #openBooth(): LedgerTollBooth {
    const { identity, ledger, isShared, prices, access, settings } = this.#parts;
    return new LedgerTollBooth({
      ...this.#context,
      ledger,
      name: identity.peerId,
      async priceOf({ userId, region }) {
        const user = await access.accounts.get(userId);
        return prices.price(region, user?.tier ?? FIRST_TIER);
      },
    }, { tickMs: settings.tick, isOneOfMany: isShared });
  }

  #openPaths(): AccountPaths {
    const { settings, policy, audit } = this.#parts;
    const { maxConnections, maxTargetsPerMinute, maxClientRate } = settings;
    return new AccountPaths({
      ...this.#context,
      nodes: this.nodes,
      booth: this.booth,
      quality: (nodeId) => this.desk.qualityOf(nodeId),
      policy,
      limits: { maxConnections, maxTargetsPerMinute, maxBytesPerSecond: maxClientRate },
      report: (report) => this.desk.reported(report),
      tellAbuse: ({ userId, kind, reason, count }: AbuseEvent) => {
        const detail = count > 1 ? `${reason} (${count} times)` : reason;
        const event = { actor: userId, action: `abuse.${kind}`, outcome: "refused" as const, detail };
        this.#spawn("An abuse", audit.append(event));
      },
      onSession: (session) => this.#keep(session),
    });
  }

  #keep(session: Omit<SharingSession, "endedAtMs">): void {
    const ended = { endedAtMs: this.#context.clock.wallNow(), ...session };
    this.#spawn("A session", this.#parts.tables.sessions.insert(ended));
  }

  #spawn(what: string, task: Promise<unknown>): void {
    const guarded = task.catch((error) => {
      this.#context.log.error(`${what} could not be written down`, { error: messageOf(error) });
    }).finally(() => this.#tasks.delete(guarded));
    this.#tasks.add(guarded);
  }
}

const COMPLAIN_EVERY_MS = 60_000;

function currentUse({ openStreams: _, startedAtMs, ...session }: ClientSession): SharingSession {
  return { ...session, kind: "client", startedAtMs: Math.floor(startedAtMs) };
}
