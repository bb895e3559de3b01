/**
 * Which routes and rules a client's tunnels take. Pure: settings and a grant in, routes and rules out.
 *
 * Two interfaces take turns (`culvert0`, `culvert1`), each with a table of its own, which is complete before anything is
 * sent there. Rules, in the order in which the kernel asks them:
 *
 *   of a socket bound to culvert0 / culvert1        → its table       what probes a tunnel that is not in use, too
 *   TCP to a supernode's address and port           → main
 *   questions to the exit's name server             → the table of the interface in use
 *   to what is excluded                             → main
 *   anything, but not by main's default route       → main            the local network
 *   anything without our mark                       → the table of the interface in use
 *
 * The last is one of two rules, one for each table: adding the other and removing this one moves everything at once. The
 * tunnels' own datagrams have the mark. The local network, or what is excluded, may have addresses like those in the
 * tunnel: then it is asked no names, and an exit that calls one of its hosts a name server gets nothing else that is meant
 * for it. What an exit does not carry, such as IPv6, leads nowhere and is not leaked.
 */

import { type Cidr, contains, formatCidr, hostCidr, type IpAddress, networkOf } from "../../../protocol/ip.ts";
import { MAIN_TABLE, type Route, RouteType } from "../../../protocol/rtnetlink/route.ts";
import type { Rule } from "../../../protocol/rtnetlink/rule.ts";
import type { Target } from "../../../protocol/stream.ts";

export type Family = 4 | 6;
/** Which of the two interfaces. */
export type Slot = 0 | 1;
export const SLOTS: readonly Slot[] = [0, 1];

/** What goes through the tunnel. */
export interface Split {
  /** Nothing but these; everything when there are none. */
  readonly include: readonly Cidr[];
  /** Not these. */
  readonly exclude: readonly Cidr[];
}

/** Where one interface's packets go. */
export interface TablePlan extends Split {
  readonly table: number;
  readonly linkIndex: number;
  /** The families that the client has an address of. */
  readonly families: readonly Family[];
  /** Inside the tunnel: the exit's gateway and name servers. */
  readonly inside: readonly Cidr[];
  /** When the interface is gone its packets lead nowhere, instead of to the main table. */
  readonly failsClosed: boolean;
}

/** Behind every other route with the same destination. */
const LAST_METRIC = 0xffff_ffff;

export function familyOf({ address }: Pick<Cidr, "address">): Family {
  return address.length === 4 ? 4 : 6;
}

export function everything(family: Family): Cidr {
  return networkOf(new Uint8Array(family === 4 ? 4 : 16), 0)!;
}

/** What is meant by a split that includes nothing. */
export function included({ include }: Pick<Split, "include">): readonly Cidr[] {
  return include.length > 0 ? distinct(include) : [everything(4), everything(6)];
}

/** The routes of an interface's table. */
export function tableRoutes(plan: TablePlan): Route[] {
  const { table, linkIndex, families, inside, failsClosed } = plan;
  const wanted = included(plan);
  const has = (cidr: Cidr) => families.includes(familyOf(cidr));
  const apart = distinct(inside).filter((one) => has(one) && !wanted.some((cidr) => covers(cidr, one)));
  const carried = [...wanted.filter(has), ...apart];
  const nowhere = [...failsClosed ? carried : [], ...wanted.filter((cidr) => !has(cidr))];
  return [
    ...carried.map((destination): Route => ({ destination, linkIndex, table })),
    ...nowhere.map((destination): Route => ({
      destination,
      table,
      type: RouteType.unreachable,
      metric: LAST_METRIC,
    })),
  ];
}

function distinct(cidrs: readonly Cidr[]): Cidr[] {
  return [...new Map(cidrs.map((cidr) => [formatCidr(cidr), cidr])).values()];
}

function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.address.length === inner.address.length && outer.bits <= inner.bits && contains(outer, inner.address);
}

/** The numbers that are ours in the kernel's routing. */
export interface RoutingNumbers {
  /** Also the number of the first of the two tables. */
  readonly mark: number;
  /** The priority of our first rule. */
  readonly firstPriority: number;
}

const Step = { bound: 0, supernode: 1, names: 2, exclude: 3, local: 4, inUse: 5 } as const;
/** How many priorities our rules take. */
export const PRIORITIES = 7;
const DNS_PORT = 53;

export function tableOf({ mark }: RoutingNumbers, slot: Slot): number {
  return mark + slot;
}

/** Those that stay while the client runs. */
export function standingRules(
  numbers: RoutingNumbers,
  { family, exclude, interfaces }: {
    readonly family: Family;
    readonly exclude: readonly Cidr[];
    readonly interfaces: readonly [string, string];
  },
): Rule[] {
  const { firstPriority } = numbers;
  return [
    ...SLOTS.map((slot): Rule => ({
      family,
      table: tableOf(numbers, slot),
      priority: firstPriority + Step.bound,
      boundTo: interfaces[slot],
    })),
    ...distinct(exclude).filter((cidr) => familyOf(cidr) === family).map((destination): Rule => ({
      family,
      table: MAIN_TABLE,
      priority: firstPriority + Step.exclude,
      destination,
    })),
    { family, table: MAIN_TABLE, priority: firstPriority + Step.local, suppressPrefixLength: 0 },
  ];
}

/** Lets a connection to a supernode go around the tunnel. */
export function supernodeRule({ firstPriority }: RoutingNumbers, { destination, port }: {
  readonly destination: Cidr;
  readonly port: Target["port"];
}): Rule {
  const priority = firstPriority + Step.supernode;
  return { family: familyOf(destination), table: MAIN_TABLE, priority, destination, tcpPort: port };
}

/**
 * Sends what has no mark to an interface's table: first questions to its name server, if it has one, then everything.
 * One name server of a family, since that is how many are used.
 */
export function inUseRules(numbers: RoutingNumbers, family: Family, slot: Slot, nameServer?: IpAddress): Rule[] {
  const { mark, firstPriority } = numbers;
  const table = tableOf(numbers, slot);
  const names: Rule[] = nameServer
    ? [{ udpPort: DNS_PORT }, { tcpPort: DNS_PORT }].map((port) => ({
      family,
      table,
      priority: firstPriority + Step.names,
      destination: hostCidr(nameServer),
      ...port,
    }))
    : [];
  return [...names, { family, table, priority: firstPriority + Step.inUse + slot, fwmark: mark, not: true }];
}
