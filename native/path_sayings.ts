/**
 * What the way to an address says by ICMP. A datagram as long as the interface allows is sent whole or not at all (DF):
 * routers that cannot pass it on say so, which the kernel remembers (RFC 1191, RFC 8201), and a host on whose port nobody
 * receives says that. Where such words are filtered nothing is learned, so a length that is not refused need not get there.
 *
 *   await sayingsOfPath(libc, parseIp("203.0.113.5")!, { port: 45000, clock })      { mtuBytes: 1492, isRefused: false }
 */

import { type Clock, delay } from "../protocol/clock.ts";
import type { IpAddress } from "../protocol/ip.ts";
import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import type { Libc } from "./libc.ts";
import {
  AF_INET,
  AF_INET6,
  DATAGRAM_SOCKET,
  IPPROTO_IP,
  IPPROTO_IPV6,
  MSG_NOSIGNAL,
  SOL_SOCKET,
} from "./udp_options.ts";

const V4 = { family: AF_INET, level: IPPROTO_IP, discover: 10, mtu: 14, headerBytes: 28 } as const;
const V6 = { family: AF_INET6, level: IPPROTO_IPV6, discover: 23, mtu: 24, headerBytes: 48 } as const;
const SO_ERROR = 4;
/** IP_PMTUDISC_DO: never cut up, and heed what routers say. */
const WHOLE_OR_NOT = 2;
/** Longer than any path's round trip. */
const PATIENCE_MS = 1000;
const LOOK_MS = 20;

export interface PathSayings {
  /** The longest packet that no router has refused, in bytes of IP. */
  readonly mtuBytes: number;
  /** The host is there, and says that nobody receives UDP on that port. */
  readonly isRefused: boolean;
}

export interface PathOptions {
  /** Where the datagram goes: one where it does no harm. */
  readonly port: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly patienceMs?: number;
}

/** Throws a SysError where there is no way there. */
export async function sayingsOfPath(libc: Libc, address: IpAddress, options: PathOptions): Promise<PathSayings> {
  const { port, clock, signal, patienceMs = PATIENCE_MS } = options;
  const kind = address.length === 4 ? V4 : V6;
  const action = "ask routers for the longest packet";
  using fd = new Fd(libc, libc.call.socket(kind.family, DATAGRAM_SOCKET, 0), action, "socket");
  const whole = new Uint8Array(new Int32Array([WHOLE_OR_NOT]).buffer);
  if (libc.call.setsockopt(fd.number, kind.level, kind.discover, whole, whole.length) < 0) {
    throw libc.error(action, "setsockopt");
  }
  const name = new Uint8Array(kind === V4 ? SOCKADDR_IN.size : SOCKADDR_IN6.size);
  const view = new DataView(name.buffer);
  view.setUint16(SOCKADDR_IN.family, kind.family, true);
  view.setUint16(SOCKADDR_IN.port, port);
  name.set(address, kind === V4 ? SOCKADDR_IN.address : SOCKADDR_IN6.address);
  if (libc.call.connect(fd.number, name, name.length) < 0) throw libc.error(action, "connect");
  const read = (level: number, option: number): number => {
    const value = new Uint8Array(4), size = new Uint8Array(new Uint32Array([4]).buffer);
    if (libc.call.getsockopt(fd.number, level, option, value, size) < 0) throw libc.error(action, "getsockopt");
    return new DataView(value.buffer).getInt32(0, true);
  };
  let mtuBytes = read(kind.level, kind.mtu);
  let isRefused = false;
  const untilMs = clock.now() + patienceMs;
  // Behind the first narrow place there may be a narrower one.
  for (let sent = 0; sent !== mtuBytes && clock.now() < untilMs;) {
    sent = mtuBytes;
    const bytes = new Uint8Array(Math.min(mtuBytes, 65_535) - kind.headerBytes);
    libc.call.send(fd.number, bytes, BigInt(bytes.length), MSG_NOSIGNAL);
    while (mtuBytes === sent && !isRefused && clock.now() < untilMs) {
      await delay(clock, LOOK_MS, signal);
      isRefused = read(SOL_SOCKET, SO_ERROR) === Errno.ECONNREFUSED;
      mtuBytes = read(kind.level, kind.mtu);
    }
  }
  return { mtuBytes, isRefused };
}
