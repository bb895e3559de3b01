/**
 * AF_PACKET sockets (packet(7)): the numbers, and how they are opened, both for what is received, with a filter in the
 * kernel that stands before anything comes, and for what is sent straight to an interface.
 *
 *   frames both ways:   virtio header 10 │ link header (Ethernet 14, or none) │ IP packet …
 *
 * The virtio header says how the kernel has joined packets, or is to cut them up.
 */

import { INSTRUCTION_BYTES } from "../../protocol/bpf.ts";
import { Slab } from "../../protocol/slab.ts";
import { Fd } from "../fd.ts";
import { putU64 } from "../layout.ts";
import { addressOf, type Libc } from "../libc.ts";
import { Errno, SysError } from "../errno.ts";
import * as option from "../udp_options.ts";
import { UdpOpener } from "../udp_open.ts";

export const AF_PACKET = 17;
const SOL_PACKET = 263;
export const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const BUFFER_BYTES = 7 << 20;

export const ETHERNET_BYTES = 14;

/** struct sockaddr_ll; protocol in network order. */
export const SOCKADDR_LL = {
  family: 0,
  protocol: 2,
  interfaceIndex: 4,
  hardwareType: 8,
  packetType: 10,
  addressLength: 11,
  address: 12,
  size: 20,
} as const;

/** struct tpacket_auxdata */
export const AUXDATA = { status: 0, length: 4, snapLength: 8, linkAt: 12, networkAt: 14, size: 20 } as const;

export function etherTypeOf(isV6: boolean): number {
  return isV6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
}

export interface ReceivingOptions {
  readonly isV6: boolean;
  /** A program of `protocol/bpf.ts`. */
  readonly filter: Uint8Array<ArrayBuffer>;
  /** 0: every interface. */
  readonly interfaceIndex: number;
}

/** Receives what comes in, never what goes out. Throws a SysError: EPERM without CAP_NET_RAW. */
export function openReceiving(libc: Libc, { isV6, filter, interfaceIndex }: ReceivingOptions): Fd {
  using stack = new DisposableStack();
  const fd = stack.use(openPacketSocket(libc, "receive raw packets"));
  attachFilter(libc, fd, filter);
  const one = new Uint8Array(Int32Array.of(1).buffer);
  if (libc.call.setsockopt(fd.number, SOL_PACKET, PACKET_AUXDATA, one, 4) < 0) {
    throw libc.error("receive raw packets", "setsockopt");
  }
  // From here on it receives: a type of packets is what only those that come in are given by.
  bindTo(libc, fd, { protocol: etherTypeOf(isV6), interfaceIndex });
  stack.move();
  return fd;
}

/** Receives nothing. */
export function openSending(libc: Libc): Fd {
  return openPacketSocket(libc, "send raw packets to an interface");
}

/** One for IP packets whose headers are ours, on their way through the kernel's routes and filters. */
export function openIpSending(libc: Libc, isV6: boolean): Fd {
  using stack = new DisposableStack();
  const fd = stack.use(openRaw(libc, isV6 ? option.AF_INET6 : option.AF_INET, IPPROTO_RAW, "send raw packets"));
  new UdpOpener(libc).growBuffers(fd.number, BUFFER_BYTES);
  stack.move();
  return fd;
}

const IPPROTO_RAW = 255;

function openPacketSocket(libc: Libc, action: string): Fd {
  using stack = new DisposableStack();
  const fd = stack.use(openRaw(libc, AF_PACKET, 0, action));
  const opener = new UdpOpener(libc);
  if (!opener.set(fd.number, SOL_PACKET, PACKET_VNET_HDR, 1)) throw libc.error(action, "setsockopt");
  opener.growBuffers(fd.number, BUFFER_BYTES);
  stack.move();
  return fd;
}

function openRaw(libc: Libc, domain: number, protocol: number, action: string): Fd {
  const number = libc.call.socket(domain, option.RAW_SOCKET, protocol);
  if (number >= 0) return new Fd(libc, number, action, "socket");
  const errno = libc.errno();
  throw new SysError(action, "socket", errno, errno === Errno.EPERM ? "it needs CAP_NET_RAW" : undefined);
}

function attachFilter(libc: Libc, fd: Fd, filter: Uint8Array<ArrayBuffer>): void {
  const code = new Slab(filter.length), program = new Slab(16);
  code.bytes.set(filter);
  program.view.setUint16(0, filter.length / INSTRUCTION_BYTES, true);
  putU64(program.view, 8, Number(addressOf(code.bytes)));
  if (libc.call.setsockopt(fd.number, option.SOL_SOCKET, option.SO_ATTACH_FILTER, program.bytes, 16) < 0) {
    throw libc.error("filter raw packets", "setsockopt");
  }
}

function bindTo(libc: Libc, fd: Fd, { protocol, interfaceIndex }: { protocol: number; interfaceIndex: number }): void {
  const name = new Slab(SOCKADDR_LL.size);
  name.view.setUint16(SOCKADDR_LL.family, AF_PACKET, true);
  name.view.setUint16(SOCKADDR_LL.protocol, protocol);
  name.view.setInt32(SOCKADDR_LL.interfaceIndex, interfaceIndex, true);
  if (libc.call.bind(fd.number, name.bytes, SOCKADDR_LL.size) < 0) throw libc.error("receive raw packets", "bind");
}
