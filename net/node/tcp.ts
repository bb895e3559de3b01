/**
 * TCP and TLS of Node, as `../runtime.ts` has them of Deno: connecting, TLS on a connection, and listening.
 *
 * Node says where it listens only a moment after it was told to, so there is `openTcpListener` and nothing that is at once.
 * Nor is there listening with TLS: put a TLS proxy in front, or run that side in Deno.
 */

import { connect, createServer, isIP, type Server, type Socket as NetSocket } from "node:net";
import { connect as connectByTls, rootCertificates, type TLSSocket } from "node:tls";
import { CulvertError } from "../../protocol/errors.ts";
import type {
  CertificateAndKey,
  ConnectOptions,
  ListenAt,
  Listener,
  NetAddr,
  StartTlsOptions,
  TcpListener,
  TcpSocket,
  TlsSocket,
} from "../runtime_types.ts";
import { ClosedHandleError, NodeSocket } from "./node_socket.ts";

/** Connections that have come in and were not asked for yet; more are closed as they come. */
const MAX_WAITING = 4096;

export function connectTcp({ hostname, port, signal, autoSelectFamily = true }: ConnectOptions): Promise<TcpSocket> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = connect({ host: hostname, port, allowHalfOpen: true, autoSelectFamily });
    const settle = (error?: Error) => {
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", settle).off("connect", settle);
      if (!error) return resolve(new NodeSocket(socket));
      socket.on("error", () => {}).destroy();
      reject(signal?.aborted ? signal.reason : error);
    };
    const onAbort = () => settle(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("error", settle).on("connect", () => settle());
  });
}

/** Rejects nothing yet: what is wrong with the certificate shows in `handshake`. */
export function startTls(socket: TcpSocket, options: StartTlsOptions): Promise<TlsSocket> {
  const { hostname, alpnProtocols, caCerts } = options;
  const beneath = (socket as NodeSocket).socket;
  const secure = connectByTls({
    socket: beneath,
    host: hostname,
    ...isIP(hostname) === 0 && { servername: hostname },
    ALPNProtocols: alpnProtocols,
    ...caCerts && { ca: [...rootCertificates, ...caCerts] },
  });
  return Promise.resolve(new NodeTlsSocket(secure, beneath));
}

class NodeTlsSocket extends NodeSocket implements TlsSocket {
  override readonly localAddr: NetAddr;
  override readonly remoteAddr: NetAddr;
  readonly #shaken: Promise<void>;

  constructor(secure: TLSSocket, beneath: NetSocket) {
    super(secure);
    const { localAddr, remoteAddr } = new NodeSocket(beneath);
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
    this.#shaken = new Promise((resolve, reject) => {
      secure.on("secureConnect", resolve).on("error", reject).on("close", () => reject(new ClosedHandleError()));
    });
    this.#shaken.catch(() => {});
  }

  handshake(): Promise<void> {
    return this.#shaken;
  }
}

/** Rejects when the port is taken. */
export function openTcpListener({ hostname, port }: ListenAt): Promise<TcpListener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true });
    server.once("error", reject);
    server.listen({ host: hostname, port }, () => {
      server.off("error", reject);
      resolve(new NodeListener(server));
    });
  });
}

export function listenTcp(_at: ListenAt & { readonly backlog?: number }): TcpListener {
  throw new CulvertError("unsupported", "Cannot listen at once on Node: pass what openTcpListener() gives");
}

export function listenTls(_at: ListenAt & CertificateAndKey & { readonly backlog: number }): Listener {
  throw new CulvertError("unsupported", "Cannot listen with TLS on Node: run this side in Deno, or behind a TLS proxy");
}

class NodeListener implements TcpListener {
  readonly addr: NetAddr;
  readonly #server: Server;
  readonly #waiting: NetSocket[] = [];
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(server: Server) {
    const { address: hostname, port } = server.address() as { address: string; port: number };
    this.addr = { transport: "tcp", hostname, port };
    this.#server = server;
    server.on("connection", (socket) => this.#arrive(socket));
    server.on("error", (error) => {
      this.#failure = error;
      this.#wake?.();
    });
  }

  async accept(): Promise<TcpSocket> {
    for (;;) {
      const socket = this.#waiting.shift();
      if (socket?.destroyed) continue; // over before it was accepted
      if (socket) return new NodeSocket(socket);
      if (this.#failure !== undefined) throw this.#takeFailure();
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  close(): void {
    if (this.#failure instanceof ClosedHandleError) return;
    this.#failure = new ClosedHandleError();
    this.#server.close();
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    this.#wake?.();
  }

  #arrive(socket: NetSocket): void {
    socket.on("error", () => {}); // until somebody has it
    if (this.#waiting.length >= MAX_WAITING || this.#failure instanceof ClosedHandleError) return void socket.destroy();
    this.#waiting.push(socket);
    this.#wake?.();
  }

  /** Being closed lasts; anything else is told once. */
  #takeFailure(): unknown {
    const failure = this.#failure;
    if (!(failure instanceof ClosedHandleError)) this.#failure = undefined;
    return failure;
  }
}
