/**
 * A UDP socket that speaks through one interface only, whatever the routes say (SO_BINDTODEVICE): for the few datagrams
 * between a client and the gateway in its tunnel, also while the tunnel's routes are not there yet.
 *
 *   using socket = TunnelSocket.open(libc, { interfaceName: "culvert0", isV6: false });
 *   socket.send(bytes, gateway);   later: const datagram = socket.receive();
 *
 * Non-blocking, one datagram a call, each at most 2 KiB. Not for bulk: that is `udp_socket.ts`.
 */

import type { Bytes } from "../protocol/primitives.ts";
import { Slab } from "../protocol/slab.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import { Errno } from "./errno.ts";
import { Fd } from "./fd.ts";
import { IFNAMSIZ, IOVEC, MSGHDR, putU64, SOCKADDR_IN, SOCKADDR_IN6 } from "./layout.ts";
import { addressOf, cString, type Libc } from "./libc.ts";
import { UdpEndpoint } from "./udp_endpoint.ts";
import * as option from "./udp_options.ts";

const DATAGRAM_BYTES = 2048;
/** The largest sockaddr, that of IPv6, and some to spare. */
const NAME_BYTES = 32;
const NAME_AT = MSGHDR.size;
const IOVEC_AT = NAME_AT + NAME_BYTES;
const DATA_AT = IOVEC_AT + IOVEC.size;

export interface TunnelSocketOptions {
  readonly interfaceName: string;
  readonly isV6: boolean;
  /** 0, the default, lets the system choose. */
  readonly port?: number;
}

export interface TunnelDatagram {
  readonly bytes: Bytes;
  readonly from: Endpoint;
}

export class TunnelSocket implements Disposable {
  readonly #libc: Libc;
  readonly #fd: Fd;
  readonly #isV6: boolean;
  /** A msghdr, the sockaddr and iovec that it points to, and the datagram. */
  readonly #message = new Slab(DATA_AT + DATAGRAM_BYTES);

  private constructor(libc: Libc, fd: Fd, isV6: boolean) {
    this.#libc = libc;
    this.#fd = fd;
    this.#isV6 = isV6;
    const { view, bytes } = this.#message;
    const address = Number(addressOf(bytes));
    putU64(view, MSGHDR.name, address + NAME_AT);
    putU64(view, MSGHDR.iovec, address + IOVEC_AT);
    view.setUint32(MSGHDR.iovecCount, 1, true);
    putU64(view, IOVEC_AT + IOVEC.base, address + DATA_AT);
  }

  /** Throws a SysError: ENODEV when there is no such interface, EPERM without CAP_NET_RAW on old kernels, EADDRINUSE. */
  static open(libc: Libc, { interfaceName, isV6, port = 0 }: TunnelSocketOptions): TunnelSocket {
    using stack = new DisposableStack();
    const action = `listen on UDP port ${port} of ${interfaceName}`;
    const number = libc.call.socket(isV6 ? option.AF_INET6 : option.AF_INET, option.DATAGRAM_SOCKET, 0);
    const fd = stack.use(new Fd(libc, number, action, "socket"));
    const name = cString(interfaceName).subarray(0, IFNAMSIZ);
    if (libc.call.setsockopt(fd.number, option.SOL_SOCKET, option.SO_BINDTODEVICE, name, name.length) < 0) {
      throw libc.error(action, "setsockopt");
    }
    const one = new Uint8Array(Uint32Array.of(1).buffer);
    if (isV6 && libc.call.setsockopt(fd.number, option.IPPROTO_IPV6, option.IPV6_V6ONLY, one, one.length) < 0) {
      throw libc.error("keep IPv4 out of an IPv6 socket", "setsockopt");
    }
    const local = new Uint8Array(nameBytes(isV6));
    local.set([isV6 ? option.AF_INET6 : option.AF_INET, 0, port >> 8, port & 0xff]);
    if (libc.call.bind(fd.number, local, local.length) < 0) throw libc.error(action, "bind");
    stack.move();
    return new TunnelSocket(libc, fd, isV6);
  }

  /** False when it could not go: no address or route yet, no room, too long, or of the other family. */
  send(bytes: Uint8Array, to: Endpoint): boolean {
    const { words, isV6, nameWords } = UdpEndpoint.from(to);
    if (bytes.length > DATAGRAM_BYTES || isV6 !== this.#isV6) return false;
    const { view, words: message, bytes: memory } = this.#message;
    message.set(words.subarray(0, nameWords), NAME_AT >> 2);
    memory.set(bytes, DATA_AT);
    view.setUint32(MSGHDR.nameLength, nameBytes(this.#isV6), true);
    putU64(view, IOVEC_AT + IOVEC.length, bytes.length);
    return this.#libc.call.sendmsg(this.#fd.number, memory, option.MSG_NOSIGNAL) >= 0;
  }

  /** The next datagram that waits; undefined when there is none. What ICMP says of those sent is passed over. */
  receive(): TunnelDatagram | undefined {
    const { view, bytes } = this.#message;
    for (let tries = 0; tries < 16; tries++) {
      view.setUint32(MSGHDR.nameLength, nameBytes(this.#isV6), true);
      putU64(view, IOVEC_AT + IOVEC.length, DATAGRAM_BYTES);
      const length = this.#libc.call.recvmsg(this.#fd.number, bytes, 0);
      if (length >= 0) {
        return { bytes: bytes.slice(DATA_AT, DATA_AT + length), from: this.#source() };
      }
      if (this.#libc.errno() === Errno.EAGAIN) break;
    }
    return undefined;
  }

  #source(): Endpoint {
    const { view, bytes } = this.#message;
    const at = this.#isV6 ? SOCKADDR_IN6 : SOCKADDR_IN;
    const begin = NAME_AT + at.address;
    const address = bytes.slice(begin, begin + (this.#isV6 ? 16 : 4));
    return { address, port: view.getUint16(NAME_AT + at.port) };
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}

function nameBytes(isV6: boolean): number {
  return isV6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size;
}
