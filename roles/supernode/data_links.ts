/**
 * The data links of a supernode: those that peers and other supernodes have opened with a relay token, and those it has
 * opened to other supernodes. Streams on them are joined by session: who asks for one is joined to its exit.
 *
 *   client's link ─ stream: header toExit ─→ [session] ─→ stream: header fromClient ─ exit's link
 *                                               └───────→ stream: header toExit ───── link to the exit's supernode
 *
 * What flows is sealed between client and exit; here it is only carried, with backpressure from one mux stream to the
 * other. Whoever may not use a session, and whatever is not reachable, is refused with a reply of the tunnel protocol.
 */

import { BufferPool } from "../../net/buffer_pool.ts";
import { closeQuietly } from "../../net/close.ts";
import { answerProbe } from "../../net/link_probe.ts";
import { CountedLink, type Traffic } from "../../net/counted_link.ts";
import { Deadlines, sharedWait } from "../../net/deadlines.ts";
import type { Link } from "../../net/link.ts";
import { openOn, refuseStream } from "../../net/joined_stream.ts";
import { MuxConnection, type MuxStream } from "../../net/mux.ts";
import { readRelayHeader } from "../../net/read_frame.ts";
import { splice, type SpliceOptions } from "../../net/splice.ts";
import { WebsocketLink } from "../../net/websocket.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { encodeRelayHeader, type RelayHeader } from "../../protocol/relay.ts";
import { type Hop, type Stream, writeAll } from "../../protocol/stream.ts";
import type { LinkHolder } from "./relay_tokens.ts";

const JOIN_TIMEOUT_MS = 10_000;
const HALF_CLOSED_MS = 300_000;
/** A peer that reconnects may have one that is not known to be dead yet. */
const MAX_LINKS_PER_HOLDER = 4;

/** What of a link its holder's streams and health need. */
export type HeldLink = Pick<MuxConnection, "open" | "rttMs" | "closed" | "ended" | "close">;

/** Where a stream goes on. */
export interface Route {
  readonly kind: RelayHeader["kind"];
  readonly link: HeldLink;
}

export interface DataLinksOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What this supernode is called in trails, and where it is. */
  readonly at: string;
  readonly region: string;
  readonly maxLinks: number;
  /** Streams of one peer at once. Default 1,024; a supernode's link has as many as mux allows. */
  readonly maxStreamsPerPeer?: number;
  /** Where the holder's stream goes; rejects with a DialError when it may not, or cannot now. */
  route(sessionId: string, from: LinkHolder): Promise<Route>;
  /** The first link of a holder has come, or the last has gone. */
  onLinked(holder: LinkHolder): void;
  onUnlinked(holder: LinkHolder): void;
}

export class DataLinks implements Disposable {
  readonly #options: DataLinksOptions;
  /** By holder, the newest last. */
  readonly #links = new Map<string, HeldLink[]>();
  /** Bytes over all links, since the beginning. */
  readonly traffic: Traffic = { rxBytes: 0, txBytes: 0 };
  readonly #linkPool = new BufferPool({ bufferBytes: 256 * 1024 });
  readonly #streamPool = new BufferPool();
  /** Who waits for the link of a holder that is about to make one. */
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #joining: Deadlines<MuxStream>;
  readonly #halfClosed: Deadlines<() => void>;
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #metrics;
  #streamCount = 0;
  #count = 0;

  constructor(options: DataLinksOptions) {
    this.#options = options;
    const { clock, metrics } = options;
    this.#joining = new Deadlines<MuxStream>(clock, JOIN_TIMEOUT_MS, (stream) => stream.abort());
    this.#halfClosed = new Deadlines<() => void>(clock, HALF_CLOSED_MS, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs: HALF_CLOSED_MS, clock: sharedWait(this.#halfClosed) };
    this.#metrics = {
      links: metrics.gauge("relay_links_active", "Data links that are open", ["kind"]),
      streams: metrics.gauge("relay_streams_active", "Streams that are being relayed"),
      joined: metrics.counter("relay_streams_total", "Streams asked for on data links, by outcome", ["outcome"]),
      bytes: metrics.counter("relay_bytes_total", "Bytes relayed, by direction", ["direction"]),
    };
  }

  get size(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= this.#options.maxLinks;
  }

  /** Serves a link whose holder has proven who it is, at either end of it. */
  take(holder: LinkHolder, transport: Stream, end: { readonly first?: Uint8Array }): MuxConnection {
    return this.carry(holder, new WebsocketLink(transport, this.#linkPool, end), "server");
  }

  /** The same for a link made here. */
  carry(holder: LinkHolder, link: Link, role: "server" | "client"): MuxConnection {
    const { clock, maxStreamsPerPeer = 1024 } = this.#options;
    const limit = holder.kind === "peer" ? { maxStreams: maxStreamsPerPeer } : {};
    const connection = new MuxConnection(new CountedLink(link, this.traffic), clock, {
      role,
      extensions: true,
      ...limit,
    });
    connection.onStream = (stream) => this.#spawn(this.#join(stream, holder));
    connection.onRefuse = () => this.#metrics.joined.add(1, { outcome: "too_many" });
    this.hold(holder, connection);
    connection.start();
    return connection;
  }

  /** Counts a link as its holder's until it ends. */
  hold(holder: LinkHolder, link: HeldLink): void {
    this.#add(holder, link);
    this.#spawn(link.ended.then(() => this.#remove(holder, link)));
  }

  /** The pool that links made elsewhere for `carry` share. */
  get pool(): BufferPool {
    return this.#linkPool;
  }

  /** Who has links, and which, the newest last. */
  *holders(): Generator<LinkHolder & { readonly links: readonly Pick<HeldLink, "rttMs">[] }> {
    for (const [key, links] of this.#links) {
      const [kind, id] = key.split(" ") as [LinkHolder["kind"], string];
      yield { kind, id, links };
    }
  }

  /** The newest link of a holder that is up. */
  linkOf(holder: LinkHolder): HeldLink | undefined {
    return this.#links.get(keyOf(holder))?.findLast((link) => !link.closed);
  }

  /** The link of a holder, or the one that it makes within that time; undefined when it does not, or has left. */
  linkSoon(holder: LinkHolder, withinMs: number): Promise<HeldLink | undefined> {
    const link = this.linkOf(holder);
    if (link) return Promise.resolve(link);
    const { promise, resolve } = Promise.withResolvers<void>();
    const key = keyOf(holder);
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting.add(resolve));
    const timer = this.#options.clock.after(withinMs, resolve);
    return promise.then(() => {
      timer.cancel();
      if (waiting.delete(resolve) && waiting.size === 0) this.#waiting.delete(key);
      return this.linkOf(holder);
    });
  }

  /** The holder has come, or will not come: nobody waits for it any more. */
  waitNoMore(holder: LinkHolder): void {
    for (const resolve of this.#waiting.get(keyOf(holder)) ?? []) resolve();
  }

  /** Streams that are being relayed. */
  get streamCount(): number {
    return this.#streamCount;
  }

  /** Ends all links of a holder that has been turned away. */
  end(holder: LinkHolder): void {
    for (const link of [...this.#links.get(keyOf(holder)) ?? []]) link.close();
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The supernode is closing"));
    for (const links of [...this.#links.values()]) for (const link of [...links]) link.close();
    for (const waiting of this.#waiting.values()) for (const resolve of waiting) resolve();
    this.#joining[Symbol.dispose]();
    this.#halfClosed[Symbol.dispose]();
  }

  /** Settles when nothing runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #add(holder: LinkHolder, connection: HeldLink): void {
    const links = this.#links.get(keyOf(holder)) ?? [];
    this.#links.set(keyOf(holder), links);
    links.push(connection);
    this.#count++;
    this.#metrics.links.add(1, { kind: holder.kind });
    if (links.length > MAX_LINKS_PER_HOLDER) links[0]!.close();
    this.waitNoMore(holder);
    if (links.length === 1) this.#options.onLinked(holder);
  }

  #remove(holder: LinkHolder, connection: HeldLink): void {
    const links = this.#links.get(keyOf(holder));
    const at = links?.indexOf(connection) ?? -1;
    if (!links || at < 0) return;
    links.splice(at, 1);
    this.#count--;
    this.#metrics.links.add(-1, { kind: holder.kind });
    if (links.length > 0) return;
    this.#links.delete(keyOf(holder));
    this.#options.onUnlinked(holder);
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #join(stream: MuxStream, from: LinkHolder): Promise<void> {
    this.#joining.add(stream);
    let far: MuxStream | undefined;
    try {
      const header = await readRelayHeader(stream);
      if (header.kind === "probe") {
        this.#joining.delete(stream);
        return await answerProbe(stream);
      }
      far = await this.#openFar(header, from);
      this.#joining.delete(stream);
      this.#metrics.joined.add(1, { outcome: "ok" });
    } catch (error) {
      this.#joining.delete(stream);
      if (far) closeQuietly(far);
      return await this.#refuse(stream, error);
    }
    this.#metrics.streams.set(++this.#streamCount);
    const { aToB, bToA } = await splice(stream, far, {
      pool: this.#streamPool,
      signal: this.#stop.signal,
      halfClosed: this.#halfClosedWatch,
    });
    this.#metrics.streams.set(--this.#streamCount);
    this.#metrics.bytes.add(aToB, { direction: "to_exit" });
    this.#metrics.bytes.add(bToA, { direction: "from_exit" });
  }

  /** The stream towards the exit, with its header sent. */
  async #openFar({ kind, sessionId, trail }: RelayHeader, from: LinkHolder): Promise<MuxStream> {
    if (kind !== "toExit") throw new DialError("unsupported", "Only streams to an exit can be asked for");
    const route = await this.#options.route(sessionId, from);
    const { rttMs } = route.link;
    const { at, region } = this.#options;
    const hop: Hop = {
      name: "supernode",
      at,
      region,
      seal: "sealed to the exit, not read here",
      ...(rttMs !== undefined && { rttMs }),
    };
    const header = encodeRelayHeader({ kind: route.kind, sessionId, trail: [...trail, hop] });
    if (!header) throw new DialError("unauthorized", "The session's id is none that can be sent");
    const far = openOn(route.link);
    try {
      await writeAll(far, header);
      return far;
    } catch (error) {
      closeQuietly(far);
      throw new DialError("path_down", `The way to the exit was lost: ${messageOf(error)}`);
    }
  }

  async #refuse(stream: MuxStream, error: unknown): Promise<void> {
    this.#metrics.joined.add(1, { outcome: dialFailureOf(error) });
    await refuseStream(stream, error);
  }
}

function keyOf({ kind, id }: LinkHolder): string {
  return `${kind} ${id}`;
}
