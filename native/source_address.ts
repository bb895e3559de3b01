/**
 * Which address of ours a datagram to somewhere would leave from, as the routes and rules say now: a UDP socket is
 * connected and asked for its own address. Nothing is sent.
 *
 *   using sources = new SourceAddresses(libc, { mark }); const ours = sources.to(address);   // undefined: no route
 */

import type { IpAddress } from "../protocol/ip.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { Fd } from "./fd.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import * as option from "./udp_options.ts";

const AF_UNSPEC = new Uint8Array(SOCKADDR_IN.size);
/** Any but 0; connecting sends nothing there. */
const SOME_PORT = 9;

export class SourceAddresses implements Disposable {
  readonly #libc: Libc;
  readonly #fds: DisposableStack;
  readonly #v4: Fd;
  /** Undefined where the system has no IPv6. */
  readonly #v6: Fd | undefined;

  /** Throws a SysError: EPERM for a mark without CAP_NET_ADMIN. */
  constructor(libc: Libc, { mark = 0 }: { readonly mark?: number } = {}) {
    this.#libc = libc;
    using stack = new DisposableStack();
    const open = (domain: number) => {
      const number = libc.call.socket(domain, option.DATAGRAM_SOCKET, 0);
      const fd = stack.use(new Fd(libc, number, "open a socket to ask for routes", "socket"));
      if (mark !== 0) this.#setMark(fd, mark);
      return fd;
    };
    this.#v4 = open(option.AF_INET);
    this.#v6 = hasV6(libc) ? open(option.AF_INET6) : undefined;
    this.#fds = stack.move();
  }

  /** Undefined when there is no way there. */
  to({ address, scopeId = 0 }: Pick<Endpoint, "address" | "scopeId">): IpAddress | undefined {
    const { words, nameWords, isV6 } = UdpEndpoint.from({ address, port: SOME_PORT, scopeId });
    const fd = isV6 ? this.#v6 : this.#v4;
    if (!fd) return undefined;
    // Until it is let go, a socket keeps the address it chose first.
    this.#libc.call.connect(fd.number, AF_UNSPEC, AF_UNSPEC.length);
    const name = new Uint8Array(isV6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size);
    name.set(new Uint8Array(words.buffer, 0, nameWords * 4));
    if (this.#libc.call.connect(fd.number, name, name.length) < 0) return undefined;
    const size = new Uint32Array([name.length]);
    if (this.#libc.call.getsockname(fd.number, name, new Uint8Array(size.buffer)) < 0) return undefined;
    return isV6
      ? name.slice(SOCKADDR_IN6.address, SOCKADDR_IN6.address + 16)
      : name.slice(SOCKADDR_IN.address, SOCKADDR_IN.address + 4);
  }

  [Symbol.dispose](): void {
    this.#fds.dispose();
  }

  #setMark(fd: Fd, mark: number): void {
    const bytes = new Uint8Array(new Uint32Array([mark]).buffer), action = `mark datagrams with ${mark}`;
    if (this.#libc.call.setsockopt(fd.number, option.SOL_SOCKET, option.SO_MARK, bytes, bytes.length) < 0) {
      throw this.#libc.error(action, "setsockopt");
    }
  }
}

/** A kernel without IPv6 does not even make its sockets. */
export function hasV6(libc: Libc): boolean {
  const number = libc.call.socket(option.AF_INET6, option.DATAGRAM_SOCKET, 0);
  if (number >= 0) libc.call.close(number);
  return number >= 0;
}
