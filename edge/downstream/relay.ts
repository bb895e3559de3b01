/**
 * A downstream without its HTTP: keeps what centrals post for a session until its client takes it.
 *
 *   central ─ hop ─▶ mailbox of an alias ─┬─ a listener by WebSocket has it at once, as far as its socket has room
 *                                         ├─ a poll gets it as its answer, again until that is acknowledged
 *                                         ├─ a listener at another process: by the store (`elsewhere.ts`)
 *                                         └─ nobody yet: a little is kept, for a while
 *
 * Whoever shows the claim behind an alias is its listener, the newest alone. What finds no room is dropped, and central is
 * told how much; the session repairs it. It can neither read nor change what passes, and does not know whose it is.
 */

import type { MailboxStore } from "../../kv/mailbox.ts";
import { type Clock, deadline, type Timer } from "../../protocol/clock.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { messageOf } from "../../protocol/errors.ts";
import { downAlias } from "../../protocol/fragment/aliases.ts";
import { MAX_HOP_MESSAGE_BYTES } from "../../protocol/fragment/hop_seal.ts";
import {
  aliasKey,
  CLAIM_BYTES,
  encodeDownstreamNotice,
  parsePoll,
  parseToDownstream,
} from "../../protocol/fragment/messages.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import type { ChannelBounds, MessageChannel } from "../../protocol/message_channel.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { type ClientLimitOptions, ClientLimits } from "../client_limits.ts";
import type { AcceptHop, Hop, HopHandlers, KnownRelays } from "../hop.ts";
import { Problem } from "../problem.ts";
import type { Admission } from "../relay_app.ts";
import { Elsewhere } from "./elsewhere.ts";
import { Mailbox } from "./mailbox.ts";
import { downstreamMetrics } from "./metrics.ts";

export interface DownstreamLimits {
  readonly address?: ClientLimitOptions;
  /** Mailboxes at once, listened to or not. Default 16,384. */
  readonly maxMailboxes?: number;
  /** Of a mailbox without a listener. Default 64 KiB. */
  readonly unheardBytes?: number;
  /** Of all mailboxes, without what sockets have in hand. Default 64 MiB. */
  readonly allBytes?: number;
  /** What sockets of listeners may have in hand altogether: each has its share, of 64 to 256 KiB. Default 64 MiB. */
  readonly listenerBytes?: number;
  /** How long a mailbox is kept without a listener. Default 30 s. */
  readonly unheardMs?: number;
  /** How long a poll waits for something. Default 8 s. */
  readonly pollMs?: number;
}

export interface DownstreamRelayDeps {
  readonly relays: KnownRelays;
  readonly acceptHop: AcceptHop;
  /** Shared with other processes of this downstream; it is alone without. */
  readonly mailboxes?: MailboxStore | undefined;
  readonly primitives: Pick<Primitives, "sha256">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly metrics?: Metrics;
  readonly limits?: DownstreamLimits;
}

/** What channels may hold: a listener says its claim and nothing else, and nothing of a hop may be dropped. */
export const LISTENER_BOUNDS: ChannelBounds = { maxMessageBytes: 1024, maxQueuedBytes: 512 * 1024 };
export const HOP_BOUNDS: ChannelBounds = { maxMessageBytes: MAX_HOP_MESSAGE_BYTES, maxQueuedBytes: Infinity };

/** Status codes with which a channel is closed. */
export const CLOSE_MALFORMED = 4400;
export const CLOSE_UNKNOWN_RELAY = 4403;
export const CLOSE_SLOW = 4408;
export const CLOSE_REPLACED = 4409;
export const CLOSE_BUSY = 4429;
const CLOSE_GOING_AWAY = 1001;

const KIB = 1024;
const DEFAULT_MAX_MAILBOXES = 16_384;
/** Of a mailbox that is polled: what came while an answer was on its way. */
const POLLED_BYTES = 256 * KIB;
/** Whoever polls is a listener for so long after an answer. */
const POLLED_FOR_MS = 15_000;
const ACCEPT_MS = 10_000;
const SWEEP_EVERY_MS = 1000;
/** A listener that takes nothing for so long, while there is something, has gone. */
const STUCK_MS = 15_000;
/** Central is not told of the same mailbox more often. */
const TELL_EVERY_MS = 100;
/** Where a listener is, is asked again after so long. */
const PLACE_FRESH_MS = 1000;
const RETRY_MS = 1000;

export class DownstreamRelay implements Admission, AsyncDisposable {
  readonly #deps: DownstreamRelayDeps;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: ClientLimits;
  readonly #mailboxes = new Map<string, Mailbox>();
  readonly #hops = new Map<Hop, RelayRecord>();
  /** How many mailboxes that nobody has listened to yet are there because of a hop. */
  readonly #founded = new Map<Hop, number>();
  readonly #elsewhere: Elsewhere | undefined;
  readonly #stop = new AbortController();
  readonly #accepting = new Set<Promise<void>>();
  readonly #following: Disposable;
  readonly #metrics;
  #keptBytes = 0;
  #channels = 0;
  #sweep: Timer | undefined;
  #isDraining = false;
  readonly #kind = new Uint8Array(1);

  constructor(deps: DownstreamRelayDeps) {
    this.#deps = deps;
    const { clock, random, limits, mailboxes, metrics = noMetrics, log = silentLog, relays } = deps;
    this.#clock = clock;
    this.#log = log;
    this.#limits = new ClientLimits(clock, random, limits?.address);
    this.#metrics = downstreamMetrics(metrics);
    this.#elsewhere = mailboxes && new Elsewhere({
      store: mailboxes,
      place: random.fill(new Uint8Array(16)).toHex(),
      clock,
      log,
      onPost: (alias, kind, rest) => this.#deliverHere(alias, kind, rest),
      onMoved: (alias) => this.#onMoved(alias),
      onPlace: (alias, isElsewhere) => this.#onPlace(alias, isElsewhere),
      onDropped: (alias, bytes) => this.#dropped(this.#mailboxes.get(alias), bytes),
    });
    this.#following = relays.onChange(() => this.#dropStrangers());
  }

  /** From 0 to 1, for base. */
  get load(): number {
    if (this.#isDraining) return 1;
    const { maxMailboxes = DEFAULT_MAX_MAILBOXES } = this.#deps.limits ?? {};
    return Math.min(1, Math.max(this.#mailboxes.size / maxMailboxes, this.#keptBytes / this.#allBytes));
  }

  /** Mailboxes at present. */
  get size(): number {
    return this.#mailboxes.size;
  }

  /** Clients connected by WebSocket. */
  get listeners(): number {
    return this.#channels;
  }

  /** What waits in all mailboxes. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Why processes that share the store cannot be heard of, if so. */
  get problem(): string | undefined {
    return this.#elsewhere?.problem;
  }

  /** Why nobody from that address can connect now. Counts the attempt. */
  refusalOf(remoteAddress: string | undefined): Problem | undefined {
    const use = this.#limits.useOf(remoteAddress);
    const waitMs = this.#limits.takeAttempt(use);
    if (waitMs > 0) {
      return this.refuse("rate_limited", "Cannot take more from this address now", { retryAfterMs: waitMs });
    }
    if (this.#isDraining) {
      return this.refuse("draining", "Cannot take clients: this relay is about to stop; use another", {
        retryAfterMs: RETRY_MS,
      });
    }
    if (this.#limits.hasRoom(use)) return undefined;
    return this.refuse("busy", "Cannot take a client: this address has as many as it may", {
      retryAfterMs: RETRY_MS,
    });
  }

  refuse(...[code, detail, extras]: ConstructorParameters<typeof Problem>): Problem {
    this.#metrics.refused.add(1, { reason: code });
    return new Problem(code, detail, extras);
  }

  /** Serves a client, whose first message is its claim. `onKnown` is called once that has come, or it has gone. */
  listen(channel: MessageChannel, remoteAddress: string | undefined, onKnown: () => void = () => {}): void {
    const use = this.#limits.useOf(remoteAddress);
    if (use) use.channels++;
    this.#channels++;
    this.#metrics.listeners.add(1);
    let mailbox: Mailbox | undefined;
    channel.start({
      onMessage: (claim) => {
        if (mailbox || claim.length !== CLAIM_BYTES) return this.#turnAway(channel, "bad_request", CLOSE_MALFORMED);
        mailbox = this.#mailboxFor(claim);
        if (!mailbox) return this.#turnAway(channel, "busy", CLOSE_BUSY);
        onKnown();
        this.#attach(mailbox, channel);
      },
      onClose: () => {
        if (use) use.channels--;
        this.#channels--;
        this.#metrics.listeners.add(-1);
        if (mailbox?.channel === channel) this.#detach(mailbox);
        onKnown();
      },
    });
  }

  /** The answer to a poll of one that is not refused, undefined when nothing has come; or the problem with it. */
  async poll(
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | Problem | undefined> {
    const poll = parsePoll(body);
    if (!poll) return this.refuse("bad_request", "Cannot answer a poll: it must be a claim and a number");
    const mailbox = this.#mailboxFor(poll.claim);
    if (!mailbox) {
      return this.refuse("busy", "Cannot open a mailbox: there are as many as there may be; use another relay", {
        retryAfterMs: RETRY_MS,
      });
    }
    this.#replace(mailbox);
    const isNew = !mailbox.isListenedTo(this.#clock.now());
    mailbox.polledUntilMs = Infinity;
    if (isNew) this.#came(mailbox);
    const answer = mailbox.answerFor(poll.acknowledged) ?? await this.#nextAnswer(mailbox, poll.acknowledged, signal);
    // Unless another listens by now, here or elsewhere.
    const isStillThere = mailbox.settlePoll === undefined && mailbox.polledUntilMs === Infinity;
    if (isStillThere) mailbox.polledUntilMs = this.#clock.now() + POLLED_FOR_MS;
    return answer;
  }

  /** Serves whoever wants to post, once it has shown that it is a central of the directory. */
  joinHop(channel: MessageChannel, onKnown: () => void = () => {}): void {
    const accept = async () => {
      using limit = deadline(this.#clock, ACCEPT_MS, "open a hop", this.#stop.signal);
      try {
        const hop = await this.#deps.acceptHop(channel, (hop, central) => this.#welcome(hop, central), limit.signal);
        if (!hop) this.#metrics.refused.add(1, { reason: "unknown_central" });
      } catch (error) {
        this.#metrics.refused.add(1, { reason: "hop_failed" });
        this.#log.debug("A hop was not opened", { error: messageOf(error) });
      }
      onKnown();
    };
    const accepting = accept().finally(() => this.#accepting.delete(accepting));
    this.#accepting.add(accepting);
  }

  /** Takes nobody new and says goodbye to those there are, who find another relay. */
  drain(): void {
    this.#isDraining = true;
    for (const hop of this.#hops.keys()) hop.close(CLOSE_GOING_AWAY, "about to stop");
    for (const mailbox of this.#mailboxes.values()) {
      mailbox.channel?.close(CLOSE_GOING_AWAY, "about to stop");
      this.#settlePoll(mailbox, false);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDraining = true;
    this.#stop.abort();
    this.#sweep?.cancel();
    this.#following[Symbol.dispose]();
    for (const hop of [...this.#hops.keys()]) hop[Symbol.dispose]();
    for (const mailbox of [...this.#mailboxes.values()]) {
      mailbox.channel?.[Symbol.dispose]();
      this.#settlePoll(mailbox, false);
      mailbox.takeAll();
    }
    this.#mailboxes.clear();
    await this.#elsewhere?.[Symbol.asyncDispose]();
    await Promise.all(this.#accepting);
  }

  get #allBytes(): number {
    return this.#deps.limits?.allBytes ?? 64 * KIB * KIB;
  }

  /** What the socket of one listener may have in hand. */
  get #listenerBytes(): number {
    const share = (this.#deps.limits?.listenerBytes ?? 64 * KIB * KIB) / Math.max(1, this.#channels);
    return Math.min(256 * KIB, Math.max(64 * KIB, share));
  }

  #mailboxFor(claim: Uint8Array): Mailbox | undefined {
    const alias = downAlias(claim, this.#deps.primitives);
    return this.#mailbox(alias, aliasKey(alias));
  }

  #mailbox(alias: Uint8Array, key: string): Mailbox | undefined {
    const known = this.#mailboxes.get(key);
    if (known) return known;
    if (this.#mailboxes.size >= (this.#deps.limits?.maxMailboxes ?? DEFAULT_MAX_MAILBOXES)) return undefined;
    const mailbox = new Mailbox(alias, key, (bytes) => this.#keptBytes += bytes);
    mailbox.expiresAtMs = this.#clock.now() + (this.#deps.limits?.unheardMs ?? 30_000);
    this.#mailboxes.set(key, mailbox);
    this.#metrics.mailboxes.set(this.#mailboxes.size);
    this.#sweep ??= this.#clock.after(SWEEP_EVERY_MS, () => this.#sweepAll());
    return mailbox;
  }

  /** One that central posts to before anybody listens. No central may take all the room there is. */
  #found(hop: Hop, alias: Uint8Array, key: string): Mailbox | undefined {
    const founded = this.#founded.get(hop) ?? 0;
    if (founded >= (this.#deps.limits?.maxMailboxes ?? DEFAULT_MAX_MAILBOXES) / 4) return undefined;
    const mailbox = this.#mailbox(alias, key);
    if (!mailbox) return undefined;
    mailbox.founder = hop;
    this.#founded.set(hop, founded + 1);
    return mailbox;
  }

  /** It has a listener by now, or is gone. */
  #unfound(mailbox: Mailbox): void {
    const { founder } = mailbox;
    mailbox.founder = undefined;
    if (founder && this.#founded.has(founder)) this.#founded.set(founder, this.#founded.get(founder)! - 1);
  }

  #attach(mailbox: Mailbox, channel: MessageChannel): void {
    this.#replace(mailbox);
    mailbox.polledUntilMs = -Infinity;
    mailbox.stuckSinceMs = undefined;
    mailbox.channel = channel;
    for (const message of mailbox.takeAll()) channel.send(message);
    this.#came(mailbox);
  }

  #detach(mailbox: Mailbox): void {
    mailbox.channel = undefined;
    this.#went(mailbox);
  }

  /** The newest listener wins: the others end. */
  #replace(mailbox: Mailbox): void {
    const { channel } = mailbox;
    mailbox.channel = undefined;
    channel?.close(CLOSE_REPLACED, "another listens");
    this.#settlePoll(mailbox, false);
  }

  #came(mailbox: Mailbox): void {
    this.#unfound(mailbox);
    mailbox.isElsewhere = false;
    mailbox.expiresAtMs = Infinity;
    this.#elsewhere?.claim(mailbox.key);
    mailbox.poster?.send(encodeDownstreamNotice({ type: "listener", alias: mailbox.alias, isListening: true }));
  }

  #went(mailbox: Mailbox): void {
    mailbox.expiresAtMs = this.#clock.now() + (this.#deps.limits?.unheardMs ?? 30_000);
    this.#elsewhere?.release(mailbox.key);
    mailbox.poster?.send(encodeDownstreamNotice({ type: "listener", alias: mailbox.alias, isListening: false }));
  }

  #settlePoll(mailbox: Mailbox, hasSomething: boolean): void {
    const { settlePoll } = mailbox;
    mailbox.settlePoll = undefined;
    settlePoll?.(hasSomething);
  }

  #nextAnswer(
    mailbox: Mailbox,
    acknowledged: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (signal.aborted || this.#isDraining) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer> | undefined>();
    const settle = (hasSomething: boolean) => {
      timer.cancel();
      signal.removeEventListener("abort", giveUp);
      resolve(hasSomething ? mailbox.answerFor(acknowledged) : undefined);
    };
    const giveUp = () => mailbox.settlePoll === settle && this.#settlePoll(mailbox, false);
    const timer = this.#clock.after(this.#deps.limits?.pollMs ?? 8000, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    mailbox.settlePoll = settle;
    return promise;
  }

  #welcome(hop: Hop, central: RelayRecord): HopHandlers {
    this.#hops.set(hop, central);
    this.#metrics.hops.set(this.#hops.size);
    return {
      onMessage: (message) => this.#takeFrom(hop, message),
      onClose: () => {
        this.#hops.delete(hop);
        this.#founded.delete(hop);
        this.#metrics.hops.set(this.#hops.size);
        for (const mailbox of this.#mailboxes.values()) if (mailbox.poster === hop) mailbox.poster = undefined;
      },
    };
  }

  #takeFrom(hop: Hop, bytes: Uint8Array): void {
    const message = parseToDownstream(bytes);
    if (!message) {
      this.#metrics.refused.add(1, { reason: "bad_request" });
      return hop.close(CLOSE_MALFORMED, "not a message of a central");
    }
    const { alias, kind, rest } = message;
    const key = aliasKey(alias);
    const mailbox = this.#mailboxes.get(key) ?? this.#found(hop, alias, key);
    if (!mailbox) return this.#dropped(undefined, rest.length);
    mailbox.poster = hop;
    this.#deliver(mailbox, kind, rest);
  }

  /** What another process had for a listener that is here, or was. */
  #deliverHere(alias: string, kind: number, rest: Uint8Array): void {
    const mailbox = this.#mailbox(Uint8Array.fromHex(alias), alias);
    if (!mailbox) return this.#dropped(undefined, rest.length);
    mailbox.isElsewhere = false;
    this.#deliver(mailbox, kind, rest);
  }

  #deliver(mailbox: Mailbox, kind: number, rest: Uint8Array): void {
    if (mailbox.channel) return this.#hand(mailbox, mailbox.channel, kind, rest);
    const nowMs = this.#clock.now();
    const isListenedTo = mailbox.isListenedTo(nowMs);
    if (!isListenedTo && mailbox.isElsewhere && this.#elsewhere) {
      this.#elsewhere.post(mailbox.key, kind, rest);
      mailbox.expiresAtMs = nowMs + (this.#deps.limits?.unheardMs ?? 30_000);
      if (nowMs - mailbox.elsewhereAtMs > PLACE_FRESH_MS) this.#elsewhere.lookFor(mailbox.key);
      return;
    }
    const { unheardBytes = 64 * KIB } = this.#deps.limits ?? {};
    const bound = isListenedTo ? POLLED_BYTES : unheardBytes;
    const isTooMuch = mailbox.bytes + rest.length > bound && (mailbox.bytes > 0 || !isListenedTo);
    if (isTooMuch || this.#keptBytes + rest.length > this.#allBytes) return this.#dropped(mailbox, rest.length);
    mailbox.put(kind, rest);
    if (mailbox.settlePoll) {
      // Not at once: what comes in the same turn shares the answer.
      if (mailbox.bytes === rest.length + 1) queueMicrotask(() => this.#settlePoll(mailbox, true));
    } else this.#elsewhere?.lookFor(mailbox.key);
  }

  /** A listener has it at once, or not at all. */
  #hand(mailbox: Mailbox, channel: MessageChannel, kind: number, rest: Uint8Array): void {
    const queued = channel.queuedBytes;
    this.#kind[0] = kind;
    if ((queued > 0 && queued + rest.length > this.#listenerBytes) || !channel.send(this.#kind, rest)) {
      mailbox.stuckSinceMs ??= this.#clock.now();
      return this.#dropped(mailbox, rest.length);
    }
    mailbox.stuckSinceMs = undefined;
    this.#metrics.messages.add();
    this.#metrics.bytes.add(rest.length);
  }

  #dropped(mailbox: Mailbox | undefined, bytes: number): void {
    this.#metrics.dropped.add(bytes);
    if (!mailbox) return;
    mailbox.droppedBytes += bytes;
    const nowMs = this.#clock.now();
    if (nowMs - mailbox.toldAtMs >= TELL_EVERY_MS) this.#tellDropped(mailbox, nowMs);
  }

  #tellDropped(mailbox: Mailbox, nowMs: number): void {
    const { alias, droppedBytes, poster } = mailbox;
    mailbox.toldAtMs = nowMs;
    mailbox.droppedBytes = 0;
    poster?.send(encodeDownstreamNotice({ type: "dropped", alias, droppedBytes }));
  }

  /** The listener is at another process now: whatever waits here goes there. */
  #onMoved(alias: string): void {
    const mailbox = this.#mailboxes.get(alias);
    if (!mailbox) return;
    this.#replace(mailbox);
    mailbox.polledUntilMs = -Infinity;
    this.#sendElsewhere(mailbox);
  }

  #onPlace(alias: string, isElsewhere: boolean): void {
    const mailbox = this.#mailboxes.get(alias);
    // One that is between two polls may have gone to another process with the next.
    if (!mailbox || mailbox.channel || mailbox.settlePoll) return this.#elsewhere?.forget(alias);
    if (isElsewhere) {
      mailbox.polledUntilMs = -Infinity;
      return this.#sendElsewhere(mailbox);
    }
    mailbox.isElsewhere = false;
    if (mailbox.bytes === 0) this.#elsewhere?.forget(alias);
  }

  #sendElsewhere(mailbox: Mailbox): void {
    const nowMs = this.#clock.now();
    mailbox.isElsewhere = true;
    mailbox.elsewhereAtMs = nowMs;
    mailbox.expiresAtMs = nowMs + (this.#deps.limits?.unheardMs ?? 30_000);
    for (const message of mailbox.takeAll()) {
      this.#elsewhere?.post(mailbox.key, message[0]!, message.subarray(1));
    }
  }

  /** A central that was blocked is no longer listened to. */
  #dropStrangers(): void {
    for (const [hop, { relayId, sealingKey }] of this.#hops) {
      if (this.#deps.relays.find("central", relayId)?.sealingKey === sealingKey) continue;
      hop.close(CLOSE_UNKNOWN_RELAY, "unknown relay");
    }
  }

  #sweepAll(): void {
    const nowMs = this.#clock.now();
    for (const mailbox of [...this.#mailboxes.values()]) this.#sweepOne(mailbox, nowMs);
    this.#metrics.mailboxes.set(this.#mailboxes.size);
    this.#metrics.kept.set(this.#keptBytes);
    this.#sweep = undefined;
    if (this.#mailboxes.size > 0) this.#sweep = this.#clock.after(SWEEP_EVERY_MS, () => this.#sweepAll());
  }

  #sweepOne(mailbox: Mailbox, nowMs: number): void {
    if (mailbox.droppedBytes > 0) this.#tellDropped(mailbox, nowMs);
    if (mailbox.channel && nowMs - (mailbox.stuckSinceMs ?? nowMs) > STUCK_MS) {
      this.#turnAway(mailbox.channel, "too_slow", CLOSE_SLOW);
    }
    if (Number.isFinite(mailbox.polledUntilMs) && nowMs >= mailbox.polledUntilMs) {
      mailbox.polledUntilMs = -Infinity;
      if (!mailbox.channel) this.#went(mailbox);
    }
    if (nowMs < mailbox.expiresAtMs || mailbox.isListenedTo(nowMs)) return;
    if (mailbox.bytes > 0) this.#metrics.dropped.add(mailbox.bytes);
    mailbox.takeAll();
    this.#unfound(mailbox);
    this.#mailboxes.delete(mailbox.key);
    this.#elsewhere?.forget(mailbox.key);
  }

  #turnAway(channel: MessageChannel, reason: string, code: number): void {
    this.#metrics.refused.add(1, { reason });
    channel.close(code, reason);
  }
}
