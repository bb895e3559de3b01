/**
 * A TCP or TLS port whose certificate can be exchanged while it is open: connections that are there stay, later ones get
 * the new one.
 *
 * Deno gives a TLS listener its certificate for life, so the port is listened on a second time and the older listener is
 * closed. There is no moment in which nobody listens; only a connection that the kernel gives to the older one in its
 * last millisecond is reset, and has to be tried again.
 */

import { closeQuietly } from "./close.ts";

export interface ListenAt {
  readonly hostname: string;
  readonly port: number;
}

/** Both in PEM; they must fit together. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

/**
 * Connections that wait to be accepted, as far as the kernel allows (`net.core.somaxconn`, usually 4,096). Beyond it the
 * kernel drops what peers say, and who has not been heard asks again only after a second, three, seven.
 */
const BACKLOG = 4096;

type AnyListener = Deno.Listener<Deno.TcpConn | Deno.TlsConn, Deno.NetAddr>;

export class RenewableListener implements Disposable {
  readonly #hostname: string;
  #listener: AnyListener;
  #isClosed = false;

  /** Throws as `Deno.listen` does. */
  constructor(at: ListenAt, tls?: CertificateAndKey) {
    this.#hostname = at.hostname;
    // A port with `reusePort` can be shared by every process of this user: here one must be told that it is taken.
    if (tls && at.port !== 0) Deno.listen({ ...at }).close();
    this.#listener = tls ? listenTls(at, tls) : Deno.listen({ ...at, tcpBacklog: BACKLOG });
  }

  get address(): Deno.NetAddr {
    return this.#listener.addr;
  }

  /** The next connection. Rejects with `BadResource` once it is closed. */
  async accept(): Promise<Deno.TcpConn | Deno.TlsConn> {
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
    this.#listener = listenTls({ hostname: this.#hostname, port: older.addr.port }, tls);
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

function listenTls(at: ListenAt, tls: CertificateAndKey): AnyListener {
  return Deno.listenTls({ ...at, ...tls, alpnProtocols: ["http/1.1"], reusePort: true, tcpBacklog: BACKLOG });
}
