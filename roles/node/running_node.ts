/**
 * A node that shares: everything that its consent was needed for.
 *
 *   orchestrators ═▶ uplinks ─▶ streams ─▶ tunnel links ─▶ shared path: open? caps? ─▶ egress: policy, rates ─▶ sites
 *                      ▲ pause, resume                         ▲ opens, closes, cuts
 *                      └───────────────── guard ───────────────┘◀── owner, schedule, caps, battery, connection
 */

import { direct } from "../../net/egress.ts";
import { withHello } from "../../net/hello.ts";
import { SharedPath } from "../../net/sharing/shared_path.ts";
import { TunnelLinks } from "../../net/tunnel_link.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { PolicySource } from "../../protocol/egress_policy.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import { DataCaps } from "../../protocol/sharing/data_caps.ts";
import type { EgressSummary, NodeStatus } from "../../protocol/sharing/node_messages.ts";
import type { Consent, DeviceInfo } from "../../protocol/sharing/records.ts";
import { Schedule } from "../../protocol/sharing/schedule.ts";
import type { RoleContext } from "../role.ts";
import { readBattery } from "./battery.ts";
import { readConnection } from "./connection.ts";
import { deviceInfo, hasIpv6 } from "./device.ts";
import { ownerPause, SharingGuard } from "./guard.ts";
import { localCalendar } from "./local_calendar.ts";
import { NodeMetrics } from "./metrics.ts";
import type { Pause } from "./pauses.ts";
import { openPorts } from "./policy.ts";
import type { NodeFiles } from "./records.ts";
import type { NodeConfig } from "./settings.ts";
import type { NodeReport } from "./status.ts";
import { Uplink } from "./uplink.ts";
import { UsageGate } from "./usage.ts";
import { pauseLines } from "./words.ts";

export interface RunningNodeOptions {
  readonly config: NodeConfig;
  readonly consents: ReadonlyMap<string, Consent>;
  /** The owner's, as narrow as a node's. */
  readonly policy: PolicySource;
  readonly files: NodeFiles;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly caCerts?: readonly string[] | undefined;
  readonly context: Pick<RoleContext, "clock" | "random" | "log" | "metrics">;
  /** A tunnel is up. */
  onUp(): void;
}

/** That a target does not answer is said before the orchestrator takes it that the node does not. */
const DIAL_TIMEOUT_MS = 7_000;

export class RunningNode implements AsyncDisposable {
  readonly #options: RunningNodeOptions;
  readonly #usage: UsageGate;
  readonly #shared: SharedPath;
  readonly #links: TunnelLinks;
  readonly #metrics: NodeMetrics;
  readonly #uplinks: Uplink[] = [];
  readonly #following: Disposable;
  readonly #fault = Promise.withResolvers<never>();
  /** This node's, as orchestrators see them: a way back in, past the router. */
  readonly #seenAt = new Map<string, string>();
  /** Who orchestrators have shown themselves to be before, by URL. */
  readonly #known = new Map<string, string>();
  /** What is being written down about orchestrators. */
  #keeping: Promise<void> = Promise.resolve();
  #guard!: SharingGuard;

  static async start(options: RunningNodeOptions): Promise<RunningNode> {
    const { files, config, context: { clock } } = options;
    const [usage, { pause, orchestrators }] = await Promise.all([files.usage(), files.records()]);
    const limits = { dayBytes: config.dailyCap, monthBytes: config.monthlyCap, monthDay: config.monthDay };
    const caps = new DataCaps(limits, { calendar: localCalendar, nowMs: clock.wallNow(), usage });
    const node = new RunningNode(options, caps);
    for (const [url, { orchestratorId }] of Object.entries(orchestrators)) {
      if (orchestratorId !== undefined) node.#known.set(url, orchestratorId);
    }
    node.#guard = await node.#startGuard(pause);
    for (const at of config.orchestrator.keys()) node.#uplinks.push(node.#connect(at));
    return node;
  }

  private constructor(options: RunningNodeOptions, caps: DataCaps) {
    this.#options = options;
    const { policy, files, context } = options;
    const { clock, log, metrics } = context;
    this.#fault.promise.catch(() => {}); // whoever waits for `fault` hears of it
    this.#usage = new UsageGate({
      caps,
      write: (usage) => files.writeUsage(usage),
      clock,
      log,
      onChange: () => this.#guard.refresh(),
    });
    const ownAddresses = () => [...addresses(), ...this.#seenAt.values()];
    const onward = withHello(direct(policy, { ...context, dialTimeoutMs: DIAL_TIMEOUT_MS, ownAddresses }), { clock });
    this.#shared = new SharedPath({ onward, gate: this.#usage, metrics });
    this.#links = new TunnelLinks({ clock, metrics });
    this.#metrics = new NodeMetrics(metrics);
    this.#following = policy.subscribe(() => {
      for (const { client } of this.#uplinks) client.update({ egress: this.#egress() });
    });
  }

  /** Rejects when no orchestrator takes this node any more. */
  get fault(): Promise<never> {
    return this.#fault.promise;
  }

  get pauses(): readonly Pause[] {
    return this.#guard.pauses;
  }

  /** Why nothing comes in, as far as the tunnels go. */
  get problem(): string | undefined {
    return this.#uplinks.some(({ isUp }) => isUp) ? undefined : "No tunnel to an orchestrator is up";
  }

  async report(signal: AbortSignal): Promise<NodeReport> {
    const { config, identity, context: { clock } } = this.#options;
    const { battery, connection, pauses } = this.#guard;
    const { openStreams, traffic } = this.#shared;
    return {
      nodeId: identity.peerId,
      pid: Deno.pid,
      nowMs: clock.wallNow(),
      isSharing: pauses.length === 0 && this.problem === undefined,
      pauses: pauses.map(({ reason, text, untilMs }) => ({ reason, text, ...untilMs !== undefined && { untilMs } })),
      streams: openStreams,
      ...traffic,
      usage: this.#usage.usage,
      caps: {
        ...config.dailyCap !== undefined && { dayBytes: config.dailyCap },
        ...config.monthlyCap !== undefined && { monthBytes: config.monthlyCap },
      },
      ...battery && { battery },
      ...connection && { connection: { ...connection, device: connection.device ?? "none" } },
      orchestrators: await Promise.all(this.#uplinks.map((uplink) => uplink.report(signal))),
    };
  }

  /** By the owner's word, which outlives this process. */
  async pause(forMs: number | undefined): Promise<void> {
    const { files, context: { clock } } = this.#options;
    const pause = ownerPause(clock.wallNow(), forMs);
    this.#guard.setOwnerPause(pause); // first of all: whoever presses stop means now
    await files.setPause(pause);
  }

  async resume(): Promise<void> {
    await this.#options.files.setPause(undefined);
    this.#guard.setOwnerPause(undefined);
  }

  /** Ends what is open at once, for an owner who has withdrawn. */
  cut(reason: string): void {
    this.#guard[Symbol.dispose]();
    this.#shared.closedBecause = reason;
    this.#shared.cut();
  }

  /** Takes nothing new, and settles when all that is open has ended or the signal is aborted. */
  async drain(hardSignal: AbortSignal): Promise<void> {
    this.#guard[Symbol.dispose]();
    this.#shared.closedBecause ??= "the node ends";
    await Promise.all([
      ...this.#uplinks.map((uplink) => uplink.drain(hardSignal)),
      this.#links.drain(hardSignal),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#guard[Symbol.dispose]();
    this.#following[Symbol.dispose]();
    for (const uplink of this.#uplinks) uplink[Symbol.dispose]();
    this.#links.close();
    this.#shared.close();
    await this.#links.closed();
    await Promise.all(this.#uplinks.map(({ client }) => client.closed()));
    await this.#keeping;
    await this.#usage[Symbol.asyncDispose](); // last of all: what passed until now is in it
  }

  #startGuard(pause: { readonly untilMs?: number | undefined } | undefined): Promise<SharingGuard> {
    const { config, context: { clock, log } } = this.#options;
    return SharingGuard.start({
      rules: { minBatteryPercent: config.minBattery, sharesMetered: config.metered === "share" },
      schedule: new Schedule(config.schedule, localCalendar),
      usage: this.#usage,
      shared: this.#shared,
      readBattery,
      readConnection,
      clock,
      log,
      onChange: (pauses) => this.#onPauses(pauses),
    }, pause);
  }

  #onPauses(pauses: readonly Pause[]): void {
    const { clock, log } = this.#options.context;
    this.#metrics.paused(pauses);
    for (const uplink of this.#uplinks) uplink.pause(pauses);
    const [first] = pauseLines(pauses, clock.wallNow());
    if (first === undefined) log.info("Sharing is allowed");
    else log.info("Sharing is paused", { because: first, reasons: pauses.map(({ reason }) => reason).join(",") });
  }

  #connect(at: number): Uplink {
    const { config, consents, identity, primitives, caCerts, context, onUp } = this.#options;
    const { url, orchestratorId = this.#known.get(url) } = config.orchestrator[at]!;
    const { country, region, city } = config;
    const uplink: Uplink = new Uplink({
      ...context,
      url,
      orchestratorId,
      identity,
      primitives,
      caCerts,
      consent: consents.get(url)!,
      code: config.code[at],
      tunnels: config.tunnels,
      info: this.#info(),
      egress: this.#egress(),
      claims: { ...country && { country }, ...region && { region }, ...city && { city } },
      status: () => this.#status(),
      onStream: (stream) => {
        const hops = [{ name: "node", at: identity.peerId }];
        this.#links.serveStream(stream, { onward: this.#shared, hops });
      },
      onUp: (id, address) => {
        this.#seenAt.set(url, address);
        if (id !== orchestratorId) this.#keepOrchestrator(url, id);
        onUp();
      },
      onRefused: () => this.#onRefused(),
    });
    uplink.pause(this.#guard.pauses);
    return uplink;
  }

  /** So that no other can take its place the next time. */
  #keepOrchestrator(url: string, orchestratorId: string): void {
    const { files, context: { log } } = this.#options;
    this.#keeping = this.#keeping.then(() => files.changeOrchestrator(url, { orchestratorId })).catch((error) => {
      log.warn("Cannot write down who the orchestrator is", { error: messageOf(error) });
    });
  }

  #onRefused(): void {
    if (!this.#uplinks.every(({ client }) => client.refusal)) return;
    const reasons = this.#uplinks.map(({ url, refusal }) => `${url}: ${refusal}`);
    this.#fault.reject(new CulvertError("refused", `Cannot share through ${reasons.join("; ")}`));
  }

  #info(): DeviceInfo {
    const { battery, connection } = this.#guard;
    return deviceInfo({ battery, connection, model: this.#options.config.model });
  }

  #egress(): EgressSummary {
    return { ports: openPorts(this.#options.policy.current), datagrams: true, ipv6: hasIpv6(addresses()) };
  }

  #status(): NodeStatus {
    const { openStreams, traffic: { upBytes, downBytes } } = this.#shared;
    const { battery, connection, pauses } = this.#guard;
    const { leftBytes } = this.#usage;
    this.#metrics.capLeft(leftBytes);
    return {
      streams: openStreams,
      upBytes,
      downBytes,
      ...battery && { battery },
      ...connection && { network: connection.kind },
      ...pauses[0] && { pausedFor: pauses[0].reason },
      ...Number.isFinite(leftBytes) && { capLeftBytes: leftBytes },
    };
  }
}

function addresses(): string[] {
  return Deno.networkInterfaces().map(({ address }) => address);
}
