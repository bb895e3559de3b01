/**
 * Central's hops to downstreams: one each, shared by all sessions that have a leg there.
 *
 *   session ─▶ Mailbox (a SendLeg) ─┐
 *   session ─▶ Mailbox ─────────────┼─▶ hop ─▶ downstream        dialled when first needed, again when it is lost,
 *                                   ┘                            closed when nobody has needed it for a minute
 *
 * Nothing queues for a hop but what its socket has in hand: when that has room, those that wait are asked in the order in
 * which they came, a batch each, so that none waits behind what another has yet to send. While a hop is down its legs
 * are; what was on its way is lost, and sent again by another leg.
 *
 * Clients name the downstreams, so anybody can name some that are none: when all places are taken those that lead
 * nowhere give way, and none of those that the directory knows does to one that it does not.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { deadline, delay, type Timer } from "../../protocol/clock.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import {
  aliasKey,
  HOP_HEAD_BYTES,
  MessageKind,
  parseDownstreamNotice,
  writeHopHead,
} from "../../protocol/fragment/messages.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import { concat } from "../../protocol/tunnel_frame.ts";
import type { RelayFinder } from "../relay_directory.ts";
import type { SendLeg } from "./fragment_link.ts";
import { type HopHandlers, HopLink, type HopTools } from "./hop_link.ts";
import { websocketAddress } from "../websocket_dial.ts";
import { relayUrl } from "./legs.ts";

export interface DownstreamHopsOptions {
  readonly tools: HopTools;
  readonly relays: RelayFinder;
  readonly log: Log;
  readonly metrics: Metrics;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Downstreams at once. Default 256. */
  readonly maxHops?: number;
}

export interface MailboxOptions {
  readonly relayId: string;
  readonly alias: Uint8Array;
  /** The leg can be sent by from now on. */
  onUp(mailbox: Mailbox): void;
  /** It cannot any more; `onUp` may follow. */
  onDown(): void;
}

const DIAL_MS = 10_000;
/** Answers to openings that wait for a hop; the oldest goes. */
const MAX_WAITING_ANSWERS = 256;
/** How long a hop that nobody needs is kept. */
const KEPT_MS = 60_000;
/** A hop that lived so long shows that the downstream is well. */
const STEADY_MS = 10_000;

export class DownstreamHops implements Disposable {
  readonly #options: DownstreamHopsOptions;
  readonly #hops = new Map<string, Hop>();
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #metrics: HopMetrics;

  constructor(options: DownstreamHopsOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#metrics = {
      bytes: fragmentBytes(metrics),
      hops: metrics.gauge("central_downstream_hops_active", "Hops open to downstreams"),
      failures: metrics.counter(
        "central_downstream_hop_failures_total",
        "Hops to downstreams that failed or were lost",
      ),
      dropped: metrics.counter("central_downstream_dropped_bytes_total", "Bytes that full mailboxes have dropped"),
    };
  }

  get size(): number {
    return this.#hops.size;
  }

  /** A session's leg at a downstream; undefined when there are too many downstreams. Dispose of it when it ends. */
  attach(options: MailboxOptions): Mailbox | undefined {
    return this.#hopTo(options.relayId)?.attach(options);
  }

  /** Has the answer to an opening delivered, now or as soon as there is a hop; it is lost when there comes none. */
  post(relayId: string, alias: Uint8Array, opened: Uint8Array): void {
    this.#hopTo(relayId)?.post(alias, opened);
  }

  #hopTo(relayId: string): Hop | undefined {
    const hop = this.#hops.get(relayId);
    if (hop && !hop.isEnding) return hop;
    if (this.#stop.signal.aborted) return undefined;
    const isFull = this.#hops.size >= (this.#options.maxHops ?? 256);
    return isFull && !this.#makeRoomFor(relayId) ? undefined : this.#open(relayId);
  }

  /** Ends the oldest hop that has led nowhere yet, if it may be ended for that one. */
  #makeRoomFor(relayId: string): boolean {
    const isKnown = (id: string) => this.#options.relays.find("downstream", id) !== undefined;
    const futile = [...this.#hops].filter(([, hop]) => !hop.wasUp);
    const [id, hop] = futile.find(([id]) => !isKnown(id)) ?? (isKnown(relayId) ? futile[0] : undefined) ?? [];
    if (id === undefined) return false;
    hop!.end();
    return this.#hops.delete(id);
  }

  #open(relayId: string): Hop {
    const hop = new Hop(relayId, this.#options, this.#metrics);
    this.#hops.set(relayId, hop);
    const task = hop.run(this.#stop.signal).finally(() => {
      if (this.#hops.get(relayId) === hop) this.#hops.delete(relayId);
      this.#tasks.delete(task);
    });
    this.#tasks.add(task);
    return hop;
  }

  /** Settles when nothing runs any more. Dispose first. */
  async closed(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new CulvertError("closed", "Central is closing"));
  }
}

interface HopMetrics {
  readonly bytes: ReturnType<Metrics["counter"]>;
  readonly hops: ReturnType<Metrics["gauge"]>;
  readonly failures: ReturnType<Metrics["counter"]>;
  readonly dropped: ReturnType<Metrics["counter"]>;
}

/** Those of both directions. */
export function fragmentBytes(metrics: Metrics): ReturnType<Metrics["counter"]> {
  return metrics.counter("central_fragment_bytes_total", "Bytes of fragments, by direction", ["direction"]);
}

/** One downstream, whether it can be reached at present or not. */
class Hop {
  readonly #relayId: string;
  readonly #options: DownstreamHopsOptions;
  readonly #metrics: HopMetrics;
  readonly #mailboxes = new Map<string, Mailbox>();
  /** Answers to openings, whole messages each. */
  #answers: Uint8Array[] = [];
  /** Those that found no room, in the order in which they did. */
  readonly #waiting = new Set<Mailbox>();
  /** Aborted when nobody has needed it for a while. */
  readonly #unneeded = new AbortController();
  #keptTimer: Timer | undefined;
  #link: HopLink | undefined;
  #wasUp = false;

  constructor(relayId: string, options: DownstreamHopsOptions, metrics: HopMetrics) {
    this.#relayId = relayId;
    this.#options = options;
    this.#metrics = metrics;
  }

  /** Nobody needed it any more, so that it is closing: whoever needs one now needs another. */
  get isEnding(): boolean {
    return this.#unneeded.signal.aborted;
  }

  /** The downstream has been reached. */
  get wasUp(): boolean {
    return this.#wasUp;
  }

  /** Closes it; legs that it has stay down. */
  end(): void {
    this.#unneeded.abort();
    this.#keptTimer?.cancel();
  }

  /** Keeps the hop up for as long as it is needed. Never rejects. */
  async run(stop: AbortSignal): Promise<void> {
    const { tools: { clock, random } } = this.#options;
    const signal = AbortSignal.any([stop, this.#unneeded.signal]);
    const backoff = new Backoff(random, { baseMs: 200, maxMs: 10_000 });
    try {
      while (!signal.aborted) {
        const sinceMs = clock.now();
        await this.#live(signal);
        if (signal.aborted) return;
        this.#metrics.failures.add();
        if (this.#mailboxes.size === 0 && this.#answers.length === 0) return;
        if (clock.now() - sinceMs > STEADY_MS) backoff.reset();
        await delay(clock, backoff.nextMs(), signal).catch(() => {});
      }
    } finally {
      this.end();
    }
  }

  attach(options: MailboxOptions): Mailbox {
    this.#keptTimer?.cancel();
    const key = aliasKey(options.alias);
    const mailbox: Mailbox = new Mailbox(options, {
      link: () => this.#link,
      wait: () => void this.#waiting.add(mailbox),
      sent: (bytes) => this.#metrics.bytes.add(bytes, { direction: "down" }),
      served: () => void this.#waiting.delete(mailbox),
      detach: () => this.#detach(key, mailbox),
    });
    this.#mailboxes.set(key, mailbox);
    if (this.#link) queueMicrotask(() => mailbox.isAttached && this.#link && mailbox.up());
    return mailbox;
  }

  #detach(key: string, mailbox: Mailbox): void {
    this.#waiting.delete(mailbox);
    if (this.#mailboxes.get(key) === mailbox) this.#mailboxes.delete(key);
    this.#endUnlessNeeded();
  }

  /** The answer to an opening goes now, or as soon as there is a hop; it is lost when there comes none. */
  post(alias: Uint8Array, opened: Uint8Array): void {
    const answer = concat([headOf(MessageKind.OPENED, alias), opened]);
    if (this.#link) this.#link.send(answer);
    else if (this.#answers.push(answer) > MAX_WAITING_ANSWERS) this.#answers.shift();
    this.#endUnlessNeeded();
  }

  #endUnlessNeeded(): void {
    if (this.#mailboxes.size > 0 || this.isEnding) return;
    this.#keptTimer?.cancel();
    this.#keptTimer = this.#options.tools.clock.after(KEPT_MS, () => this.end());
  }

  /** One connection, from dialling to its end. */
  async #live(signal: AbortSignal): Promise<void> {
    const { log, tools } = this.#options;
    const ended = Promise.withResolvers<void>();
    let link: HopLink | undefined;
    const onAbort = () => link?.close(1001);
    try {
      using limit = deadline(tools.clock, DIAL_MS, "reach a downstream", signal);
      link = await this.#dial(limit.signal, () => ended.resolve());
    } catch (error) {
      if (!signal.aborted) log.warn("Cannot reach a downstream", { relay: this.#relayId, error: messageOf(error) });
      this.#answers = [];
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#link = link;
    this.#wasUp = true;
    this.#metrics.hops.add(1);
    link.onWritable = () => this.#wakeWaiting();
    for (const answer of this.#answers) link.send(answer);
    this.#answers = [];
    for (const mailbox of [...this.#mailboxes.values()]) mailbox.up();
    await ended.promise;
    signal.removeEventListener("abort", onAbort);
    this.#link = undefined;
    this.#metrics.hops.add(-1);
    this.#waiting.clear();
    for (const mailbox of [...this.#mailboxes.values()]) mailbox.down();
    if (!signal.aborted) log.warn("The hop to a downstream was lost", { relay: this.#relayId });
  }

  async #dial(signal: AbortSignal, onClose: () => void): Promise<HopLink> {
    const { relays, tools, caCerts } = this.#options;
    if (!relays.find("downstream", this.#relayId)) await relays.refresh(signal);
    const relay = relays.find("downstream", this.#relayId);
    const sealingKey = relay && decodeBase64(relay.sealingKey);
    if (!sealingKey) throw new DialError("unresolved", "the directory knows no such downstream");
    const welcome = (): HopHandlers => ({ onMessage: (message) => this.#take(message), onClose });
    const address = websocketAddress(relayUrl(relay, "v1/hop"));
    return await HopLink.dial({ address, acceptorId: this.#relayId, sealingKey, caCerts, welcome }, tools, signal);
  }

  #take(message: Uint8Array): void {
    const notice = parseDownstreamNotice(message);
    if (!notice) return;
    if (notice.type === "dropped") return this.#metrics.dropped.add(notice.droppedBytes);
    this.#mailboxes.get(aliasKey(notice.alias))?.setListening(notice.isListening);
  }

  /** Each that finds room leaves the queue, and joins it at its end when it wants more. The others keep their places. */
  #wakeWaiting(): void {
    for (const mailbox of [...this.#waiting]) mailbox.onWritable();
  }
}

/** What a mailbox needs of its hop. */
interface MailboxHop {
  link(): HopLink | undefined;
  wait(): void;
  sent(bytes: number): void;
  /** It has found room. */
  served(): void;
  detach(): void;
}

/** A session's leg at a downstream. */
export class Mailbox implements SendLeg, Disposable {
  onWritable: () => void = () => {};
  readonly #options: MailboxOptions;
  readonly #hop: MailboxHop;
  readonly #dataHead: Uint8Array;
  #isUp = false;
  #isListening = true;
  #isAttached = true;

  constructor(options: MailboxOptions, hop: MailboxHop) {
    this.#options = options;
    this.#hop = hop;
    this.#dataHead = headOf(MessageKind.DATA, options.alias);
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  get isWritable(): boolean {
    const link = this.#hop.link();
    if (!link || !this.#isAttached) return false;
    const isWritable = link.isWritable;
    if (isWritable) this.#hop.served();
    else this.#hop.wait();
    return isWritable;
  }

  send(batch: Uint8Array): void {
    if (this.#hop.link()?.send(this.#dataHead, batch)) this.#hop.sent(batch.length);
  }

  /** There is a hop. */
  up(): void {
    if (!this.#isAttached || this.#isUp) return;
    this.#isUp = true;
    this.#options.onUp(this);
  }

  /** There is none any more. */
  down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#isListening = true;
    if (this.#isAttached) this.#options.onDown();
  }

  /** What the downstream says of the client: while it does not listen, nothing that is sent arrives. */
  setListening(isListening: boolean): void {
    if (!this.#isUp || !this.#isAttached || isListening === this.#isListening) return;
    this.#isListening = isListening;
    if (isListening) this.#options.onUp(this);
    else this.#options.onDown();
  }

  [Symbol.dispose](): void {
    if (!this.#isAttached) return;
    this.#isAttached = false;
    this.#hop.detach();
  }
}

function headOf(kind: MessageKind, alias: Uint8Array): Uint8Array {
  const head = new Uint8Array(HOP_HEAD_BYTES);
  writeHopHead(head, kind, alias);
  return head;
}
