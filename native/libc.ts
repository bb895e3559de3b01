/**
 * The C library by FFI: the calls that sockets, TUN devices, netlink and timers need, typed once.
 *
 *   using libc = openLibc(); const fd = libc.call.socket(AF_INET, SOCK_DGRAM, 0); if (fd < 0) throw libc.error("open a socket", "socket")
 *
 * Buffers are passed as views and only their address counts. Sizes are `u64`, which FFI takes fast only as bigint: hoist
 * them (`const SIZE = 65536n`), never make one per packet. `errno` must be read straight after the call that failed, before
 * anything else is allocated (measured: an allocation in between overwrites it on Deno's threads now and then).
 * Structures are written with `DataView` at the offsets of `layout.ts`. Linux, 64-bit, little endian.
 */

import { CulvertError } from "../protocol/errors.ts";
import { SysError } from "./errno.ts";

const symbols = {
  // int open(const char *path, int flags)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count); never more than 2 GiB here, so the result is read as an int
  read: { parameters: ["i32", "buffer", "u64"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i32" },
  // ssize_t readv(int fd, const struct iovec *iov, int count)
  readv: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, void *argument)
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  ioctlValue: { name: "ioctl", parameters: ["i32", "u64", "u64"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t length, int flags)
  send: { parameters: ["i32", "buffer", "u64", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "u64", "i32"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t count, int timeoutMs)
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  // The same on another thread, for seldom waits of the main program; errno is lost.
  pollLater: { name: "poll", parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int most, int timeoutMs)
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // The same on another thread; errno is lost.
  epollWaitLater: { name: "epoll_wait", parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  // int clock_gettime(clockid_t clock, struct timespec *time)
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // int adjtimex(struct timex *time)
  adjtimex: { parameters: ["buffer"], result: "i32" },
  // int pidfd_open(pid_t pid, unsigned flags), which musl and old C libraries have only as its number, the same on all machines
  pidfdOpen: { name: "syscall", parameters: ["i64", "i32", "u32"], result: "i32" },
  // pid_t waitpid(pid_t pid, int *status, int options)
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // unsigned if_nametoindex(const char *name)
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

export type LibcCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

export interface Libc extends Disposable {
  readonly call: LibcCalls;
  /** The error of the call that has just failed on this thread, before anything else is called or made. */
  errno(): number;
  /** `throw libc.error("open /dev/net/tun", "open")`; with words that have yet to be put together, `errno` goes first. */
  error(action: string, syscall: string): SysError;
}

/** Opens the C library. Everything made with it must be closed before it is. */
export function openLibc(): Libc {
  const library = openLibrary();
  // The address is one of this thread, as is every call that is not `nonblocking`.
  const errnoPointer = library.symbols.__errno_location();
  if (errnoPointer === null) throw new CulvertError("no_libc", "Cannot read errno: the C library gave no address");
  const errnoView = new Deno.UnsafePointerView(errnoPointer);
  const errno = () => errnoView.getInt32();
  return {
    call: library.symbols,
    errno,
    error: (action, syscall) => new SysError(action, syscall, errno()),
    [Symbol.dispose]: () => library.close(),
  };
}

function openLibrary(): Deno.DynamicLibrary<typeof symbols> {
  if (Deno.build.os !== "linux") {
    throw new CulvertError("no_libc", `Cannot call the kernel: the system must be Linux, got ${Deno.build.os}`);
  }
  try {
    return Deno.dlopen("libc.so.6", symbols);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    // musl, as on Alpine, has another name for the same calls.
    try {
      return Deno.dlopen(`libc.musl-${Deno.build.arch}.so.1`, symbols);
    } catch {
      throw new CulvertError("no_libc", "Cannot call the kernel: there must be a libc.so.6 or musl", { cause });
    }
  }
}

/** A string as C takes it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

/** Where a buffer lies, for the pointers inside structures. It stays there as long as the buffer lives. */
export function addressOf(buffer: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}
