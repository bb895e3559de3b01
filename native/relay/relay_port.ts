/**
 * The UDP port of one relayed session: its socket, which serves both IP versions where the system has both, the session's
 * machine, and what it has carried. Thousands of them are idle, so it holds no buffer: what is read and sent lies in the
 * engine's own.
 */

import { Pace } from "../../protocol/pace.ts";
import type { RelayedSession } from "../../protocol/wireguard/relay_session.ts";
import { Errno } from "../errno.ts";
import { Fd } from "../fd.ts";
import type { Libc } from "../libc.ts";
import type { UdpEndpoint } from "../udp_endpoint.ts";
import { bindUdpPort, growSocketBuffers, hasSocketOption, setSocketOption } from "../udp_open.ts";
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
  return { isV6, canSegment: hasSocketOption(libc, fd.number, option.SOL_UDP, option.UDP_SEGMENT) };
}

/** Binds a port, of both families; undefined when somebody has it. */
export function openRelaySocket(libc: Libc, { isV6, port }: { isV6: boolean; port: number }): RelaySocket | undefined {
  using stack = new DisposableStack();
  const domain = isV6 ? option.AF_INET6 : option.AF_INET;
  const fd = stack.use(
    new Fd(libc, libc.call.socket(domain, option.DATAGRAM_SOCKET, 0), "open a UDP socket", "socket"),
  );
  const set = (level: number, name: number, value: number) => setSocketOption(libc, fd.number, level, name, value);
  if (isV6) {
    set(option.IPPROTO_IPV6, option.IPV6_V6ONLY, 0);
    set(option.IPPROTO_IPV6, option.IPV6_RECVPKTINFO, 1);
    set(option.IPPROTO_IPV6, option.IPV6_RECVTCLASS, 1);
  } else {
    set(option.IPPROTO_IP, option.IP_PKTINFO, 1);
  }
  // Of IPv4 datagrams, in a socket of both families too.
  set(option.IPPROTO_IP, option.IP_RECVTOS, 1);
  set(option.SOL_UDP, option.UDP_GRO, 1);
  growSocketBuffers(libc, fd.number, BUFFER_BYTES);
  try {
    const bound = bindUdpPort(libc, fd.number, { isV6, port });
    stack.move();
    return { fd, port: bound };
  } catch (error) {
    if ((error as { errno?: number }).errno === Errno.EADDRINUSE) return undefined;
    throw error;
  }
}
