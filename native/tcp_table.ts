/**
 * The kernel's table of sockets, in the network namespace of this process: who listens, and what has gone over the
 * connections of a port. No connection is made, so nobody notices being looked at.
 *
 *   using table = openTcpTable(); table.bound().some((socket) => isBoundAt(socket, "tcp", at)); table.connections(ports)
 *
 * Asked by sock_diag netlink, which filters in the kernel and knows bytes; where that is not to be had (FFI not allowed, no
 * such kernel), `/proc/net/tcp` and its like are read, which know no bytes. Synchronous, as the kernel is: see `netlink.ts`.
 */

import type { BoundSocket, Connection } from "../protocol/bound_socket.ts";
import { CulvertError } from "../protocol/errors.ts";
import { readBoundSockets, readConnections } from "../protocol/proc_net.ts";
import { encodeListBound, encodeListConnections, readBoundSocket, readConnection } from "../protocol/socket_diag.ts";
import { type Libc, openLibc } from "./libc.ts";
import { NETLINK_SOCK_DIAG, NetlinkSocket } from "./netlink.ts";

export interface TcpTable extends Disposable {
  /** TCP sockets that listen and UDP sockets that are bound. */
  bound(): readonly BoundSocket[];
  /** Connections whose end here has one of these ports and that a process holds. */
  connections(localPorts: ReadonlySet<number>): readonly Connection[];
}

/** No foreign calls; a kernel or a sandbox without netlink; a kernel without sock_diag, or without it for UDP or IPv6. */
const NOT_TO_BE_HAD: ReadonlySet<string> = new Set([
  "no_libc",
  "EPROTONOSUPPORT",
  "EAFNOSUPPORT",
  "EOPNOTSUPP",
  "ENOENT",
  "EPERM",
  "EACCES",
]);

const kinds = ["tcp", "udp"] as const;
const families = [4, 6] as const;

/** By sock_diag where it answers, otherwise by text. */
export function openTcpTable(): TcpTable {
  try {
    return openDiagTable();
  } catch (error) {
    const isNotToBeHad = error instanceof Deno.errors.NotCapable ||
      error instanceof CulvertError && NOT_TO_BE_HAD.has(error.code);
    if (isNotToBeHad) return textTable;
    throw error;
  }
}

/** Throws where FFI is not allowed or the kernel has no sock_diag. */
function openDiagTable(): TcpTable {
  using guard = new DisposableStack();
  const table = guard.use(new DiagTable(guard.use(openLibc())));
  table.bound();
  const kept = guard.move();
  return {
    bound: () => table.bound(),
    connections: (localPorts) => table.connections(localPorts),
    [Symbol.dispose]: () => kept.dispose(),
  };
}

class DiagTable implements TcpTable {
  readonly #socket: NetlinkSocket;

  constructor(libc: Libc) {
    this.#socket = new NetlinkSocket(libc, NETLINK_SOCK_DIAG);
  }

  bound(): BoundSocket[] {
    return kinds.flatMap((kind) =>
      families.flatMap((family) =>
        this.#socket.request("list sockets", encodeListBound(kind, family))
          .map((message) => readBoundSocket(kind, message))
          .filter((socket) => socket !== undefined)
      )
    );
  }

  connections(localPorts: ReadonlySet<number>): Connection[] {
    if (localPorts.size === 0) return [];
    return families.flatMap((family) =>
      this.#socket.request("list connections", encodeListConnections(family, localPorts))
        .map((message) => readConnection(message, localPorts))
        .filter((connection) => connection !== undefined)
    );
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** By `/proc/net`; a machine without IPv6 lacks two of its files. */
export const textTable: TcpTable = {
  bound: () => kinds.flatMap((kind) => families.flatMap((family) => readBoundSockets(kind, textOf(kind, family)))),
  connections: (localPorts) => families.flatMap((family) => readConnections(textOf("tcp", family), localPorts)),
  [Symbol.dispose]: () => {},
};

function textOf(kind: "tcp" | "udp", family: 4 | 6): string {
  try {
    return Deno.readTextFileSync(`/proc/net/${kind}${family === 6 ? "6" : ""}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
