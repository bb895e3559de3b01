/**
 * The near end of vtcp, our own dialect: a Path whose streams are QUIC streams, whose packets look like TCP that belongs to
 * no connection.
 *
 *   dial ─▶ QUIC stream: token[16] │ chunks ( TunnelRequest ─▶ TunnelReply ─▶ bytes both ways )
 *
 *   using path = await openVtcp({ credential, carrier: { kind: "raw", peer: { host, ports } }, … });
 *
 * The bridge says hello first (`native/vtcp/client_bridge.ts`); the answer names the only key that QUIC then trusts, and the
 * token that shows the server that whoever speaks QUIC is who said hello. A server that was restarted is noticed by the next
 * hello, and the connections to the one before are given up at once.
 */

import { orAborted } from "../../protocol/abort.ts";
import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { formatPorts } from "../../protocol/port_span.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { ClientCredential } from "../../protocol/sealed_packets/credentials.ts";
import type { Refusal } from "../../protocol/sealed_packets/hello.ts";
import {
  type Datagrams,
  type DialOptions,
  formatTarget,
  type Path,
  type Stream,
  type Target,
  writeAll,
} from "../../protocol/stream.ts";
import type { TunnelRequest } from "../../protocol/tunnel.ts";
import { certificateName } from "../../protocol/vtcp/admission.ts";
import { anchorPem } from "../../protocol/vtcp/self_signed.ts";
import type { Bridge } from "../../native/vtcp/bridge.ts";
import type { BridgeNews } from "../../native/vtcp/bridge_messages.ts";
import { BufferPool } from "../buffer_pool.ts";
import { PendingDials } from "../pending_dials.ts";
import { StreamDatagrams } from "../stream_datagrams.ts";
import { askTunnel, encodedRequest } from "../tunnel_path.ts";
import { ChunkedStream } from "./chunked_stream.ts";
import { connectByQuic } from "./quic_connect.ts";
import { QuicPool } from "./quic_pool.ts";
import { KEEP_ALIVE_MS, QUIC_IDLE_MS, STREAMS_OF_A_CONNECTION, VTCP_ALPN } from "./vtcp_settings.ts";

export interface VtcpOptions {
  readonly credential: ClientCredential;
  /** What the packets look like and where they go: a host and its ports. */
  readonly carrier: Omit<CarrierOptions, "clock" | "random" | "log" | "metrics" | "peer"> & {
    readonly peer: NonNullable<CarrierOptions["peer"]>;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Admitted {
  readonly instance: string;
  readonly token: Bytes;
  readonly certificateKey: Bytes;
}

/** Rejects when the carrier cannot be opened: no privilege, a port that is taken. The server need not be there yet. */
export async function openVtcp(options: VtcpOptions): Promise<VtcpPath> {
  const { openBridge } = await import("../../native/vtcp/bridge.ts");
  const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  try {
    const news = new Mailbox<BridgeNews>();
    const bridge = await openBridge({
      side: "client",
      carrier: options.carrier,
      quicPort: endpoint.addr.port,
      credential: options.credential,
    }, { log: options.log, onNews: (one) => news.put(one) });
    const path = new VtcpPath(options, { endpoint, bridge });
    news.open((one) => path.onNews(one));
    return path;
  } catch (error) {
    endpoint.close();
    throw error;
  }
}

export class VtcpPath implements Path {
  readonly #options: VtcpOptions;
  readonly #endpoint: Deno.QuicEndpoint;
  readonly #bridge: Bridge;
  readonly #pool: QuicPool;
  readonly #buffers = new BufferPool();
  readonly #pending = new PendingDials();
  readonly #farEnd: string;
  #admitted: Admitted | undefined;
  /** Which start of the server we were let in by last: none of an earlier one's connections are left. */
  #instance: string | undefined;
  #failure: string | undefined;
  #admission = Promise.withResolvers<Admitted>();
  /** Aborted when connecting with what we were told is in vain. */
  #stale = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(options: VtcpOptions, parts: { readonly endpoint: Deno.QuicEndpoint; readonly bridge: Bridge }) {
    const { carrier: { peer }, clock, random, log, metrics } = options;
    this.#options = options;
    this.#endpoint = parts.endpoint;
    this.#bridge = parts.bridge;
    this.#farEnd = formatTarget({ host: peer.host, port: 0 }).replace(/0$/, formatPorts(peer.ports));
    this.#admission.promise.catch(() => {});
    this.#pool = new QuicPool({
      connect: (signal) => this.#connect(signal),
      farEnd: this.#farEnd,
      streams: STREAMS_OF_A_CONNECTION,
      clock,
      random,
      log,
      metrics,
    });
    parts.bridge.ended.then((error) => error && this.#onBridgeLost(error));
  }

  get problem(): string | undefined {
    return this.#admitted ? undefined : this.#failure ?? `The server ${this.#farEnd} has not answered yet`;
  }

  /** A QUIC connection is up. */
  get isUp(): boolean {
    return this.#pool.isUp;
  }

  /** Settles when the bridge has ended, which leaves nothing to dial by: with why, unless it was closed. */
  get ended(): Promise<Error | undefined> {
    return this.#bridge.ended;
  }

  get streamCount(): number {
    return this.#pool.streamCount;
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return await this.#pending.run(
      (signal) => this.#open({ kind: "stream", target, trail: [] }, { ...options, signal }),
      options.signal,
    );
  }

  async datagrams(options: DialOptions = {}): Promise<Datagrams> {
    const stream = await this.#pending.run(
      (signal) => this.#open({ kind: "datagrams", trail: [] }, { ...options, signal }),
      options.signal,
    );
    return new StreamDatagrams(stream);
  }

  /** Packets sent, received and lost. */
  counts(): ReturnType<Bridge["counts"]> {
    return this.#bridge.counts();
  }

  close(): void {
    this.#closed ??= this.#close();
  }

  closed(): Promise<void> {
    return this.#closed ?? Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What the bridge tells. */
  onNews(news: BridgeNews): void {
    if (news.type === "admitted") return this.#onAdmitted(news);
    if (news.type === "refused") {
      this.#fail(refusal(this.#farEnd, news.reason, news.serverWallMs));
      return this.#pool.drop();
    }
    if (news.type !== "unanswered") return;
    const words = "its key is another, the clock here is wrong, or something on the way blocks it";
    this.#fail(new DialError("path_down", `The server ${this.#farEnd} does not answer: it is not there, ${words}`));
  }

  #onAdmitted(news: Admitted): void {
    const { instance, token, certificateKey } = news;
    const before = this.#instance;
    this.#instance = instance;
    this.#admitted = { instance, token, certificateKey };
    this.#failure = undefined;
    this.#admission.resolve(this.#admitted);
    if (before === undefined || before === instance) return;
    this.#options.log.info("The server was restarted", { server: this.#farEnd });
    this.#giveUp(new DialError("path_down", "The server was restarted"));
    this.#pool.drop();
  }

  #fail(error: DialError): void {
    const { log } = this.#options;
    if (this.#failure !== error.message) {
      log.warn("The server does not let us in", { server: this.#farEnd, reason: error.message });
    }
    this.#failure = error.message;
    const admission = this.#admission;
    this.#admission = Promise.withResolvers();
    this.#admission.promise.catch(() => {});
    admission.reject(error);
    this.#admitted = undefined;
    this.#pending.fail(error);
    this.#giveUp(error);
  }

  #giveUp(reason: DialError): void {
    this.#stale.abort(reason);
    this.#stale = new AbortController();
  }

  #onBridgeLost(error: Error): void {
    this.#options.log.error("The bridge of vtcp has ended", { server: this.#farEnd, error: error.message });
    this.#fail(new DialError("path_down", error.message, { cause: error }));
    this.close();
  }

  async #connect(signal: AbortSignal): Promise<Deno.QuicConn> {
    const { certificateKey } = this.#admitted ?? await orAborted(this.#admission.promise, signal);
    const serverName = certificateName(certificateKey);
    return await connectByQuic({
      endpoint: this.#endpoint,
      port: this.#bridge.loopbackPort,
      serverName,
      alpn: VTCP_ALPN,
      anchor: anchorPem(certificateKey, serverName),
      keepAliveMs: KEEP_ALIVE_MS,
      idleMs: QUIC_IDLE_MS,
    }, AbortSignal.any([signal, this.#stale.signal]));
  }

  async #open(asked: TunnelRequest, options: DialOptions): Promise<Stream> {
    const { signal, trail } = options;
    const seal = "QUIC, under packets that look like TCP";
    const hop = { name: "vtcp client", at: this.#farEnd, seal };
    const request = { ...asked, trail: trail ? [...trail, hop] : [] };
    const bytes = encodedRequest(request);
    const stream = await this.#pool.open(signal);
    const token = this.#admitted?.token;
    const chunked = new ChunkedStream(stream, this.#buffers);
    try {
      if (!token) throw new CulvertError("link_lost", "the server has not let us in");
      await writeAll(stream, token);
    } catch (error) {
      chunked.abort();
      throw new DialError("path_down", "The QUIC connection was lost while it dialled", { cause: error });
    }
    await askTunnel(chunked, { request, bytes }, signal);
    return chunked;
  }

  async #close(): Promise<void> {
    this.#pool.close();
    this.#admission.reject(new DialError("path_down", "Cannot dial: the tunnel is closed"));
    await this.#pool.closed();
    this.#endpoint.close();
    await this.#bridge.close();
  }
}

/** Keeps what comes until somebody takes it. */
class Mailbox<T> {
  readonly #early: T[] = [];
  #take: (one: T) => void = (one) => void this.#early.push(one);

  put(one: T): void {
    this.#take(one);
  }

  open(take: (one: T) => void): void {
    this.#take = take;
    for (const one of this.#early.splice(0)) take(one);
  }
}

function refusal(farEnd: string, reason: Refusal, serverWallMs: number): DialError {
  switch (reason) {
    case "unauthorized":
      return new DialError("unauthorized", `The server ${farEnd} does not know our secret`);
    case "clock": {
      const there = new Date(serverWallMs).toISOString();
      return new DialError("unauthorized", `The clock here is wrong: at the server ${farEnd} it is ${there}`);
    }
    case "busy":
      return new DialError("busy", `The server ${farEnd} has as many clients as it takes`);
  }
}
