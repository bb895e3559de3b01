/**
 * A UDP port on both families: a socket for IPv4 and one for IPv6 alone, of the same number. Where the system lacks one
 * family the other serves. Receiving is per socket (a poll tells which has something), sending finds the socket itself.
 *
 *   using udp = new UdpPort(libc, { port: 51820 });
 *   udp.queue(slab, at, length, segmentBytes, peer.endpoint); …; udp.flush();
 */

import type { IpAddress } from "../protocol/ip.ts";
import type { Slab } from "../protocol/slab.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { CulvertError } from "../protocol/errors.ts";
import { Errno, SysError } from "./errno.ts";
import type { Libc } from "./libc.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import { UdpSocket } from "./udp_socket.ts";

/** How often a free port of one family may turn out to be taken in the other. */
const PORT_TRIES = 100;

export interface UdpPortOptions {
  /** 0 lets the system choose. */
  readonly port?: number;
  /** The address to receive at; only its family is then served. Default every address of both. */
  readonly address?: IpAddress;
  readonly fwmark?: number;
  /** Nothing is received by another interface, or sent. On Linux before 5.7 this needs CAP_NET_RAW. */
  readonly interfaceName?: string;
  /** False: as on a kernel without UDP_SEGMENT and UDP_GRO. */
  readonly offload?: boolean;
}

export class UdpPort implements Disposable {
  readonly port: number;
  readonly v4: UdpSocket | undefined;
  readonly v6: UdpSocket | undefined;
  /** Endpoints of others, as the sockets send to them. */
  readonly #known = new WeakMap<Endpoint, UdpEndpoint>();

  /** Throws a SysError when the port is taken in either family. */
  constructor(libc: Libc, options: UdpPortOptions = {}) {
    const { port = 0, ...others } = options;
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new CulvertError("invalid_argument", `Cannot listen: the port must be 0 to 65535, got ${port}`);
    }
    const { v4, v6 } = openPair(libc, port, others);
    this.v4 = v4;
    this.v6 = v6;
    this.port = (v4 ?? v6)!.port;
  }

  /** Marks what is sent from now on; 0 takes the mark away. */
  setFwmark(mark: number): void {
    this.v4?.setFwmark(mark);
    this.v6?.setFwmark(mark);
  }

  /**
   * Takes slab[offset, offset+length) as datagrams of `segmentBytes`, the last maybe shorter. They lie where they are until
   * `flush`; before that, some may go already. False: there is no socket of that family.
   */
  queue(slab: Slab, offset: number, length: number, segmentBytes: number, to: Endpoint, tos = 0): boolean {
    const known = to instanceof UdpEndpoint ? to : this.#resolve(to);
    const socket = known.isV6 ? this.v6 : this.v4;
    if (!socket) return false;
    socket.sender.queue(slab, offset, length, segmentBytes, known, tos);
    return true;
  }

  /** Sends what is queued; false: not all of it went. */
  flush(): boolean {
    const v4Went = this.v4?.sender.flush() ?? true;
    const v6Went = this.v6?.sender.flush() ?? true;
    return v4Went && v6Went;
  }

  /** `queue` and `flush`. */
  send(slab: Slab, offset: number, length: number, segmentBytes: number, to: Endpoint, tos = 0): boolean {
    return this.queue(slab, offset, length, segmentBytes, to, tos) && this.flush();
  }

  [Symbol.dispose](): void {
    this.v4?.[Symbol.dispose]();
    this.v6?.[Symbol.dispose]();
  }

  #resolve(endpoint: Endpoint): UdpEndpoint {
    let found = this.#known.get(endpoint);
    if (!found) this.#known.set(endpoint, found = UdpEndpoint.from(endpoint));
    return found;
  }
}

type Others = Omit<UdpPortOptions, "port">;

function openPair(libc: Libc, port: number, others: Others): { v4: UdpSocket | undefined; v6: UdpSocket | undefined } {
  for (let tries = 1;; tries++) {
    using stack = new DisposableStack();
    try {
      const bytes = others.address?.length;
      const v4 = bytes === 16 ? undefined : openIfThere(libc, { isV6: false, port, ...others });
      if (v4) stack.use(v4);
      const v6 = bytes === 4 ? undefined : openIfThere(libc, { isV6: true, port: v4?.port ?? port, ...others });
      if (!v4 && !v6) throw new CulvertError("no_network", "Cannot listen: the system must have IPv4 or IPv6");
      stack.move();
      return { v4, v6 };
    } catch (error) {
      const isTaken = error instanceof SysError && error.errno === Errno.EADDRINUSE;
      if (!isTaken || port !== 0 || tries === PORT_TRIES) throw error;
    }
  }
}

/** Undefined where the system does not have the family. */
function openIfThere(libc: Libc, options: ConstructorParameters<typeof UdpSocket>[1]): UdpSocket | undefined {
  try {
    return new UdpSocket(libc, options);
  } catch (error) {
    const isMissing = error instanceof SysError && (error.errno === Errno.EAFNOSUPPORT ||
      (error.errno === Errno.EADDRNOTAVAIL && options.address === undefined));
    if (isMissing) return undefined;
    throw error;
  }
}
