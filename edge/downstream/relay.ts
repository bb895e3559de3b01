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
import {
  aliasKey,
  CLAIM_BYTES,
  encodeDownstreamNotice,
  parsePoll,
  parseToDownstream,
} from "../../protocol/fragment/messages.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import type { MessageChannel } from "../../protocol/message_channel.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { ClientLimits } from "../client_limits.ts";
import type { AcceptHop, Hop, HopHandlers, KnownRelays } from "../hop.ts";
import { Problem } from "../problem.ts";
import type { Admission } from "../relay_app.ts";
import { Elsewhere } from "./elsewhere.ts";
import {
  CLOSE_BUSY,
  CLOSE_GOING_AWAY,
  CLOSE_MALFORMED,
  CLOSE_REPLACED,
  CLOSE_SLOW,
  CLOSE_UNKNOWN_RELAY,
  type DownstreamLimits,
  MAX_LISTENER_BYTES,
  MIN_LISTENER_BYTES,
  POLLED_BYTES,
  withDefaults,
} from "./limits.ts";
import type { Mailbox } from "./mailbox.ts";
import { Mailboxes } from "./mailboxes.ts";
import { downstreamMetrics } from "./metrics.ts";

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
  readonly #bounds;
  readonly #mailboxes: Mailboxes;
  readonly #hops = new Map<Hop, RelayRecord>();
  readonly #elsewhere: Elsewhere | undefined;
  readonly #stop = new AbortController();
  readonly #accepting = new Set<Promise<void>>();
  readonly #following: Disposable;
  readonly #metrics;
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
    this.#bounds = withDefaults(limits);
    const { maxMailboxes: max, allBytes, unheardMs } = this.#bounds;
    this.#mailboxes = new Mailboxes({ clock, max, allBytes, unheardMs });
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
    const { size, keptBytes } = this.#mailboxes;
    return Math.min(1, Math.max(size / this.#bounds.maxMailboxes, keptBytes / this.#bounds.allBytes));
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
    return this.#mailboxes.keptBytes;
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
    const isStillThere = !mailbox.isPolled && mailbox.polledUntilMs === Infinity;
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
    for (const mailbox of this.#mailboxes.all()) {
      mailbox.channel?.close(CLOSE_GOING_AWAY, "about to stop");
      mailbox.settlePoll(false);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDraining = true;
    this.#stop.abort();
    this.#sweep?.cancel();
    this.#following[Symbol.dispose]();
    for (const hop of [...this.#hops.keys()]) hop[Symbol.dispose]();
    for (const mailbox of this.#mailboxes.all()) {
      mailbox.channel?.[Symbol.dispose]();
      mailbox.settlePoll(false);
      this.#mailboxes.remove(mailbox);
    }
    await this.#elsewhere?.[Symbol.asyncDispose]();
    await Promise.all(this.#accepting);
  }

  /** What the socket of one listener may have in hand. */
  get #listenerBytes(): number {
    const share = this.#bounds.listenerBytes / Math.max(1, this.#channels);
    return Math.min(MAX_LISTENER_BYTES, Math.max(MIN_LISTENER_BYTES, share));
  }

  #mailboxFor(claim: Uint8Array): Mailbox | undefined {
    const alias = downAlias(claim, this.#deps.primitives);
    return this.#mailbox(alias, aliasKey(alias));
  }

  #mailbox(alias: Uint8Array, key: string): Mailbox | undefined {
    const mailbox = this.#mailboxes.open(alias, key);
    if (mailbox) this.#watch();
    return mailbox;
  }

  /** Looks after the mailboxes as long as there are any. */
  #watch(): void {
    this.#metrics.mailboxes.set(this.#mailboxes.size);
    this.#sweep ??= this.#clock.after(SWEEP_EVERY_MS, () => this.#sweepAll());
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
    mailbox.settlePoll(false);
  }

  #came(mailbox: Mailbox): void {
    this.#mailboxes.heard(mailbox);
    mailbox.isElsewhere = false;
    mailbox.expiresAtMs = Infinity;
    this.#elsewhere?.claim(mailbox.key);
    mailbox.poster?.send(encodeDownstreamNotice({ type: "listener", alias: mailbox.alias, isListening: true }));
  }

  #went(mailbox: Mailbox): void {
    mailbox.expiresAtMs = this.#clock.now() + this.#bounds.unheardMs;
    this.#elsewhere?.release(mailbox.key);
    mailbox.poster?.send(encodeDownstreamNotice({ type: "listener", alias: mailbox.alias, isListening: false }));
  }

  #nextAnswer(
    mailbox: Mailbox,
    acknowledged: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#isDraining) return Promise.resolve(undefined);
    return mailbox.nextAnswer({ acknowledged, clock: this.#clock, waitMs: this.#bounds.pollMs, signal });
  }

  #welcome(hop: Hop, central: RelayRecord): HopHandlers {
    this.#hops.set(hop, central);
    this.#metrics.hops.set(this.#hops.size);
    return {
      onMessage: (message) => this.#takeFrom(hop, central.relayId, message),
      onClose: () => {
        this.#hops.delete(hop);
        this.#metrics.hops.set(this.#hops.size);
        for (const mailbox of this.#mailboxes.all()) if (mailbox.poster === hop) mailbox.poster = undefined;
      },
    };
  }

  #takeFrom(hop: Hop, centralId: string, bytes: Uint8Array): void {
    const message = parseToDownstream(bytes);
    if (!message) {
      this.#metrics.refused.add(1, { reason: "bad_request" });
      return hop.close(CLOSE_MALFORMED, "not a message of a central");
    }
    const { alias, kind, rest } = message;
    const key = aliasKey(alias);
    const mailbox = this.#mailboxes.get(key) ?? this.#mailboxes.found(centralId, alias, key);
    if (!mailbox) return this.#dropped(undefined, rest.length);
    this.#watch();
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
      mailbox.expiresAtMs = nowMs + this.#bounds.unheardMs;
      if (nowMs - mailbox.elsewhereAtMs > PLACE_FRESH_MS) this.#elsewhere.lookFor(mailbox.key);
      return;
    }
    const bound = isListenedTo ? POLLED_BYTES : this.#bounds.unheardBytes;
    const isTooMuch = mailbox.bytes + rest.length > bound && (mailbox.bytes > 0 || !isListenedTo);
    if (isTooMuch || !this.#mailboxes.hasRoom(mailbox, rest.length)) return this.#dropped(mailbox, rest.length);
    mailbox.put(kind, rest);
    if (mailbox.isPolled) {
      // Not at once: what comes in the same turn shares the answer.
      if (mailbox.bytes === rest.length + 1) queueMicrotask(() => mailbox.settlePoll(true));
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
    if (!mailbox || mailbox.channel || mailbox.isPolled) return this.#elsewhere?.forget(alias);
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
    mailbox.expiresAtMs = nowMs + this.#bounds.unheardMs;
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
    for (const mailbox of this.#mailboxes.all()) this.#sweepOne(mailbox, nowMs);
    this.#metrics.mailboxes.set(this.#mailboxes.size);
    this.#metrics.kept.set(this.#mailboxes.keptBytes);
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
    this.#mailboxes.remove(mailbox);
    this.#elsewhere?.forget(mailbox.key);
  }

  #turnAway(channel: MessageChannel, reason: string, code: number): void {
    this.#metrics.refused.add(1, { reason });
    channel.close(code, reason);
  }
}
