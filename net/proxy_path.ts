/**
 * A Path through a proxy that is there: of another program, on this machine or elsewhere. What is dialled is a connection to
 * the proxy, which is asked for the target by name; whatever resolves, allows and connects is behind it.
 *
 *   dial → TCP to the proxy → SOCKS5 or HTTP CONNECT → the bare connection
 *
 * The proxy's own address is the operator's word, and no egress policy is asked about it.
 */

import { orAborted } from "../protocol/abort.ts";
import type { Clock } from "../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import { SocksCommand, type SocksCredentials } from "../protocol/socks.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { DialDeadlines } from "./dial_deadlines.ts";
import { connectHttp } from "./http_connect.ts";
import { OpenStreams } from "./open_streams.ts";
import { SocksDatagrams } from "./socks_datagrams.ts";
import { askSocks5, connectSocks5 } from "./socks_stream.ts";
import { connectTcp, type TcpSocket } from "./runtime.ts";

export interface ProxyPathOptions {
  readonly dialect: "socks5" | "http";
  readonly proxy: Target;
  readonly credentials?: SocksCredentials | undefined;
  readonly clock: Clock;
}

const DIAL_TIMEOUT_MS = 15_000;
const ANY_PLACE: Target = { host: "0.0.0.0", port: 0 };

export class ProxyPath implements Path {
  /** SOCKS5 knows datagrams; whether the proxy does shows when it is asked. */
  readonly datagrams?: (options?: DialOptions) => Promise<Datagrams>;
  readonly #options: ProxyPathOptions;
  readonly #server;
  readonly #deadlines: DialDeadlines;
  readonly #streams = new OpenStreams<undefined>(() => {});
  readonly #sockets = new Set<Datagrams>();
  #isClosed = false;

  constructor(options: ProxyPathOptions) {
    const { dialect, credentials, clock } = options;
    this.#options = options;
    this.#server = { name: dialect === "http" ? "The HTTP proxy" : "The SOCKS5 proxy", credentials };
    this.#deadlines = new DialDeadlines(clock, DIAL_TIMEOUT_MS);
    if (dialect === "socks5") this.datagrams = (options) => this.#associate(options);
  }

  dial(target: Target, options?: DialOptions): Promise<Stream> {
    const connect = this.#options.dialect === "http" ? connectHttp : connectSocks5;
    return this.#ask(options, async (conn) => {
      await connect(conn, target, this.#server);
      return this.#streams.track(conn, undefined);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadlines[Symbol.dispose]();
    this.#streams.closeWhere(() => true);
    for (const socket of [...this.#sockets]) socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #associate(options?: DialOptions): Promise<Datagrams> {
    const request = { command: SocksCommand.udpAssociate, target: ANY_PLACE };
    return this.#ask(options, async (conn) => {
      const bound = await askSocks5(conn, request, this.#server);
      const socket: SocksDatagrams = new SocksDatagrams(conn, bound, () => this.#sockets.delete(socket));
      this.#sockets.add(socket);
      return socket;
    });
  }

  /** Connects to the proxy and has it asked, all in the time that a dial has. */
  async #ask<T extends { close(): void }>(
    options: DialOptions | undefined,
    ask: (conn: TcpSocket) => Promise<T>,
  ): Promise<T> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (this.#isClosed) throw new DialError("path_down", "Cannot dial: the path is closed");
    using pending = this.#deadlines.begin(signal);
    const conn = await this.#connect(pending.signal);
    try {
      return await orAborted(ask(conn), pending.signal);
    } catch (error) {
      closeQuietly(conn);
      if (pending.signal.aborted) throw pending.signal.reason;
      if (error instanceof CulvertError) throw error;
      throw new DialError("path_down", `${this.#server.name} hung up: ${messageOf(error)}`, { cause: error });
    }
  }

  async #connect(signal: AbortSignal): Promise<TcpSocket> {
    const { host: hostname, port } = this.#options.proxy;
    try {
      const conn = await connectTcp({ hostname, port, signal });
      conn.setNoDelay(true);
      return conn;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new DialError("path_down", `${this.#server.name} cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }
}
