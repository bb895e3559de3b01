/**
 * Local TCP ports that nobody else gets while we use them without the kernel's TCP: each is bound by a socket that never
 * listens, so that the kernel gives it to nobody, neither on asking nor as the port of an outgoing connection.
 *
 *   using reserved = reservePorts(libc, [45000, 0]);   reserved.ports
 *
 * It ends with the process, however that ends. So it also tells whether whoever had a port before is still alive.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { Errno } from "../errno.ts";
import { Fd } from "../fd.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "../layout.ts";
import type { Libc } from "../libc.ts";
import { portUsers, userText } from "./port_users.ts";

/** SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const STREAM_SOCKET = 1 | 0o4000 | 0o2000000;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Each takes a file descriptor. */
const MOST_PORTS = 1024;

export interface ReservedPorts extends Disposable {
  readonly ports: readonly number[];
}

/** Throws `port_in_use` with who has it. */
export function reservePorts(libc: Libc, ports: readonly number[]): ReservedPorts {
  requirePorts(ports);
  using stack = new DisposableStack();
  const reserved = ports.map((port) => {
    const { fd, port: bound } = reservePort(libc, port);
    stack.use(fd);
    return bound;
  });
  const held = stack.move();
  return { ports: reserved, [Symbol.dispose]: () => held.dispose() };
}

/** Whether nobody has the port now, and we could. */
export function isPortFree(libc: Libc, port: number): boolean {
  try {
    using _reserved = reservePorts(libc, [port]);
    return true;
  } catch (error) {
    // Where it cannot be told, it is left alone.
    if (error instanceof CulvertError) return false;
    throw error;
  }
}

function requirePorts(ports: readonly number[]): void {
  const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= 65_535;
  const named = ports.filter((port) => port !== 0);
  if (ports.length > 0 && ports.length <= MOST_PORTS && ports.every(isPort) && new Set(named).size === named.length) {
    return;
  }
  throw new CulvertError(
    "bad_port",
    `Cannot reserve ports: there must be 1 to ${MOST_PORTS} different ones from 0 to 65535, got ${
      ports.slice(0, 8).join(", ")
    }${ports.length > 8 ? `, … (${ports.length})` : ""}`,
  );
}

function reservePort(libc: Libc, port: number): { readonly fd: Fd; readonly port: number } {
  using stack = new DisposableStack();
  const { fd, isV6 } = openSocket(libc, port);
  stack.use(fd);
  const name = new Uint8Array(isV6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size);
  const view = new DataView(name.buffer);
  view.setUint16(SOCKADDR_IN.family, isV6 ? AF_INET6 : AF_INET, true);
  view.setUint16(SOCKADDR_IN.port, port);
  if (!bind(libc, fd, name)) {
    const users = portUsers(port);
    // Of connections that are over, the kernel keeps a memory for a minute.
    const isOver = users.every(({ state }) => state === "TIME_WAIT");
    if (!isOver || users.length === 0 || !(setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1) && bind(libc, fd, name))) {
      throw new CulvertError(
        "port_in_use",
        `Cannot use port ${port} for packets of our own: it must be one that this machine does not use, and ${
          userText(users)
        }`,
      );
    }
  }
  // Else whoever sets it too could listen there.
  setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 0);
  const size = new Uint32Array([name.length]);
  if (libc.call.getsockname(fd.number, name, new Uint8Array(size.buffer)) < 0) {
    throw libc.error(`reserve port ${port}`, "getsockname");
  }
  stack.move();
  return { fd, port: view.getUint16(SOCKADDR_IN.port) };
}

/** For both families where the system has IPv6. */
function openSocket(libc: Libc, port: number): { readonly fd: Fd; readonly isV6: boolean } {
  const action = `reserve port ${port}`;
  const number = libc.call.socket(AF_INET6, STREAM_SOCKET, 0);
  if (number < 0) {
    return { fd: new Fd(libc, libc.call.socket(AF_INET, STREAM_SOCKET, 0), action, "socket"), isV6: false };
  }
  const fd = new Fd(libc, number, action, "socket");
  if (setOption(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) return { fd, isV6: true };
  const error = libc.error(action, "setsockopt");
  fd[Symbol.dispose]();
  throw error;
}

function setOption(libc: Libc, fd: Fd, level: number, name: number, value: number): boolean {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return libc.call.setsockopt(fd.number, level, name, bytes, bytes.length) === 0;
}

/** False when somebody has it. */
function bind(libc: Libc, fd: Fd, name: Uint8Array<ArrayBuffer>): boolean {
  if (libc.call.bind(fd.number, name, name.length) === 0) return true;
  const errno = libc.errno();
  if (errno === Errno.EADDRINUSE) return false;
  const port = new DataView(name.buffer).getUint16(SOCKADDR_IN.port);
  if (errno === Errno.EACCES) {
    throw new CulvertError("denied", `Cannot reserve port ${port}: below 1024 it needs CAP_NET_BIND_SERVICE`);
  }
  throw libc.error(`reserve port ${port}`, "bind");
}
