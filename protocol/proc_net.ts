/**
 * The kernel's tables of sockets as text, in `/proc/net/tcp`, `tcp6`, `udp` and `udp6`: for where sock_diag is not to be had.
 *
 *   sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
 *   0:  0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0      4711  …
 *
 * Addresses are 32-bit words in the machine's byte order, ports are plain hex. proc_pid_net(5).
 */

import type { BoundSocket, Connection } from "./bound_socket.ts";
import type { IpAddress } from "./ip.ts";

const ROW =
  /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]+ ([0-9A-F]{2}) \S+ \S+ \S+ +(\d+) +\d+ (\d+)/gm;

const waitingStates = { tcp: "0A", udp: "07" } as const;
/** Established, both of FIN_WAIT, CLOSE_WAIT: as `socket_diag.ts` has it. */
const CONNECTED_STATES = new Set(["01", "04", "05", "08"]);

/** Those that wait for others. */
export function readBoundSockets(kind: BoundSocket["kind"], text: string): BoundSocket[] {
  const sockets: BoundSocket[] = [];
  for (const [, address, port, state, uid, inode] of text.matchAll(ROW)) {
    if (state !== waitingStates[kind]) continue;
    sockets.push({
      kind,
      address: addressOf(address!),
      port: parseInt(port!, 16),
      uid: Number(uid),
      inode: Number(inode),
    });
  }
  return sockets;
}

/** Those that a process holds, by ports here; without bytes, which the text does not tell. */
export function readConnections(text: string, localPorts: ReadonlySet<number>): Connection[] {
  const connections: Connection[] = [];
  for (const [, , port, state, , inode] of text.matchAll(ROW)) {
    const localPort = parseInt(port!, 16);
    if (!CONNECTED_STATES.has(state!) || !localPorts.has(localPort) || inode === "0") continue;
    connections.push({ id: Number(inode), localPort });
  }
  return connections;
}

function addressOf(hex: string): IpAddress {
  const address = Uint8Array.fromHex(hex);
  for (let word = 0; word < address.length; word += 4) address.subarray(word, word + 4).reverse();
  return address;
}
