/**
 * A TCP or TLS port whose certificate can be exchanged while it is open: connections that are there stay, later ones get
 * the new one.
 *
 * Deno gives a TLS listener its certificate for life, so the port is listened on a second time and the older listener is
 * closed. There is no moment in which nobody listens; only a connection that the kernel gives to the older one in its
 * last millisecond is reset, and has to be tried again.
 */

import { CulvertError } from "../protocol/errors.ts";
import { closeQuietly } from "./close.ts";
import {
  type CertificateAndKey,
  type ListenAt,
  type Listener,
  listenTcp,
  listenTls,
  type NetAddr,
  type Socket,
  type TcpListener,
} from "./runtime.ts";

export type { CertificateAndKey, ListenAt } from "./runtime.ts";

/**
 * Connections that wait to be accepted, as far as the kernel allows (`net.core.somaxconn`, usually 4,096). Beyond it the
 * kernel drops what peers say, and who has not been heard asks again only after a second, three, seven.
 */
const BACKLOG = 4096;

export class RenewableListener implements Disposable {
  readonly #hostname: string;
  #listener: Listener;
  #isClosed = false;

  /**
   * Throws as the runtime does when it cannot listen. A listener that is there is taken over, and has no TLS: with `tls` it
   * is refused, or what was to be secret would go in the clear.
   */
  constructor(at: ListenAt | TcpListener, tls?: CertificateAndKey) {
    if ("accept" in at && tls) {
      throw new CulvertError("bad_option", "Cannot listen: tls must be left out with a listener, which has none");
    }
    this.#hostname = "accept" in at ? at.addr.hostname : at.hostname;
    if ("accept" in at) {
      this.#listener = at;
      return;
    }
    // A port with `reusePort` can be shared by every process of this user: here one must be told that it is taken.
    if (tls && at.port !== 0) listenTcp(at).close();
    this.#listener = tls ? listenTls({ ...at, ...tls, backlog: BACKLOG }) : listenTcp({ ...at, backlog: BACKLOG });
  }

  get address(): NetAddr {
    return this.#listener.addr;
  }

  /** The next connection. Rejects with `BadResource` once it is closed. */
  async accept(): Promise<Socket> {
    for (;;) {
      const listener = this.#listener;
      try {
        return await listener.accept();
      } catch (error) {
        if (listener === this.#listener) throw error;
      }
    }
  }

  /** Connections that come from now on get this certificate. Only for a port that had one. */
  renewTls(tls: CertificateAndKey): void {
    if (this.#isClosed) return;
    const older = this.#listener;
    this.#listener = listenTls({ hostname: this.#hostname, port: older.addr.port, ...tls, backlog: BACKLOG });
    closeQuietly(older);
  }

  close(): void {
    this.#isClosed = true;
    closeQuietly(this.#listener);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
