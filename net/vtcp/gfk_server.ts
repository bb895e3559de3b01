/**
 * The far end of the GFK dialects, for their clients and ours.
 *
 *   packets ─▶ bridge ─▶ QUIC, or KCP ─▶ mux; per stream: header ─▶ allowed? ─▶ onward.dial ─▶ answer ─▶ bytes both ways
 *
 * Whoever comes with QUIC is answered by QUIC, as GFK's own servers do; what they may have is decided by the header of each
 * stream. Over KCP only who has the key is heard.
 */

import { aborted } from "../../protocol/abort.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import type { Path, Stream, Target } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { splice } from "../splice.ts";
import { DatagramStream } from "./gfk_datagrams.ts";
import { type Asked, type GfkDialect, goDialect, pyDialect } from "./gfk_dialect.ts";
import { listenGfkKcp, listenGfkQuic } from "./gfk_listen.ts";

export interface GfkServerOptions {
  readonly dialect: "gfk-py" | "gfk-go";
  readonly secret?: string;
  readonly transport?: "quic" | "kcp";
  readonly carrier: Omit<CarrierOptions, "clock" | "random" | "log" | "metrics" | "peer">;
  readonly onward: Path;
  /** Where ports without a host lead. */
  readonly backendHost: string;
  /** Hosts may be named (gfk-go's SOCKS5). Default false. */
  readonly allowHosts?: boolean;
  /** Default: all. */
  readonly allowedPorts?: readonly number[];
  /** For QUIC, PEM; default: made at start. */
  readonly certificate?: { readonly certificatePem: string; readonly keyPem: string };
  readonly mtuBytes?: number;
  readonly maxClients?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

const HEADER_TIMEOUT_MS = 10_000;
const DIAL_TIMEOUT_MS = 10_000;
const UDP_IDLE_MS = 300_000;
const HALF_CLOSED_MS = 30_000;

/** What brings streams. */
export interface GfkListening {
  readonly ports: readonly number[];
  /** Settles when it has ended: with why, unless it was closed. */
  readonly ended: Promise<Error | undefined>;
  /** Places that are known. */
  clientCount(): Promise<number>;
  close(): Promise<void>;
}

/** Rejects when the carrier cannot be opened. */
export async function serveGfk(options: GfkServerOptions): Promise<GfkServer> {
  const { dialect: name, secret, transport = "quic" } = options;
  if (name === "gfk-go" && secret === undefined) {
    throw new CulvertError("bad_option", "Cannot serve gfk-go: there must be a secret");
  }
  if (name === "gfk-py" && transport === "kcp") {
    throw new CulvertError("bad_option", "Cannot serve gfk-py: its transport must be quic, got kcp");
  }
  const dialect = name === "gfk-py" ? pyDialect(secret) : goDialect(secret!);
  const server = new GfkServer(options, dialect);
  const listen = transport === "kcp" ? listenGfkKcp : listenGfkQuic;
  server.listening = await listen(options, (stream) => server.serve(stream));
  return server;
}

export class GfkServer implements AsyncDisposable {
  readonly #options: GfkServerOptions;
  readonly #dialect: GfkDialect;
  readonly #pool = new BufferPool();
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #metrics;
  #isDraining = false;
  listening: GfkListening | undefined;

  /** Use `serveGfk`. */
  constructor(options: GfkServerOptions, dialect: GfkDialect) {
    this.#options = options;
    this.#dialect = dialect;
    const { metrics } = options;
    this.#metrics = {
      streams: metrics.counter("gfk_server_streams_total", "Streams of clients, by outcome", ["outcome"]),
      bytes: metrics.counter("gfk_server_bytes_total", "Bytes carried, by direction", ["direction"]),
    };
  }

  get ports(): readonly number[] {
    return this.listening?.ports ?? [];
  }

  /** Settles when no streams come any more: with why, unless it was closed. */
  get ended(): Promise<Error | undefined> {
    return this.listening?.ended ?? Promise.resolve(undefined);
  }

  /** Takes no more streams, and settles when those there are have ended or the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    const isOver = aborted(signal);
    while (this.#tasks.size > 0 && !signal.aborted) await Promise.race([isOver, Promise.all(this.#tasks)]);
  }

  /** Serves one stream. Never rejects. */
  serve(stream: Stream): void {
    if (this.#isDraining) return stream.close();
    const task = this.#serve(stream);
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async close(): Promise<void> {
    this.#stop.abort(new CulvertError("closed", "The server is closing"));
    await this.listening?.close();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(stream: Stream): Promise<void> {
    try {
      const asked = await this.#listen(stream);
      if (!asked) this.#metrics.streams.add(1, { outcome: "refused" });
      else if (asked.network === "hello") await this.#dialect.open(stream, asked);
      else await this.#open(stream, asked);
    } catch (error) {
      this.#options.log.debug("A stream ended early", { error: messageOf(error) });
    }
    stream.close();
  }

  async #listen(stream: Stream): Promise<Asked | undefined> {
    using limit = deadline(this.#options.clock, HEADER_TIMEOUT_MS, "read a header", this.#stop.signal);
    limit.signal.addEventListener("abort", () => stream.close(), { once: true });
    return await this.#dialect.listen(stream);
  }

  async #open(stream: Stream, asked: Asked): Promise<void> {
    const { onward, clock } = this.#options;
    using limit = deadline(clock, DIAL_TIMEOUT_MS, "dial", this.#stop.signal);
    let far: Stream;
    try {
      const target = this.#target(asked);
      if (asked.network === "udp") return await this.#relay(stream, asked, target, limit);
      far = await onward.dial(target, { signal: limit.signal });
    } catch (error) {
      const failure = dialFailureOf(error);
      this.#metrics.streams.add(1, { outcome: failure });
      return await this.#dialect.refuse(stream, failure);
    }
    try {
      await this.#dialect.open(stream, asked);
    } catch (error) {
      closeQuietly(far);
      throw error;
    }
    limit[Symbol.dispose]();
    this.#metrics.streams.add(1, { outcome: "ok" });
    const { aToB, bToA } = await splice(stream, far, {
      pool: this.#pool,
      signal: this.#stop.signal,
      fromA: asked.rest,
      halfClosed: { idleTimeoutMs: HALF_CLOSED_MS, clock },
    });
    this.#metrics.bytes.add(aToB, { direction: "out" });
    this.#metrics.bytes.add(bToA, { direction: "in" });
  }

  #target({ host, port }: Asked): Target {
    const { backendHost, allowHosts = false, allowedPorts } = this.#options;
    if (allowedPorts && !allowedPorts.includes(port)) throw new DialError("denied", `Port ${port} is not allowed`);
    if (host !== undefined && !allowHosts) throw new DialError("denied", "Hosts cannot be named here");
    return { host: host ?? backendHost, port };
  }

  /** Datagrams both ways, until the stream ends or nothing has come for a while. */
  async #relay(stream: Stream, asked: Asked, target: Target, limit: Disposable): Promise<void> {
    const { onward, clock } = this.#options;
    if (!onward.datagrams) throw new DialError("unsupported", "This way out carries no datagrams");
    using socket = await onward.datagrams();
    await this.#dialect.open(stream, asked);
    limit[Symbol.dispose]();
    this.#metrics.streams.add(1, { outcome: "datagrams" });
    const datagrams = new DatagramStream(stream, this.#dialect.framesDatagrams);
    let timer = clock.after(UDP_IDLE_MS, () => stream.close());
    const heard = () => {
      timer.cancel();
      timer = clock.after(UDP_IDLE_MS, () => stream.close());
    };
    const onStop = () => stream.close();
    this.#stop.signal.addEventListener("abort", onStop, { once: true });
    const back = (async () => {
      const buffer = new Uint8Array(65_535);
      for (let got = await socket.receive(buffer); got; got = await socket.receive(buffer)) {
        await datagrams.send(buffer.subarray(0, got.length));
      }
    })().catch(() => {});
    try {
      const buffer = new Uint8Array(65_535);
      if (asked.rest.length > 0) await socket.send(asked.rest, target).catch(() => {});
      for (let count = await datagrams.receive(buffer); count !== null; count = await datagrams.receive(buffer)) {
        heard();
        await socket.send(buffer.subarray(0, count), target).catch(() => {}); // that one is lost
      }
    } catch (error) {
      // It is open already: a refusal would be taken for a datagram.
      this.#options.log.debug("Datagrams ended early", { error: messageOf(error) });
    } finally {
      timer.cancel();
      this.#stop.signal.removeEventListener("abort", onStop);
      socket.close();
      await back;
    }
  }
}
