/**
 * The kernel's error numbers (Linux, the same on x86-64 and arm64) and the error a failed call becomes.
 */

import { CulvertError } from "../protocol/errors.ts";

/** Those that code here tells apart or prints. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EPIPE: 32,
  EMSGSIZE: 90,
  EPROTO: 71,
  EBADFD: 77,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EDESTADDRREQ: 89,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const;

const names: ReadonlyMap<number, string> = new Map(Object.entries(Errno).map(([name, number]) => [number, name]));

/** `EPERM`, or `errno 200` for one without a name here. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** A call to the kernel that failed: `Cannot open /dev/net/tun: open gave EACCES`. */
export class SysError extends CulvertError {
  override readonly name = "SysError";
  readonly errno: number;

  /** `detail`: what the kernel says beyond the number. */
  constructor(action: string, syscall: string, errno: number, detail?: string) {
    super(errnoName(errno), `Cannot ${action}: ${syscall} gave ${errnoName(errno)}${detail ? ` (${detail})` : ""}`);
    this.errno = errno;
  }
}
