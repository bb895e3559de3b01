/**
 * What every UDP socket here is opened by: options as numbers, room in the kernel, a port of every address.
 */

import type { Libc } from "./libc.ts";
import * as option from "./udp_options.ts";

/** Sets an option that is an int; false when the system does not have it or does not allow it. */
export function setSocketOption(libc: Libc, fd: number, level: number, name: number, value: number): boolean {
  return libc.call.setsockopt(fd, level, name, Uint32Array.of(value), 4) >= 0;
}

export function hasSocketOption(libc: Libc, fd: number, level: number, name: number): boolean {
  return libc.call.getsockopt(fd, level, name, new Uint8Array(4), Uint32Array.of(4)) >= 0;
}

/** How much may wait in the kernel: beyond the system's limit where that is allowed, otherwise up to it. */
export function growSocketBuffers(libc: Libc, fd: number, bytes: number): void {
  const { SOL_SOCKET, SO_RCVBUFFORCE, SO_RCVBUF, SO_SNDBUFFORCE, SO_SNDBUF } = option;
  for (const [force, ask] of [[SO_RCVBUFFORCE, SO_RCVBUF], [SO_SNDBUFFORCE, SO_SNDBUF]] as const) {
    if (!setSocketOption(libc, fd, SOL_SOCKET, force, bytes)) setSocketOption(libc, fd, SOL_SOCKET, ask, bytes);
  }
}

/** Binds to every address of the family (0 lets the system choose the port); gives the port. */
export function bindUdpPort(libc: Libc, fd: number, { isV6, port }: { isV6: boolean; port: number }): number {
  const name = new Uint8Array(isV6 ? 28 : 16);
  name[0] = isV6 ? option.AF_INET6 : option.AF_INET;
  name[2] = port >> 8;
  name[3] = port;
  const action = `listen on UDP port ${port} for ${isV6 ? "IPv6" : "IPv4"}`;
  if (libc.call.bind(fd, name, name.length) < 0) throw libc.error(action, "bind");
  if (libc.call.getsockname(fd, name, Uint32Array.of(name.length)) < 0) throw libc.error(action, "getsockname");
  return (name[2]! << 8) | name[3]!;
}
