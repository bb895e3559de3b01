/**
 * The UDP port of one relayed session: its socket, which serves both IP versions where the system has both, the session's
 * machine, and what it has carried. Thousands of them are idle, so it holds no buffer: what is read and sent lies in the
 * engine's own.
 */

import { Pace } from "../../protocol/pace.ts";
import type { RelayedSession } from "../../protocol/wireguard/relay_session.ts";
import { Errno, SysError } from "../errno.ts";
import { Fd } from "../fd.ts";
import type { Libc } from "../libc.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import { UdpOpener } from "../udp_open.ts";
import * as option from "../udp_options.ts";
import { endpointAt } from "./relay_place.ts";
import type { RelayCounts } from "./relay_messages.ts";

/** A limit on what waits in the kernel, not memory that is taken: some 30 ms of a gigabit. */
const BUFFER_BYTES = 4 << 20;

export class RelayPort implements Disposable {
  readonly port: number;
  toExitBytes = 0;
  toClientBytes = 0;
  droppedDatagrams = 0;
  /** The kernel handed over several datagrams as one the last time, so it will again. */
  isCoalesced = false;
  /** Of places not known. */
  readonly initiations = new Pace();
  readonly reflections = new Pace();
  readonly sessionId: string;
  readonly session: RelayedSession<UdpEndpoint>;
  readonly #fd: Fd;

  /** Takes over the socket. */
  constructor(sessionId: string, session: RelayedSession<UdpEndpoint>, socket: RelaySocket) {
    this.sessionId = sessionId;
    this.session = session;
    this.#fd = socket.fd;
    this.port = socket.port;
  }

  get fd(): number {
    return this.#fd.number;
  }

  counts(): RelayCounts {
    const { sessionId, port, toExitBytes, toClientBytes, droppedDatagrams } = this;
    const { clientAt, exitAt } = this.session;
    return {
      ...{ sessionId, port, toExitBytes, toClientBytes, droppedDatagrams },
      ...clientAt && { clientAt: endpointAt(clientAt) },
      ...exitAt && { exitAt: endpointAt(exitAt) },
    };
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

export interface RelaySocket {
  readonly fd: Fd;
  readonly port: number;
}

/** What the system's UDP sockets can do. */
export interface UdpAbilities {
  readonly isV6: boolean;
  readonly canSegment: boolean;
}

export function udpAbilities(libc: Libc): UdpAbilities {
  const six = libc.call.socket(option.AF_INET6, option.DATAGRAM_SOCKET, 0);
  const isV6 = six >= 0;
  const four = isV6 ? six : libc.call.socket(option.AF_INET, option.DATAGRAM_SOCKET, 0);
  using fd = new Fd(libc, four, "open a UDP socket", "socket");
  return { isV6, canSegment: new UdpOpener(libc).has(fd.number, option.SOL_UDP, option.UDP_SEGMENT) };
}

/** Opens the sockets of all ports. */
export class RelaySocketOpener {
  readonly #libc: Libc;
  readonly #isV6: boolean;
  readonly #opener: UdpOpener;

  /** `isV6`: of both families, otherwise of IPv4 alone. */
  constructor(libc: Libc, isV6: boolean) {
    this.#libc = libc;
    this.#isV6 = isV6;
    this.#opener = new UdpOpener(libc);
  }

  /** Binds a port, 0 for any; undefined when somebody has it. */
  open(port: number): RelaySocket | undefined {
    using stack = new DisposableStack();
    const number = this.#libc.call.socket(
      this.#isV6 ? option.AF_INET6 : option.AF_INET,
      option.DATAGRAM_SOCKET,
      0,
    );
    const fd = stack.use(new Fd(this.#libc, number, "open a UDP socket", "socket"));
    this.#prepare(fd.number);
    try {
      const bound = this.#opener.bind(fd.number, { isV6: this.#isV6, port });
      stack.move();
      return { fd, port: bound };
    } catch (error) {
      if (error instanceof SysError && error.errno === Errno.EADDRINUSE) return undefined;
      throw error;
    }
  }

  #prepare(fd: number): void {
    const opener = this.#opener;
    if (this.#isV6) {
      opener.set(fd, option.IPPROTO_IPV6, option.IPV6_V6ONLY, 0);
      opener.set(fd, option.IPPROTO_IPV6, option.IPV6_RECVPKTINFO, 1);
      opener.set(fd, option.IPPROTO_IPV6, option.IPV6_RECVTCLASS, 1);
    } else {
      opener.set(fd, option.IPPROTO_IP, option.IP_PKTINFO, 1);
    }
    // Of IPv4 datagrams, in a socket of both families too.
    opener.set(fd, option.IPPROTO_IP, option.IP_RECVTOS, 1);
    opener.set(fd, option.SOL_UDP, option.UDP_GRO, 1);
    opener.growBuffers(fd, BUFFER_BYTES);
  }
}
