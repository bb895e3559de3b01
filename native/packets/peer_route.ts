/**
 * The way to a client's peer, looked at again and again: a machine changes networks, and gateways their cards, while nobody
 * tells a socket that makes its packets itself.
 *
 *   await using route = await PeerRoute.find(libc, peer, options);   route.source, route.hop; onChange() when one is another
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { equalIp, type IpAddress } from "../../protocol/ip.ts";
import type { Libc } from "../libc.ts";
import { RtNetlink } from "../rtnetlink.ts";
import { type RouteTo, routeTo } from "../route_to.ts";
import type { NextHop } from "./raw_place.ts";

export interface PeerRouteOptions {
  readonly clock: Clock;
  /** Whether frames are sent, for which the next hop's hardware address is needed. */
  readonly needsHop: boolean;
  /** The next hop's, when it is known beforehand. */
  readonly gatewayMac?: Uint8Array;
  /** The only one that packets may leave by. */
  readonly interfaceName?: string;
}

/** A change is noticed before anything that was sent is given up. */
const LOOK_MS = 2000;

export class PeerRoute implements AsyncDisposable {
  onChange: () => void = () => {};
  /** The longest packet, as it was in the beginning. */
  readonly mtuBytes: number;
  readonly #libc: Libc;
  readonly #peer: IpAddress;
  readonly #options: PeerRouteOptions;
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;
  #linkIndex: number;
  #source: IpAddress;
  #hop: NextHop | undefined;

  private constructor(libc: Libc, peer: IpAddress, options: PeerRouteOptions, route: RouteTo) {
    this.#libc = libc;
    this.#peer = peer;
    this.#options = options;
    this.mtuBytes = route.mtuBytes;
    this.#linkIndex = route.linkIndex;
    this.#source = route.source;
    this.#hop = hopOf(route, options);
    this.#watching = this.#watch();
  }

  /** Rejects with `no_route`, `no_neighbour`, or when it leads by another interface than it must. */
  static async find(libc: Libc, peer: IpAddress, options: PeerRouteOptions): Promise<PeerRoute> {
    return new PeerRoute(libc, peer, options, await lookUp(libc, peer, options));
  }

  /** The address of ours that packets leave from. */
  get source(): IpAddress {
    return this.#source;
  }

  /** Undefined when frames are not sent, or there is no way at present. */
  get hop(): NextHop | undefined {
    return this.#hop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error("The carrier has been closed"));
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    while (await delay(this.#options.clock, LOOK_MS, signal).then(() => true, () => false)) {
      const route = await lookUp(this.#libc, this.#peer, this.#options, signal).catch(() => undefined);
      if (!signal.aborted) this.#take(route);
    }
  }

  /** Without a way the kernel is asked to find one for each packet: it may know better by then. */
  #take(route: RouteTo | undefined): void {
    const source = route && !this.#isStillGood(route) ? route.source : this.#source;
    const hop = route && hopOf(route, this.#options);
    this.#linkIndex = route?.linkIndex ?? this.#linkIndex;
    if (equalIp(source, this.#source) && isSameHop(hop, this.#hop)) return;
    this.#source = source;
    this.#hop = hop;
    this.onChange();
  }

  /**
   * Whether packets may go on leaving from the address they do: hosts take a new one of IPv6 now and then and keep the old,
   * and to the far end another address is another client.
   */
  #isStillGood(route: RouteTo): boolean {
    if (route.linkIndex !== this.#linkIndex) return false;
    using network = new RtNetlink(this.#libc);
    return network.addresses(route.linkIndex).some(({ address }) => equalIp(address, this.#source));
  }
}

async function lookUp(
  libc: Libc,
  peer: IpAddress,
  { clock, needsHop, gatewayMac, interfaceName }: PeerRouteOptions,
  signal?: AbortSignal,
): Promise<RouteTo> {
  const needsMac = needsHop && gatewayMac === undefined;
  const route = await routeTo(libc, peer, { clock, needsMac, ...signal && { signal } });
  if (interfaceName === undefined || interfaceName === route.interfaceName) return route;
  const rule = `the interface must be the one that leads there, ${route.interfaceName}, got ${interfaceName}`;
  throw new CulvertError("invalid_argument", `Cannot send raw packets: ${rule}`);
}

function hopOf({ linkIndex, hardware, ...route }: RouteTo, options: PeerRouteOptions): NextHop | undefined {
  if (!options.needsHop) return undefined;
  if (hardware === "other") return { interfaceIndex: linkIndex, macs: undefined };
  const to = options.gatewayMac ?? route.mac;
  return to && { interfaceIndex: linkIndex, macs: { to, own: route.ownMac ?? new Uint8Array(to.length) } };
}

function isSameHop(one: NextHop | undefined, other: NextHop | undefined): boolean {
  if (one?.interfaceIndex !== other?.interfaceIndex) return false;
  return `${one?.macs?.to} ${one?.macs?.own}` === `${other?.macs?.to} ${other?.macs?.own}`;
}
