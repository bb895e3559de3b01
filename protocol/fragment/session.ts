/**
 * A reliable, ordered channel of bytes in both directions over unreliable legs, as a pure machine. The same class is at
 * both ends; it knows legs by their numbers only.
 *
 *   fill → blocks → shards → pull(leg) → fragments          fragments → receive(leg) → shards → blocks → onBytes
 *
 * The driver (`net/fragments/fragment_link.ts`) carries fragments and tells the time. No leg is trusted to be fast, to
 * keep order, or to be honest: what is lost or held back on one goes by the others. What a peer says is believed as far
 * as it can be true, and costs bounded memory whatever it says. How it works at large: docs/fragment-sessions.md.
 */

import { Slab } from "../slab.ts";
import { TokenBucket, type TokenRate } from "../token_bucket.ts";
import { BlockMemory } from "./block_memory.ts";
import { adaptTotalShards } from "./block_plan.ts";
import { FragmentWriter } from "./fragment_writer.ts";
import { type Ack, type FrameHandler, FrameReader, type LegsFrame, type ShardHead } from "./frames.ts";
import { IncomingBlocks } from "./incoming_blocks.ts";
import { FRAGMENT_HEADER_BYTES, type LegPlace, MAX_FRAGMENT_BYTES, REFUSED } from "./leg_seal.ts";
import { LegWatch } from "./leg_watch.ts";
import { LegsAnnouncement } from "./legs_announcement.ts";
import { MAX_SHARDS } from "./opening.ts";
import { OutgoingBlocks } from "./outgoing_blocks.ts";
import { AckTimer, ReceiveLeg } from "./receive_legs.ts";
import { SendLeg } from "./send_leg.ts";
import type { FragmentEvents, FragmentSessionOptions, FragmentSessionStats } from "./session_types.ts";
import { ShardScheduler } from "./shard_scheduler.ts";

export type * from "./session_types.ts";

const DEFAULT_BUFFER_BYTES = 8 * 1024 * 1024;
const DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024;
const DEFAULT_SILENCE_MS = 15_000;
/** How often the number of shards is thought over. */
const ADAPT_MS = 100;
/** How often a client may change its legs. It says them again until it is answered, so what is more only waits. */
const LEGS_RATE: TokenRate = { perSecond: 10, burst: 10 };
/** How far apart ticks get that have brought nothing out. */
const MAX_TICK_GAP_MS = 64;
/** Before it a leg's loss is chance. */
const MIN_COUNTED_FRAGMENTS = 64;

export class FragmentSession implements Disposable {
  readonly #options: FragmentSessionOptions;
  readonly #events: FragmentEvents;
  readonly #scratch: Slab;
  readonly #reader = new FrameReader();
  readonly #sendLegs = new Map<number, SendLeg>();
  readonly #receiveLegs = new Map<number, ReceiveLeg>();
  readonly #outgoing: OutgoingBlocks;
  readonly #incoming: IncomingBlocks;
  readonly #scheduler: ShardScheduler;
  readonly #acks = new AckTimer();
  readonly #announcement = new LegsAnnouncement();
  readonly #watch: LegWatch;
  readonly #writer: FragmentWriter;
  readonly #handler: FrameHandler;

  #nowMs: number;
  #phase: "open" | "closing" | "ended" = "open";
  /** Legs that have not carried the goodbye. */
  readonly #goodbyes = new Set<SendLeg>();
  #highestLeg = -1;
  #hasLegs = false;
  #takenGeneration = 0;
  readonly #legsAllowed: TokenBucket;
  #from: ReceiveLeg | undefined;
  #impatientAtMs = -Infinity;
  #adaptedAtMs = -Infinity;
  /** Since when something was asked and nothing at all heard; Infinity when nothing was asked. */
  #silentSinceMs = Infinity;
  #tickedAtMs = -Infinity;
  #tickGapMs = 1;
  #turn = 0;

  constructor(options: FragmentSessionOptions, events: FragmentEvents, nowMs: number) {
    const { coding: { dataShards, totalShards }, reedSolomon, limits } = options;
    if (!(dataShards >= 1 && dataShards <= totalShards && totalShards <= MAX_SHARDS)) {
      throw new RangeError(
        `Cannot make a session: shards must be 1 ≤ data ≤ total ≤ ${MAX_SHARDS}, got ${dataShards} and ${totalShards}`,
      );
    }
    this.#options = options;
    this.#events = events;
    this.#nowMs = nowMs;
    this.#legsAllowed = new TokenBucket({ now: () => this.#nowMs }, LEGS_RATE);
    this.#scratch = options.scratch ?? new Slab(MAX_FRAGMENT_BYTES);
    const memory = options.memory ?? new BlockMemory(reedSolomon);
    this.#outgoing = new OutgoingBlocks({
      memory,
      dataShards,
      sendBufferBytes: limits?.sendBufferBytes ?? DEFAULT_BUFFER_BYTES,
      fill: (into) => events.fill(into),
    }, totalShards);
    this.#incoming = new IncomingBlocks({
      memory,
      reedSolomon,
      receiveBufferBytes: limits?.receiveBufferBytes ?? DEFAULT_BUFFER_BYTES,
      onBytes: (bytes) => events.onBytes(bytes),
    });
    this.#scheduler = new ShardScheduler(this.#outgoing, this.#sendLegs);
    this.#watch = new LegWatch({
      legs: this.#sendLegs,
      blocks: this.#outgoing,
      scheduler: this.#scheduler,
      onWants: (leg) => events.onWants(leg),
    });
    this.#writer = new FragmentWriter({
      scratch: this.#scratch,
      scheduler: this.#scheduler,
      acks: this.#acks,
      announcement: this.#announcement,
      reedSolomon,
      describe: (nowMs) => this.#describe(nowMs),
      isOpen: () => this.#phase === "open",
    });
    this.#handler = {
      onShard: (head, shard) => this.#onShard(head, shard),
      onAck: (ack) => this.#onAck(ack),
      onPing: () => this.#acks.onPing(this.#nowMs),
      onLegs: (legs) => this.#onLegs(legs),
      onLegsTaken: (generation) => this.#onLegsTaken(generation),
      onClose: () => this.#end(),
    };
  }

  /** There may be bytes to fill. */
  wake(): void {
    if (this.#phase !== "open") return;
    this.#outgoing.wake();
    this.#wantShards();
  }

  /** Takes a fragment that came on a leg; `fragment` is left as it is. */
  receive(leg: number, fragment: Uint8Array, nowMs: number): void {
    const from = this.#receiveLegs.get(leg);
    if (!from || this.#phase !== "open") return;
    if (fragment.length > MAX_FRAGMENT_BYTES) return from.refuse();
    this.#nowMs = nowMs;
    this.#scratch.bytes.set(fragment);
    const bodyBytes = from.open(this.#scratch, fragment.length, nowMs);
    if (bodyBytes === REFUSED) return;
    this.#silentSinceMs = Infinity;
    this.#from = from;
    const end = FRAGMENT_HEADER_BYTES + bodyBytes;
    this.#reader.read(this.#scratch.bytes, { start: FRAGMENT_HEADER_BYTES, end }, this.#handler);
    if (this.#phase === "open" && this.#writer.isDue(nowMs)) this.#wantAny();
  }

  /**
   * Puts fragments for that leg, `length u16 | fragment` each, at the start of `into`; 0 when there is nothing now. There
   * should be room for several of the largest, and must be for one.
   */
  pull(leg: number, into: Uint8Array, nowMs: number): number {
    const to = this.#sendLegs.get(leg);
    if (!to) return 0;
    this.#nowMs = nowMs;
    if (this.#phase !== "open") return this.#pullGoodbye(to, into);
    if (to.isHeld) return 0;
    to.reopen(nowMs);
    const trusted = to.state === "up" || !this.#hasLegUp();
    let at = 0;
    while (at + 2 < into.length) {
      const length = this.#writer.write(to, { maxBytes: into.length - at - 2, trusted }, nowMs);
      if (length === 0) break;
      at = this.#put(into, at, length);
    }
    if (at > 0) this.#tickGapMs = 1;
    if (at > 0 && to.askedAtMs === nowMs) this.#silentSinceMs = Math.min(this.#silentSinceMs, nowMs);
    return at;
  }

  /** Does what time has made due. */
  tick(nowMs: number): void {
    if (this.#phase !== "open") return;
    this.#nowMs = this.#tickedAtMs = nowMs;
    this.#tickGapMs = Math.min(MAX_TICK_GAP_MS, 2 * this.#tickGapMs);
    const silenceMs = this.#options.limits?.silenceMs ?? DEFAULT_SILENCE_MS;
    if (nowMs >= this.#silentSinceMs + silenceMs) return this.#end(`no answer for ${silenceMs} ms`);
    if (this.#outgoing.isExhausted) return this.#end("all block numbers are used up");
    if (this.#watch.check(nowMs)) this.#onLost();
    if (nowMs >= this.#scheduler.impatientAtMs) {
      this.#impatientAtMs = nowMs;
      this.#wantShards();
    }
    if (this.#writer.isDue(nowMs)) this.#wantAny();
  }

  /** When `tick` should be called at the latest; Infinity for never, as things stand. */
  get nextTickMs(): number {
    if (this.#phase !== "open") return Infinity;
    const silenceMs = this.#options.limits?.silenceMs ?? DEFAULT_SILENCE_MS;
    let dueMs = Math.min(
      this.#acks.dueAtMs,
      this.#announcement.dueAtMs,
      this.#silentSinceMs + silenceMs,
      this.#watch.dueAtMs,
    );
    if (this.#scheduler.impatientAtMs > this.#impatientAtMs) dueMs = Math.min(dueMs, this.#scheduler.impatientAtMs);
    if (this.#outgoing.isExhausted) dueMs = -Infinity;
    // What is due and cannot be done, as no leg is pulled, must not spin.
    return Math.max(dueMs, this.#tickedAtMs + this.#tickGapMs);
  }

  /** All that was filled has arrived. */
  get isIdle(): boolean {
    return this.#outgoing.isEmpty;
  }

  /**
   * These legs from now on. `relays` names the relay of each. The number of a leg that is new must be above all before
   * it: numbers are never used again. At the client, the central is told; a leg that is added later carries nothing until
   * the central knows of it.
   */
  setLegs(
    legs: { readonly send: readonly number[]; readonly receive: readonly number[] },
    relays: ReadonlyMap<number, string>,
  ): void {
    if (this.#phase !== "open") return;
    if (!this.#replaceLegs(legs) || this.#options.role !== "client") return;
    this.#announcement.announce(placesOf(legs.send, relays), placesOf(legs.receive, relays));
    this.#wantAny();
  }

  /** The central knows of the legs that were set last. Until then it hears only those that it knew before. */
  get isAgreed(): boolean {
    return this.#announcement.frame === undefined;
  }

  /** The peer hears that leg, or did when it was set. */
  isHeard(leg: number): boolean {
    return this.#sendLegs.get(leg)?.isHeld === false;
  }

  /** Its socket is gone: nothing more goes there until it is pulled again. */
  failLeg(leg: number): void {
    const failed = this.#sendLegs.get(leg);
    if (!failed || this.#phase !== "open") return;
    failed.fail();
    this.#onLost();
  }

  /** Nothing is carried any more; what the legs are pulled from now on says goodbye. */
  close(): void {
    if (this.#phase !== "open") return;
    this.#phase = "closing";
    this.#release();
    for (const leg of this.#sendLegs.values()) this.#goodbyes.add(leg);
    for (const leg of this.#sendLegs.keys()) this.#events.onWants(leg);
  }

  /** Closes without goodbye, and wipes all keys. */
  [Symbol.dispose](): void {
    if (this.#phase === "open") this.#release();
    this.#phase = "ended";
    this.#goodbyes.clear();
    for (const { sealer } of this.#sendLegs.values()) sealer[Symbol.dispose]();
    this.#sendLegs.clear();
  }

  stats(): FragmentSessionStats {
    return {
      send: Array.from(this.#sendLegs.values(), (leg) => leg.stats()),
      receive: Array.from(this.#receiveLegs.values(), (leg) => leg.stats()),
      totalShards: this.#outgoing.totalShards,
      sentBlocks: this.#outgoing.next,
      deliveredBlocks: this.#incoming.next,
      repairShards: this.#writer.repairShards,
      sendBufferBytes: this.#outgoing.heldBytes,
      receiveBufferBytes: this.#incoming.heldBytes,
    };
  }

  // What comes

  #onShard(head: ShardHead, shard: Uint8Array): void {
    const isGap = this.#from!.hasSkipped || this.#incoming.hasGap;
    this.#acks.onShard(this.#nowMs, isGap);
    this.#incoming.take(head, shard);
  }

  #onAck(ack: Ack): void {
    const nowMs = this.#nowMs;
    this.#watch.onAck(nowMs);
    for (const answer of ack.legs) this.#sendLegs.get(answer.leg)?.onAnswer(answer, nowMs);
    if (!this.#outgoing.acknowledgeBefore(ack.nextBlock, ack.windowBytes)) return;
    const end = this.#takeRuns(ack);
    if (this.#watch.check(nowMs)) this.#onLost();
    this.#scheduler.findLosses(ack.isCut ? end : Infinity);
    this.#watch.findLate(nowMs);
    if (ack.runs.length > 0) this.#scheduler.rescue(nowMs);
    if (nowMs - this.#adaptedAtMs >= ADAPT_MS) this.#adapt();
    this.#wantShards();
  }

  /** Gives the block behind the last that the ACK tells of. */
  #takeRuns({ nextBlock, runs, complete }: Ack): number {
    let number = nextBlock;
    for (const run of runs) {
      number = this.#takeComplete(number, run.complete);
      const block = this.#outgoing.get(number++);
      if (block) block.ackedMask |= run.mask & block.sentMask;
    }
    return this.#takeComplete(number, complete);
  }

  #takeComplete(from: number, count: number): number {
    const end = from + count;
    for (let number = from; number < Math.min(end, this.#outgoing.next); number++) {
      const block = this.#outgoing.get(number);
      if (block) this.#outgoing.acknowledge(block);
    }
    return end;
  }

  #onLegs({ generation, up, down }: LegsFrame): void {
    if (this.#options.role !== "central") return;
    this.#acks.onPing(this.#nowMs); // it is said in a fragment that asks for an answer
    if (generation > this.#takenGeneration) {
      if (!this.#legsAllowed.tryTake()) return;
      this.#takenGeneration = generation;
      this.#events.onLegs({ send: down, receive: up });
      if (this.#phase !== "open") return;
      this.#replaceLegs({ send: down.map(({ leg }) => leg), receive: up.map(({ leg }) => leg) });
    }
    this.#writer.owedGeneration = this.#takenGeneration;
  }

  #onLegsTaken(generation: number): void {
    if (!this.#announcement.onTaken(generation)) return;
    for (const leg of this.#sendLegs.values()) {
      if (!leg.isHeld) continue;
      leg.isHeld = false;
      this.#events.onWants(leg.leg);
    }
  }

  #describe(nowMs: number): Ack {
    const windowBytes = this.#options.limits?.receiveBufferBytes ?? DEFAULT_BUFFER_BYTES;
    const legs = [];
    for (const leg of this.#receiveLegs.values()) {
      const told = leg.describe(nowMs);
      if (told) legs.push(told);
    }
    return { ...this.#incoming.describe(), windowBytes, legs };
  }

  // Legs

  /** False when they are what they were. */
  #replaceLegs({ send, receive }: { readonly send: readonly number[]; readonly receive: readonly number[] }): boolean {
    const isFirst = !this.#hasLegs;
    const isNew = (leg: number) => isFirst || leg > this.#highestLeg;
    let isChanged = isFirst;
    for (const [number, leg] of this.#sendLegs) {
      if (send.includes(number)) continue;
      isChanged = true;
      this.#sendLegs.delete(number);
      leg.fail();
      leg.sealer[Symbol.dispose]();
    }
    for (const [number, leg] of this.#receiveLegs) {
      if (receive.includes(number)) continue;
      isChanged = true;
      this.#receiveLegs.delete(number);
      leg.opener[Symbol.dispose]();
    }
    const addedSend = send.filter((leg) => !this.#sendLegs.has(leg) && isNew(leg));
    const addedReceive = receive.filter((leg) => !this.#receiveLegs.has(leg) && isNew(leg));
    this.#hasLegs = true;
    this.#highestLeg = Math.max(this.#highestLeg, ...addedSend, ...addedReceive);
    for (const leg of addedReceive) this.#receiveLegs.set(leg, new ReceiveLeg(leg, this.#options.opener(leg)));
    for (const leg of addedSend) this.#addSendLeg(leg, isFirst);
    this.#onLost();
    return isChanged || addedSend.length + addedReceive.length > 0;
  }

  /** One that comes later must prove first that it leads somewhere. */
  #addSendLeg(leg: number, isFirst: boolean): void {
    const maxWindowBytes = this.#options.limits?.maxWindowBytes ?? DEFAULT_WINDOW_BYTES;
    const start = { cursor: this.#outgoing.next, maxWindowBytes, nowMs: this.#nowMs };
    const added = new SendLeg(leg, this.#options.sealer(leg), start);
    this.#sendLegs.set(leg, added);
    if (!isFirst) {
      added.fail();
      added.isHeld = this.#options.role === "client";
    }
    this.#events.onWants(leg);
  }

  /** What was in flight on some leg must be thought lost. */
  #onLost(): void {
    this.#watch.findLate(this.#nowMs); // the fastest leg may be gone, and no other is late then
    this.#scheduler.findLosses(Infinity);
    this.#wantShards();
  }

  #adapt(): void {
    this.#adaptedAtMs = this.#nowMs;
    const { dataShards, totalShards, maxTotalShards, isAdaptive } = this.#options.coding;
    let fragments = 0;
    let lost = 0;
    for (const { state, congestion } of this.#sendLegs.values()) {
      if (state !== "up") continue;
      fragments += congestion.countedFragments;
      lost += congestion.countedFragments * congestion.lossShare;
    }
    if (isAdaptive === false || fragments < MIN_COUNTED_FRAGMENTS) return;
    const most = Math.min(MAX_SHARDS, maxTotalShards ?? totalShards + Math.ceil(dataShards / 2));
    this.#outgoing.totalShards = adaptTotalShards(dataShards, { least: totalShards, most }, lost / fragments);
  }

  // What goes

  #hasLegUp(): boolean {
    for (const leg of this.#sendLegs.values()) if (leg.state === "up") return true;
    return false;
  }

  /** Asks for pulls of all legs that a shard could go by. */
  #wantShards(): void {
    if (!this.#scheduler.mayChoose) return;
    for (const leg of this.#sendLegs.values()) if (leg.state === "up") this.#events.onWants(leg.leg);
  }

  /** Asks for a pull of any leg, another first each time: so a leg that swallows all takes only its share. */
  #wantAny(): void {
    const legs = [...this.#sendLegs.values()];
    const isAnyUp = this.#hasLegUp();
    this.#turn++;
    for (let at = 0; at < legs.length; at++) {
      const leg = legs[(at + this.#turn) % legs.length]!;
      if (leg.state === "up" || !isAnyUp) this.#events.onWants(leg.leg);
    }
  }

  #put(into: Uint8Array, at: number, length: number): number {
    into[at] = length >>> 8;
    into[at + 1] = length;
    into.set(this.#scratch.bytes.subarray(0, length), at + 2);
    return at + 2 + length;
  }

  #pullGoodbye(leg: SendLeg, into: Uint8Array): number {
    if (!this.#goodbyes.delete(leg)) return 0;
    const end = this.#put(into, 0, this.#writer.writeGoodbye(leg));
    if (this.#goodbyes.size === 0) this[Symbol.dispose]();
    return end;
  }

  #end(reason?: string): void {
    this[Symbol.dispose]();
    this.#events.onEnd(reason);
  }

  #release(): void {
    this.#outgoing.clear();
    this.#incoming.clear();
    this.#scheduler.clear();
    for (const { opener } of this.#receiveLegs.values()) opener[Symbol.dispose]();
    this.#receiveLegs.clear();
  }
}

function placesOf(legs: readonly number[], relays: ReadonlyMap<number, string>): LegPlace[] {
  return legs.map((leg) => ({ leg, relayId: relays.get(leg)! }));
}
