/**
 * What the runtime gives: sockets, certificates for `fetch`, files, and what its errors mean. This is Deno's own, passed on
 * as it is. In the npm package `node/runtime.ts` stands in this file's place, with the same names (`tools/pack.ts`).
 */

import type {
  CertificateAndKey,
  ConnectOptions,
  DatagramSocket,
  DirectoryWatch,
  ListenAt,
  Listener,
  StartTlsOptions,
  TcpListener,
  TcpSocket,
  TlsSocket,
  TrustingFetch,
} from "./runtime_types.ts";

export type * from "./runtime_types.ts";

export function connectTcp(to: ConnectOptions): Promise<TcpSocket> {
  return Deno.connect(to);
}

/** Goes on in TLS on a connection, which must not be used as it was any more. */
export function startTls(socket: TcpSocket, options: StartTlsOptions): Promise<TlsSocket> {
  return Deno.startTls(socket as Deno.TcpConn, options);
}

/** Listens at once. Only Deno can: where both should work, use `openTcpListener`. */
export function listenTcp(at: ListenAt & { readonly backlog?: number }): TcpListener {
  const { hostname, port, backlog } = at;
  return Deno.listen({ hostname, port, transport: "tcp", ...backlog !== undefined && { tcpBacklog: backlog } });
}

/** Listens at a port; rejects when it is taken. */
export function openTcpListener(at: ListenAt): Promise<TcpListener> {
  return Promise.try(() => listenTcp(at));
}

/** The same with TLS; several processes of a user may share the port. */
export function listenTls(at: ListenAt & CertificateAndKey & { readonly backlog: number }): Listener {
  const { hostname, port, cert, key, backlog } = at;
  const alpnProtocols = ["http/1.1"];
  return Deno.listenTls({ hostname, port, cert, key, alpnProtocols, reusePort: true, tcpBacklog: backlog });
}

/** A UDP socket at once. On Node its address is known a moment later: where that is asked for, use `openDatagramSocket`. */
export function datagramSocket(at: ListenAt): DatagramSocket {
  return Deno.listenDatagram({ transport: "udp", ...at }) as DatagramSocket;
}

/** A UDP socket that knows its address at once. Only Deno has it: where both should work, use `openDatagramSocket`. */
export function listenDatagrams(at: ListenAt): DatagramSocket {
  return datagramSocket(at);
}

/** A UDP socket that knows its address; rejects when it is taken. */
export function openDatagramSocket(at: ListenAt): Promise<DatagramSocket> {
  return Promise.try(() => datagramSocket(at));
}

/** The addresses of this machine's interfaces, as text. */
export function interfaceAddresses(): readonly string[] {
  return Deno.networkInterfaces().map(({ address }) => address);
}

export function trustingFetch(caCerts: readonly string[]): TrustingFetch {
  const client = Deno.createHttpClient({ caCerts: [...caCerts] });
  return { fetch: (request) => fetch(request, { client }), [Symbol.dispose]: () => client.close() };
}

/** The beginning of a file, of at most so many bytes. */
export async function readFileStart(path: string, maxBytes: number): Promise<Uint8Array> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(maxBytes);
  let length = 0;
  for (let count; length < maxBytes && (count = await file.read(bytes.subarray(length)));) length += count;
  return bytes.subarray(0, length);
}

export function watchDirectory(path: string): DirectoryWatch {
  return Deno.watchFs(path, { recursive: false });
}

/** What was used, or closed a second time, had been closed. */
export function isClosedError(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource;
}

/** A connection was over before it was accepted. */
export function isEarlyEnd(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted;
}

/** The runtime was started without the permission. */
export function isNotPermitted(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable;
}

/** Another program has the port. */
export function isPortTaken(error: unknown): boolean {
  return error instanceof Deno.errors.AddrInUse;
}

/** Nobody listens where a datagram or a connection went. */
export function isRefused(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused;
}
