/**
 * Takes QUIC connections on loopback from those whom a bridge has told of, each by its loopback address, and gives their
 * streams to whoever serves them.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { orAborted } from "../../protocol/abort.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { BridgeNews } from "../../native/vtcp/bridge_messages.ts";

export interface QuicAcceptorOptions {
  readonly certificate: { readonly certificatePem: string; readonly keyPem: string };
  readonly alpn: readonly string[];
  readonly idleMs: number;
  readonly keepAliveMs?: number;
  /** That a client may have open on a connection. */
  readonly streams: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface QuicService<Client> {
  /** Must not reject. `gone` is aborted when the connection has ended. */
  onStream(stream: Deno.QuicBidirectionalStream, client: Client, gone: AbortSignal): Promise<void>;
}

/** What the bridge says of a client may come a moment after its first packet. */
const NEWS_WAIT_MS = 2000;
const MOST_WAITING = 64;
const MOST_OF_A_CLIENT = 32;
/** Connections that begin, which is all that some ever do; each costs as much as one that is up. */
const MOST_BEGINNING = 1024;
/** Of everybody; for a server of as many clients as it usually takes, two each. */
const MOST_CONNECTIONS = 8192;

/** Whoever is behind a loopback address. */
interface Place<Client> {
  readonly client: Client;
  readonly connections: Set<Deno.QuicConn>;
}

export class QuicAcceptor<Client> implements AsyncDisposable {
  readonly #options: QuicAcceptorOptions;
  readonly #endpoint: Deno.QuicEndpoint;
  readonly #listener: Deno.QuicListener;
  readonly #places = new Map<string, Place<Client>>();
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #up;
  #beginning = 0;
  #size = 0;

  constructor(options: QuicAcceptorOptions) {
    const { certificate: { certificatePem: cert, keyPem: key }, alpn, idleMs, keepAliveMs, streams, metrics } = options;
    this.#options = options;
    this.#endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
    this.#listener = this.#endpoint.listen({
      cert,
      key,
      alpnProtocols: [...alpn],
      maxIdleTimeout: idleMs,
      maxConcurrentBidirectionalStreams: streams,
      maxConcurrentUnidirectionalStreams: 0,
      ...keepAliveMs !== undefined && { keepAliveInterval: keepAliveMs },
    });
    this.#up = metrics.gauge("vtcp_server_connections_active", "QUIC connections of clients of vtcp");
  }

  get port(): number {
    return this.#endpoint.addr.port;
  }

  get size(): number {
    return this.#size;
  }

  /** Somebody is behind an address, or nobody any more. */
  learn(news: BridgeNews, client: Client | undefined): void {
    if (news.type === "client" && client !== undefined) {
      this.#places.set(news.address, { client, connections: new Set() });
      this.#awaited.get(news.address)?.resolve();
    } else if (news.type === "gone") {
      // The next one there is somebody else.
      for (const connection of this.#places.get(news.address)?.connections ?? []) connection.close();
      this.#places.delete(news.address);
    }
  }

  /** Begins to take connections; `bridgePort` is the only one they may come from. */
  serve(bridgePort: number, service: QuicService<Client>): void {
    this.#spawn(this.#accept(bridgePort, service));
  }

  /** Ends the connections of those clients. */
  end(isMeant: (client: Client) => boolean): void {
    for (const { client, connections } of this.#places.values()) {
      if (isMeant(client)) { for (const connection of connections) connection.close(); }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.end(() => true);
    this.#listener.stop();
    this.#endpoint.close();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #accept(bridgePort: number, service: QuicService<Client>): Promise<void> {
    const { log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        const incoming = await this.#listener.incoming();
        if (this.#beginning >= MOST_BEGINNING || this.#size >= MOST_CONNECTIONS) incoming.ignore();
        else this.#spawn(this.#take(incoming, bridgePort, service));
      } catch (error) {
        if (!this.#stop.signal.aborted) {
          log.error("No QUIC connections are taken any more", { error: messageOf(error) });
        }
        return;
      }
    }
  }

  /** Deno spoils an incoming connection that is asked where it is from, so it is accepted first. */
  async #take(incoming: Deno.QuicIncoming, bridgePort: number, service: QuicService<Client>): Promise<void> {
    const { log } = this.#options;
    let connection: Deno.QuicConn;
    this.#beginning++;
    try {
      connection = await incoming.accept();
    } catch (error) {
      return log.debug("A QUIC connection failed to begin", { error: messageOf(error) });
    } finally {
      this.#beginning--;
    }
    const { hostname: address, port } = connection.remoteAddr;
    const place = port === bridgePort ? await this.#placeAt(address) : undefined;
    if (!place || place.connections.size >= MOST_OF_A_CLIENT || this.#stop.signal.aborted) return connection.close();
    const { client } = place;
    place.connections.add(connection);
    this.#up.set(++this.#size);
    let gone: AbortController | undefined; // made with the first stream: most connections are idle
    const streams = connection.incomingBidirectionalStreams.getReader();
    try {
      for (let next = await streams.read(); !next.done; next = await streams.read()) {
        gone ??= new AbortController();
        this.#spawn(service.onStream(next.value, client, gone.signal));
      }
    } catch (error) {
      log.debug("A QUIC connection has ended", { error: messageOf(error) });
    }
    connection.close();
    gone?.abort();
    place.connections.delete(connection);
    this.#up.set(--this.#size);
  }

  async #placeAt(address: string): Promise<Place<Client> | undefined> {
    const known = this.#places.get(address);
    if (known !== undefined) return known;
    if (this.#awaited.size >= MOST_WAITING && !this.#awaited.has(address)) return undefined;
    const awaited = this.#awaited.get(address) ?? Promise.withResolvers<void>();
    this.#awaited.set(address, awaited);
    try {
      using limit = deadline(this.#options.clock, NEWS_WAIT_MS, "hear of a client", this.#stop.signal);
      await orAborted(awaited.promise, limit.signal);
    } catch {
      // nobody that we know
    }
    this.#awaited.delete(address);
    return this.#places.get(address);
  }
}
