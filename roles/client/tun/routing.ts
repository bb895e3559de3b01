/**
 * The machine's routing as the client's tunnels need it: carries out `plan.ts` in the kernel, with everything that would
 * outlive the process written to the journal first.
 *
 *   open ── standing rules ──→ setUp(slot) ── addresses, routes ──→ use(slot) ── all traffic, at once ──→ …
 *
 * What belongs to an interface goes with it. Rules, and routes that lead nowhere, are taken back by `undoAll`.
 */

import type { RtNetlink } from "../../../native/rtnetlink.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatCidr, hostCidr, type IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Rule } from "../../../protocol/rtnetlink/rule.ts";
import { changeSetting } from "../../machine/kernel_setting.ts";
import type { Journal } from "../../machine/journal.ts";
import {
  everything,
  type Family,
  familyOf,
  inUseRules,
  PRIORITIES,
  type RoutingNumbers,
  type Slot,
  SLOTS,
  type Split,
  standingRules,
  supernodeRule,
  tableOf,
  tableRoutes,
} from "./plan.ts";
import type { SupernodePlace } from "./underlay.ts";

export type RoutingNetwork = Pick<
  RtNetlink,
  "link" | "changeLink" | "addAddress" | "addRoute" | "removeRoute" | "routes" | "rules" | "addRule" | "removeRule"
>;

export interface RoutingOptions {
  readonly network: RoutingNetwork;
  readonly journal: Journal;
  readonly interfaces: readonly [string, string];
  readonly split: Split;
  /** Whether names are looked up by the exit. */
  readonly asksExit: boolean;
  readonly failsClosed: boolean;
  readonly log: Log;
}

/** What an interface is to have. */
export interface InterfacePlan {
  readonly addresses: readonly IpAddress[];
  readonly gateways: readonly IpAddress[];
  readonly nameServers: readonly IpAddress[];
  readonly mtu: number;
}

/** Above those of `culvert wireguard` and wg-quick. */
const FIRST_MARK = 51_860;
/** The priority of the rule that asks the main table; ours come before. */
const MAIN_PRIORITY = 32_766;
/** Lets a marked packet's reverse path be looked up by its mark. */
const MARK_SETTING = "/proc/sys/net/ipv4/conf/all/src_valid_mark";

export class Routing {
  readonly numbers: RoutingNumbers;
  readonly #options: RoutingOptions;
  /** Those that the kernel has. */
  readonly #families: readonly Family[];
  /** Of each interface, those that are used. */
  readonly #nameServers: Record<Slot, readonly IpAddress[]> = { 0: [], 1: [] };
  /** Those that send everything to the interface in use. */
  #inUse: Rule[] = [];

  private constructor(options: RoutingOptions) {
    this.#options = options;
    const { network } = options;
    this.#families = ([4, 6] as const).filter((family) => network.rules(family).length > 0);
    this.numbers = { mark: freeMark(network), firstPriority: freePriority(network, this.#families) };
  }

  /** Adds what stays while the client runs. Nothing goes through a tunnel yet. */
  static async open(options: RoutingOptions): Promise<Routing> {
    const routing = new Routing(options);
    const { journal, split, interfaces } = options;
    if (routing.#families.includes(4)) await changeSetting(MARK_SETTING, "1", journal);
    for (const slot of SLOTS) await journal.record({ kind: "routes", table: tableOf(routing.numbers, slot) });
    for (const family of routing.#families) {
      const rules = standingRules(routing.numbers, { family, exclude: split.exclude, interfaces });
      for (const rule of rules) await routing.#add(rule);
      // These come and go at once, so what undoes them is written down beforehand.
      for (const slot of SLOTS) {
        const anyServer = everything(family).address;
        for (const rule of inUseRules(routing.numbers, family, slot, anyServer)) await routing.#record(rule);
      }
    }
    return routing;
  }

  /** The mark of the tunnels' own datagrams. */
  get mark(): number {
    return this.numbers.mark;
  }

  /** Lets connections to a supernode go around the tunnel. */
  async letThrough({ address, port }: SupernodePlace): Promise<void> {
    const rule = supernodeRule(this.numbers, { destination: hostCidr(address), port });
    if (this.#families.includes(rule.family)) await this.#add(rule);
  }

  /** No longer; what undoes it may stay in the journal. */
  keepIn({ address, port }: SupernodePlace): void {
    const rule = supernodeRule(this.numbers, { destination: hostCidr(address), port });
    if (this.#families.includes(rule.family)) this.#options.network.removeRule(rule);
  }

  /** Brings an interface up, with its addresses and its table. */
  setUp(slot: Slot, { addresses, gateways, nameServers, mtu }: InterfacePlan): void {
    const { network, interfaces, split, asksExit, failsClosed } = this.#options;
    const name = interfaces[slot];
    const link = network.link(name);
    if (!link) throw new CulvertError("removed", `Cannot set up ${name}: the interface must be there, and is gone`);
    letAnswersIn(name);
    const families = new Set<Family>();
    for (const address of addresses) {
      const family = familyOf({ address });
      if (this.#families.includes(family) && this.#address(link.index, address)) families.add(family);
    }
    network.changeLink(link.index, { mtu, up: true });
    const isAsked = (address: IpAddress) => asksExit && families.has(familyOf({ address }));
    this.#nameServers[slot] = nameServers.filter(isAsked);
    const table = tableOf(this.numbers, slot);
    this.#emptyTable(table);
    const routes = tableRoutes({
      ...split,
      table,
      linkIndex: link.index,
      families: [...families],
      inside: [...gateways, ...nameServers].map(hostCidr),
      failsClosed,
    });
    for (const route of routes) {
      if (!this.#families.includes(familyOf(route.destination))) continue;
      telling(`add the route to ${formatCidr(route.destination)}`, () => network.addRoute(route));
    }
  }

  /** From now on everything goes through this interface: between two packets. */
  use(slot: Slot): void {
    const rules = this.#families.flatMap((family) => {
      const server = this.#nameServers[slot].find((address) => familyOf({ address }) === family);
      return inUseRules(this.numbers, family, slot, server);
    });
    const { network } = this.#options;
    for (const rule of rules) {
      if (this.#inUse.some((one) => isSame(one, rule))) continue;
      telling("add a routing rule", () => network.addRule(rule));
      this.#inUse.push(rule);
    }
    for (const rule of this.#inUse) if (!rules.some((one) => isSame(one, rule))) network.removeRule(rule);
    this.#inUse = rules;
  }

  #address(linkIndex: number, address: IpAddress): boolean {
    try {
      this.#options.network.addAddress({ linkIndex, ...hostCidr(address) });
      return true;
    } catch (error) {
      // IPv6 may be switched off for new interfaces: then it is treated as what the exit does not carry.
      if (address.length === 4) throw refused("give the interface its address", error);
      this.#options.log.warn("The tunnel has no IPv6", { error: messageOf(error) });
      return false;
    }
  }

  #emptyTable(table: number): void {
    const { network } = this.#options;
    for (const family of this.#families) {
      for (const { destination, metric } of network.routes({ family, table })) {
        network.removeRoute({ destination, table, ...metric !== undefined && { metric } });
      }
    }
  }

  async #add(rule: Rule): Promise<void> {
    await this.#record(rule);
    telling("add a routing rule", () => this.#options.network.addRule(rule));
  }

  async #record({ family, table, priority = 0 }: Rule): Promise<void> {
    await this.#options.journal.record({ kind: "rule", rule: { family, table, priority } });
  }
}

/** The first whose tables are free. */
function freeMark(network: Pick<RtNetlink, "routes">): number {
  const isFree = (table: number) =>
    network.routes({ family: 4, table }).length + network.routes({ family: 6, table }).length === 0;
  for (let mark = FIRST_MARK;; mark += 2) if (isFree(mark) && isFree(mark + 1)) return mark;
}

/** Before every rule that others have added. */
function freePriority(network: Pick<RtNetlink, "rules">, families: readonly Family[]): number {
  const taken = families.flatMap((family) => network.rules(family)).map(({ priority = 0 }) => priority)
    .filter((priority) => priority > 0);
  const first = Math.min(MAIN_PRIORITY, ...taken) - PRIORITIES;
  if (first > 0) return first;
  throw new CulvertError(
    "network_refused",
    `Cannot add routing rules: there must be room for ${PRIORITIES} before the machine's own, and there is none`,
  );
}

/** An interface that has just been left still hears answers, for which the routes name the other one. */
function letAnswersIn(name: string): void {
  try {
    Deno.writeTextFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, "2");
  } catch {
    // Where it cannot be set it is off, or a few late answers are lost.
  }
}

/** The kernel's refusals do not say which of many it was. */
function telling(action: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw refused(action, error);
  }
}

function refused(action: string, error: unknown): CulvertError {
  return new CulvertError("network_refused", `Cannot ${action}: ${messageOf(error)}`, { cause: error });
}

function isSame(one: Rule, other: Rule): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
