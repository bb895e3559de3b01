/**
 * The far end of KCP: sorts the datagrams of a carrier to links, one for each place they come from, and makes the links.
 *
 *   datagram → seal opens? → link of its place → turn            a first segment from elsewhere → a new link → onLink
 *
 * A place gets a link only when its datagram was genuine and begins a conversation (segment 0). A place that begins another
 * gets a new link, and the old one ends, as nobody is left there. A link whose place has fallen silent moves to the one from
 * which its conversation goes on, as after a change of a NAT's mind; what was recorded and is sent again does not go on.
 * Nobody else is answered, and nothing is kept of them.
 * The table is bounded: when it is full, the link that was silent for longest makes room.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import { KCP_HEADER_BYTES, openingConv } from "../../protocol/kcp/segment.ts";
import { type KcpMemory, kcpMemory } from "../../protocol/kcp/segment_blocks.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Slab } from "../../protocol/slab.ts";
import { KcpLink, type PacketFec } from "./kcp_link.ts";

export interface KcpServerOptions {
  readonly carrier: PacketCarrier;
  /** Without `conv`, which is the client's choice. */
  readonly kcp: Omit<KcpOptions, "conv">;
  readonly clock: Clock;
  /** One for all: it is asked before it is known whose a datagram is. */
  readonly seal: PacketSeal;
  makeFec?(): PacketFec | undefined;
  /** A client has come. The link is not started; whoever does not want it closes it. */
  onLink(link: KcpLink, place: PacketPlace): void;
  /** The carrier has ended, and all links with it. */
  onClose?(error?: unknown): void;
  /** Links at once. Default 4096. */
  readonly maxLinks?: number;
  /** Silence for so long ends a link. Default 60 s. */
  readonly idleTimeoutMs?: number;
  readonly silenceMs?: number;
}

interface Session {
  readonly link: KcpLink;
  /** Of its place. */
  key: string;
}

/** A place that was heard so lately is where its link is. */
const SILENT_MS = 1500;
/** The FEC head: what says that there is one, and where it does. Commands of KCP are never mistaken for it. */
const FEC_TYPE_AT = 4;
const FEC_DATA = 0xf1;
const FEC_HEAD_BYTES = 8;

export class KcpServer implements Disposable {
  readonly #options: KcpServerOptions;
  /** The one heard longest ago comes first. */
  readonly #sessions = new Map<string, Session>();
  readonly #heard = new Set<Session>();
  readonly #byConv = new Map<number, Session>();
  readonly #memory: KcpMemory;
  readonly #maxLinks: number;
  readonly #idleTimeoutMs: number;
  #sweep: Timer | undefined;
  #closed = false;
  /** Datagrams that were not genuine, or genuine and of no conversation. */
  readonly counters = { forged: 0, stray: 0, evicted: 0, moved: 0 };

  constructor(options: KcpServerOptions) {
    this.#options = options;
    this.#maxLinks = options.maxLinks ?? 4096;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 60_000;
    this.#memory = options.kcp.memory ?? kcpMemory(options.kcp.mtuBytes);
    options.carrier.start({
      onPacket: (slab, start, end, from) => this.#receive(slab, start, end, from),
      onTurn: () => this.#turn(),
      onClose: (error) => this.#end(error),
    });
  }

  /** Links that are open. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Ends every link and the carrier. */
  close(): void {
    if (this.#closed) return;
    for (const { link } of [...this.#sessions.values()]) link.close();
    this.#options.carrier.close();
    this.#end(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #receive(slab: Slab, start: number, end: number, from: PacketPlace): void {
    const { seal } = this.#options;
    if (!seal.open(slab, start, end)) return void this.counters.forged++;
    const body = start + seal.headBytes;
    const bodyEnd = end - seal.tailBytes;
    const known = this.#sessions.get(from.key);
    const session = known && !this.#beginsAnother(known, slab, body, bodyEnd)
      ? known
      : this.#begin(slab, body, bodyEnd, from, known) ?? this.#move(slab, body, bodyEnd, from, known);
    if (!session) return void this.counters.stray++;
    session.link.receiveOpened(slab, body, bodyEnd);
    if (!session.link.isOver) this.#heard.add(session);
  }

  #beginsAnother({ link }: Session, slab: Slab, start: number, end: number): boolean {
    const conv = this.#openingConv(slab, start, end);
    return conv !== undefined && conv !== link.kcp.conv;
  }

  #openingConv(slab: Slab, start: number, end: number): number | undefined {
    return openingConv(slab, segmentsAt(slab, start, end), end);
  }

  /** The session that goes on from here, if its own place has been silent. */
  #move(slab: Slab, start: number, end: number, from: PacketPlace, there?: Session): Session | undefined {
    const at = segmentsAt(slab, start, end);
    const session = end - at >= KCP_HEADER_BYTES ? this.#byConv.get(slab.view.getUint32(at, true)) : undefined;
    if (!session || there || !session.link.kcp.isNews(slab, at, end)) return undefined;
    if (this.#options.clock.now() - session.link.kcp.heardMs < SILENT_MS) return undefined;
    this.#sessions.delete(session.key);
    this.#sessions.set(session.key = from.key, session);
    session.link.place = from;
    this.counters.moved++;
    return session;
  }

  #begin(slab: Slab, start: number, end: number, from: PacketPlace, before?: Session): Session | undefined {
    const { carrier, seal, clock, kcp, makeFec, silenceMs } = this.#options;
    const conv = this.#openingConv(slab, start, end);
    // A conversation that goes on elsewhere is not begun here: this was recorded there.
    if (conv === undefined || this.#byConv.has(conv) || this.#closed) return undefined;
    before?.link.close();
    this.#makeRoom();
    const link = new KcpLink({
      carrier,
      place: from,
      seal,
      fec: makeFec?.(),
      kcp: { ...kcp, memory: this.#memory, conv },
      clock,
      ...(silenceMs !== undefined && { silenceMs }),
      onEnd: () => {
        if (this.#sessions.get(session.key) === session) this.#sessions.delete(session.key);
        if (this.#byConv.get(conv) === session) this.#byConv.delete(conv);
        this.#heard.delete(session);
      },
    });
    const session: Session = { link, key: from.key };
    this.#sessions.set(from.key, session);
    this.#byConv.set(conv, session);
    this.#sweep ??= clock.after(this.#idleTimeoutMs / 4, () => this.#sweepIdle());
    this.#options.onLink(link, from);
    return link.isOver ? undefined : session;
  }

  #turn(): void {
    for (const session of this.#heard) {
      this.#sessions.delete(session.key);
      this.#sessions.set(session.key, session);
      session.link.turn();
    }
    this.#heard.clear();
  }

  #makeRoom(): void {
    if (this.#sessions.size < this.#maxLinks) return;
    this.counters.evicted++;
    this.#sessions.values().next().value?.link.close();
  }

  #sweepIdle(): void {
    const nowMs = this.#options.clock.now();
    this.#sweep = undefined;
    for (const { link } of [...this.#sessions.values()]) {
      if (nowMs - link.kcp.heardMs < this.#idleTimeoutMs) continue;
      link.fail(new CulvertError("link_lost", `Nothing was heard for ${this.#idleTimeoutMs} ms`));
    }
    if (this.#sessions.size === 0 || this.#closed) return;
    this.#sweep = this.#options.clock.after(this.#idleTimeoutMs / 4, () => this.#sweepIdle());
  }

  #end(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sweep?.cancel();
    for (const { link } of [...this.#sessions.values()]) link.fail(error);
    this.#options.onClose?.(error);
  }
}

/** Where the segments of a datagram begin: behind the FEC head, if it has one. */
function segmentsAt(slab: Slab, start: number, end: number): number {
  const hasFec = end - start > FEC_TYPE_AT + 1 && slab.view.getUint16(start + FEC_TYPE_AT, true) === FEC_DATA;
  return hasFec ? start + FEC_HEAD_BYTES : start;
}
