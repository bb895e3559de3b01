/**
 * The ingress: one port that programs use as their proxy, and a Path that everything they ask for goes through. Or a port
 * that is forwarded: every connection to it leads to one target, and nothing is asked.
 *
 *   first byte 05 → SOCKS5 (CONNECT, UDP ASSOCIATE)     04 → SOCKS4 and 4a     else → HTTP (CONNECT and plain)
 *
 * Success is told to a program only once the far side has connected, and a failure is told as what it was. The first
 * few connections beyond the limit are told "busy" in their own dialect and more are closed as they come, programs that
 * dawdle over their request are closed too, and running out of file descriptors slows accepting down instead of ending
 * it.
 *
 * The dialects are in `net/proxy/`. Where streams go and what is allowed there is the Path's business, not this file's.
 */

import type { Clock } from "../protocol/clock.ts";
import { delay } from "../protocol/clock.ts";
import { messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Metrics, noMetrics } from "../protocol/metrics.ts";
import { SOCKS5_VERSION } from "../protocol/socks.ts";
import { SOCKS4_VERSION } from "../protocol/socks4.ts";
import { formatTarget, type Path, type Stream, type Target } from "../protocol/stream.ts";
import { closeQuietly } from "./close.ts";
import { Client } from "./proxy/client.ts";
import { checkerOf, type ProxyAuth } from "./proxy/credentials.ts";
import { serveHttp } from "./proxy/http.ts";
import { Ingress, type ProxyLimits } from "./proxy/ingress.ts";
import { serveSocks4, serveSocks5 } from "./proxy/socks.ts";
import { isEarlyEnd, listenTcp, type NetAddr, type TcpListener, type TcpSocket } from "./runtime.ts";

export type { Admission, CheckCredentials, ProxyAuth, ProxyRefusal } from "./proxy/credentials.ts";
export type { ProxyLimits } from "./proxy/ingress.ts";

/** What a proxy port is made of. */
export interface ProxyOptions {
  /** Where to listen, or a listener to take over and close in the end. */
  readonly listen: { readonly hostname: string; readonly port: number } | TcpListener;
  /** What everything goes through. Not closed with the proxy. May be left out where `auth` gives each client its own. */
  readonly path?: Path;
  /** Forwards the port: every connection leads there, whatever is said on it. Default: what is asked for. */
  readonly target?: Target;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Who may come in: names and passwords, or a function, which may also say by which Path. Default: anyone. */
  readonly auth?: ProxyAuth;
  /** Where it writes what happens. Default: nowhere. */
  readonly log?: Log;
  /** Where it counts what happens. Default: nowhere. */
  readonly metrics?: Metrics;
  /** How much it takes at once, and how long it waits. */
  readonly limits?: Partial<ProxyLimits>;
}

/** A proxy port that is open. */
export interface ProxyServer extends Disposable {
  /** Where it listens. */
  readonly address: NetAddr;
  /** Connections open now. */
  readonly connections: number;
  /** Settles when the port and every connection are closed. */
  readonly closed: Promise<void>;
  /**
   * Stops accepting, closes HTTP connections between two requests, and lets what is under way come to its end; what is
   * left when `signal` aborts is closed.
   */
  shutdown(signal?: AbortSignal): Promise<void>;
}

const defaultLimits: ProxyLimits = {
  handshakeTimeoutMs: 10_000,
  maxHeadBytes: 32 * 1024,
  maxConnections: 10_000,
  dialTimeoutMs: 30_000,
  keepAliveTimeoutMs: 300_000,
  halfClosedTimeoutMs: 300_000,
  udpIdleTimeoutMs: 300_000,
  maxUdpAssociations: 256,
};

/** How long to leave the port alone after an accept that failed, at first and at most. */
const FIRST_PAUSE_MS = 10;
const MAX_PAUSE_MS = 1_000;

/** Connections beyond the limit that are listened to at once, only to be told that there is no room. */
const MAX_TURNED_AWAY = 64;

/** Opens the proxy port. */
export function serveProxy(options: ProxyOptions): ProxyServer {
  const limits = limitsOf(options.limits);
  const listener = "accept" in options.listen ? options.listen : listenTcp(options.listen);
  return new ProxyPort(listener, limits, options);
}

function limitsOf(given: Partial<ProxyLimits> = {}): ProxyLimits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    const least = name === "maxUdpAssociations" ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < least) {
      throw new RangeError(`Cannot serve a proxy: limits.${name} must be a whole number from ${least}, got ${value}`);
    }
  }
  return limits;
}

class ProxyPort implements ProxyServer {
  readonly address: NetAddr;
  readonly closed: Promise<void>;
  readonly #listener: TcpListener;
  readonly #ingress: Ingress;
  readonly #clock: Clock;
  readonly #target: Target | undefined;
  readonly #clients = new Set<Client>();
  readonly #stop = new AbortController();
  #drained: (() => void) | undefined;

  constructor(listener: TcpListener, limits: ProxyLimits, options: ProxyOptions) {
    this.#listener = listener;
    this.#clock = options.clock;
    this.#target = options.target;
    this.address = listener.addr;
    this.#ingress = new Ingress({
      path: options.path,
      clock: options.clock,
      log: options.log ?? silentLog,
      metrics: options.metrics ?? noMetrics,
      limits,
      check: options.auth === undefined ? undefined : checkerOf(options.auth),
      at: formatTarget({ host: this.address.hostname, port: this.address.port }),
    });
    this.closed = this.#run();
  }

  get connections(): number {
    return this.#clients.size;
  }

  async shutdown(signal?: AbortSignal): Promise<void> {
    this.#stopAccepting();
    this.#ingress.drain();
    const onAbort = () => this.#closeClients();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort);
    await this.closed;
    signal?.removeEventListener("abort", onAbort);
  }

  [Symbol.dispose](): void {
    this.#stopAccepting();
    this.#closeClients();
  }

  #stopAccepting(): void {
    this.#stop.abort();
    closeQuietly(this.#listener);
  }

  #closeClients(): void {
    for (const client of this.#clients) client.close();
  }

  async #run(): Promise<void> {
    await this.#accept();
    if (this.#clients.size > 0) await new Promise<void>((resolve) => this.#drained = resolve);
    this.#ingress[Symbol.dispose]();
  }

  async #accept(): Promise<void> {
    const { signal } = this.#stop;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted;) {
      try {
        const conn = await this.#listener.accept();
        if (signal.aborted) return closeQuietly(conn);
        pauseMs = FIRST_PAUSE_MS;
        this.#admit(conn);
      } catch (error) {
        if (signal.aborted) return;
        // That one connection was over before it was accepted. The next is not to wait for it.
        if (isEarlyEnd(error)) continue;
        this.#ingress.log.warn("accept failed", { error: messageOf(error), pauseMs });
        await delay(this.#clock, pauseMs, signal).catch(() => {});
        pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
      }
    }
  }

  #admit(conn: TcpSocket): void {
    const ingress = this.#ingress;
    const room = ingress.limits.maxConnections - this.#clients.size;
    if (room <= 0) ingress.count("refusals", "connections");
    if (room <= -MAX_TURNED_AWAY) return closeQuietly(conn);
    const client = new Client(conn, ingress.pool, ingress.limits.maxHeadBytes);
    client.turnedAway = room <= 0;
    this.#clients.add(client);
    ingress.opened(1);
    ingress.handshakes.add(client);
    this.#serve(client).catch((error) => {
      // The client, or what it talked to, went away in the middle: every day's business.
      ingress.log.debug("connection ended early", { dialect: client.dialect, error: messageOf(error) });
    }).finally(() => {
      ingress.handshakes.delete(client);
      client.close();
      client.inbox.release();
      ingress.opened(-1);
      this.#clients.delete(client);
      if (this.#clients.size === 0) this.#drained?.();
    });
  }

  async #serve(client: Client): Promise<void> {
    const { conn } = client;
    // A reply of ten bytes must not wait for the acknowledgement of the one before.
    conn.setNoDelay(true);
    // A program whose machine has vanished says nothing, which a quiet stream cannot tell from silence.
    conn.setKeepAlive(true);
    const stream = this.#target ? await this.#forward(client, this.#target) : await this.#ask(client);
    // Joined from here, not from within: a quiet stream is not to keep the whole handshake in memory.
    if (stream) await this.#ingress.join(client, stream);
  }

  /** Whoever speaks first is not waited for: it may be the target. */
  async #forward(client: Client, target: Target): Promise<Stream> {
    client.dialect = "forward";
    this.#ingress.handshakes.delete(client);
    this.#ingress.count("connections", client.dialect);
    return await this.#ingress.dial(client, target);
  }

  async #ask(client: Client): Promise<Stream | undefined> {
    const { inbox } = client;
    if (!await inbox.fill()) return undefined;
    const first = inbox.bytes[0];
    client.dialect = first === SOCKS5_VERSION ? "socks5" : first === SOCKS4_VERSION ? "socks4" : "http";
    this.#ingress.count("connections", client.dialect);
    const serve = client.dialect === "socks5" ? serveSocks5 : client.dialect === "socks4" ? serveSocks4 : serveHttp;
    return await serve(client, this.#ingress);
  }
}
