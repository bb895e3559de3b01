/**
 * The near end of a tunnel: a Path that dials at the far end of a WebSocket.
 *
 *   tunnel+ws://host:port/path      tunnel+wss://token@host/path?links=4
 *
 * It keeps several links up, each reconnecting by itself with backoff, and opens each stream on the link with the fewest.
 * A dial that finds no link waits for one that is being made; if the last attempt has failed, the dial makes one more
 * happen at once and fails with that attempt's reason. Streams do not move between links: a lost link fails its own.
 */

import { orAborted } from "../protocol/abort.ts";
import { Backoff } from "../protocol/backoff.ts";
import { type Clock, deadline, type Timer } from "../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import type { MuxOptions } from "../protocol/mux.ts";
import type { Random } from "../protocol/random.ts";
import type { Datagrams, DialOptions, Hop, Path, Stream, Target } from "../protocol/stream.ts";
import { formatTarget, writeAll } from "../protocol/stream.ts";
import { encodeTunnelRequest, isTunnelToken, parseTunnelReply, type TunnelRequest } from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import { MuxConnection, type MuxStream } from "./mux.ts";
import { StreamDatagrams } from "./stream_datagrams.ts";
import { openWebsocket, WebsocketLink } from "./websocket.ts";

export interface TunnelClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What the server wants to hear. Default: the user part of the URL. */
  readonly token?: string;
  /** Links kept up. Default: `links` of the URL, or 2. */
  readonly links?: number;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: string[];
  /** TCP, TLS, upgrade. Default 10 s. */
  readonly connectTimeoutMs?: number;
  readonly mux?: Omit<MuxOptions, "role" | "version" | "extensions">;
}

/** Where a tunnel leads, as its URL says it. */
export interface TunnelAddress {
  readonly target: Target;
  readonly tls: boolean;
  readonly urlPath: string;
  readonly token: string | undefined;
  readonly links: number | undefined;
}

const MAX_LINKS = 64;
/** A link that lived so long shows that the server is well: the next failure starts from a short wait again. */
const STEADY_MS = 10_000;
/** A dial makes no new attempt so soon after the last. */
const RETRY_FLOOR_MS = 250;

/** Reads a tunnel URL. Throws a CulvertError `bad_url` that says what is wrong. */
export function parseTunnelUrl(text: string): TunnelAddress {
  const fail = (rule: string) => new CulvertError("bad_url", `Cannot open a tunnel: the URL ${rule}`);
  const scheme = /^tunnel\+(wss?):\/\//.exec(text)?.[1];
  if (!scheme) throw fail('must begin with "tunnel+ws://" or "tunnel+wss://"');
  let url: URL;
  try {
    url = new URL(`${scheme === "wss" ? "https" : "http"}://${text.slice(text.indexOf("://") + 3)}`);
  } catch {
    throw fail("must look like tunnel+wss://token@host:port/path");
  }
  const tls = scheme === "wss";
  const links = url.searchParams.get("links");
  if (links !== null && !(/^\d{1,2}$/.test(links) && Number(links) >= 1 && Number(links) <= MAX_LINKS)) {
    throw fail(`must have links between 1 and ${MAX_LINKS}, got "${links}"`);
  }
  if (links !== null) url.searchParams.delete("links");
  const token = decodedOr(url.username || url.password, () => fail("must have a token that can be percent-decoded"));
  return {
    target: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || (tls ? 443 : 80)) },
    tls,
    urlPath: url.pathname + url.search,
    token: token === "" ? undefined : token,
    links: links === null ? undefined : Number(links),
  };
}

function decodedOr(text: string, error: () => Error): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw error();
  }
}

/** Opens a tunnel; it connects in the background, so that a server which is down now may come up later. */
export function openTunnel(url: string, options: TunnelClientOptions): TunnelPath {
  return new TunnelPath(parseTunnelUrl(url), options);
}

export class TunnelPath implements Path {
  readonly #address: TunnelAddress;
  readonly #links: LinkKeeper[];
  #closed = false;

  constructor(address: TunnelAddress, options: TunnelClientOptions) {
    this.#address = address;
    const count = options.links ?? address.links ?? 2;
    if (!Number.isInteger(count) || count < 1 || count > MAX_LINKS) {
      throw new CulvertError("bad_option", `Cannot open a tunnel: links must be 1 to ${MAX_LINKS}, got ${count}`);
    }
    const token = options.token ?? address.token;
    if (token !== undefined && !isTunnelToken(token)) {
      throw new CulvertError("bad_option", "Cannot open a tunnel: the token must be printable ASCII without spaces");
    }
    const pool = new BufferPool({ bufferBytes: 256 * 1024 });
    this.#links = Array.from({ length: count }, () => new LinkKeeper(address, options, pool));
  }

  /** Links that are up. */
  get linkCount(): number {
    return this.#links.filter((link) => link.connection && !link.connection.closed).length;
  }

  /** The round trip to the server, when a link is up and has measured it. */
  get rttMs(): number | undefined {
    return this.#leastBusy()?.connection?.rttMs;
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#open({ kind: "stream", target, trail: [] }, options);
  }

  async datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return new StreamDatagrams(await this.#open({ kind: "datagrams", trail: [] }, options));
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links) link.close();
  }

  /** Settles when every link is closed. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.done));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(request: TunnelRequest, options: DialOptions): Promise<MuxStream> {
    options.signal?.throwIfAborted();
    const connection = await this.#connection(options.signal);
    options.signal?.throwIfAborted();
    const trail = options.trail && [...options.trail, this.#hop(connection)];
    const bytes = encodeTunnelRequest({ ...request, trail: trail ?? [] });
    if (!bytes) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 255 bytes");
    const stream = openStream(connection);
    const onAbort = () => stream.abort();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await writeAll(stream, bytes);
      await readReply(stream, request);
      return stream;
    } catch (error) {
      stream.abort();
      options.signal?.throwIfAborted();
      if (error instanceof DialError) throw error;
      if (error instanceof CulvertError && error.code === "busy") throw new DialError("busy", error.message);
      throw new DialError("path_down", `The tunnel was lost while it dialled: ${messageOf(error)}`, { cause: error });
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  #hop(connection: MuxConnection): Hop {
    const at = `${this.#address.tls ? "wss" : "ws"}://${formatTarget(this.#address.target)}`;
    const { rttMs } = connection;
    return rttMs === undefined ? { name: "tunnel client", at } : { name: "tunnel client", at, rttMs };
  }

  async #connection(signal?: AbortSignal): Promise<MuxConnection> {
    if (this.#closed) throw new DialError("path_down", "Cannot dial: the tunnel is closed");
    const ready = this.#leastBusy()?.connection;
    if (ready) return ready;
    const attempts = this.#links.map((link) => link.attempt());
    try {
      return await orAborted(Promise.any(attempts), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const first = (error as AggregateError).errors[0];
      const told = first instanceof DialError && (first.code === "busy" || first.code === "unauthorized");
      throw new DialError(told ? first.code : "path_down", messageOf(first), { cause: first });
    }
  }

  #leastBusy(): LinkKeeper | undefined {
    let best: LinkKeeper | undefined;
    for (const link of this.#links) {
      if (!link.connection || link.connection.closed) continue;
      if (!best || link.connection.streamCount < best.connection!.streamCount) best = link;
    }
    return best;
  }
}

/** Keeps one link up: connects, waits for its end, waits a while, connects again. */
class LinkKeeper {
  readonly #address: TunnelAddress;
  readonly #options: TunnelClientOptions;
  readonly #pool: BufferPool;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  /** The attempt under way or, between attempts, the last that failed. */
  #attempt: Promise<MuxConnection>;
  #attempting = true;
  #attemptEndedMs = 0;
  #skipWait: (() => void) | undefined;
  readonly done: Promise<void>;
  connection: MuxConnection | undefined;

  constructor(address: TunnelAddress, options: TunnelClientOptions, pool: BufferPool) {
    this.#address = address;
    this.#options = options;
    this.#pool = pool;
    this.#backoff = new Backoff(options.random);
    this.#attempt = this.#begin();
    this.done = this.#keep();
  }

  /** The link that is being made; begins a new attempt if the last has failed and some time has passed. */
  attempt(): Promise<MuxConnection> {
    // A lost link is cleared away by `#keep` first, which has waited for its end longer than we do.
    if (this.connection?.closed) return this.connection.ended.then(() => this.attempt());
    const sinceMs = this.#options.clock.now() - this.#attemptEndedMs;
    if (!this.#attempting && !this.connection && sinceMs >= RETRY_FLOOR_MS && this.#skipWait) {
      this.#attempt = this.#begin();
      this.#skipWait();
    }
    return this.#attempt;
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "The tunnel is closed"));
    this.connection?.close();
    this.#skipWait?.();
  }

  async #keep(): Promise<void> {
    const { clock, log, metrics } = this.#options;
    const up = metrics.gauge("tunnel_client_links_active", "Links up to tunnel servers");
    const server = formatTarget(this.#address.target);
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await this.#attempt;
        const startedMs = clock.now();
        up.add(1);
        log.debug("A tunnel link is up", { server });
        await connection.ended;
        up.add(-1);
        this.connection = undefined;
        this.#attempt = failed(new DialError("path_down", "The link to the tunnel server was lost"));
        if (clock.now() - startedMs >= STEADY_MS) this.#backoff.reset();
        if (this.#stop.signal.aborted) return;
        log.warn("A tunnel link was lost", { server, reason: connection.failure ?? "closed" });
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.warn("Cannot reach the tunnel server", { server, error: messageOf(error) });
      }
      if (await this.#wait(this.#backoff.nextMs())) this.#attempt = this.#begin();
    }
  }

  /** Waits; false when a dial has begun the next attempt already. */
  #wait(delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (waited: boolean) => {
        timer.cancel();
        this.#skipWait = undefined;
        resolve(waited && !this.#stop.signal.aborted);
      };
      const timer: Timer = this.#options.clock.after(delayMs, () => finish(true));
      this.#skipWait = () => finish(false);
    });
  }

  #begin(): Promise<MuxConnection> {
    this.#attempting = true;
    const attempt = this.#connect().finally(() => {
      this.#attempting = false;
      this.#attemptEndedMs = this.#options.clock.now();
    });
    return heard(attempt);
  }

  async #connect(): Promise<MuxConnection> {
    const { clock, connectTimeoutMs = 10_000, mux, random, token } = this.#options;
    const { target, tls, urlPath } = this.#address;
    using limit = deadline(clock, connectTimeoutMs, `reach ${formatTarget(target)}`, this.#stop.signal);
    const stream = await connectSocket(this.#address, this.#options.caCerts, limit.signal);
    const onAbort = () => closeQuietly(stream);
    limit.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const usual = target.port === (tls ? 443 : 80);
      const secret = token ?? this.#address.token;
      const first = await openWebsocket(stream, {
        host: usual ? formatTarget(target).replace(/:\d+$/, "") : formatTarget(target),
        path: urlPath,
        headers: secret === undefined ? {} : { Authorization: `Bearer ${secret}` },
      }, random);
      limit.signal.throwIfAborted();
      const link = new WebsocketLink(stream, this.#pool, { first, random });
      const connection = new MuxConnection(link, clock, { ...mux, role: "client", extensions: true });
      connection.start();
      return this.connection = connection;
    } catch (error) {
      closeQuietly(stream);
      throw limit.signal.aborted ? limit.signal.reason : error;
    } finally {
      limit.signal.removeEventListener("abort", onAbort);
    }
  }
}

/** The same promise; whoever waits for it hears of its failure, and if nobody does that is no fault. */
function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function failed(error: Error): Promise<never> {
  return heard(Promise.reject(error));
}

async function connectSocket(address: TunnelAddress, caCerts: string[] | undefined, signal: AbortSignal) {
  const { host, port } = address.target;
  const conn = await Deno.connect({ hostname: host, port, signal });
  conn.setNoDelay(true);
  if (!address.tls) return conn;
  const options = { hostname: host, alpnProtocols: ["http/1.1"], ...(caCerts && { caCerts }) };
  let current: Deno.TcpConn | Deno.TlsConn = conn;
  const onAbort = () => closeQuietly(current); // once TLS has begun, the TCP handle is an empty shell
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const secure = current = await Deno.startTls(conn, options);
    signal.throwIfAborted();
    await secure.handshake();
    return secure;
  } catch (error) {
    closeQuietly(current);
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function openStream(connection: MuxConnection): MuxStream {
  try {
    return connection.open();
  } catch (error) {
    const busy = error instanceof CulvertError && error.code === "busy";
    throw new DialError(busy ? "busy" : "path_down", messageOf(error), { cause: error });
  }
}

async function readReply(stream: Stream, request: TunnelRequest): Promise<void> {
  const buffer = new Uint8Array(4 + 512);
  // Four bytes tell how long the whole is, and a byte more would be the target's.
  for (let filled = 0, wanted = 4; filled < wanted;) {
    const count = await stream.read(buffer.subarray(filled, wanted));
    if (count === null) throw new CulvertError("protocol", "the far side ended the stream without an answer");
    filled += count;
    const parsed = parseTunnelReply(buffer.subarray(0, filled));
    if (parsed.status === "bad") {
      throw new CulvertError("protocol", `the far side's answer is malformed: ${parsed.reason}`);
    }
    if (parsed.status === "more") {
      if (filled >= 4) wanted = 4 + ((buffer[2]! << 8) | buffer[3]!);
      continue;
    }
    if (parsed.value.failure === undefined) return;
    const what = request.kind === "stream" ? formatTarget(request.target) : "a datagram socket";
    throw new DialError(parsed.value.failure, parsed.value.message || `Cannot dial ${what}: ${parsed.value.failure}`);
  }
}
