/**
 * Datagrams from and to a UDP port that another socket owns (a WireGuard device, whoever makes it), on both families: what
 * goes out here leaves from that port, through the same mappings of the same NATs, and what comes back arrives here.
 *
 *   await using raw = new RawUdp(libc, { port: status.listenPort, mark, onDatagram: ({ bytes, from }) => … });
 *   raw.send(bytes, to);   raw.sources.to({ address })   // the address of ours it leaves from
 *
 * Only datagrams that begin with a byte from 0xC0 on come here; the kernel keeps the rest away (`raw_udp_socket.ts`).
 * Waiting is a poll on another thread, so an idle port costs nothing. Disposing ends it and settles when that has ended.
 */

import { Slab } from "../protocol/slab.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { POLLFD } from "./layout.ts";
import type { Libc } from "./libc.ts";
import { EventFd, POLLIN } from "./poll.ts";
import { type RawDatagram, type RawUdpOptions, RawUdpSocket } from "./raw_udp_socket.ts";
import { hasV6, SourceAddresses } from "./source_address.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";

export type { RawDatagram };

/** How many are taken before others get their turn: a flood may cost time, but not all of it. */
const BATCH = 32;

export interface RawUdpPortOptions extends RawUdpOptions {
  /** Must not throw. The endpoint it came from may be sent to: the answer leaves from the address that was asked. */
  onDatagram(datagram: RawDatagram): void;
}

export class RawUdp implements AsyncDisposable {
  readonly port: number;
  readonly sources: SourceAddresses;
  readonly #libc: Libc;
  readonly #sockets: readonly RawUdpSocket[];
  readonly #onDatagram: (datagram: RawDatagram) => void;
  readonly #wake: EventFd;
  readonly #resources: DisposableStack;
  /** The other thread writes here for as long as it waits. */
  readonly #polled: Slab;
  readonly #pollCount: bigint;
  readonly #listening: Promise<void>;
  #isClosed = false;

  /** Throws a SysError: EPERM without CAP_NET_RAW, or without CAP_NET_ADMIN for a mark. `libc` must outlive this. */
  constructor(libc: Libc, options: RawUdpPortOptions) {
    const { port, onDatagram } = options;
    this.#libc = libc;
    this.port = port;
    this.#onDatagram = onDatagram;
    using stack = new DisposableStack();
    this.#sockets = (hasV6(libc) ? [false, true] : [false])
      .map((isV6) => stack.use(new RawUdpSocket(libc, isV6, options)));
    this.sources = stack.use(new SourceAddresses(libc, options));
    this.#wake = stack.use(new EventFd(libc));
    this.#resources = stack.move();
    const fds = [...this.#sockets.map(({ fd }) => fd), this.#wake.fd];
    this.#polled = new Slab(fds.length * POLLFD.size);
    this.#pollCount = BigInt(fds.length);
    for (const [index, fd] of fds.entries()) {
      this.#polled.view.setInt32(index * POLLFD.size + POLLFD.fd, fd, true);
      this.#polled.view.setInt16(index * POLLFD.size + POLLFD.events, POLLIN, true);
    }
    this.#listening = this.#listen();
  }

  /** False when it could not go: no route, no room, a filter, no socket of that family, or closed already. */
  send(bytes: Uint8Array, to: Endpoint): boolean {
    if (this.#isClosed) return false;
    const endpoint = to instanceof UdpEndpoint ? to : UdpEndpoint.from(to);
    const socket = this.#sockets[endpoint.isV6 ? 1 : 0];
    return socket?.send(bytes, endpoint, this.sources) ?? false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#wake.wake();
    }
    await this.#listening;
    this.#resources.dispose();
  }

  async #listen(): Promise<void> {
    while (!this.#isClosed) {
      await this.#libc.call.pollLater(this.#polled.bytes, this.#pollCount, -1);
      for (const socket of this.#sockets) this.#takeFrom(socket);
    }
  }

  #takeFrom(socket: RawUdpSocket): void {
    for (let count = 0; count < BATCH && !this.#isClosed; count++) {
      const datagram = socket.receive();
      if (!datagram) return;
      this.#onDatagram(datagram);
    }
  }
}
