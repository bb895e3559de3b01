/**
 * The kernel's links, addresses, routes, rules and neighbours, in the network namespace of this process.
 *
 *   using libc = openLibc(); using net = new RtNetlink(libc);
 *   const link = net.createLink({ name: "wg0", kind: "wireguard" });
 *   net.addAddress({ linkIndex: link.index, address, bits: 24 }); net.changeLink(link.index, { up: true });
 *
 * Reading is open to everybody; changing needs CAP_NET_ADMIN in the namespace. What is refused throws SysError with the
 * kernel's words: adding what is there already is EEXIST. Removing gives false when there was nothing to remove, so that
 * clearing up can be done twice. Not here: what of this belongs to whom. That is for those who add it to remember.
 */

import type { IpAddress } from "../protocol/ip.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { NetlinkMessage } from "../protocol/netlink.ts";
import type { Bytes } from "../protocol/primitives.ts";
import * as address from "../protocol/rtnetlink/address.ts";
import * as link from "../protocol/rtnetlink/link.ts";
import * as neighbour from "../protocol/rtnetlink/neighbour.ts";
import * as route from "../protocol/rtnetlink/route.ts";
import * as rule from "../protocol/rtnetlink/rule.ts";
import type { LinkAddress } from "../protocol/rtnetlink/address.ts";
import type { Link, LinkChange, LinkEvent, LinkHardware, NewLink } from "../protocol/rtnetlink/link.ts";
import type { Neighbour } from "../protocol/rtnetlink/neighbour.ts";
import type { Route, RouteFilter } from "../protocol/rtnetlink/route.ts";
import type { Rule } from "../protocol/rtnetlink/rule.ts";
import { Errno, SysError } from "./errno.ts";
import type { Libc } from "./libc.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink.ts";
import { NetlinkEvents } from "./netlink_events.ts";

export type { Link, LinkAddress, LinkChange, LinkEvent, LinkHardware, Neighbour, NewLink, Route, RouteFilter, Rule };

/** What the kernel says when there is nothing to remove. */
const NOTHING_THERE: readonly number[] = [Errno.ENOENT, Errno.ESRCH, Errno.ENODEV, Errno.EADDRNOTAVAIL];

/** What it says where none leads: no route, or one of the kinds unreachable, prohibit, blackhole. */
const NO_ROUTE: readonly number[] = [Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EACCES, Errno.EINVAL];

export class RtNetlink implements Disposable {
  readonly #libc: Libc;
  readonly #socket: NetlinkSocket;

  /** `libc` stays the caller's and must outlive this. */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#socket = new NetlinkSocket(libc, NETLINK_ROUTE);
  }

  links(): Link[] {
    return read(this.#socket.request("list links", link.encodeListLinks()), link.readLink);
  }

  /** By its name or its index; undefined when there is none. */
  link(which: string | number): Link | undefined {
    if (typeof which === "string" && !link.isLinkName(which)) return undefined;
    try {
      return read(this.#socket.request(`find the link ${which}`, link.encodeGetLink(which)), link.readLink)[0];
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }

  /** Undefined when there is no such link. */
  hardware(index: number): LinkHardware | undefined {
    try {
      return read(this.#socket.request(`find link ${index}`, link.encodeGetLink(index)), link.readLinkHardware)[0];
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }

  /** What the kernel knows of an address on the network of a link; undefined when it has not asked. */
  neighbour(linkIndex: number, address: IpAddress): Neighbour | undefined {
    const list = neighbour.encodeListNeighbours(address.length === 4 ? 4 : 6);
    return read(this.#socket.request("list neighbours", list), neighbour.readNeighbour)
      .find((one) => one.linkIndex === linkIndex && isSame(one.address, address));
  }

  /** Makes a link. It is down and has no alias yet: the kernel takes the alias only afterwards. */
  createLink(options: NewLink): Link {
    const { name, kind } = options;
    if (!link.isLinkName(name)) {
      throw new CulvertError("bad_name", `Cannot create a link: its name must be 1 to 15 plain letters, got "${name}"`);
    }
    this.#socket.request(`create the link ${name} of kind ${kind}`, link.encodeCreateLink(options));
    const created = this.link(name);
    if (!created) throw new SysError(`create the link ${name}`, "netlink", Errno.ENODEV);
    return created;
  }

  changeLink(index: number, change: LinkChange): void {
    this.#socket.request(`change link ${index}`, link.encodeChangeLink(index, change));
  }

  removeLink(index: number): boolean {
    return this.#remove(`remove link ${index}`, link.encodeRemoveLink(index));
  }

  /** Those of one link, or of all. */
  addresses(linkIndex?: number): LinkAddress[] {
    const all = read(this.#socket.request("list addresses", address.encodeListAddresses()), address.readAddress);
    return linkIndex === undefined ? all : all.filter((one) => one.linkIndex === linkIndex);
  }

  addAddress(added: LinkAddress): void {
    this.#socket.request(`add an address to link ${added.linkIndex}`, address.encodeAddAddress(added));
  }

  removeAddress(removed: LinkAddress): boolean {
    return this.#remove(`remove an address from link ${removed.linkIndex}`, address.encodeRemoveAddress(removed));
  }

  routes(filter: RouteFilter): Route[] {
    try {
      return read(this.#socket.request("list routes", route.encodeListRoutes(filter)), route.readRoute)
        .filter((one) => one.destination.address.length === (filter.family === 4 ? 4 : 16))
        .filter((one) => filter.table === undefined || one.table === filter.table)
        .filter((one) => filter.linkIndex === undefined || one.linkIndex === filter.linkIndex);
    } catch (error) {
      // A table exists from its first route on.
      if (isNothingThere(error)) return [];
      throw error;
    }
  }

  /** `replace`: in place of one with the same destination, table and metric. */
  addRoute(added: Route, options: { replace?: boolean } = {}): void {
    this.#socket.request("add a route", route.encodeAddRoute(added, options));
  }

  /** Removes the first that is all that is said of it. */
  removeRoute(removed: Route): boolean {
    return this.#remove("remove a route", route.encodeRemoveRoute(removed));
  }

  /** The route a packet to this address would take now; undefined if there is none. */
  routeTo(destination: IpAddress, options: { fwmark?: number } = {}): Route | undefined {
    try {
      return read(this.#socket.request("find a route", route.encodeRouteTo(destination, options)), route.readRoute)[0];
    } catch (error) {
      if (error instanceof SysError && NO_ROUTE.includes(error.errno)) return undefined;
      throw error;
    }
  }

  /** Those that only choose a table. A kernel without rules has none. */
  rules(family: 4 | 6): Rule[] {
    try {
      return read(this.#socket.request("list rules", rule.encodeListRules(family)), rule.readRule)
        .filter((one) => one.family === family);
    } catch (error) {
      if (error instanceof SysError && error.errno === Errno.EOPNOTSUPP) return [];
      throw error;
    }
  }

  addRule(added: Rule): void {
    this.#socket.request("add a rule", rule.encodeAddRule(added));
  }

  /** Removes the first that is all that is said of it. */
  removeRule(removed: Rule): boolean {
    return this.#remove("remove a rule", rule.encodeRemoveRule(removed));
  }

  /**
   * Every change of a link from this call on, until the signal aborts. Must be iterated. `libc` may be closed only once
   * the loop has ended.
   */
  watchLinks(signal: AbortSignal): AsyncIterable<LinkEvent> {
    return eventsOf(new NetlinkEvents(this.#libc, { protocol: NETLINK_ROUTE, groups: link.RTMGRP_LINK }, signal));
  }

  #remove(action: string, message: Bytes): boolean {
    try {
      this.#socket.request(action, message);
      return true;
    } catch (error) {
      if (isNothingThere(error)) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

async function* eventsOf(events: NetlinkEvents): AsyncGenerator<LinkEvent> {
  for await (const messages of events) {
    if (!messages) yield { kind: "missed" };
    else yield* read(messages, link.readLinkEvent);
  }
}

function read<T>(messages: readonly NetlinkMessage[], one: (message: NetlinkMessage) => T | undefined): T[] {
  return messages.map(one).filter((value) => value !== undefined);
}

function isSame(a: IpAddress, b: IpAddress): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function isNothingThere(error: unknown): boolean {
  return error instanceof SysError && NOTHING_THERE.includes(error.errno);
}
