/**
 * What every UDP socket here is opened by: options as numbers, room in the kernel, a port of every address. One of them opens
 * any number of sockets, with the same few bytes for all its calls: what is handed to a call leaves V8's heap, and for
 * thousands of sockets that adds up.
 */

import type { IpAddress } from "../protocol/ip.ts";
import { Slab } from "../protocol/slab.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import type { Libc } from "./libc.ts";
import * as option from "./udp_options.ts";

const NAME_BYTES = { v6: 28, v4: 16 } as const;

export interface UdpBinding {
  readonly isV6: boolean;
  readonly port: number;
  readonly address?: IpAddress;
}

export class UdpOpener {
  readonly #libc: Libc;
  readonly #value = new Slab(4);
  readonly #size = new Slab(4);
  readonly #name = new Slab(NAME_BYTES.v6);

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Sets an option that is an int; false when the system does not have it or does not allow it. */
  set(fd: number, level: number, name: number, value: number): boolean {
    this.#value.view.setInt32(0, value, true);
    return this.#libc.call.setsockopt(fd, level, name, this.#value.bytes, 4) >= 0;
  }

  /** Whether the system has an option that is an int. */
  has(fd: number, level: number, name: number): boolean {
    this.#size.view.setUint32(0, 4, true);
    return this.#libc.call.getsockopt(fd, level, name, this.#value.bytes, this.#size.bytes) >= 0;
  }

  /** How much may wait in the kernel: beyond the system's limit where that is allowed, otherwise up to it. */
  growBuffers(fd: number, bytes: number): void {
    const { SOL_SOCKET, SO_RCVBUFFORCE, SO_RCVBUF, SO_SNDBUFFORCE, SO_SNDBUF } = option;
    if (!this.set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) this.set(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    if (!this.set(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes)) this.set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
  }

  /** Binds to an address of the family, or to every one (port 0 lets the system choose); gives the port. */
  bind(fd: number, { isV6, port, address }: UdpBinding): number {
    const { bytes, view } = this.#name, size = isV6 ? NAME_BYTES.v6 : NAME_BYTES.v4;
    bytes.fill(0);
    view.setUint16(0, isV6 ? option.AF_INET6 : option.AF_INET, true);
    view.setUint16(2, port);
    if (address) bytes.set(address, isV6 ? SOCKADDR_IN6.address : SOCKADDR_IN.address);
    const action = `listen on UDP port ${port} for ${isV6 ? "IPv6" : "IPv4"}`;
    if (this.#libc.call.bind(fd, bytes, size) < 0) throw this.#libc.error(action, "bind");
    this.#size.view.setUint32(0, size, true);
    if (this.#libc.call.getsockname(fd, bytes, this.#size.bytes) < 0) throw this.#libc.error(action, "getsockname");
    return view.getUint16(2);
  }
}
