/**
 * UDP through a SOCKS5 server (RFC 1928 §7): each datagram with a header that says whom it is for, sent to the address the
 * server gave. The association lasts as long as the connection it was asked for on.
 *
 * What does not come from the server, fragments and what cannot be read are dropped.
 */

import { DialError } from "../protocol/errors.ts";
import { parseIp } from "../protocol/ip.ts";
import { encodeDatagramHeader, parseDatagram } from "../protocol/socks.ts";
import type { Datagrams, Received, Target } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { type DatagramSocket, datagramSocket, type NetAddr, type TcpSocket } from "./runtime.ts";

const MAX_DATAGRAM_BYTES = 65_535;
/** Before one gives up: a socket that can do nothing but fail is not asked for ever. */
const MAX_FAILURES = 16;

export class SocksDatagrams implements Datagrams {
  readonly #conn: TcpSocket;
  readonly #socket: DatagramSocket;
  readonly #relay: NetAddr;
  readonly #onClose: () => void;
  readonly #held = new Uint8Array(MAX_DATAGRAM_BYTES);
  #isClosed = false;

  /** `bound` is what the server answered; without an address it means its own. Takes the connection over. */
  constructor(conn: TcpSocket, bound: Target, onClose: () => void) {
    const server = conn.remoteAddr.hostname;
    const isPlace = parseIp(bound.host) !== undefined && bound.host !== "0.0.0.0" && bound.host !== "::";
    this.#conn = conn;
    this.#onClose = onClose;
    this.#relay = { transport: "udp", hostname: isPlace ? bound.host : server, port: bound.port };
    // The kernel picks the family by where we are.
    const hostname = conn.localAddr.hostname;
    this.#socket = datagramSocket({ hostname, port: 0 });
    void this.#watch();
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#isClosed) throw new DialError("path_down", "Cannot send: the datagram socket has closed");
    const header = encodeDatagramHeader(to);
    if (!header) throw new DialError("unresolved", "Cannot send: the host name must be 1 to 255 bytes");
    const framed = new Uint8Array(header.length + datagram.length);
    framed.set(header);
    framed.set(datagram, header.length);
    await this.#socket.send(framed, this.#relay).catch(() => {}); // loss is silent
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    for (let failures = 0; !this.#isClosed && failures < MAX_FAILURES;) {
      try {
        const [bytes, from] = await this.#socket.receive(this.#held);
        const parsed = this.#isRelay(from) ? parseDatagram(bytes) : undefined;
        if (!parsed) continue;
        const length = Math.min(into.length, bytes.length - parsed.dataAt);
        into.set(bytes.subarray(parsed.dataAt, parsed.dataAt + length));
        return { length, from: parsed.address };
      } catch {
        failures++; // such as the echo of a datagram that nobody took
      }
    }
    this.close();
    return null;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeQuietly(this.#socket);
    closeQuietly(this.#conn);
    this.#onClose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #isRelay({ hostname, port }: NetAddr): boolean {
    return port === this.#relay.port && hostname === this.#relay.hostname;
  }

  /** The server ends the association by ending the connection; it has nothing to say on it. */
  async #watch(): Promise<void> {
    const buffer = new Uint8Array(64);
    while (await this.#conn.read(buffer).catch(() => null) !== null);
    this.close();
  }
}
