/**
 * The packet relay's socket: one UDP port of one address, or of all. Where the system has IPv6 it is an IPv6 socket, which
 * knows IPv4 places as mapped ones, as tickets do.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { putAddress, type RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import { Fd } from "../fd.ts";
import type { Libc } from "../libc.ts";
import { UdpOpener } from "../udp_open.ts";
import * as option from "../udp_options.ts";

/** A limit on what waits in the kernel, not memory that is taken: some 60 ms of a gigabit. */
const BUFFER_BYTES = 8 << 20;
const SO_REUSEPORT = 15;

export interface PacketRelaySocket {
  readonly fd: Fd;
  readonly port: number;
}

/** Binds the port, 0 for any. `isV6`: the system has IPv6. */
export function openSocket(
  libc: Libc,
  isV6: boolean,
  { listen, sharesPort }: { readonly listen: RoutePlace; readonly sharesPort: boolean },
): PacketRelaySocket {
  if (!isV6 && listen.address.length === 16) {
    throw new CulvertError("no_ipv6", `Cannot listen on ${formatEndpoint(listen)}: this system has no IPv6`);
  }
  using stack = new DisposableStack();
  const family = isV6 ? option.AF_INET6 : option.AF_INET;
  const number = libc.call.socket(family, option.DATAGRAM_SOCKET, 0);
  const fd = stack.use(new Fd(libc, number, "open a UDP socket", "socket"));
  const opener = new UdpOpener(libc);
  prepare(opener, fd.number, { isV6, sharesPort });
  const address = isV6 ? mapped(listen.address) : listen.address;
  const port = opener.bind(fd.number, { isV6, port: listen.port, address });
  stack.move();
  return { fd, port };
}

function prepare(
  opener: UdpOpener,
  fd: number,
  { isV6, sharesPort }: { readonly isV6: boolean; readonly sharesPort: boolean },
): void {
  if (isV6) {
    opener.set(fd, option.IPPROTO_IPV6, option.IPV6_V6ONLY, 0);
    opener.set(fd, option.IPPROTO_IPV6, option.IPV6_RECVTCLASS, 1);
  }
  // Of IPv4 datagrams, in a socket of both families too.
  opener.set(fd, option.IPPROTO_IP, option.IP_RECVTOS, 1);
  if (sharesPort) opener.set(fd, option.SOL_SOCKET, SO_REUSEPORT, 1);
  opener.set(fd, option.SOL_UDP, option.UDP_GRO, 1);
  opener.growBuffers(fd, BUFFER_BYTES);
}

function mapped(address: IpAddress): IpAddress {
  const bytes: IpAddress = new Uint8Array(16);
  putAddress(bytes, 0, address);
  return bytes;
}
