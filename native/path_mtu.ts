/**
 * What routers say of the longest packet to an address: a datagram as long as the interface allows is sent whole or not
 * at all (DF), and whoever cannot pass it on says so by ICMP, which the kernel remembers (RFC 1191, RFC 8201). Where such
 * words are filtered nothing is learned, so a length that is not refused need not get there.
 *
 *   await routersMtu(libc, parseIp("203.0.113.5")!, { port: 45000, clock })      1492
 */

import { type Clock, delay } from "../protocol/clock.ts";
import type { IpAddress } from "../protocol/ip.ts";
import { Fd } from "./fd.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { AF_INET, AF_INET6, DATAGRAM_SOCKET, IPPROTO_IP, IPPROTO_IPV6, MSG_NOSIGNAL } from "./udp_options.ts";

const V4 = { family: AF_INET, level: IPPROTO_IP, discover: 10, mtu: 14, headerBytes: 28 } as const;
const V6 = { family: AF_INET6, level: IPPROTO_IPV6, discover: 23, mtu: 24, headerBytes: 48 } as const;
/** IP_PMTUDISC_DO: never cut up, and heed what routers say. */
const WHOLE_OR_NOT = 2;
/** Longer than any path's round trip. */
const PATIENCE_MS = 1000;
const LOOK_MS = 20;

export interface RoutersMtuOptions {
  /** Where the datagram goes: one where it does no harm. */
  readonly port: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly patienceMs?: number;
}

/** In bytes of IP. Throws a SysError where there is no way there. */
export async function routersMtu(libc: Libc, address: IpAddress, options: RoutersMtuOptions): Promise<number> {
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
  const known = () => {
    const value = new Int32Array(1), size = new Uint32Array([4]);
    const isRead = libc.call.getsockopt(
      fd.number,
      kind.level,
      kind.mtu,
      new Uint8Array(value.buffer),
      new Uint8Array(size.buffer),
    ) === 0;
    if (!isRead) throw libc.error(action, "getsockopt");
    return value[0]!;
  };
  let mtu = known();
  const untilMs = clock.now() + patienceMs;
  // Behind the first narrow place there may be a narrower one.
  for (let sent = 0; sent !== mtu && clock.now() < untilMs;) {
    sent = mtu;
    const bytes = new Uint8Array(Math.min(mtu, 65_535) - kind.headerBytes);
    libc.call.send(fd.number, bytes, BigInt(bytes.length), MSG_NOSIGNAL);
    while (mtu === sent && clock.now() < untilMs) {
      await delay(clock, LOOK_MS, signal);
      mtu = known();
    }
  }
  return mtu;
}
