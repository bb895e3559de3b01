/**
 * Puts a raw carrier together: its ports, kept from everybody else and from the kernel's TCP, the sockets it receives by,
 * and the way it sends.
 *
 *   "ip"       the kernel routes each packet, and its firewall sees it
 *   "packet"   frames go to the next hop: on a client the one that leads to the peer, on a server the one that packets come
 *              from. Needed for long packets, which `ours` sends
 */

import { tcpFilter } from "../../protocol/bpf.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import { mustBeIp } from "../../protocol/peer_check.ts";
import { formatPorts, portsOf, type PortSpan, portSpan } from "../../protocol/port_span.ts";
import { parseFlags } from "../../protocol/tcp_look/flags.ts";
import { type TcpLook, tcpLook } from "../../protocol/tcp_look/look.ts";
import { cString, type Libc, openLibc } from "../libc.ts";
import { guardPorts } from "../raw_guard/guard.ts";
import { LingeringGuard } from "../raw_guard/lingering_guard.ts";
import { reservePorts } from "../raw_guard/port_reservation.ts";
import { hasV6, SourceAddresses } from "../source_address.ts";
import { openReceiving } from "./packet_socket.ts";
import { RawCarrier } from "./raw_carrier.ts";
import { PeerRoute, type PeerRouteOptions } from "./peer_route.ts";
import { RawOrigins } from "./raw_origins.ts";
import { RawPlaces } from "./raw_place.ts";
import { FrameWay, IpWay } from "./raw_ways.ts";

/** Throws `port_in_use`, `denied`, `no_route`, `no_neighbour` or a SysError; needs CAP_NET_RAW, the guard CAP_NET_ADMIN. */
export async function openRawCarrier(options: CarrierOptions): Promise<RawCarrier> {
  try {
    return await open(options);
  } catch (error) {
    const code = (error as { readonly code?: unknown } | undefined)?.code;
    if (code !== "EPERM" && code !== "EACCES") throw error;
    const need = "they take root, or CAP_NET_RAW and CAP_NET_ADMIN";
    throw new CulvertError("denied", `Cannot use packets that look like TCP: ${need} (${messageOf(error)})`, {
      cause: error,
    });
  }
}

async function open(options: CarrierOptions): Promise<RawCarrier> {
  await using stack = new AsyncDisposableStack();
  const libc = stack.use(openLibc());
  const { clock, log } = options;
  const peer = options.peer && { address: mustBeIp(options.peer.host), ports: portSpan(options.peer.ports) };
  const local = options.listen?.host === undefined ? undefined : mustBeIp(options.listen.host);
  const { ports, guard } = holdPorts(libc, options, stack);
  const look = lookOf(options);
  const route = peer && stack.use(await PeerRoute.find(libc, peer.address, routeOptions(options)));
  const families = familiesOf(libc, peer?.address ?? local);
  const interfaceIndex = interfaceOf(libc, options.interface);
  const receiving = [...families.v4 ? [false] : [], ...families.v6 ? [true] : []].map((isV6) => {
    const filter = tcpFilter({ isV6, ports, ...local && { address: local }, ...peer && { from: peer } });
    return stack.use(openReceiving(libc, { isV6, filter, interfaceIndex }));
  });
  const onTooLong = once((bytes: number) => log.warn("A packet does not fit its way; lower the MTU", { bytes }));
  const Way = sendOf(options) === "packet" ? FrameWay : IpWay;
  const places = new RawPlaces(look, ports.count > 1);
  return new RawCarrier({
    libc,
    clock,
    look,
    way: stack.use(new Way(libc, families, { onTooLong })),
    places,
    origins: new RawOrigins({
      places,
      sources: stack.use(new SourceAddresses(libc)),
      named: options.source === undefined ? local : mustBeIp(options.source),
      peer: peer && route && { address: peer.address, route },
    }),
    localPorts: portsOf(ports),
    receiving,
    group: options.group,
    isV4Only: !families.v6,
    mtuBytes: route?.mtuBytes ?? Infinity,
    ...guard && { guard },
    resources: stack.move(),
  });
}

function lookOf({ look = "ours", flags, peer, random, clock }: CarrierOptions): TcpLook {
  return tcpLook(look, {
    side: peer ? "client" : "server",
    random,
    unixMs: clock.wallNow(),
    ...flags && { flags: flags.map(parseFlags) },
  });
}

/** The ports, ours until the end. Those of a span follow one another, so one that the system chooses is one alone. */
function holdPorts(
  libc: Libc,
  options: CarrierOptions,
  stack: AsyncDisposableStack,
): { readonly ports: PortSpan; readonly guard?: LingeringGuard } {
  const { listen, peer, clock, log } = options;
  const asked = portSpan(listen?.ports ?? 0, { mayBeChosen: true });
  if (options.manageFirewall === false) {
    const { ports } = stack.use(reservePorts(libc, portsOf(asked)));
    return { ports: { first: ports[0]!, count: asked.count } };
  }
  const side = peer ? "client" : "server";
  const guard = guardPorts({ libc, ports: portsOf(asked), side, ...peer && { peer: peer.host }, clock, log });
  const lingering = stack.use(new LingeringGuard(guard, clock));
  const ports = { first: guard.ports[0]!, count: asked.count };
  log.debug("Ports are kept from the kernel", { ports: formatPorts(ports), way: guard.way });
  // Those that were asked for may be asked for again at once.
  return { ports, ...asked.first === 0 && { guard: lingering } };
}

function sendOf({ send, look = "ours" }: CarrierOptions): "ip" | "packet" {
  return send ?? (look === "ours" ? "packet" : "ip");
}

function routeOptions(options: CarrierOptions): PeerRouteOptions {
  const { clock, gatewayMac, interface: interfaceName } = options;
  return {
    clock,
    needsHop: sendOf(options) === "packet",
    ...gatewayMac !== undefined && { gatewayMac: parseMac(gatewayMac) },
    ...interfaceName !== undefined && { interfaceName },
  };
}

function parseMac(text: string): Uint8Array {
  const parts = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text) ? text.split(/[:-]/) : undefined;
  if (parts) return Uint8Array.from(parts, (part) => parseInt(part, 16));
  throw new CulvertError("invalid_argument", `Cannot use a MAC: it must be like 02:00:5e:10:00:01, got ${text}`);
}

function interfaceOf(libc: Libc, name: string | undefined): number {
  if (name === undefined) return 0;
  const index = libc.call.if_nametoindex(cString(name));
  if (index !== 0) return index;
  throw new CulvertError("invalid_argument", `Cannot receive on an interface: there must be one, got ${name}`);
}

/** The families it speaks: that of the address that is known, or all the system has. */
function familiesOf(libc: Libc, address: IpAddress | undefined): { v4: boolean; v6: boolean } {
  if (address) return { v4: address.length === 4, v6: address.length === 16 };
  return { v4: true, v6: hasV6(libc) };
}

function once<Argument>(call: (argument: Argument) => void): (argument: Argument) => void {
  let isDone = false;
  return (argument) => {
    if (!isDone) call(argument);
    isDone = true;
  };
}
