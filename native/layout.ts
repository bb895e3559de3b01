/**
 * Where the fields of the kernel's structures lie (Linux, 64-bit, little endian, the same on x86-64 and arm64 but for one), for code
 * that writes them with a DataView. Sources: the uapi headers linux/socket.h, in.h, in6.h, if.h, uio.h, asm-generic.
 *
 * A structure that another one points to must lie in memory that stays where it is: V8 keeps a `new Uint8Array(40)` on its
 * own heap, where it moves. A `Slab` does not move, so structures are slabs.
 */

import type { Slab } from "../protocol/slab.ts";
import { addressOf } from "./libc.ts";

/** struct iovec { void *base; size_t length } */
export const IOVEC = { base: 0, length: 8, size: 16 } as const;

/** struct msghdr; `controlLength` and `flags` are also results of recvmsg, as is `nameLength`. */
export const MSGHDR = {
  name: 0,
  nameLength: 8,
  iovec: 16,
  iovecCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  size: 56,
} as const;

/** struct mmsghdr { struct msghdr header; unsigned length } */
export const MMSGHDR = { header: 0, length: MSGHDR.size, size: 64 } as const;

/** struct cmsghdr { size_t length; int level; int type } and its data behind it. */
export const CMSGHDR = { length: 0, level: 8, type: 12, data: 16 } as const;

/** The `length` of a control message with so many bytes of data. */
export function cmsgLength(dataBytes: number): number {
  return CMSGHDR.data + dataBytes;
}

/** What a control message with so many bytes of data takes up before the next one. */
export function cmsgSpace(dataBytes: number): number {
  return (CMSGHDR.data + dataBytes + 7) & ~7;
}

/** struct sockaddr_in; port and address in network order. */
export const SOCKADDR_IN = { family: 0, port: 2, address: 4, size: 16 } as const;

/** struct sockaddr_in6; the scope id in host order. */
export const SOCKADDR_IN6 = { family: 0, port: 2, flowInfo: 4, address: 8, scopeId: 24, size: 28 } as const;

/** struct in_pktinfo: the local address is `specDst`, `address` the one in the header (a broadcast one, maybe). */
export const IN_PKTINFO = { interfaceIndex: 0, specDst: 4, address: 8, size: 12 } as const;

/** struct in6_pktinfo */
export const IN6_PKTINFO = { address: 0, interfaceIndex: 16, size: 20 } as const;

/** struct pollfd { int fd; short events; short revents } */
export const POLLFD = { fd: 0, events: 4, revents: 6, size: 8 } as const;

/** struct epoll_event { unsigned events; union { int fd; … } data }, which x86-64 alone packs. */
export const EPOLL_EVENT = Deno.build.arch === "x86_64"
  ? { events: 0, data: 4, size: 12 } as const
  : { events: 0, data: 8, size: 16 } as const;

/** struct ifreq: the name, then a union (`flags` is a short, `value` an int). */
export const IFREQ = { name: 0, flags: 16, value: 16, size: 40 } as const;
/** An interface's name with its zero. */
export const IFNAMSIZ = 16;

/** Writes an integer below 2^53, or an address, as 64 bits, without making a bigint. */
export function putU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, value / 0x1_0000_0000, true);
}

/** Where slabs lie, each asked for once. */
export class SlabAddresses {
  readonly #known = new WeakMap<Slab, number>();
  #last: Slab | undefined;
  #lastAddress = 0;

  of(slab: Slab): number {
    return slab === this.#last ? this.#lastAddress : this.#lookUp(slab);
  }

  #lookUp(slab: Slab): number {
    let address = this.#known.get(slab);
    if (address === undefined) {
      address = Number(addressOf(slab.bytes));
      this.#known.set(slab, address);
    }
    this.#last = slab;
    this.#lastAddress = address;
    return address;
  }
}
