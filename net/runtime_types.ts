/**
 * The types of what a runtime gives: what Deno's sockets and Node's have in common, so that a `Deno.TcpConn` is a `TcpSocket`
 * as it stands.
 */

import type { Stream } from "../protocol/stream.ts";

/** The address of one end of a socket. */
export interface NetAddr {
  /** Which kind of socket. */
  readonly transport: "tcp" | "udp";
  /** The address, as text. */
  readonly hostname: string;
  /** The port. */
  readonly port: number;
}

/** A connection, with TLS or without. */
export interface Socket extends Stream {
  /** Our end. */
  readonly localAddr: NetAddr;
  /** The other end. */
  readonly remoteAddr: NetAddr;
  /** What is written goes out at once, however little it is. */
  setNoDelay?(isOn?: boolean): void;
}

/** A TCP connection. */
export interface TcpSocket extends Socket {
  /** What is written goes out at once, however little it is. */
  setNoDelay(isOn?: boolean): void;
  /** Asks the system to find out when the other side's machine has vanished. */
  setKeepAlive(isOn?: boolean): void;
}

/** A port at which connections come in. */
export interface Listener<S extends Socket = Socket> {
  /** Where it listens. */
  readonly addr: NetAddr;
  /** The next connection; rejects once it is closed. */
  accept(): Promise<S>;
  /** Stops listening. */
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
  /** An address of this machine. */
  readonly hostname: string;
  /** The port; 0 is any that is free. */
  readonly port: number;
}

/** Both in PEM; they must fit together. */
export interface CertificateAndKey {
  /** The certificates, its own first. */
  readonly cert: string;
  /** The private key. */
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
