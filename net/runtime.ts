/**
 * What the runtime gives: sockets, certificates for `fetch`, files, and what its errors mean. This is Deno's own, passed on
 * as it is. In the npm package `node/runtime.ts` stands in this file's place, with the same names (`tools/pack.ts`).
 *
 * The types are what both have in common, so that a `Deno.TcpConn` is a `TcpSocket` as it stands.
 */

import type { Stream } from "../protocol/stream.ts";

/** The address of one end of a socket. */
export interface NetAddr {
  readonly transport: "tcp" | "udp";
  readonly hostname: string;
  readonly port: number;
}

/** A connection, with TLS or without. */
export interface Socket extends Stream {
  readonly localAddr: NetAddr;
  readonly remoteAddr: NetAddr;
  /** What is written goes out at once, however little it is. */
  setNoDelay?(isOn?: boolean): void;
}

/** A TCP connection. */
export interface TcpSocket extends Socket {
  setNoDelay(isOn?: boolean): void;
  /** Asks the system to find out when the other side's machine has vanished. */
  setKeepAlive(isOn?: boolean): void;
}

/** A port at which connections come in. */
export interface Listener<S extends Socket = Socket> {
  readonly addr: NetAddr;
  accept(): Promise<S>;
  close(): void;
}

/** A port at which TCP connections come in. */
export type TcpListener = Listener<TcpSocket>;

/** A UDP socket. */
export interface DatagramSocket {
  readonly addr: NetAddr;
  send(datagram: Uint8Array, to: NetAddr): Promise<number>;
  /** Gives the part of `into` that was filled, and who sent it. */
  receive(into: Uint8Array): Promise<[Uint8Array, NetAddr]>;
  close(): void;
}

/** Where to listen; port 0 is any that is free. */
export interface ListenAt {
  readonly hostname: string;
  readonly port: number;
}

/** Both in PEM; they must fit together. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

export interface ConnectOptions {
  readonly hostname: string;
  readonly port: number;
  /** Aborting it ends the attempt. */
  readonly signal?: AbortSignal;
  /** Whether several addresses of a name are raced. Default: yes. */
  readonly autoSelectFamily?: boolean;
}

export interface StartTlsOptions {
  /** Whose certificate it must be. */
  readonly hostname: string;
  readonly alpnProtocols: string[];
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: string[];
}

/** A socket that TLS has begun on; wait for `handshake` before trusting who is there. */
export interface TlsSocket extends Socket {
  handshake(): Promise<unknown>;
}

/** Something has happened in a directory. */
export interface DirectoryEvent {
  readonly kind: string;
}

/** Tells what happens in a directory until it is closed. */
export interface DirectoryWatch extends AsyncIterable<DirectoryEvent> {
  close(): void;
}

/** `fetch` that trusts certificates of ours; close it after use. */
export interface TrustingFetch extends Disposable {
  fetch(request: Request): Promise<Response>;
}

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
