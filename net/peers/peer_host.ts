/**
 * The serving side of a peer: lets guests in, over its own port and by relays, and hands on the streams they open.
 *
 *   peer port ──────────┐
 *                       ├▶ knock (`sealed_knock.ts`) ─▶ rules: may it come in? ─▶ mux ─▶ per stream: onStream(stream, guest)
 *   relay's link ───────┘
 *
 * Whoever may not be here any more is let go of at once. Every table has a limit, every wait a deadline; a guest that opens
 * no stream for long is let go of too. A connection goes one way: a host that wants something of its guest knocks there.
 *
 * A guest that came by a relay and says where it can be dialled is called back, so that one of the two that can be reached is
 * enough for a direct way. And calls that we expect as a guest come in by our port (`expected_calls.ts`).
 */

import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import { BurstTable, type BurstTableOptions } from "../../protocol/control/burst_table.ts";
import { CulvertError, DialError, dialFailureOf, messageOf } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { MeetingPlace, PeerCard } from "../../protocol/peers/card.ts";
import type { Grant, GuestRules } from "../../protocol/peers/guest_rules.ts";
import type { Knocker, TurnedAway } from "../../protocol/peers/knock.ts";
import { parseMeetingHeader } from "../../protocol/peers/meeting.ts";
import { formatTarget, type Stream, writeAll } from "../../protocol/stream.ts";
import { encodeTunnelReply } from "../../protocol/tunnel.ts";
import { BufferPool } from "../buffer_pool.ts";
import { closeQuietly } from "../close.ts";
import { MuxConnection } from "../mux.ts";
import { readFrame } from "../read_frame.ts";
import type { ListenAt } from "../renewable_listener.ts";
import type { SealedStream } from "../sealed_stream.ts";
import { StreamLink } from "../stream_link.ts";
import type { ExpectedCalls } from "./expected_calls.ts";
import { type CalledGuest, GuestCaller } from "./guest_caller.ts";
import type { KeptLink, MeetingLinks } from "./meeting_links.ts";
import type { PeerGuest, PeerWay } from "./peer_connection.ts";
import { LINK_BUFFER_BYTES, type PeerParts, sharedMux } from "./peer_parts.ts";
import { PeerPort, type PeerPortLimits } from "./peer_port.ts";
import { type HeardCall, type HeardKnock, SealedKnocks } from "./sealed_knock.ts";

export interface PeerHostLimits extends PeerPortLimits {
  /** Connections of guests at once. Default 512. */
  readonly maxGuests?: number;
  /** Of one peer, who tries up to twelve ways at once; the oldest goes. Default 16. */
  readonly maxConnectionsPerPeer?: number;
  /** Streams of one connection at once. Default 64. */
  readonly maxStreams?: number;
  /** How often one peer may come in. Default 5 a second, 60 at once: it tries all ways at once. */
  readonly peerKnocks?: BurstTableOptions;
  /** Knocks by relays that are being heard. Default 128. */
  readonly maxRelayedKnocks?: number;
  /** A guest that opens no stream. Default 10 min. */
  readonly idleTimeoutMs?: number;
}

export interface PeerHostOptions extends PeerParts {
  /** Who may come in; it may change at any time. */
  readonly rules: GuestRules;
  /** Where we are reached, told to guests so that they find us again. */
  card?(): PeerCard | undefined;
  /** Calls that we expect as a guest of others. */
  readonly calls?: ExpectedCalls | undefined;
  /** Whether a guest may have us dial that address to call it back. Default: public ones only. */
  mayCallBack?(address: IpAddress): boolean;
  /** Is given each stream that a guest opens, and owns it. The guest is the same object for all of one connection. */
  onStream(stream: Stream, guest: PeerGuest): void;
  /** A guest's connection has come, or has ended. */
  onGuest?(guest: PeerGuest): void;
  onLeave?(guest: PeerGuest): void;
  readonly limits?: PeerHostLimits | undefined;
}

interface Held {
  readonly guest: PeerGuest;
  readonly grant: Grant;
  readonly connection: MuxConnection;
  /** When it was last seen with a stream. */
  usedAtMs: number;
}

/** Where somebody knocks. */
interface Entrance {
  readonly way: PeerWay;
  /** The address, where there is one. */
  readonly from?: string;
  /** What is said in clear before the handshake's answer. */
  readonly greeting?: Uint8Array;
  settled(): void;
}

const KNOCK_TIMEOUT_MS = 10_000;
/** Of what one guest sends so much may wait to be read; and so much more what fast uploads may have on their way, together. */
const GUEST_BYTES = 4 * 1024 * 1024;
const UPLOAD_BYTES = 64 * 1024 * 1024;
const SWEEP_MS = 15_000;
const DEFAULT_KNOCKS: BurstTableOptions = { perSecond: 5, burst: 60, slots: 4096 };
const GREETING = encodeTunnelReply({ message: "" });

export class PeerHost implements AsyncDisposable {
  readonly #options: PeerHostOptions;
  readonly #clock: Clock;
  readonly #knocks: SealedKnocks;
  readonly #caller: GuestCaller;
  readonly #pool = new BufferPool({ bufferBytes: LINK_BUFFER_BYTES });
  readonly #mux = sharedMux({ linkBytes: GUEST_BYTES, allBytes: UPLOAD_BYTES });
  readonly #peerRate: BurstTable;
  /** By peer, the oldest first. */
  readonly #held = new Map<string, Set<Held>>();
  readonly #ports: PeerPort[] = [];
  readonly #kept = new Set<KeptLink>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #following: Disposable;
  readonly #metrics;
  #count = 0;
  #relayedKnocks = 0;
  #sweeper: Timer;

  constructor(options: PeerHostOptions) {
    this.#options = options;
    const { clock, random, rules, limits, metrics } = options;
    this.#clock = clock;
    this.#knocks = new SealedKnocks(options);
    this.#caller = new GuestCaller(options, this.#knocks);
    this.#peerRate = new BurstTable(random, limits?.peerKnocks ?? DEFAULT_KNOCKS);
    this.#metrics = {
      guests: metrics.gauge("peer_guests_active", "Connections of guests", ["way"]),
      knocks: metrics.counter("peer_knocks_total", "Those who came to be let in, by what came of it", ["outcome"]),
    };
    this.#following = rules.subscribe(() => this.#reconsider());
    this.#sweeper = clock.after(SWEEP_MS, () => this.#sweep());
  }

  /** The guests that are connected. */
  get guests(): readonly PeerGuest[] {
    return Array.from(this.#everyone(), ({ guest }) => guest);
  }

  /** Listens for guests; gives where. Throws as `Deno.listen` does. */
  listen(at: ListenAt): Deno.NetAddr {
    const { clock, random, log, limits } = this.#options;
    const port = new PeerPort({
      ...{ listen: at, clock, random, log, limits },
      take: (conn, settled) => {
        conn.setNoDelay(true);
        const { hostname: host, port } = conn.remoteAddr as Deno.NetAddr;
        return this.#receive(conn, { way: "direct", from: formatTarget({ host, port }), settled });
      },
      onDrop: (outcome) => this.#metrics.knocks.add(1, { outcome }),
    });
    this.#ports.push(port);
    return port.address;
  }

  /** Is reached by these relays as well, each until its link is disposed of. All of them by the same links. */
  meetAt(links: MeetingLinks, places: readonly MeetingPlace[]): readonly KeptLink[] {
    links.onStream = (stream) => this.#spawn(this.#receiveRelayed(stream));
    return places.map((place) => this.#keep(links.keep(place)));
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new CulvertError("closed", "The peer is closing"));
    this.#sweeper.cancel();
    this.#following[Symbol.dispose]();
    for (const port of this.#ports) port.close();
    for (const link of this.#kept) link[Symbol.dispose]();
    for (const { connection } of this.#everyone()) connection.close();
  }

  /** Settles when nothing of it runs any more. Call `close` first. */
  async closed(): Promise<void> {
    for (const port of this.#ports) await port.closed();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed();
  }

  async #receiveRelayed(stream: Stream): Promise<void> {
    const { limits } = this.#options;
    if (this.#relayedKnocks >= (limits?.maxRelayedKnocks ?? 128)) {
      this.#metrics.knocks.add(1, { outcome: "too_many" });
      return await refuse(stream, "busy");
    }
    this.#relayedKnocks++;
    let isCounted = true;
    const settled = () => {
      if (isCounted) this.#relayedKnocks--;
      isCounted = false;
    };
    try {
      using limit = this.#deadline();
      limit.signal.addEventListener("abort", () => closeQuietly(stream), { once: true });
      const header = await readFrame(stream, parseMeetingHeader, "header");
      if (header.kind !== "from") throw new DialError("unsupported", "Only a relay brings guests");
    } catch (error) {
      settled();
      this.#metrics.knocks.add(1, { outcome: "failed" });
      return await refuse(stream, dialFailureOf(error));
    }
    await this.#receive(stream, { way: "relayed", greeting: GREETING, settled });
  }

  /** Lets somebody in, or not, and stays with them until they go. */
  async #receive(stream: Stream, { way, from, greeting, settled }: Entrance): Promise<void> {
    let connection: MuxConnection | undefined;
    try {
      using limit = this.#deadline();
      const preface = greeting && { send: greeting };
      const heard = await this.#knocks.hear(stream, { ...(preface && { preface }), signal: limit.signal });
      if ("token" in heard) return this.#takeCall(heard, from);
      connection = await this.#letIn(heard, { way, signal: limit.signal });
    } catch (error) {
      this.#metrics.knocks.add(1, { outcome: "failed" });
      return this.#options.log.debug("A knock came to nothing", { way, error: messageOf(error) });
    } finally {
      settled();
    }
    await connection?.ended;
  }

  async #letIn(
    { sealed, knocker, sealingKey, callBack }: HeardKnock,
    { way, signal }: { readonly way: PeerWay; readonly signal: AbortSignal },
  ): Promise<MuxConnection | undefined> {
    const { rules, card } = this.#options;
    const judgement = this.#lackOfRoom(knocker) ?? rules.judge(knocker, this.#clock.wallNow());
    this.#metrics.knocks.add(1, { outcome: judgement.ok ? way : judgement.reason });
    if (!judgement.ok) return void await this.#knocks.answer(sealed, judgement, signal);
    const { scope, mayUpload } = judgement;
    rules.use(knocker.peerId, judgement);
    const current = card?.();
    const welcome = { scope, mayUpload, ...(current && { card: current }) };
    await this.#knocks.answer(sealed, { ok: true, welcome }, signal);
    const { peerId } = knocker;
    if (way === "relayed" && callBack) this.#spawn(this.#callBack({ peerId, sealingKey, callBack }, judgement));
    return this.#connect(sealed, { peerId, way, grant: judgement });
  }

  #connect(
    sealed: SealedStream,
    { peerId, way, grant }: { readonly peerId: string; readonly way: PeerWay; readonly grant: Grant },
  ): MuxConnection | undefined {
    const { rules, limits } = this.#options;
    if (!rules.stillHolds(peerId, grant, this.#clock.wallNow())) return void sealed.close(); // not any more
    const connection = new MuxConnection(new StreamLink(sealed, this.#pool), this.#clock, {
      ...{ ...this.#mux, role: "server" as const, maxStreams: limits?.maxStreams ?? 64 },
    });
    const { scope, mayUpload } = grant;
    const guest: PeerGuest = { peerId, way, scope, mayUpload };
    connection.onStream = (stream) => this.#options.onStream(stream, guest);
    this.#hold({ guest, grant, connection, usedAtMs: this.#clock.now() });
    connection.start();
    return connection;
  }

  /** That may come to nothing: it has come by a relay already. */
  async #callBack(guest: CalledGuest, grant: Grant): Promise<void> {
    const sealed = await this.#caller.call(guest, this.#stop.signal);
    if (sealed) this.#connect(sealed, { peerId: guest.peerId, way: "direct", grant });
  }

  #takeCall(call: HeardCall, from: string | undefined): void {
    const isExpected = from !== undefined && this.#options.calls?.take(call, from) === true;
    this.#metrics.knocks.add(1, { outcome: isExpected ? "call" : "unexpected_call" });
    if (!isExpected) call.sealed.abort();
  }

  #lackOfRoom({ peerId }: Knocker): { readonly ok: false; readonly reason: TurnedAway } | undefined {
    const isFull = this.#count >= (this.#options.limits?.maxGuests ?? 512);
    const isTooOften = this.#peerRate.take(peerId, this.#clock.now()) > 0;
    return isFull || isTooOften ? { ok: false, reason: "busy" } : undefined;
  }

  #hold(held: Held): void {
    const { guest, connection } = held;
    const { onGuest, onLeave, limits } = this.#options;
    const others = this.#held.get(guest.peerId) ?? new Set();
    this.#held.set(guest.peerId, others.add(held));
    this.#count++;
    this.#metrics.guests.add(1, { way: guest.way });
    // A peer that comes back may have one that is not known to be dead yet.
    if (others.size > (limits?.maxConnectionsPerPeer ?? 16)) others.values().next().value!.connection.close();
    onGuest?.(guest);
    this.#spawn(connection.ended.then(() => {
      others.delete(held);
      if (others.size === 0 && this.#held.get(guest.peerId) === others) this.#held.delete(guest.peerId);
      this.#count--;
      this.#metrics.guests.add(-1, { way: guest.way });
      onLeave?.(guest);
    }));
    if (this.#stop.signal.aborted) connection.close();
  }

  #keep(link: KeptLink): KeptLink {
    const kept: KeptLink = {
      place: link.place,
      get isUp() {
        return link.isUp;
      },
      [Symbol.dispose]: () => {
        this.#kept.delete(kept);
        link[Symbol.dispose]();
      },
    };
    this.#kept.add(kept);
    return kept;
  }

  *#everyone(): IterableIterator<Held> {
    for (const held of [...this.#held.values()]) yield* held;
  }

  /** The rules have changed, or time has passed. */
  #reconsider(): void {
    const { rules } = this.#options;
    for (const { guest, grant, connection } of this.#everyone()) {
      if (!rules.stillHolds(guest.peerId, grant, this.#clock.wallNow())) connection.close();
    }
  }

  #sweep(): void {
    const { limits } = this.#options;
    const nowMs = this.#clock.now();
    for (const held of this.#everyone()) {
      if (held.connection.streamCount > 0) held.usedAtMs = nowMs;
      if (nowMs - held.usedAtMs >= (limits?.idleTimeoutMs ?? 600_000)) held.connection.close();
    }
    this.#reconsider();
    this.#sweeper = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  #deadline() {
    const { limits } = this.#options;
    return deadline(this.#clock, limits?.knockTimeoutMs ?? KNOCK_TIMEOUT_MS, "let a peer in", this.#stop.signal);
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

async function refuse(stream: Stream, failure: ReturnType<typeof dialFailureOf>): Promise<void> {
  try {
    await writeAll(stream, encodeTunnelReply({ failure, message: "" }));
    closeQuietly(stream);
  } catch {
    closeQuietly(stream); // it has gone
  }
}
