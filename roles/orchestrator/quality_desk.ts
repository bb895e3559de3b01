/**
 * What is known of how good each node is, and what follows from it: probes and dials come in, standings and scores go out.
 *
 *   watchdog ─ probe ─▶ │ NodeQuality ─▶ judge ─┬─ score, standing ─▶ choice of nodes, `devices` table
 *   proxy ──── dial ──▶ │                       ├─ change ─▶ table, audit log, a notice to the owner
 *   admin ─── decree ─▶ │                       └─ banned ─▶ its tunnels end
 *
 * Figures are kept in memory while a node is connected and for a while after; what lasts is in the table, written when the
 * standing changes and else once a minute. The rules are in `protocol/sharing/standing.ts`.
 */

import type { Table } from "../../kv/sharing/table.ts";
import type { AddressRisk } from "../../net/sharing/ip_quality/ip_quality.ts";
import type { LiveNode, LiveNodes } from "../../net/sharing/live_nodes.ts";
import type { NodeProbe } from "../../net/sharing/watchdog.ts";
import type { Clock } from "../../protocol/clock.ts";
import { BurstTable } from "../../protocol/control/burst_table.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { type AttestationHook, lowest, type Trust, trustOf } from "../../protocol/sharing/attestation.ts";
import type { Random } from "../../protocol/random.ts";
import type { NodeReport } from "../../protocol/sharing/node_report.ts";
import { type DialOutcome, NodeQuality } from "../../protocol/sharing/quality.ts";
import type { Device, NodeStanding } from "../../protocol/sharing/records.ts";
import { decree, judge, type StandingChange, type StandingMemory } from "../../protocol/sharing/standing.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";

export interface QualityDeskOptions {
  readonly devices: Table<Device>;
  readonly nodes: LiveNodes;
  audit(event: AuditEvent): Promise<unknown>;
  /** Asks about the address that a node's traffic comes out at. Must give up by itself. */
  riskOf?(address: string): Promise<AddressRisk>;
  readonly attest?: AttestationHook | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

const WRITE_EVERY_MS = 60_000;
/** A client can bring about dials that fail, and an owner can be a client. */
const HEARD_RATE = { perSecond: 1 / 60, burst: 1 };
/** Of nodes that are not connected any more, beside those that are. */
const MAX_KNOWN = 50_000;
const MAX_REASONS = 16;
/** Others may change a device at the same time. */
const MAX_ATTEMPTS = 5;
const UNKNOWN: { readonly score: number; readonly standing: NodeStanding } = { score: 0.5, standing: "probation" };

interface Known {
  readonly quality: NodeQuality;
  memory: StandingMemory;
  trust: Trust;
  exitAddress: string | undefined;
  writtenAtMs: number;
  isWriting: boolean;
}

export class QualityDesk {
  readonly #options: QualityDeskOptions;
  readonly #known = new Map<string, Known>();
  readonly #tasks = new Set<Promise<void>>();
  /** By client, node and what was said. */
  readonly #heard: BurstTable;
  readonly #changes;

  constructor(options: QualityDeskOptions) {
    this.#options = options;
    this.#heard = new BurstTable(options.random, HEARD_RATE);
    this.#changes = options.metrics.counter("node_standing_changes_total", "Changes of nodes' standing", ["standing"]);
  }

  /** A node comes in: what was known of it counts on. */
  admit(device: Device, address: string): void {
    const known = this.#knownOf(device);
    this.#spawn(this.#look(device, known, address));
  }

  /** The figure that all are shown, lowered by what its claims are worth, for those who choose. */
  qualityOf(nodeId: string): { readonly score: number; readonly standing: NodeStanding } {
    const known = this.#known.get(nodeId);
    if (!known) return UNKNOWN;
    return { score: known.quality.figures.score * known.trust.factor, standing: known.memory.standing };
  }

  isNewcomer(nodeId: string): boolean {
    return (this.#known.get(nodeId)?.memory.standing ?? "probation") === "probation";
  }

  probed(node: LiveNode, { outcome, exitAddress, lie }: NodeProbe): void {
    const known = this.#known.get(node.nodeId);
    if (!known) return;
    const nowMs = this.#options.clock.wallNow();
    known.quality.probed(outcome, nowMs);
    if (exitAddress !== undefined && exitAddress !== known.exitAddress) {
      known.exitAddress = exitAddress;
      this.#spawn(this.#askRisk(node, known, exitAddress));
    }
    if (lie !== undefined) this.#note({ action: "node.lied", subject: node.nodeId, outcome: "failed", detail: lie });
    const evidence = { figures: known.quality.figures, ipRisk: known.quality.ipRisk };
    const { memory, change } = judge(known.memory, { ...evidence, ...lie !== undefined && { lie } }, nowMs);
    known.memory = memory;
    if (change) this.#changed(node.nodeId, known, change, "watchdog");
    else if (nowMs - known.writtenAtMs >= WRITE_EVERY_MS) this.#write(node.nodeId, known);
  }

  /** What a client's traffic showed of a node. One client's word counts once a minute, for it and against it. */
  reported(report: NodeReport): void {
    const known = this.#known.get(report.nodeId);
    const outcome = outcomeOf(report);
    const { clock } = this.#options;
    if (!known || !outcome || this.#heard.take(`${report.userId} ${report.nodeId} ${outcome}`, clock.now()) > 0) return;
    known.quality.dialled(outcome, clock.wallNow());
  }

  /** An admin's word. False when there is no such node. */
  async decree(nodeId: string, change: StandingChange, by: string): Promise<boolean> {
    const found = await this.#options.devices.get(nodeId);
    if (!found) return false;
    const known = this.#knownOf(found.record);
    known.memory = decree(known.memory, change.standing, this.#options.clock.wallNow());
    this.#changed(nodeId, known, change, by);
    await this.settled();
    return true;
  }

  /** Settles when nothing is being written or asked any more. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #knownOf(device: Device): Known {
    const old = this.#known.get(device.nodeId);
    const known = old ?? {
      quality: new NodeQuality(),
      memory: memoryOf(device),
      trust: { factor: 1, reasons: [] },
      exitAddress: undefined,
      writtenAtMs: this.#options.clock.wallNow(),
      isWriting: false,
    };
    this.#known.delete(device.nodeId); // so that the first is the one that came in before all others
    this.#known.set(device.nodeId, known);
    if (this.#known.size > MAX_KNOWN + this.#options.nodes.size) this.#forgetOne();
    return known;
  }

  #forgetOne(): void {
    for (const nodeId of this.#known.keys()) {
      if (!this.#options.nodes.get(nodeId)) return void this.#known.delete(nodeId);
    }
  }

  async #look(device: Device, known: Known, address: string): Promise<void> {
    const { riskOf, attest, log } = this.#options;
    const risk = await riskOf?.(address).catch(() => undefined);
    if (risk && known.exitAddress === undefined) known.quality.ipRisk = risk.risk;
    const claims = { nodeId: device.nodeId, info: device.info, address, isHosting: risk?.isHosting };
    known.trust = lowest(trustOf(claims), await attest?.(claims).catch(() => undefined));
    if (known.trust.reasons.length === 0) return;
    log.info("A node's claims lower its trust", { peer_id: device.nodeId, factor: known.trust.factor });
    this.#note({
      action: "node.doubted",
      subject: device.nodeId,
      outcome: "done",
      detail: known.trust.reasons.join("; ").slice(0, 1024),
    });
  }

  async #askRisk(node: LiveNode, known: Known, address: string): Promise<void> {
    const risk = await this.#options.riskOf?.(address).catch(() => undefined);
    if (!risk) return;
    known.quality.ipRisk = risk.risk;
    const claims = { nodeId: node.nodeId, info: node.info, address, isHosting: risk.isHosting };
    known.trust = lowest(trustOf(claims), await this.#options.attest?.(claims).catch(() => undefined));
  }

  #changed(nodeId: string, known: Known, change: StandingChange, by: string): void {
    const { nodes, log } = this.#options;
    const { standing, reason } = change;
    this.#changes.add(1, { standing });
    log.info("A node's standing has changed", { peer_id: nodeId, standing, reason, by });
    this.#note({ action: `node.${standing}`, subject: nodeId, outcome: "done", detail: reason }, by);
    this.#write(nodeId, known, change);
    nodes.notify(nodeId, `Standing: ${standing}. ${reason}.`);
    if (standing === "banned") nodes.disconnect(nodeId, reason);
  }

  #note(event: Omit<AuditEvent, "actor">, actor = "watchdog"): void {
    this.#spawn(this.#options.audit({ actor, ...event }).then(() => {}));
  }

  #write(nodeId: string, known: Known, change?: StandingChange): void {
    if (known.isWriting && !change) return;
    known.isWriting = true;
    known.writtenAtMs = this.#options.clock.wallNow();
    this.#spawn(this.#update(nodeId, known, change).finally(() => known.isWriting = false));
  }

  async #update(nodeId: string, known: Known, change: StandingChange | undefined): Promise<void> {
    const { devices, clock } = this.#options;
    const atMs = clock.wallNow();
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await devices.get(nodeId);
      if (!found) return;
      const { record } = found;
      const reasons = change ? [{ atMs, ...change }, ...record.reasons].slice(0, MAX_REASONS) : record.reasons;
      const { exitAddress, quality: { ipRisk, figures }, memory } = known;
      const isWritten = await devices.replace(found, {
        ...record,
        standing: memory.standing,
        reasons,
        score: figures.score,
        lastSeenAtMs: atMs,
        liesAtMs: memory.liesAtMs.slice(-MAX_REASONS),
        ...exitAddress !== undefined && { exitAddress },
        ...ipRisk !== undefined && { ipRisk },
      });
      if (isWritten) return;
    }
    this.#options.log.warn("What is known of a node could not be written: others change it all the time", {
      peer_id: nodeId,
    });
  }

  #spawn(task: Promise<void>): void {
    const guarded = task.catch((error) => {
      this.#options.log.error("What is known of a node could not be written", { error: messageOf(error) });
    }).finally(() => this.#tasks.delete(guarded));
    this.#tasks.add(guarded);
  }
}

/** That a node has as much to do as its owner allows says nothing of how good it is. */
function outcomeOf(report: NodeReport): DialOutcome | undefined {
  if (report.kind === "dialled" || report.kind === "answered") return "ok";
  return report.kind === "failed" && report.failure === "busy" ? undefined : "fault";
}

/** What the table remembers. */
function memoryOf({ standing, reasons, liesAtMs = [], createdAtMs }: Device): StandingMemory {
  return {
    standing,
    sinceMs: reasons[0]?.atMs ?? createdAtMs,
    unwellSinceMs: undefined,
    wellSinceMs: undefined,
    quarantinesAtMs: reasons.filter((each) => each.standing === "quarantined").map(({ atMs }) => atMs).reverse(),
    liesAtMs,
  };
}
