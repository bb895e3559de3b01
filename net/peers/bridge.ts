/**
 * A port of this machine behind which is another peer's file server: whatever connects to it has a stream there.
 *
 *   browser, curl ─▶ 127.a.b.c:port ─▶ connection to the peer, made when it is wanted ─▶ its file server
 *
 * Bytes pass as they are: what a browser shows there is the other peer's own page. Cookies do not tell ports apart, so each
 * bridge has a host of its own where the system has all of 127/8 (RFC 6265 §8.5), as Linux does. Where the peer cannot be reached, the answer is one of HTTP that says why. With an idle limit the
 * bridge ends when nobody has used it for so long.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import { type Random, randomInt } from "../../protocol/random.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { splice } from "../splice.ts";
import type { ConnectOptions, PeerConnection, PeerNetwork } from "./peer_connection.ts";

/** A peer that is known by its card, and how to come in there. */
export interface KnownPeer extends Omit<ConnectOptions, "signal"> {
  readonly card: PeerCard;
}

export interface BridgeOptions extends Omit<ConnectOptions, "signal"> {
  readonly network: PeerNetwork;
  readonly card: PeerCard;
  /** Asked when the peer cannot be reached by its card: it may have moved. */
  renew?(signal: AbortSignal): Promise<KnownPeer | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Connections at once; others wait to be accepted. Default 64. */
  readonly maxConnections?: number;
  /** Default: it stays until it is closed. */
  readonly idleTimeoutMs?: number | undefined;
}

const HALF_CLOSED_MS = 300_000;
/** For whoever is told that the peer cannot be reached to have read it. */
const EXPLAIN_MS = 5_000;

export class PeerBridge implements AsyncDisposable {
  readonly #options: BridgeOptions;
  /** As it is known now. */
  #peer: KnownPeer;
  readonly #listener: Deno.TcpListener;
  readonly #pool = new BufferPool();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #accepting: Promise<void>;
  readonly #ended = Promise.withResolvers<void>();
  #idle: Timer | undefined;

  /** Begins to listen. */
  constructor(options: BridgeOptions) {
    this.#options = options;
    const { card, invitation, observedAddress, random } = options;
    this.#listener = Deno.listen({ hostname: ownHost(random), port: 0 });
    this.#peer = { card, invitation, observedAddress };
    this.#countIdle();
    this.#accepting = this.#acceptAll();
  }

  get address(): { readonly hostname: string; readonly port: number } {
    const { hostname, port } = this.#listener.addr;
    return { hostname, port };
  }

  /** What to give to a browser. */
  get url(): string {
    const { hostname, port } = this.address;
    return `http://${hostname}:${port}/`;
  }

  /** Settles when it is closed, by whomever. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new CulvertError("closed", "The bridge is closed"));
    this.#idle?.cancel();
    closeQuietly(this.#listener);
    this.#ended.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#accepting;
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #acceptAll(): Promise<void> {
    const { maxConnections = 64, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        const conn = await this.#listener.accept();
        this.#idle?.cancel();
        this.#serve(conn);
        while (this.#tasks.size >= maxConnections) await Promise.race(this.#tasks);
      } catch (error) {
        if (this.#stop.signal.aborted || error instanceof Deno.errors.BadResource) return;
        log.debug("A bridge could not accept a connection", { error: messageOf(error) });
      }
    }
  }

  #serve(conn: Deno.TcpConn): void {
    const task = this.#carry(conn).finally(() => {
      this.#tasks.delete(task);
      this.#countIdle();
    });
    this.#tasks.add(task);
  }

  async #carry(conn: Deno.TcpConn): Promise<void> {
    const { signal } = this.#stop;
    const cut = () => closeQuietly(conn);
    signal.addEventListener("abort", cut, { once: true });
    try {
      conn.setNoDelay(true);
      const { clock } = this.#options;
      await using connection = await this.#connect(signal);
      const stream = await connection.open(signal);
      const halfClosed = { idleTimeoutMs: HALF_CLOSED_MS, clock };
      await splice(conn, stream, { pool: this.#pool, signal, halfClosed });
    } catch (error) {
      using _limit = this.#options.clock.after(EXPLAIN_MS, cut);
      if (!signal.aborted) await explain(conn, messageOf(error));
      cut();
    } finally {
      signal.removeEventListener("abort", cut);
    }
  }

  async #connect(signal: AbortSignal): Promise<PeerConnection> {
    const { network, renew } = this.#options;
    const { card, ...known } = this.#peer;
    try {
      return await network.connect(card, { ...known, signal });
    } catch (error) {
      signal.throwIfAborted();
      const now = await renew?.call(this.#options, signal);
      if (!now || !isElsewhere(now, { card, ...known })) throw error;
      this.#peer = now;
      return await network.connect(now.card, { ...now, signal });
    }
  }

  #countIdle(): void {
    const { clock, idleTimeoutMs } = this.#options;
    this.#idle?.cancel();
    if (idleTimeoutMs === undefined || this.#tasks.size > 0 || this.#stop.signal.aborted) return;
    this.#idle = clock.after(idleTimeoutMs, () => this.close());
  }
}

/** A host of this machine that nothing else is likely to have. */
function ownHost(random: Random): string {
  if (Deno.build.os !== "linux") return "127.0.0.1";
  return `127.${1 + randomInt(random, 254)}.${randomInt(random, 256)}.${1 + randomInt(random, 254)}`;
}

/** Whether there is a reason to try once more. */
function isElsewhere(now: KnownPeer, before: KnownPeer): boolean {
  const laterMs = now.card.issuedAtMs - before.card.issuedAtMs;
  const isOther = now.observedAddress !== before.observedAddress || now.card.signature !== before.card.signature;
  return laterMs > 0 || laterMs === 0 && isOther;
}

/** Says why the peer cannot be reached, to whoever speaks HTTP. */
async function explain(conn: Stream, why: string): Promise<void> {
  const text = new TextEncoder().encode(`${why}\n`);
  const head =
    `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n` +
    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
  try {
    await writeAll(conn, new TextEncoder().encode(head));
    await writeAll(conn, text);
    await conn.closeWrite();
    const dropped = new Uint8Array(4096);
    // What it has asked is read, lest the kernel reset the connection before the answer is.
    for (let reads = 0; reads < 16 && await conn.read(dropped) !== null; reads++);
  } catch {
    // It has gone.
  }
}
