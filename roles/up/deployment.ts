/**
 * The deployment of a plan while it runs on this machine: every role of every machine in a Worker, over real sockets on
 * loopback, with addresses and directory filled in. A machine is killed and started again with all its roles.
 *
 *   base ─▶ relays ─▶ gateways ─▶ downstreams, centrals ─▶ upstreams ─▶ proxies ─▶ a page through each proxy
 */

import { join } from "@std/path";
import type { PartFacts } from "../../edge/dashboard/inventory.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { RoleContext } from "../role.ts";
import { tableLines } from "../table.ts";
import { PeerNames } from "./peer_names.ts";
import { type Plan, PLAN_ROLES, type PlannedRole, settingsOf } from "./plan.ts";
import { findRoute, type FoundRoute, type Travel } from "./route.ts";
import { RunningParts } from "./running_parts.ts";
import { type AskedPart, onceBegun, type RunningNetwork } from "./watched_network.ts";

export interface DeploymentOptions {
  readonly plan: Plan;
  /** Where programs are to find the first proxy, unless the plan says. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  /** Where keys and state are kept, for each role of each machine in a directory of its own. */
  readonly directory: string;
  readonly context: RoleContext;
}

/** A proxy that programs use. */
export interface WayIn {
  readonly machine: string;
  readonly at: string;
}

/** How long the first page may take to come. */
const FIRST_PAGE_MS = 45_000;
/** Roles without an identity of their own. */
const NAMELESS: readonly string[] = ["base", "proxy"];
/** Roles that read a dial, and can say so to the page. */
const TOLD: readonly string[] = ["central", "gateway"];

export class Deployment implements RunningNetwork {
  readonly names: readonly string[];
  readonly entrance: string;
  readonly #options: DeploymentOptions;
  readonly #parts: RunningParts<string>;
  readonly #peers: PeerNames<string>;

  private constructor(options: DeploymentOptions) {
    const { plan: { machines, roles }, context } = options;
    this.#options = options;
    this.names = machines;
    this.entrance = roles.find(({ role }) => role === "proxy")!.machine;
    this.#peers = new PeerNames(context);
    this.#parts = new RunningParts(roles.map((each) => ({ name: partOf(each), role: each.role })), context.log);
  }

  /** Settles when a page has come through every proxy. */
  static start(options: DeploymentOptions): Promise<Deployment> {
    const deployment = new Deployment(options);
    return onceBegun(deployment, deployment.#begin(), options.context.signal);
  }

  get waysIn(): readonly WayIn[] {
    return this.#rolesOf("proxy").map((each) => ({ machine: each.machine, at: this.#addressOf(each)! }));
  }

  /** Where each role listens, by `machine/role`. */
  get addresses(): Record<string, string> {
    const known = this.#options.plan.roles.map((each) => [partOf(each), this.#addressOf(each)] as const);
    return Object.fromEntries(known.filter((entry): entry is [string, string] => entry[1] !== undefined));
  }

  get title(): string {
    return `culvert up, ${this.#options.plan.file}`;
  }

  parts(): PartFacts[] {
    return this.names.map((name) => {
      const roles = this.#on(name);
      const region = roles.map(({ settings }) => settings.region).find((region) => typeof region === "string");
      const peerIds = roles.map((each) => this.#peers.peerIdOf(partOf(each))).filter((id) => id !== undefined);
      const role = roles.map(({ role }) => role).join(" + ");
      return { name, role, region, peerId: peerIds[0], peerIds, isRunning: this.isRunning(name) };
    });
  }

  get asked(): AskedPart[] {
    return this.#rolesOf("base").map((each) => ({
      name: each.machine,
      role: "base",
      stateDir: this.#stateDirOf(each),
    }));
  }

  /** The machine's, where that has but one role. */
  nameOf(peerId: string): string | undefined {
    const name = this.#peers.nameOf(peerId);
    const machine = name?.split("/")[0];
    return machine !== undefined && this.#on(machine).length === 1 ? machine : name;
  }

  lines(): string[] {
    const { machines, roles } = this.#options.plan;
    return tableLines<PlannedRole>([
      { title: "machine", cell: ({ machine }) => machine },
      { title: "role", cell: ({ role }) => role },
      { title: "where", cell: (each) => this.#whereOf(each) },
      { title: "peer id", cell: (each) => this.#peers.peerIdOf(partOf(each)) ?? "" },
    ], machines.flatMap((machine) => roles.filter((each) => each.machine === machine)));
  }

  isRunning(machine: string): boolean {
    return this.#on(machine).some((each) => this.#parts.isRunning(partOf(each)));
  }

  isTold(machine: string): boolean {
    return this.#on(machine).some(({ role }) => TOLD.includes(role));
  }

  /** Why a machine does not do its work that should. */
  failureOf(machine: string): string | undefined {
    return this.#on(machine).map((each) => this.#parts.failureOf(partOf(each))).find((failure) =>
      failure !== undefined
    );
  }

  get fault(): Promise<never> {
    return this.#parts.fault;
  }

  kill(machine: string): boolean {
    return this.#on(machine).map((each) => this.#parts.kill(partOf(each))).includes(true);
  }

  async restart(machine: string): Promise<boolean> {
    if (this.isRunning(machine)) return false;
    await this.#startAll(this.#on(machine));
    return true;
  }

  findRoute(withinMs: number): Promise<FoundRoute | undefined> {
    return this.#findRoute(this.#options.plan.roles.find(({ role }) => role === "proxy")!, withinMs);
  }

  partsOf({ hops }: Travel): string[] {
    return hops.map(({ at }) => this.#peers.nameOf(at)?.split("/")[0]).filter((name) => name !== undefined);
  }

  async stop(cut?: AbortSignal): Promise<void> {
    await this.#parts.stop(cut);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #rolesOf(role: string): readonly PlannedRole[] {
    return this.#options.plan.roles.filter((each) => each.role === role);
  }

  #on(machine: string): readonly PlannedRole[] {
    return this.#options.plan.roles.filter((each) => each.machine === machine);
  }

  #addressOf(each: PlannedRole): string | undefined {
    return this.#parts.addressesOf(partOf(each))?.listen;
  }

  #whereOf(each: PlannedRole): string {
    if (!this.#parts.isRunning(partOf(each))) return "(killed)";
    return this.#addressOf(each) ?? "(no port)";
  }

  #stateDirOf({ machine, role }: PlannedRole): string {
    return join(this.#options.directory, machine, role);
  }

  async #begin(): Promise<void> {
    await this.#namePeers();
    await this.#startAll(this.#options.plan.roles);
    await this.#awaitPages();
    this.#parts.settled();
  }

  async #namePeers(): Promise<void> {
    const peers = this.#options.plan.roles.filter(({ role }) => !NAMELESS.includes(role));
    await Promise.all(peers.map((each) => this.#peers.add(partOf(each), this.#stateDirOf(each))));
  }

  /** Those of one kind at once, one kind after the other. */
  async #startAll(roles: readonly PlannedRole[]): Promise<void> {
    for (const role of PLAN_ROLES) {
      await Promise.all(roles.filter((each) => each.role === role).map((each) => this.#start(each)));
    }
  }

  async #start(each: PlannedRole): Promise<void> {
    const { plan, egressPolicy } = this.#options;
    const bases = this.#rolesOf("base").map((base) => this.#addressOf(base)).filter((at) => at !== undefined);
    const config = await settingsOf(each, plan, {
      bases,
      defaults: { listen: this.#listenFor(each), ...(egressPolicy !== undefined && { egressPolicy }) },
    });
    await this.#parts.start(partOf(each), { config, stateDir: this.#stateDirOf(each) });
  }

  /** One that is started again is found where it was. */
  #listenFor(each: PlannedRole): string {
    const isFirst = each === this.#rolesOf("proxy")[0];
    return this.#addressOf(each) ?? (isFirst ? this.#options.listen : "127.0.0.1:0");
  }

  async #awaitPages(): Promise<void> {
    const proxies = this.#rolesOf("proxy");
    const found = await Promise.race([
      Promise.all(proxies.map((each) => this.#findRoute(each, FIRST_PAGE_MS))),
      this.#parts.fault,
    ]);
    const without = proxies.filter((_, at) => !found[at]).map(({ machine }) => machine);
    if (without.length === 0) return;
    throw new CulvertError("no_route", `Cannot start up: no page has come through to ${without.join(", ")}`);
  }

  #findRoute(proxy: PlannedRole, withinMs: number): Promise<FoundRoute | undefined> {
    const { clock, signal } = this.#options.context;
    return findRoute({ proxy: this.#addressOf(proxy)!, clock, signal }, withinMs);
  }
}

function partOf({ machine, role }: PlannedRole): string {
  return `${machine}/${role}`;
}
