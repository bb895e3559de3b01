/**
 * A relay where peers meet that cannot reach each other: each has a link to it, and a stream that one asks for is joined to
 * one on the other's link.
 *
 *   guest's link ─ stream: header `to` ─▶ [whose link?] ─ stream: header `from` ─▶ host's link
 *
 * What flows is sealed between the two; here it is only carried, with backpressure from one to the other. It learns who meets
 * whom and how much goes through, and never dials anybody. How many links, streams and bytes is limited, for each peer, each
 * address and altogether.
 */

import { type Clock, delay } from "../../protocol/clock.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { encodeMeetingHeader, parseMeetingHeader } from "../../protocol/peers/meeting.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { Deadlines, sharedWait } from "../deadlines.ts";
import { openOn, refuseStream } from "../joined_stream.ts";
import { MuxConnection, type MuxStream } from "../mux.ts";
import { readFrame } from "../read_frame.ts";
import { splice, type SpliceOptions } from "../splice.ts";
import type { WebsocketAnswer, WebsocketCall } from "../web_port.ts";
import { WebsocketLink } from "../websocket.ts";
import { MeetingDoor, type MeetingDoorLimits, type MeetingDoorOptions, type MeetingPeer } from "./meeting_door.ts";
import { PacedStream } from "./paced_stream.ts";
import { LINK_BUFFER_BYTES, sharedMux } from "./peer_parts.ts";

export interface MeetingRelayLimits extends MeetingDoorLimits {
  /** Joined streams that one peer has asked for, at once. Default 64; each is a whole connection of peers. */
  readonly maxStreamsPerPeer?: number;
  /** Joined streams altogether. Default 4,096. */
  readonly maxStreams?: number;
  /** How often one peer may ask for a stream. Default 5 a second, 60 at once. */
  readonly peerStreams?: BurstTableOptions;
  /** What all may carry, each way counted, and what one peer's streams may. Default: as much as there is. */
  readonly bytesPerSecond?: number;
  readonly bytesPerSecondPerPeer?: number;
}

export interface MeetingRelayOptions extends MeetingDoorOptions {
  readonly metrics: Metrics;
  readonly limits?: MeetingRelayLimits | undefined;
}

const DEFAULT_STREAMS: BurstTableOptions = { perSecond: 5, burst: 60, slots: 8192 };
const JOIN_TIMEOUT_MS = 10_000;
const HALF_CLOSED_MS = 300_000;
const DRAIN_LOOK_MS = 50;
/** Streams on one link, whoever opens them: a host has many guests. */
const MAX_HOST_STREAMS = 1024;
const MAX_GUEST_STREAMS = 128;
/** Memory that windows of fast streams may grow by, over all links. */
const WINDOW_BYTES = 256 * 1024 * 1024;
/** Unread bytes that one link may make us hold. */
const LINK_BYTES = 16 * 1024 * 1024;
/** A second's worth of it may pass at once after a pause, so much of it. */
const BURST_SECONDS = 0.1;

/** What one peer has asked for that is joined. */
interface Asker {
  streams: number;
  readonly bucket: TokenBucket | undefined;
}

export class MeetingRelay implements AsyncDisposable {
  readonly #options: MeetingRelayOptions;
  readonly #clock: Clock;
  readonly #door: MeetingDoor;
  readonly #linkPool = new BufferPool({ bufferBytes: LINK_BUFFER_BYTES });
  readonly #streamPool = new BufferPool({ bufferBytes: LINK_BUFFER_BYTES });
  readonly #mux = sharedMux({ linkBytes: LINK_BYTES, allBytes: WINDOW_BYTES });
  readonly #links = new Set<MuxConnection>();
  /** Links to whose owners others may be brought, the newest last. */
  readonly #hosts = new Map<string, MuxConnection[]>();
  readonly #askers = new Map<string, Asker>();
  readonly #rate: BurstTable;
  readonly #bucket: TokenBucket | undefined;
  readonly #joining: Deadlines<MuxStream>;
  readonly #halfClosed: Deadlines<() => void>;
  readonly #halfClosedWatch: NonNullable<SpliceOptions["halfClosed"]>;
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #metrics;
  #streams = 0;
  #isDraining = false;

  constructor(options: MeetingRelayOptions) {
    this.#options = options;
    const { clock, random, limits, metrics } = options;
    this.#clock = clock;
    this.#door = new MeetingDoor(options);
    this.#rate = new BurstTable(random, limits?.peerStreams ?? DEFAULT_STREAMS);
    this.#bucket = this.#bucketOf(limits?.bytesPerSecond);
    this.#joining = new Deadlines<MuxStream>(clock, JOIN_TIMEOUT_MS, (stream) => stream.abort());
    this.#halfClosed = new Deadlines<() => void>(clock, HALF_CLOSED_MS, (expire) => expire());
    this.#halfClosedWatch = { idleTimeoutMs: HALF_CLOSED_MS, clock: sharedWait(this.#halfClosed) };
    this.#metrics = {
      links: metrics.gauge("meeting_links_active", "Links of peers that meet here", ["kind"]),
      refused: metrics.counter("meeting_links_refused_total", "Links refused, by reason", ["reason"]),
      streams: metrics.gauge("meeting_streams_active", "Connections of peers that are carried"),
      joined: metrics.counter("meeting_streams_total", "Connections of peers asked for, by outcome", ["outcome"]),
      bytes: metrics.counter("meeting_bytes_total", "Bytes carried between peers, by direction", ["direction"]),
    };
  }

  get linkCount(): number {
    return this.#door.count;
  }

  get streamCount(): number {
    return this.#streams;
  }

  /** Bytes that have come and wait to be passed on. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const link of this.#links) bytes += link.bufferedBytes;
    return bytes;
  }

  /** How full it is, from 0 to 1. */
  get load(): number {
    const { maxLinks = 4096, maxStreams = 4096 } = this.#options.limits ?? {};
    return Math.min(1, Math.max(this.linkCount / maxLinks, this.streamCount / maxStreams));
  }

  /** Answers a request for a link: `isMeetingPath` tells which are. */
  answer(call: WebsocketCall): WebsocketAnswer {
    const verdict = this.#door.admit(call);
    if (!verdict.ok || this.#isDraining) {
      this.#metrics.refused.add(1, { reason: verdict.ok ? "draining" : verdict.reason });
      return { status: verdict.ok ? 503 : verdict.status };
    }
    return {
      take: (stream, first, settled) => {
        settled();
        this.#take(stream, first, verdict.peer);
      },
    };
  }

  /** Takes no more links and joins no more streams, waits until no stream is carried any more or the signal is aborted, then closes. */
  async shutdown(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    while (this.#streams > 0 && !signal.aborted) await delay(this.#clock, DRAIN_LOOK_MS, signal).catch(() => {});
    this.close();
    await this.closed();
  }

  close(): void {
    this.#isDraining = true;
    if (!this.#stop.signal.aborted) this.#stop.abort(new CulvertError("closed", "The relay is closing"));
    for (const link of this.#links) link.close();
    this.#joining[Symbol.dispose]();
    this.#halfClosed[Symbol.dispose]();
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed();
  }

  #take(stream: Stream, first: Uint8Array, peer: MeetingPeer): void {
    const entered = this.#stop.signal.aborted ? undefined : this.#door.enter(peer);
    if (!entered) return closeQuietly(stream);
    const connection = new MuxConnection(new WebsocketLink(stream, this.#linkPool, { first }), this.#clock, {
      ...this.#mux,
      role: "server",
      maxStreams: peer.isHost ? MAX_HOST_STREAMS : MAX_GUEST_STREAMS,
    });
    connection.onStream = (asked) => this.#spawn(this.#join(asked, peer));
    const kind = peer.isHost ? "host" : "guest";
    const hosts = this.#hosts.get(peer.peerId) ?? [];
    if (peer.isHost) this.#hosts.set(peer.peerId, [...hosts, connection]);
    this.#links.add(connection);
    this.#metrics.links.add(1, { kind });
    connection.start();
    this.#spawn(connection.ended.then(() => {
      this.#links.delete(connection);
      this.#metrics.links.add(-1, { kind });
      entered[Symbol.dispose]();
      const left = this.#hosts.get(peer.peerId)?.filter((link) => link !== connection) ?? [];
      if (left.length > 0) this.#hosts.set(peer.peerId, left);
      else this.#hosts.delete(peer.peerId);
    }));
  }

  async #join(stream: MuxStream, { peerId }: MeetingPeer): Promise<void> {
    this.#joining.add(stream);
    let asker: Asker | undefined;
    try {
      const header = await readFrame(stream, parseMeetingHeader, "header");
      if (header.kind !== "to") throw new DialError("unsupported", "Only streams to a peer can be asked for");
      asker = this.#admit(peerId);
      const far = await this.#openTo(header.peerId, peerId);
      this.#joining.delete(stream);
      this.#metrics.joined.add(1, { outcome: "ok" });
      await this.#carry(stream, far, asker);
    } catch (error) {
      this.#joining.delete(stream);
      await this.#refuse(stream, error);
    } finally {
      if (asker) this.#release(peerId, asker);
    }
  }

  /** Counts one more connection of that peer, until it is released; throws `busy` when that is too many. */
  #admit(peerId: string): Asker {
    const { maxStreams = 4096, maxStreamsPerPeer = 64, bytesPerSecondPerPeer } = this.#options.limits ?? {};
    const asker = this.#askers.get(peerId) ?? { streams: 0, bucket: this.#bucketOf(bytesPerSecondPerPeer) };
    const isTooMany = this.#streams >= maxStreams || asker.streams >= maxStreamsPerPeer;
    if (this.#isDraining || isTooMany || this.#rate.take(peerId, this.#clock.now()) > 0) {
      throw new DialError("busy", "The relay carries as many connections as it may");
    }
    asker.streams++;
    this.#askers.set(peerId, asker);
    this.#metrics.streams.set(++this.#streams);
    return asker;
  }

  #release(peerId: string, asker: Asker): void {
    this.#metrics.streams.set(--this.#streams);
    if (--asker.streams === 0) this.#askers.delete(peerId);
  }

  async #openTo(hostId: string, guestId: string): Promise<MuxStream> {
    const link = this.#hosts.get(hostId)?.findLast((link) => !link.closed);
    if (!link) throw new DialError("unresolved", "The peer has no link to this relay");
    const far = openOn(link);
    try {
      await writeAll(far, encodeMeetingHeader({ kind: "from", peerId: guestId })!);
      return far;
    } catch (error) {
      closeQuietly(far);
      throw new DialError("path_down", `The way to the peer was lost: ${messageOf(error)}`);
    }
  }

  /** Never rejects: what becomes of the two is theirs to tell each other. */
  async #carry(stream: MuxStream, far: MuxStream, asker: Asker): Promise<void> {
    const { aToB, bToA } = await splice(this.#paced(stream, asker), this.#paced(far, asker), {
      pool: this.#streamPool,
      signal: this.#stop.signal,
      halfClosed: this.#halfClosedWatch,
    });
    this.#metrics.bytes.add(aToB, { direction: "to_host" });
    this.#metrics.bytes.add(bToA, { direction: "from_host" });
  }

  #paced(stream: MuxStream, { bucket }: Asker): Stream {
    const buckets = [this.#bucket, bucket].filter((each) => each !== undefined);
    return buckets.length > 0 ? new PacedStream(stream, buckets, this.#clock) : stream;
  }

  #bucketOf(perSecond: number | undefined): TokenBucket | undefined {
    return perSecond === undefined
      ? undefined
      : new TokenBucket(this.#clock, { perSecond, burst: Math.max(1, perSecond * BURST_SECONDS) });
  }

  async #refuse(stream: MuxStream, error: unknown): Promise<void> {
    this.#metrics.joined.add(1, { outcome: dialFailureOf(error) });
    await refuseStream(stream, error);
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}
