/**
 * The exit's side of sessions: it is told which clients to take, and serves the sealed streams that they open.
 *
 *   stream of the data link → header: which session? → handshake: its client? → sealed stream → link → `onward`
 *
 * A stream is served only under the id of a session that was set up here, has not expired, and by the owner of the key it
 * was set up for. Every handshake has a deadline, every table a limit. What it does not do: choose where traffic may go,
 * which is the policy of `onward`.
 */

import { deadline, type Timer } from "../protocol/clock.ts";
import { DialError, dialFailureOf, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import type { Bytes } from "../protocol/primitives.ts";
import type { RelayHeader } from "../protocol/relay.ts";
import { sessionPrologue } from "../protocol/sealed_handshake.ts";
import { type Path, type Stream, writeAll } from "../protocol/stream.ts";
import { encodeTunnelReply } from "../protocol/tunnel.ts";
import { BufferPool } from "./buffer_pool.ts";
import { closeQuietly } from "./close.ts";
import { answerProbe } from "./link_probe.ts";
import type { MuxConnection } from "./mux.ts";
import { readRelayHeader } from "./read_frame.ts";
import { cut } from "./sealed_halves.ts";
import { type SealParts, sealStream } from "./sealed_stream.ts";
import { StreamLink } from "./stream_link.ts";
import { type TunnelLinkLimits, type TunnelLinkOptions, TunnelLinks } from "./tunnel_link.ts";

export interface SessionLimits extends TunnelLinkLimits {
  /** Sessions at once. Default 4,096. */
  readonly maxSessions?: number;
  /** Sealed streams of one session at once. Default 4. */
  readonly maxLinksPerSession?: number;
  /** Streams in their handshake at once. Default 256. */
  readonly maxHandshakes?: number;
  /** Header and handshake. Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface SessionServerOptions extends SealParts, TunnelLinkOptions {
  /** Our registered X25519 key. */
  readonly local: NoiseKeyPair;
  /** Where clients come out. */
  readonly onward: Path;
  /** What we are called in trails, such as our peer id. */
  readonly at: string;
  /** The region we are in, for trails. */
  readonly region?: string;
  readonly log: Log;
  readonly limits?: SessionLimits;
  /** Why nothing comes out of `onward` at present, if so: told to the supernode's probes. */
  problem?(): string | undefined;
  /** A session has ended by itself, its time having passed. Must not throw. */
  onExpired?(sessionId: string): void;
}

/** A session that an exit is to serve. */
export interface ServedSession {
  readonly sessionId: string;
  /** The client's registered X25519 key. */
  readonly clientKey: Bytes;
  /** By the wall clock. */
  readonly expiresAtMs: number;
}

interface Session {
  readonly sessionId: string;
  readonly clientKey: Bytes;
  expiresAtMs: number;
  expiry: Timer | undefined;
  readonly links: Set<MuxConnection>;
  /** Streams of it in their handshake. */
  opening: number;
}

/** A timer takes no longer delay; one that fires early is set again. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class SessionServer implements Disposable {
  readonly #options: SessionServerOptions;
  readonly #links: TunnelLinks;
  readonly #pool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #sessions = new Map<string, Session>();
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #handshakes = 0;
  readonly #metrics;

  constructor(options: SessionServerOptions) {
    this.#options = options;
    this.#links = new TunnelLinks(options);
    const { metrics } = options;
    this.#metrics = {
      sessions: metrics.gauge("exit_sessions_active", "Sessions this exit serves"),
      streams: metrics.counter("exit_sealed_streams_total", "Sealed streams asked for, by outcome", ["outcome"]),
    };
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Sealed streams open. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** Streams that clients have open through this exit. */
  get streamCount(): number {
    return this.#links.streamCount;
  }

  /**
   * Takes a session's client from now on. Again for a session that is there it only moves the expiry, and with another key
   * it ends what the old one has open. Throws `busy` when there are as many as allowed, `unauthorized` when it has expired.
   */
  setUp(session: ServedSession): void {
    this.#stop.signal.throwIfAborted();
    const { clock, limits } = this.#options;
    const { sessionId, clientKey, expiresAtMs } = session;
    if (expiresAtMs <= clock.wallNow()) {
      throw new DialError("unauthorized", "Cannot set up a session: it has expired");
    }
    const known = this.#sessions.get(sessionId);
    if (known && equal(known.clientKey, clientKey)) {
      known.expiresAtMs = expiresAtMs;
      return this.#watch(known);
    }
    if (known) this.#end(known);
    else if (this.#sessions.size >= (limits?.maxSessions ?? 4096)) {
      throw new DialError("busy", `Cannot set up a session: ${this.#sessions.size} are open, as many as allowed`);
    }
    const fresh = {
      sessionId,
      clientKey: clientKey.slice(),
      expiresAtMs,
      expiry: undefined,
      links: new Set<MuxConnection>(),
      opening: 0,
    };
    this.#sessions.set(sessionId, fresh);
    this.#watch(fresh);
    this.#metrics.sessions.set(this.#sessions.size);
  }

  /** Lets a session last until then; false when there is none of that id. */
  renew(sessionId: string, expiresAtMs: number): boolean {
    const session = this.#sessions.get(sessionId);
    if (!session) return false;
    session.expiresAtMs = expiresAtMs;
    this.#watch(session);
    return true;
  }

  /** When a session is to end; undefined when there is none of that id. */
  expiryOf(sessionId: string): number | undefined {
    return this.#sessions.get(sessionId)?.expiresAtMs;
  }

  /** The ids of the sessions served. */
  get sessionIds(): IterableIterator<string> {
    return this.#sessions.keys();
  }

  /** Ends a session and what it has open; false when there is none of that id. */
  remove(sessionId: string): boolean {
    const session = this.#sessions.get(sessionId);
    if (!session) return false;
    this.#end(session);
    this.#sessions.delete(sessionId);
    this.#metrics.sessions.set(this.#sessions.size);
    return true;
  }

  /** Serves a stream that the supernode has opened on the data link, nothing read from it yet. */
  serve(stream: Stream): void {
    const task = this.#serve(stream);
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  /** Takes no more streams, waits until every stream has ended or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    await this.#links.drain(signal);
    this.close();
    await this.closed();
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "The exit is closing"));
    for (const session of this.#sessions.values()) session.expiry?.cancel();
    this.#sessions.clear();
    this.#links.close();
  }

  /** Settles when nothing runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    await this.#links.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #serve(stream: Stream): Promise<void> {
    const { clock, limits } = this.#options;
    if (this.#stop.signal.aborted) return cut(stream);
    if (this.#handshakes >= (limits?.maxHandshakes ?? 256)) {
      return await this.#refuse(stream, new DialError("busy", "The exit has as many handshakes as it allows"));
    }
    this.#handshakes++;
    using limit = deadline(clock, limits?.handshakeTimeoutMs ?? 10_000, "open a session", this.#stop.signal);
    const onAbort = () => cut(stream);
    limit.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const header = await readRelayHeader(stream);
      if (header.kind === "probe") return await answerProbe(stream, this.#options.problem?.());
      await this.#open(stream, header, limit.signal);
    } catch (error) {
      await this.#refuse(stream, error);
    } finally {
      limit.signal.removeEventListener("abort", onAbort);
      this.#handshakes--;
    }
  }

  async #open(stream: Stream, header: RelayHeader, signal: AbortSignal): Promise<void> {
    const { limits } = this.#options;
    const session = header.kind === "fromClient" ? this.#sessions.get(header.sessionId) : undefined;
    if (!session) throw new DialError("unauthorized", "The exit knows no such session");
    if (session.links.size + session.opening >= (limits?.maxLinksPerSession ?? 4)) {
      throw new DialError("busy", "The session has as many streams as it may");
    }
    session.opening++;
    try {
      await this.#seal(stream, session, { header, signal });
    } finally {
      session.opening--;
    }
  }

  async #seal(
    stream: Stream,
    session: Session,
    { header, signal }: { readonly header: RelayHeader; readonly signal: AbortSignal },
  ): Promise<void> {
    const { local, onward, at, region } = this.#options;
    const sealed = await sealStream(stream, {
      ...this.#options,
      role: "responder",
      local,
      prologue: sessionPrologue(session.sessionId),
      accept: (key) => equal(key, session.clientKey),
      preface: { send: encodeTunnelReply({ message: "" }) },
      signal,
    });
    // It may have ended while they shook hands.
    if (this.#sessions.get(session.sessionId) !== session) return sealed.abort();
    const hops = [...header.trail, { name: "exit", at, ...(region !== undefined && { region }) }];
    const connection = this.#links.serve(new StreamLink(sealed, this.#pool), { onward, hops });
    if (!connection) return;
    session.links.add(connection);
    connection.ended.then(() => session.links.delete(connection));
    this.#metrics.streams.add(1, { outcome: "ok" });
  }

  async #refuse(stream: Stream, error: unknown): Promise<void> {
    const failure = dialFailureOf(error);
    this.#metrics.streams.add(1, { outcome: failure });
    this.#options.log.debug("A session's stream was refused", { error: messageOf(error) });
    try {
      await writeAll(stream, encodeTunnelReply({ failure, message: messageOf(error) }));
      closeQuietly(stream);
    } catch {
      cut(stream); // by the handshake, or by the far side
    }
  }

  /** Ends the session when its time has come. */
  #watch(session: Session): void {
    const { clock } = this.#options;
    session.expiry?.cancel();
    const leftMs = session.expiresAtMs - clock.wallNow();
    if (leftMs <= 0) {
      this.remove(session.sessionId);
      return this.#options.onExpired?.(session.sessionId);
    }
    session.expiry = clock.after(Math.min(leftMs, MAX_TIMER_MS), () => this.#watch(session));
  }

  #end(session: Session): void {
    session.expiry?.cancel();
    for (const link of session.links) link.close();
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
