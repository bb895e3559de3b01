/**
 * The near end of the GFK dialects: a Path whose streams come from QUIC connections or a mux over KCP.
 *
 *   using path = await openGfk({ dialect: "gfk-go", secret, transport: "quic", carrier: { kind: "raw", look: "gfk-go", peer }, … });
 *   path.dial({ host: BACKEND_HOST, port: 443 })        a port of the server's backend
 *
 * GFK's servers prove nothing: their certificates are made anew at every start, or lie in a public repository. So either the
 * server's certificate is given (PEM, one that is no authority), or it must be said that none is known; then Deno, which
 * always verifies, must be started with --unsafely-ignore-certificate-errors=gfk.invalid. Over KCP the key is the proof.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import type { Random } from "../../protocol/random.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import { HeldEndStream } from "../kcp/held_end_stream.ts";
import { GfkDatagrams } from "./gfk_datagrams.ts";
import { type GfkDialect, goDialect, pyDialect } from "./gfk_dialect.ts";
import { openGfkKcp } from "./gfk_kcp.ts";
import { openGfkQuic } from "./gfk_quic.ts";
import type { StreamSource } from "./stream_source.ts";

export interface GfkOptions {
  readonly dialect: "gfk-py" | "gfk-go";
  /** Default for gfk-py: that of the original. */
  readonly secret?: string;
  /** gfk-py knows QUIC alone. Default `quic`. */
  readonly transport?: "quic" | "kcp";
  readonly carrier: Omit<CarrierOptions, "clock" | "random" | "log" | "metrics" | "peer"> & {
    readonly peer: NonNullable<CarrierOptions["peer"]>;
  };
  /** Of the server, for QUIC; `unverified`: it is not known. */
  readonly certificate?: { readonly pem: string; readonly serverName: string } | "unverified";
  /**
   * The far end is ours, and takes the end of one direction for no more than that. GFK's own take it for the end of both,
   * and drop what they had yet to say; so by default it is not told before the stream is closed.
   */
  readonly halfClose?: boolean;
  /** For KCP; default 1400 as in the original. */
  readonly mtuBytes?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

const DIAL_TIMEOUT_MS = 15_000;
/** A server of gfk-py is told of a datagram socket, says nothing, and takes what comes too soon for more of that. */
const PY_UDP_WAIT_MS = 100;

/** Rejects when the carrier cannot be opened, or it was not said how the server is known. */
export async function openGfk(options: GfkOptions): Promise<GfkPath> {
  const { dialect: name, secret, transport = "quic", carrier: { peer } } = options;
  if (name === "gfk-go" && secret === undefined) {
    throw new CulvertError("bad_option", "Cannot speak gfk-go: there must be a secret");
  }
  if (name === "gfk-py" && transport === "kcp") {
    throw new CulvertError("bad_option", "Cannot speak gfk-py: its transport must be quic, got kcp");
  }
  const dialect = name === "gfk-py" ? pyDialect(secret) : goDialect(secret!);
  const farEnd = `${peer.host}:${formatPorts(peer.ports)}`;
  const parts = { ...options, farEnd, dialect };
  const source = transport === "kcp" ? await openGfkKcp(parts) : await openGfkQuic(parts);
  return new GfkPath(options, dialect, source);
}

export class GfkPath implements Path {
  readonly #dialect: GfkDialect;
  readonly #source: StreamSource;
  readonly #clock: Clock;
  readonly #halfClose: boolean;
  readonly #sockets = new Set<GfkDatagrams>();
  #problem: string | undefined;

  constructor({ clock, halfClose = false }: GfkOptions, dialect: GfkDialect, source: StreamSource) {
    this.#dialect = dialect;
    this.#source = source;
    this.#clock = clock;
    this.#halfClose = halfClose;
  }

  /** What the last dial has found. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Settles when it has ended: with why, unless it was closed. */
  get ended(): Promise<Error | undefined> | undefined {
    return this.#source.ended;
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    const stream = await this.#ask("tcp", target, options.signal);
    return this.#halfClose ? stream : new HeldEndStream(stream);
  }

  datagrams(): Promise<Datagrams> {
    const socket: GfkDatagrams = new GfkDatagrams({
      onClosed: () => this.#sockets.delete(socket),
      isFramed: this.#dialect.framesDatagrams,
      open: async (target) => {
        const stream = await this.#ask("udp", target);
        if (!this.#dialect.framesDatagrams) await delay(this.#clock, PY_UDP_WAIT_MS);
        return stream;
      },
    });
    this.#sockets.add(socket);
    return Promise.resolve(socket);
  }

  close(): void {
    for (const socket of [...this.#sockets]) socket.close();
    this.#source.close();
  }

  closed(): Promise<void> {
    return this.#source.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #ask(network: "tcp" | "udp", target: Target, signal?: AbortSignal): Promise<Stream> {
    try {
      const stream = await this.#open(network, target, signal);
      this.#problem = undefined;
      return stream;
    } catch (error) {
      if (isPathsFault(error)) this.#problem = messageOf(error);
      throw error;
    }
  }

  async #open(network: "tcp" | "udp", target: Target, signal?: AbortSignal): Promise<Stream> {
    signal?.throwIfAborted();
    using limit = deadline(this.#clock, DIAL_TIMEOUT_MS, "dial", signal);
    const stream = await this.#source.open(limit.signal);
    try {
      await orAborted(this.#dialect.ask(stream, network, target), limit.signal);
      return stream;
    } catch (error) {
      if (stream.abort) stream.abort();
      else stream.close();
      signal?.throwIfAborted();
      if (error instanceof DialError) throw error;
      const failure = error instanceof CulvertError && error.code === "timeout" ? "timeout" : "path_down";
      throw new DialError(failure, `The tunnel was lost while it dialled: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** The server is not there, or does not know the secret. */
function isPathsFault(error: unknown): boolean {
  const failure = dialFailureOf(error);
  return failure === "path_down" || failure === "unauthorized";
}
