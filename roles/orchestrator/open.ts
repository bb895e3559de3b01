/**
 * Puts an orchestrator together: its identity, stores, who may do what, nodes and clients, and the app that answers HTTP.
 * What listens is in `ports.ts`.
 */

import { Hono } from "hono";
import {
  type Access,
  createOrchestratorApi,
  inviteFirstAdmin,
  openAccess,
  type OrchestratorDeps,
  type OrchestratorEnv,
} from "../../edge/orchestrator.ts";
import { createPages } from "../../edge/orchestrator/pages.ts";
import { paymentRoutes } from "../../edge/orchestrator/payments.ts";
import { probeRoutes } from "../../edge/orchestrator/probe.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import type { CulvertError } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import { currentConsentText } from "../../protocol/sharing/consent.ts";
import type { LedgerStore } from "../../protocol/sharing/ledger.ts";
import { Deposits } from "../../protocol/sharing/payments/deposits.ts";
import { ProbeTickets } from "../../protocol/sharing/probe_ticket.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";
import { openPolicy } from "../egress_policy.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";
import type { TlsPair } from "../tls_files.ts";
import { untracedFetch } from "../untraced_fetch.ts";
import { noticedLedger } from "./billing/noticed_ledger.ts";
import { Payouts } from "./billing/payouts.ts";
import { orchestratorKeys } from "./keys.ts";
import { SharingNetwork } from "./network.ts";
import { openIpQuality } from "./ip_quality.ts";
import { openPayments, type Payments, type PaymentSettings } from "./payments.ts";
import { botOf, FIRST_TIER, type OrchestratorSettings, publicUrlOf, readPrices } from "./settings.ts";
import { priceRows } from "./price_rows.ts";
import { openStores, type OrchestratorStores, type StoreSettings } from "./stores.ts";

export type OrchestratorConfig = OrchestratorSettings & StoreSettings & PaymentSettings;

export interface OrchestratorSurroundings {
  readonly tls: TlsPair | undefined;
  readonly version: string;
}

/** Where the ports are reached from outside. Until they are open it is what was asked for, which may be any port. */
export class Places {
  readonly #config: OrchestratorConfig;
  #listen: string;
  #proxyPort: number;

  constructor(config: OrchestratorConfig) {
    this.#config = config;
    this.#listen = formatTarget(config.listen);
    this.#proxyPort = config.proxyListen.port;
  }

  opened({ listen, proxyPort }: { readonly listen: string; readonly proxyPort: number }): void {
    this.#listen = listen;
    this.#proxyPort = proxyPort;
  }

  get publicUrl(): URL {
    return publicUrlOf(this.#config, this.#listen);
  }

  get proxy(): Target {
    const { publicProxy } = this.#config;
    return publicProxy ?? { host: this.publicUrl.hostname.replace(/^\[|\]$/g, ""), port: this.#proxyPort };
  }
}

export interface Orchestrator {
  readonly identity: Identity;
  readonly network: SharingNetwork;
  readonly app: Hono<OrchestratorEnv>;
  readonly places: Places;
  /** Settles when another process has taken the stores over. */
  readonly lost: Promise<CulvertError>;
  /** A code that opens the first account, an admin's; undefined when there are accounts. */
  firstInvitation(): Promise<string | undefined>;
}

export async function openOrchestrator(
  config: OrchestratorConfig,
  { tls, version }: OrchestratorSurroundings,
  context: RoleContext,
): Promise<Orchestrator & AsyncDisposable> {
  const { clock, stateDir } = context;
  const primitives = hostPrimitives();
  const state = await StateDirectory.open(stateDir);
  const { identity } = await loadOrCreateIdentity(state, { ...context, primitives });
  const prices = await readPrices(config);
  const places = new Places(config);
  const { publicUrl } = places;
  const bot = botOf(config);
  const fetch = await untracedFetch(context.tracing);
  const send = (request: Request) => fetch(request);
  const payments = openPayments({ settings: config, botToken: bot?.botToken, publicUrl, send }, context);
  await using opened = new AsyncDisposableStack();
  const policy = opened.use(await openPolicy(config.egressPolicy, context));
  const stores = opened.use(await openStores(config, context, { space: identity.peerId }));
  const keys = orchestratorKeys(identity);
  const settings = apiSettings(config, { identity, bot, places });
  const shared = { ...context, primitives, settings, tables: stores.tables, audit: stores.audit, ...keys };
  const access = await openAccess(shared);
  const tickets = new ProbeTickets(keys.probeKey);
  const ipQuality = await openIpQuality(config, { ...context, fetch });
  const network = opened.use(
    new SharingNetwork({
      ...{ settings: config, identity, primitives, access, prices, policy, tickets, places },
      ...{ tables: stores.tables, audit: stores.audit, ledger: stores.ledger, counters: stores.counters },
      isShared: stores.isShared,
      caCerts: tls && [tls.cert],
      ...ipQuality && { riskOf: (address: string) => ipQuality.riskOf(address) },
    }, context),
  );
  const ledger = noticedLedger(stores.ledger, (userId) => network.booth.credited(userId));
  const deps = {
    ...shared,
    version,
    ledger,
    counters: stores.counters,
    nodes: network.nodes,
    traffic: network.traffic,
    desk: network.desk,
    pages: createPages({ inTelegram: bot !== undefined }),
    checkout: payments.checkouts,
    payouts: openPayouts(config, stores, context),
    prices: () => priceRows(prices, [config.region, ...[...network.nodes.all()].map(({ region }) => region)]),
    usesOf: (userId: string) => network.usesOf(userId),
  };
  const app = new Hono<OrchestratorEnv>();
  app.route("/", probeRoutes({ tickets, clock }));
  app.route("/", payingIn(payments, { access, ledger }, context));
  app.route("/", createOrchestratorApi(deps, access));
  const kept = opened.move();
  return {
    ...{ identity, network, app, places, lost: stores.lost },
    firstInvitation: () => inviteFirstAdmin(access),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function apiSettings(
  config: OrchestratorConfig,
  { identity, bot, places }: {
    readonly identity: Identity;
    readonly bot: ReturnType<typeof botOf>;
    readonly places: Places;
  },
): OrchestratorDeps["settings"] {
  return {
    title: config.title,
    currency: config.currency,
    orchestratorId: identity.peerId,
    get proxy() {
      return places.proxy;
    },
    signUp: config.signUp,
    telegram: bot,
    smallestTopUp: config.smallestTopUp,
    smallestPayout: config.smallestPayout,
    consentVersion: currentConsentText().version,
    tier: FIRST_TIER,
    isSecure: places.publicUrl.protocol === "https:",
  };
}

function openPayouts(
  { smallestPayout, payoutWait }: OrchestratorConfig,
  { ledger, tables, audit }: OrchestratorStores,
  context: RoleContext,
): Payouts {
  const { users, payouts } = tables;
  return new Payouts({ ...context, ledger, users, payouts, audit }, { smallest: smallestPayout, waitMs: payoutWait });
}

function payingIn(
  { providers }: Payments,
  { access, ledger }: { readonly access: Access; readonly ledger: LedgerStore },
  context: RoleContext,
) {
  return paymentRoutes({
    ...context,
    providers,
    deposits: new Deposits(ledger),
    audit: access.audit,
    async refusalOfPayer(userId) {
      const user = await access.accounts.get(userId);
      return user?.status === "active" ? undefined : "This account is not active.";
    },
  });
}
