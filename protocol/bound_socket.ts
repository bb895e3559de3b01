/**
 * Sockets that wait for others: TCP that listens, UDP that is bound. Whether one of them is what a service should listen on
 * is told by the kernel's table, without a connection that the service would have to take.
 */

import { equalIp, type IpAddress, isV4Mapped, parseIp } from "./ip.ts";
import type { Target } from "./stream.ts";

export interface BoundSocket {
  readonly kind: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: number;
  /** Whose it is. */
  readonly uid: number;
  /** The number by which a process's open files name it: `socket:[4711]`. */
  readonly inode: number;
  /** Bound to `::`, it takes no IPv4. */
  readonly isV6Only?: true;
}

/** An established TCP connection, by its end on this machine. */
export interface Connection {
  /** Its own for as long as the machine is up; no other connection has it, ports used again included. */
  readonly id: number;
  readonly localPort: number;
  /** What came in, and what went out and arrived; absent where the kernel does not tell. */
  readonly inBytes?: number;
  readonly outBytes?: number;
}

/** Whether a socket takes what is sent to `at`; to any of its addresses, for `localhost`. */
export function isBoundAt(socket: BoundSocket, kind: BoundSocket["kind"], at: Target): boolean {
  if (socket.kind !== kind || socket.port !== at.port) return false;
  return addressesOf(at.host).some((address) => covers(socket, address));
}

/** Whether a socket keeps another from being bound there: it takes what is sent there, or something of it. */
export function keepsOthersFrom(socket: BoundSocket, kind: BoundSocket["kind"], at: Target): boolean {
  if (isBoundAt(socket, kind, at)) return true;
  return socket.kind === kind && socket.port === at.port &&
    addressesOf(at.host).some((address) => covers({ address }, socket.address));
}

const LOOPBACKS: readonly IpAddress[] = [parseIp("127.0.0.1")!, parseIp("::1")!];

/** None for other names: which they are is known to a resolver alone. */
function addressesOf(host: string): readonly IpAddress[] {
  const address = parseIp(host);
  if (address) return [address];
  return host === "localhost" ? LOOPBACKS : [];
}

/** A socket on `::` takes IPv4 as well, unless it was told not to. */
function covers({ address: bound, isV6Only }: Pick<BoundSocket, "address" | "isV6Only">, address: IpAddress): boolean {
  if (isUnspecified(bound)) return bound.length === address.length || bound.length === 16 && !isV6Only;
  if (isV4Mapped(bound) && address.length === 4) return equalIp(bound.subarray(12), address);
  return equalIp(bound, address);
}

function isUnspecified(address: IpAddress): boolean {
  return address.every((byte) => byte === 0);
}
