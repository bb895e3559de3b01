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

export interface TcpTable extends Disposable {
  /** TCP sockets that listen and UDP sockets that are bound. */
  bound(): readonly BoundSocket[];
  /** Established connections whose end here has one of these ports. */
  connections(localPorts: ReadonlySet<number>): readonly Connection[];
}
