/**
 * One UDP socket of one family that talks to many peers, bound and not connected. Receives what the kernel has coalesced
 * (UDP_GRO): one call gives up to 64 KiB of equal datagrams of one source, in the slab the caller names.
 *
 *   const length = socket.receive(slab, offset);       // -1: nothing waits
 *   for (at = 0; at < length; at += socket.segmentBytes) …   // the last may be shorter
 *   if (authentic) peer.endpoint = socket.source();
 *
 * One recvmsg at a time on purpose: recvmmsg saves at most 0.2 µs for each small datagram of another source, but its several
 * 64 KiB buffers fall out of the cache, which costs a bulk transfer more (2.1 µs become 2.8 per 64 KiB, measured).
 *
 * Non-blocking; what ICMP says about an earlier datagram is not an error here.
 */

import type { IpAddress } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import { CMSGHDR, IFNAMSIZ, IN6_PKTINFO, IN_PKTINFO, IOVEC, MSGHDR, putU64, SlabAddresses } from "./layout.ts";
import { addressOf, cString, type Libc } from "./libc.ts";
import { EndpointTable, type UdpEndpoint } from "./udp_endpoint.ts";
import { UdpOpener } from "./udp_open.ts";
import * as option from "./udp_options.ts";
import { UdpSender } from "./udp_sender.ts";

/** The room a receive needs. */
export const UDP_RECEIVE_BYTES = 65_536;
/** As much as wireguard-go asks for: some 50 ms of a gigabit. */
const BUFFER_BYTES = 7 << 20;

/** Where things lie in the slab that recvmsg is given. */
const IOVEC_AT = 56;
const NAME_AT = IOVEC_AT + IOVEC.size;
const CONTROL_AT = NAME_AT + 32;
/** The coalesced size and our address, with some to spare. */
const CONTROL_BYTES = 128;
/** Errors of earlier datagrams that one receive reads away. */
const STALE_ERRORS = 16;

export interface UdpReceiveCounters {
  receivedDatagrams: number;
  receivedBytes: number;
}

export interface UdpSocketOptions {
  readonly isV6: boolean;
  /** 0 lets the system choose. */
  readonly port: number;
  /** The address to receive at, of that family; default every one. */
  readonly address?: IpAddress;
  readonly fwmark?: number;
  readonly interfaceName?: string;
  /** False: as on a kernel without UDP_SEGMENT and UDP_GRO. */
  readonly offload?: boolean;
}

export class UdpSocket implements Disposable {
  readonly isV6: boolean;
  readonly port: number;
  readonly offload: { readonly segments: boolean; readonly coalesces: boolean };
  readonly counters: UdpReceiveCounters = { receivedDatagrams: 0, receivedBytes: 0 };
  readonly sender: UdpSender;
  /** The size of each datagram of the last receive but the last of them. */
  segmentBytes = 0;
  readonly #libc: Libc;
  readonly #opener: UdpOpener;
  readonly #fd: Fd;
  readonly #sources: EndpointTable;
  readonly #addresses = new SlabAddresses();
  readonly #message = new Slab(CONTROL_AT + CONTROL_BYTES);
  readonly #nameBytes: number;
  /** The word of #message with the address that the last datagrams came to; -1 if it is not known. */
  #oursAt = -1;

  /** Throws a SysError: EADDRINUSE, EAFNOSUPPORT where the system has no IPv6, EPERM for a mark. */
  constructor(libc: Libc, options: UdpSocketOptions) {
    const { isV6, port, address, fwmark = 0, interfaceName, offload = true } = options;
    this.#libc = libc;
    this.#opener = new UdpOpener(libc);
    this.isV6 = isV6;
    this.#nameBytes = isV6 ? 28 : 16;
    using stack = new DisposableStack();
    const domain = isV6 ? option.AF_INET6 : option.AF_INET;
    const action = `open a UDP socket for ${isV6 ? "IPv6" : "IPv4"}`;
    const number = libc.call.socket(domain, option.DATAGRAM_SOCKET, 0);
    this.#fd = stack.use(new Fd(libc, number, action, "socket"));
    if (isV6) this.#mustSet(option.IPPROTO_IPV6, option.IPV6_V6ONLY, 1, "keep IPv4 out of an IPv6 socket");
    this.#opener.growBuffers(this.#fd.number, BUFFER_BYTES);
    const level = isV6 ? option.IPPROTO_IPV6 : option.IPPROTO_IP;
    this.#set(level, isV6 ? option.IPV6_RECVPKTINFO : option.IP_PKTINFO, 1);
    if (fwmark !== 0) this.setFwmark(fwmark);
    if (interfaceName !== undefined) this.#keepTo(interfaceName);
    this.port = this.#opener.bind(this.#fd.number, { isV6, port, ...address && { address } });
    this.offload = {
      segments: offload && this.#opener.has(this.#fd.number, option.SOL_UDP, option.UDP_SEGMENT),
      coalesces: offload && this.#set(option.SOL_UDP, option.UDP_GRO, 1),
    };
    this.sender = new UdpSender(libc, this.#fd.number, { isV6, segments: this.offload.segments });
    this.#sources = new EndpointTable(isV6);
    this.#layOut();
    stack.move();
  }

  /** For a poll set. */
  get fd(): number {
    return this.#fd.number;
  }

  /** Marks what is sent from now on, for routing rules; 0 takes the mark away. Needs CAP_NET_ADMIN. */
  setFwmark(mark: number): void {
    this.#mustSet(option.SOL_SOCKET, option.SO_MARK, mark, `mark datagrams with ${mark}`);
  }

  /** Receives datagrams of one source; gives the length of all of them, -1 when none wait. */
  receive(slab: Slab, offset: number): number {
    if (slab.size - offset < UDP_RECEIVE_BYTES) throw noRoom(slab, offset);
    const { view } = this.#message;
    putU64(view, IOVEC_AT + IOVEC.base, this.#addresses.of(slab) + offset);
    for (let tries = 0; tries < STALE_ERRORS; tries++) {
      view.setUint32(MSGHDR.nameLength, this.#nameBytes, true);
      view.setUint32(MSGHDR.controlLength, CONTROL_BYTES, true);
      const length = this.#libc.call.recvmsg(this.#fd.number, this.#message.bytes, 0);
      if (length >= 0) {
        this.#readControl(length);
        return length;
      }
      if (this.#libc.errno() === Errno.EAGAIN) break;
    }
    return -1;
  }

  /**
   * Where the datagrams of the last receive came from, and to which address of ours. The same object as before when
   * nothing has changed. To be kept only once they have proved authentic.
   */
  source(): UdpEndpoint {
    return this.#sources.find(this.#message, NAME_AT >> 2, this.#oursAt);
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  /** Reads the control messages: the size the kernel coalesced by, and our address. */
  #readControl(length: number): void {
    const { view } = this.#message;
    const end = CONTROL_AT + view.getUint32(MSGHDR.controlLength, true);
    const pktinfo = this.isV6 ? option.IPV6_PKTINFO : option.IP_PKTINFO;
    const ourAddress = this.isV6 ? IN6_PKTINFO.address : IN_PKTINFO.specDst;
    this.segmentBytes = length;
    this.#oursAt = -1;
    for (let at = CONTROL_AT; at + CMSGHDR.data <= end;) {
      const size = view.getUint32(at + CMSGHDR.length, true);
      if (size < CMSGHDR.data) break;
      const type = view.getInt32(at + CMSGHDR.type, true);
      // The types that were asked for are told apart without their level.
      if (type === option.UDP_GRO) this.segmentBytes = view.getInt32(at + CMSGHDR.data, true);
      else if (type === pktinfo) this.#oursAt = (at + CMSGHDR.data + ourAddress) >> 2;
      at += (size + 7) & ~7;
    }
    this.counters.receivedDatagrams += length > this.segmentBytes ? Math.ceil(length / this.segmentBytes) : 1;
    this.counters.receivedBytes += length;
  }

  #layOut(): void {
    const { view } = this.#message;
    const address = Number(addressOf(this.#message.bytes));
    putU64(view, MSGHDR.name, address + NAME_AT);
    putU64(view, MSGHDR.iovec, address + IOVEC_AT);
    view.setUint32(MSGHDR.iovecCount, 1, true);
    putU64(view, MSGHDR.control, address + CONTROL_AT);
    view.setUint32(IOVEC_AT + IOVEC.length, UDP_RECEIVE_BYTES, true);
  }

  #keepTo(interfaceName: string): void {
    const name = cString(interfaceName).subarray(0, IFNAMSIZ);
    const { SOL_SOCKET, SO_BINDTODEVICE } = option;
    if (this.#libc.call.setsockopt(this.#fd.number, SOL_SOCKET, SO_BINDTODEVICE, name, name.length) < 0) {
      throw this.#libc.error(`keep a UDP socket to ${interfaceName}`, "setsockopt");
    }
  }

  #set(level: number, name: number, value: number): boolean {
    return this.#opener.set(this.#fd.number, level, name, value);
  }

  #mustSet(level: number, name: number, value: number, action: string): void {
    if (!this.#set(level, name, value)) throw this.#libc.error(action, "setsockopt");
  }
}

function noRoom(slab: Slab, offset: number): RangeError {
  const got = `offset ${offset} of ${slab.size}`;
  return new RangeError(`Cannot receive datagrams: there must be room for ${UDP_RECEIVE_BYTES} bytes, got ${got}`);
}
