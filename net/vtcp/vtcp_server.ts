/**
 * The far end of vtcp, our own dialect: lets in those of its clients who say hello, and dials for them what they ask for.
 *
 *   packets ─▶ bridge (Worker) ─▶ QUIC ─▶ per stream: token ─▶ request ─▶ onward.dial ─▶ reply ─▶ bytes both ways
 *
 * To everybody else it is silent: nothing from a place that has not said hello reaches QUIC. QUIC is on loopback, where other
 * programs of this machine might reach it; so nothing is taken but from the bridge's own port, and every stream shows the
 * token that its client was given in the hello.
 */

import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { type Bytes, portablePrimitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { NamedSecret } from "../../protocol/sealed_packets/credentials.ts";
import { type Hop, type Path, readFull } from "../../protocol/stream.ts";
import { certificateName, TOKEN_BYTES } from "../../protocol/vtcp/admission.ts";
import { type SelfSigned, selfSigned } from "../../protocol/vtcp/self_signed.ts";
import type { Bridge } from "../../native/vtcp/bridge.ts";
import type { BridgeNews } from "../../native/vtcp/bridge_messages.ts";
import { BufferPool } from "../buffer_pool.ts";
import { type TunnelLinkLimits, TunnelLinks } from "../tunnel_link.ts";
import { ChunkedStream } from "./chunked_stream.ts";
import { QuicAcceptor } from "./quic_acceptor.ts";
import { QuicStream } from "./quic_stream.ts";
import { CLIENT_IDLE_MS, QUIC_IDLE_MS, STREAMS_OF_A_CONNECTION, VTCP_ALPN } from "./vtcp_settings.ts";

export interface VtcpServerOptions {
  /** The server's own key, X25519. */
  readonly privateKey: Bytes;
  readonly clients: readonly NamedSecret[];
  readonly carrier: Omit<CarrierOptions, "clock" | "random" | "log" | "metrics" | "peer">;
  readonly onward: Path;
  /** What this place is called in trails. */
  readonly hop: Hop;
  /** Default 4,096. */
  readonly maxClients?: number;
  readonly limits?: TunnelLinkLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** From a stream's opening to its token. */
const TOKEN_TIMEOUT_MS = 10_000;
const GOODBYE_MS = 100;

interface Client {
  readonly name: string;
  readonly token: Bytes;
}

export class VtcpServer implements AsyncDisposable {
  readonly #options: VtcpServerOptions;
  readonly #bridge: Bridge;
  readonly #acceptor: QuicAcceptor<Client>;
  readonly #links: TunnelLinks;
  readonly #buffers = new BufferPool();
  #closing: Promise<void> | undefined;

  /** Rejects when the carrier cannot be opened: no privilege, a port that is taken. */
  static async start(options: VtcpServerOptions): Promise<VtcpServer> {
    const { random, clock, metrics, log, carrier } = options;
    const { openBridge } = await import("../../native/vtcp/bridge.ts");
    const certificate = makeCertificate(random);
    const acceptor = new QuicAcceptor<Client>({
      certificate,
      alpn: VTCP_ALPN,
      idleMs: QUIC_IDLE_MS,
      streams: STREAMS_OF_A_CONNECTION,
      clock,
      log,
      metrics,
    });
    try {
      const bridge = await openBridge({
        side: "server",
        carrier,
        quicPort: acceptor.port,
        maxClients: options.maxClients ?? 4096,
        idleMs: CLIENT_IDLE_MS,
        gate: {
          privateKey: options.privateKey,
          clients: options.clients,
          certificateKey: certificate.publicKey,
        },
      }, { log, onNews: (news) => acceptor.learn(news, clientOf(news)) });
      return new VtcpServer(options, { bridge, acceptor });
    } catch (error) {
      await acceptor[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    options: VtcpServerOptions,
    parts: { readonly bridge: Bridge; readonly acceptor: QuicAcceptor<Client> },
  ) {
    const { clock, metrics, limits } = options;
    this.#options = options;
    this.#bridge = parts.bridge;
    this.#acceptor = parts.acceptor;
    this.#links = new TunnelLinks({ clock, metrics, ...limits && { limits } });
    parts.acceptor.serve(parts.bridge.loopbackPort, {
      onStream: (halves, client, gone) => this.#serve(halves, client, gone),
    });
    parts.bridge.ended.then((error) =>
      error && options.log.error("The bridge of vtcp has ended", { error: error.message })
    );
  }

  /** The ports that clients send to. */
  get ports(): readonly number[] {
    return this.#bridge.localPorts;
  }

  get connectionCount(): number {
    return this.#acceptor.size;
  }

  get streamCount(): number {
    return this.#links.streamCount;
  }

  /** Settles when the bridge has ended: undefined after `close`, otherwise what ended it. */
  get ended(): Promise<Error | undefined> {
    return this.#bridge.ended;
  }

  counts(): ReturnType<Bridge["counts"]> {
    return this.#bridge.counts();
  }

  admit(client: NamedSecret): Promise<void> {
    return this.#bridge.admit(client);
  }

  /** Ends everything of that client, now and later; false when there is none of that name. */
  async revoke(name: string): Promise<boolean> {
    this.#acceptor.end((client) => client.name === name);
    // What says so must still get through the bridge.
    await delay(this.#options.clock, GOODBYE_MS);
    return await this.#bridge.revoke(name);
  }

  /** Takes no more streams, and settles when those there are have ended or the signal is aborted. */
  drain(signal: AbortSignal): Promise<void> {
    return this.#links.drain(signal);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(halves: Deno.QuicBidirectionalStream, client: Client, gone: AbortSignal): Promise<void> {
    const { clock, onward, hop, log } = this.#options;
    const stream = new QuicStream(halves, () => gone.removeEventListener("abort", onGone));
    const served = new ServedStream(stream, this.#buffers);
    const onGone = () => served.onUnheard();
    try {
      using limit = deadline(clock, TOKEN_TIMEOUT_MS, "read a token", gone);
      limit.signal.addEventListener("abort", () => stream.abort(), { once: true });
      const token = new Uint8Array(TOKEN_BYTES);
      if (!await readFull(stream, token) || !equal(token, client.token)) {
        log.warn("A stream showed no token", { client: client.name });
        return stream.abort();
      }
    } catch (error) {
      log.debug("A stream ended before its token", { client: client.name, error: messageOf(error) });
      return stream.abort();
    }
    gone.addEventListener("abort", onGone, { once: true });
    this.#links.serveStream(served, { onward, hops: [hop] });
  }

  async #close(): Promise<void> {
    this.#links.close();
    await this.#acceptor[Symbol.asyncDispose]();
    await this.#links.closed();
    await this.#bridge.close();
  }
}

class ServedStream extends ChunkedStream {
  onUnheard: () => void = () => {};
}

function clientOf(news: BridgeNews): Client | undefined {
  if (news.type !== "client" || news.name === undefined || !news.token) return undefined;
  return { name: news.name, token: news.token };
}

function makeCertificate(random: Random): SelfSigned {
  const secret = random.fill(new Uint8Array(32));
  const name = certificateName(portablePrimitives.ed25519PublicKey(secret));
  return selfSigned(portablePrimitives, secret, name);
}

/** Takes as long whichever byte is wrong. */
function equal(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one[at]! ^ other[at]!;
  return difference === 0;
}
