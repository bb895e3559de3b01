/**
 * What every dialect of the proxy needs: the Path and how to dial it, who may come in, the limits, the counters. One
 * per proxy port; the dialects are functions of a Client and this.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { splice, type SpliceCounts, type SpliceOptions } from "../splice.ts";
import type { Client, Dialect } from "./client.ts";
import type { CheckCredentials, ProxyRefusal } from "./credentials.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";

/** How much a proxy port takes at once, and how long it waits. */
export interface ProxyLimits {
  /** From accepting a connection, or from the first byte of a later HTTP request, to a complete request. Default 10 s. */
  readonly handshakeTimeoutMs: number;
  /** An HTTP message head, request or response. Default 32 KiB. */
  readonly maxHeadBytes: number;
  /** Connections open at once; those beyond are told "busy", or closed as they come. Default 10,000. */
  readonly maxConnections: number;
  /** Default 30 s. */
  readonly dialTimeoutMs: number;
  /** An HTTP connection with no request under way. Default 5 min. */
  readonly keepAliveTimeoutMs: number;
  /** A stream with one half ended and nothing moving in the other, as a vanished program leaves it. Default 5 min. */
  readonly halfClosedTimeoutMs: number;
  /** A UDP association without a datagram either way. Default 5 min. */
  readonly udpIdleTimeoutMs: number;
  /** UDP associations open at once; each holds 128 KiB and a socket. Default 256. */
  readonly maxUdpAssociations: number;
}

export interface IngressOptions {
  readonly path: Path | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits: ProxyLimits;
  readonly check: CheckCredentials | undefined;
  /** Where the proxy listens, for the trail. */
  readonly at: string;
}

const UNKNOWN_CREDENTIALS: ProxyRefusal = { status: 407, reason: "This proxy asks for a user name and a password" };

export class Ingress implements Disposable {
  readonly log: Log;
  readonly limits: ProxyLimits;
  /** Undefined when anyone may come in. */
  readonly check: CheckCredentials | undefined;
  readonly pool = new BufferPool();
  /** Clients that have not finished asking. */
  readonly handshakes: Deadlines<Client>;
  /** HTTP clients between two requests. */
  readonly keepAlives: Deadlines<Client>;
  /** UDP associations, by their last datagram. */
  readonly udpIdle: Deadlines<Client>;
  udpAssociations = 0;
  /** Set when no HTTP connection is to be kept for another request. */
  draining = false;
  readonly #halfClosed: Deadlines<() => void>;
  /** Every stream is half closed for a moment, so these waits share a timer. */
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  readonly #dials: Deadlines<AbortController>;
  readonly #path: Path | undefined;
  readonly #at: string;
  readonly #instruments: Instruments;

  constructor(options: IngressOptions) {
    const { clock, limits } = options;
    this.#path = options.path;
    this.log = options.log;
    this.limits = limits;
    this.check = options.check;
    this.#at = options.at;
    this.#halfClosed = new Deadlines(clock, limits.halfClosedTimeoutMs, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs: limits.halfClosedTimeoutMs, clock: sharedWait(this.#halfClosed) };
    this.#instruments = instrumentsOf(options.metrics);
    const expire = (reason: string) => (client: Client) => {
      this.count("timeouts", reason);
      client.close();
    };
    this.handshakes = new Deadlines(clock, limits.handshakeTimeoutMs, expire("handshake"));
    this.keepAlives = new Deadlines(clock, limits.keepAliveTimeoutMs, expire("keep_alive"));
    this.udpIdle = new Deadlines(clock, limits.udpIdleTimeoutMs, expire("udp"));
    this.#dials = new Deadlines(clock, limits.dialTimeoutMs, (dial) => {
      dial.abort(new DialError("timeout", `Cannot dial: no answer within ${limits.dialTimeoutMs} ms`));
    });
  }

  /** Asks whether the client may come in, and gives it the Path that it is to have; or says why it may not. */
  async admit(client: Client, user: string, password: string): Promise<ProxyRefusal | undefined> {
    const admission = await this.check!(user, password, client.from);
    client.path = typeof admission === "object" && "path" in admission ? admission.path : undefined;
    if (admission === true || client.path) return undefined;
    this.count("refusals", "credentials");
    return typeof admission === "object" && "status" in admission ? admission : UNKNOWN_CREDENTIALS;
  }

  /** The refusal of a client that has not said who it is. */
  unnamed(): ProxyRefusal {
    this.count("refusals", "credentials");
    return UNKNOWN_CREDENTIALS;
  }

  /** Opens a Stream for this client, which closes it when it closes itself. Rejects with whatever the Path says. */
  async dial(client: Client, target: Target): Promise<Stream> {
    const stream = await this.#dialing(client, target.host, (options) => this.#pathOf(client).dial(target, options));
    client.hold(stream);
    return stream;
  }

  /** Opens a datagram socket at the far side of the Path. */
  async datagrams(client: Client): Promise<Datagrams> {
    return await this.#dialing(client, "", (options) => {
      const path = this.#pathOf(client);
      if (!path.datagrams) throw new DialError("unsupported", "Cannot associate: this path carries no datagrams");
      return path.datagrams(options);
    });
  }

  #pathOf(client: Client): Path {
    const path = client.path ?? this.#path;
    if (!path) throw new DialError("path_down", "Cannot dial: the client was given no path");
    return path;
  }

  async #dialing<T extends { close(): void }>(
    client: Client,
    host: string,
    open: (options: DialOptions) => Promise<T>,
  ): Promise<T> {
    if (client.turnedAway) throw new DialError("busy", "Cannot dial: the proxy has as many connections as it may");
    const dial = new AbortController();
    client.hold({ close: () => dial.abort(new CulvertError("closed", "The client has gone")) });
    this.#dials.add(dial);
    try {
      const { signal } = dial;
      // The trail is for the page that shows it, and for no other eyes.
      const told = host.endsWith(".culvert");
      const trail = told ? [{ name: "ingress", at: `${this.#at} ${client.dialect}` }] : undefined;
      return await open(trail ? { signal, trail } : { signal });
    } catch (error) {
      const failure = dialFailureOf(dial.signal.aborted ? dial.signal.reason : error);
      this.#instruments.dialFailures.add(1, { reason: failure });
      this.log.debug("dial failed", { dialect: client.dialect, reason: failure, error: messageOf(error) });
      throw failure === dialFailureOf(error) ? error : dial.signal.reason;
    } finally {
      this.#dials.delete(dial);
      client.hold(undefined);
    }
  }

  /** Joins the client with what was dialled for it until both have ended. */
  async join(client: Client, stream: Stream, fromStream?: Uint8Array): Promise<void> {
    const fromClient = client.inbox.release();
    const counts: SpliceCounts = { aToB: 0, bToA: 0 };
    await splice(client.conn, stream, {
      pool: this.pool,
      halfClosed: this.#halfClosedWatch,
      counts,
      ...(fromClient && { fromA: fromClient }),
      ...(fromStream && { fromB: fromStream }),
    });
    client.closedElsewhere();
    this.carried(counts.aToB, counts.bToA);
  }

  /** Closes the clients between two requests, now and from now on. */
  drain(): void {
    this.draining = true;
    for (const client of this.keepAlives) client.close();
  }

  /** Counts bytes carried for clients. */
  carried(sent: number, received: number): void {
    if (sent > 0) this.#instruments.bytes.add(sent, { direction: "sent" });
    if (received > 0) this.#instruments.bytes.add(received, { direction: "received" });
  }

  count(what: "connections", dialect: Dialect | "unknown"): void;
  count(what: "refusals" | "timeouts" | "droppedDatagrams", reason: string): void;
  count(what: "connections" | "refusals" | "timeouts" | "droppedDatagrams", label: string): void {
    this.#instruments[what].add(1, what === "connections" ? { dialect: label } : { reason: label });
  }

  opened(change: 1 | -1): void {
    this.#instruments.open.add(change);
  }

  [Symbol.dispose](): void {
    const all = [this.handshakes, this.keepAlives, this.udpIdle, this.#halfClosed, this.#dials];
    for (const deadlines of all) deadlines[Symbol.dispose]();
  }
}

type Instruments = ReturnType<typeof instrumentsOf>;

function instrumentsOf(metrics: Metrics) {
  return {
    open: metrics.gauge("proxy_connections_open", "Connections to the proxy port open now"),
    connections: metrics.counter("proxy_connections_total", "Connections by what they spoke", ["dialect"]),
    refusals: metrics.counter("proxy_refusals_total", "Connections and requests turned away", ["reason"]),
    timeouts: metrics.counter("proxy_timeouts_total", "Clients closed for keeping still", ["reason"]),
    dialFailures: metrics.counter("proxy_dial_failures_total", "Dials that failed", ["reason"]),
    droppedDatagrams: metrics.counter("proxy_dropped_datagrams_total", "Datagrams not passed on", ["reason"]),
    bytes: metrics.counter("proxy_bytes_total", "Bytes carried for clients, counted when a stream ends", ["direction"]),
  };
}
