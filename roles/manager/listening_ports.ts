/**
 * Whether the ports of services listen, by the kernel's table: nothing connects, and no process is looked at.
 */

import { isBoundAt } from "../../protocol/bound_socket.ts";
import type { TcpTable } from "../../native/tcp_table.ts";
import type { ListeningPorts } from "./checks.ts";

/** The table stays the caller's. */
export function listeningPorts(sockets: TcpTable): ListeningPorts {
  return {
    listening: (ports) =>
      Promise.try(() => {
        const bound = sockets.bound();
        return ports.map(({ kind, at }) => bound.some((socket) => isBoundAt(socket, kind, at)));
      }),
  };
}
