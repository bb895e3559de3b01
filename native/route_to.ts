/**
 * How packets to an address leave this machine: by which interface, from which of our addresses, and to whose hardware
 * address; as the kernel's rules, routes and neighbours say now.
 *
 *   const { interfaceName, source, mtu, mac } = await routeTo(libc, "203.0.113.5", { clock });
 *
 * A neighbour whose hardware address the kernel does not know is sent an empty datagram, to a port where nobody
 * receives: the kernel then asks for it by ARP or neighbour discovery. So is one that it has not heard of for a while:
 * whoever makes its frames itself gives the kernel no reason to look whether that still holds.
 */

import { type Clock, deadline, delay } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../protocol/ip.ts";
import type { Bytes } from "../protocol/primitives.ts";
import { RouteType } from "../protocol/rtnetlink/route.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { type Link, RtNetlink } from "./rtnetlink.ts";
import { AF_INET, AF_INET6, DATAGRAM_SOCKET, MSG_NOSIGNAL } from "./udp_options.ts";

export interface RouteTo {
  readonly linkIndex: number;
  readonly interfaceName: string;
  /** Without `ethernet` packets begin with their IP header, on loopback with an Ethernet header of zeros. */
  readonly hardware: "ethernet" | "loopback" | "other";
  /** The address of ours that packets leave from. */
  readonly source: IpAddress;
  /** Absent when the address is on a network of ours. */
  readonly gateway?: IpAddress;
  /** Where packets go first: the gateway's hardware address or that of the address itself. */
  readonly mac?: Bytes;
  /** That of the interface. */
  readonly ownMac?: Bytes;
  /** The largest packet: what the route says, else the interface. */
  readonly mtuBytes: number;
}

export interface RouteToOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly fwmark?: number;
  /** False: `mac` is not looked for, and nothing is waited for or sent. */
  readonly needsMac?: boolean;
  /** How long a neighbour may take to answer. */
  readonly patienceMs?: number;
}

/** The kernel itself asks three times, a second apart. */
const PATIENCE_MS = 3500;
const LOOK_MS = 10;
/** Discard, RFC 863. */
const NO_PORT = 9;

/** Rejects with `no_route`, or `no_neighbour` when it does not answer. */
export async function routeTo(libc: Libc, address: string | IpAddress, options: RouteToOptions): Promise<RouteTo> {
  const to = typeof address === "string" ? parseIp(address) : address;
  if (!to) {
    throw new CulvertError("bad_address", `Cannot find the way to ${address}: it must be an IP address`);
  }
  using network = new RtNetlink(libc);
  const { link, ...route } = findRoute(network, to, options);
  const { kind = "other", mac: ownMac } = network.hardware(link.index) ?? {};
  const found: RouteTo = {
    linkIndex: link.index,
    interfaceName: link.name,
    hardware: kind,
    source: route.source,
    mtuBytes: route.mtu ?? link.mtu,
    ...route.gateway && { gateway: route.gateway },
    ...ownMac && { ownMac },
  };
  if (kind === "loopback") return { ...found, mac: ownMac ?? new Uint8Array(6) };
  if (kind === "other" || options.needsMac === false) return found;
  return { ...found, mac: await macOf(route.gateway ?? to, { libc, network, link, ...options }) };
}

interface FoundRoute {
  readonly link: Link;
  readonly source: IpAddress;
  readonly gateway?: IpAddress;
  readonly mtu?: number;
}

function findRoute(network: RtNetlink, to: IpAddress, { fwmark }: RouteToOptions): FoundRoute {
  const route = network.routeTo(to, fwmark === undefined ? {} : { fwmark });
  const link = route?.linkIndex === undefined ? undefined : network.link(route.linkIndex);
  const fault = (rule: string) => new CulvertError("no_route", `Cannot find the way to ${formatIp(to)}: ${rule}`);
  if (!route || !link) {
    const family = to.length === 4 ? "IPv4" : "IPv6";
    const hasDefault = network.routes({ family: to.length === 4 ? 4 : 6 })
      .some(({ destination, gateway, linkIndex }) => destination.bits === 0 && (gateway ?? linkIndex) !== undefined);
    throw fault(
      hasDefault ? "no route leads there" : `no route leads there, and there is no default route for ${family}`,
    );
  }
  if (route.type !== RouteType.unicast && route.type !== RouteType.local) {
    throw fault("it must be the address of one host, and is one of several or of none");
  }
  if (!link.isUp) throw fault(`the interface ${link.name} must be up, and is down`);
  if (!route.source) throw fault(`the interface ${link.name} must have an address, and has none`);
  const { source, gateway, mtu } = route;
  return { link, source, ...gateway && { gateway }, ...mtu !== undefined && { mtu } };
}

interface Asking extends RouteToOptions {
  readonly libc: Libc;
  readonly network: RtNetlink;
  readonly link: Link;
}

async function macOf(address: IpAddress, asking: Asking): Promise<Bytes> {
  const { libc, network, link, clock, signal, patienceMs = PATIENCE_MS } = asking;
  const known = network.neighbour(link.index, address);
  if (known?.isOld) provoke(libc, address, link.index);
  if (known?.mac) return known.mac;
  provoke(libc, address, link.index);
  using limit = deadline(clock, patienceMs, "ask a neighbour", signal);
  for (;;) {
    const neighbour = network.neighbour(link.index, address);
    if (neighbour?.mac) return neighbour.mac;
    const isOver = neighbour?.state === "silent" ||
      await delay(clock, LOOK_MS, limit.signal).then(() => false, () => true);
    signal?.throwIfAborted();
    if (!isOver) continue;
    throw new CulvertError(
      "no_neighbour",
      `Cannot find the hardware address of ${formatIp(address)}: nobody on the network of ${link.name} answers for it`,
    );
  }
}

/** Nobody is told when it cannot be sent: then nobody answers. */
function provoke(libc: Libc, address: IpAddress, linkIndex: number): void {
  const isV4 = address.length === 4;
  const name = new Uint8Array(isV4 ? SOCKADDR_IN.size : SOCKADDR_IN6.size);
  const view = new DataView(name.buffer);
  view.setUint16(SOCKADDR_IN.family, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(SOCKADDR_IN.port, NO_PORT);
  name.set(address, isV4 ? SOCKADDR_IN.address : SOCKADDR_IN6.address);
  const isLinkLocal = address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
  if (!isV4 && isLinkLocal) view.setUint32(SOCKADDR_IN6.scopeId, linkIndex, true);
  const fd = libc.call.socket(isV4 ? AF_INET : AF_INET6, DATAGRAM_SOCKET, 0);
  if (fd < 0) return;
  try {
    if (libc.call.connect(fd, name, name.length) === 0) libc.call.send(fd, new Uint8Array(1), 0n, MSG_NOSIGNAL);
  } finally {
    libc.call.close(fd);
  }
}
