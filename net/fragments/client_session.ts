/**
 * One session of a client with one central: it opens, its legs are kept up, and what it is used as is its `link`.
 *
 *   legs connect ─▶ OPEN by the first upstream that is up ─▶ OPENED by the first downstream that is ─▶ FragmentLink
 *
 * The central answers by the downstream that the request names first, so the request is written when one listens. What an
 * upstream says is believed only as far as it goes: a leg by which nothing gets through is replaced, and a session whose
 * upstreams all say so is over.
 */

import type { Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { BlockMemory } from "../../protocol/fragment/block_memory.ts";
import { peerIdBytes, SECRET_BYTES } from "../../protocol/fragment/aliases.ts";
import { legKey, LegOpener, LegSealer } from "../../protocol/fragment/leg_seal.ts";
import type { UpstreamRefusal } from "../../protocol/fragment/messages.ts";
import {
  type DirectionKeys,
  encodeSecret,
  OpeningInitiator,
  type OpeningRefusal,
  type OpenReply,
} from "../../protocol/fragment/opening.ts";
import type { ReedSolomonFactory } from "../../protocol/fragment/reed_solomon.ts";
import { FragmentSession } from "../../protocol/fragment/session.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import type { NoiseKeyPair } from "../../protocol/noise_ik.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { ClientLegs, type ClientLegsOptions } from "./client_legs.ts";
import { FragmentLink } from "./fragment_link.ts";
import type { LegTools, Relay } from "./legs.ts";
import { LOOK_EVERY_MS, SessionWatch } from "./session_watch.ts";
import type { UpstreamLeg } from "./upstream_leg.ts";

/** How a session's bytes are coded. */
export interface Coding {
  readonly dataShards: number;
  readonly totalShards: number;
}

/** A central as far as opening a session goes. */
export interface CentralPlace {
  readonly id: string;
  readonly sealingKey: Bytes;
}

export interface ClientSessionOptions extends Pick<ClientLegsOptions, "wanted" | "draw" | "onFailed"> {
  readonly tools: LegTools;
  readonly primitives: Primitives;
  readonly crypto: WireGuardCrypto;
  readonly reedSolomon: ReedSolomonFactory;
  /** Where batches are put together, and where fragments are sealed and opened: one at a time, so sessions share them. */
  readonly batch: Uint8Array;
  readonly scratch: Slab;
  /** Where blocks lie, of all sessions. */
  readonly memory: BlockMemory;
  readonly central: CentralPlace;
  readonly coding: Coding;
  /** How long the central may take over its answer. */
  readonly answerMs: number;
  /** The static key to open with: drawn for the session, or in a closed network the identity's. */
  readonly local: NoiseKeyPair;
  /** In a closed network: who we are. */
  readonly member?: PeerKeys | undefined;
  /** Relays are missing: told when it opens and, ever less often, later. */
  onIncomplete?(): void;
  /** The session has ended; `error` when not by us. */
  onEnd?(session: ClientSession, error?: CulvertError): void;
}

/** A central that has answered, with a no. */
export class OpeningRefused extends DialError {
  readonly refusal: OpeningRefusal;
  readonly retryAfterMs: number | undefined;

  constructor(centralId: string, { code, message, retryAfterMs }: Extract<OpenReply, { ok: false }>) {
    const failure = code === "unauthorized" ? "unauthorized" : code === "busy" ? "busy" : "path_down";
    super(failure, `The central ${centralId} opens no session: ${message === "" ? code : message}`);
    this.refusal = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Not the central's fault: nothing gets to the relays, or they want to hear another token. */
export class RelaysUnreachable extends DialError {
  constructor(cause: unknown) {
    const isRefused = cause instanceof CulvertError && cause.code === "unauthorized";
    super(isRefused ? "unauthorized" : "path_down", `The relays are not to be reached: ${messageOf(cause)}`, { cause });
  }
}

/** What an upstream may say that means: nothing gets through to this session by me. The others pass by themselves. */
const HARD_REFUSALS: readonly UpstreamRefusal[] = ["no_such_central", "central_down", "refused_by_central"];

/** How often the directory is asked for relays that are missing: relays that have just started come within seconds. */
const FIRST_ASK_MS = 500;
const MAX_ASK_MS = 30_000;

export class ClientSession implements Disposable {
  readonly #options: ClientSessionOptions;
  readonly #secret: Bytes;
  readonly #legs: ClientLegs;
  readonly #opened = Promise.withResolvers<FragmentLink<FragmentSession>>();
  #opening: OpeningInitiator | undefined;
  /** Upstreams by which the opening has gone, and those that have said no since something came through last. */
  readonly #openedBy = new Set<number>();
  readonly #refusing = new Map<number, UpstreamRefusal>();
  /** Legs whose relays cannot be reached, for which there are no others. */
  readonly #unreachable = new Set<number>();
  #answerTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #link: FragmentLink<FragmentSession> | undefined;
  #askWaitMs = FIRST_ASK_MS;
  #askNextMs = -Infinity;
  #isEnded = false;

  /** Opens a session; what comes of a failed attempt is cleared away by itself. */
  static async open(options: ClientSessionOptions, signal: AbortSignal): Promise<ClientSession> {
    signal.throwIfAborted();
    const session = new ClientSession(options);
    const onAbort = () => session.#opened.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await session.#opened.promise;
      return session;
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  private constructor(options: ClientSessionOptions) {
    this.#options = options;
    this.#opened.promise.catch(() => {});
    this.#secret = options.tools.random.fill(new Uint8Array(SECRET_BYTES));
    const centralId = peerIdBytes(options.central.id)!;
    const mayReplace = (leg: number) => this.#mayReplace(leg);
    this.#legs = new ClientLegs({ ...options, centralId, secret: this.#secret, mayReplace }, {
      onUp: (leg, carrier) => this.#onUp(leg, carrier),
      onUpLost: (leg) => this.#link?.failSendLeg(leg),
      onRefused: (leg, code) => this.#onRefused(leg, code),
      onUnreachable: (leg, error) => this.#onUnreachable(leg, error),
      onDown: () => this.#sendOpening(),
      onOpened: (rest) => this.#onOpened(rest),
      onData: (leg, rest) => this.#onData(leg, rest),
      onChange: () => this.#tellLegs(),
    });
  }

  get central(): CentralPlace {
    return this.#options.central;
  }

  /** Present once it is open. */
  get link(): FragmentLink<FragmentSession> {
    return this.#link!;
  }

  get legs(): Pick<ClientLegs, "up" | "down"> {
    return this.#legs;
  }

  /** More relays are known: takes those that are missing. */
  complete(): void {
    if (!this.#isOpening) this.#legs.complete();
  }

  /** Ends the session, saying goodbye. */
  close(): void {
    if (this.#link) this.#link.close();
    else this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#end(() => this.#legs[Symbol.dispose]());
  }

  /** Settles when nothing of it is left. */
  closed(): Promise<void> {
    return this.#legs.closed();
  }

  #end(endLegs: () => void, error?: CulvertError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#answerTimer?.cancel();
    this.#watchTimer?.cancel();
    this.#opening?.[Symbol.dispose]();
    this.#opened.reject(error ?? new CulvertError("closed", "The session was closed"));
    this.#link?.close();
    endLegs();
    this.#secret.fill(0);
    this.#options.onEnd?.(this, error);
  }

  #onUp(leg: number, carrier: UpstreamLeg): void {
    this.#refusing.delete(leg);
    if (this.#link) this.#link.setSendLeg(leg, carrier);
    else this.#sendOpening();
  }

  /** Once there is a way there and a way back; again by another upstream when the one it went by says no. */
  #sendOpening(): void {
    if (this.#link || this.#isEnded || this.#openedBy.size > this.#refusing.size) return;
    const way = [...this.#legs.up.values()].find(({ carrier, leg }) => carrier && !this.#openedBy.has(leg));
    const isListening = [...this.#legs.down.values()].some(({ carrier }) => carrier);
    if (!way || !isListening) return;
    // Each upstream gets an opening of its own: the same bytes would show two relays that they serve one session.
    this.#opening?.[Symbol.dispose]();
    this.#opening = this.#beginOpening();
    if (!this.#opening.first) {
      return this.#fail(new DialError("failed", "The central's key is none that anyone can have"));
    }
    this.#openedBy.add(way.leg);
    way.carrier!.sendOpening(this.#opening.first);
  }

  #beginOpening(): OpeningInitiator {
    const { tools, crypto, central, coding, local, member, answerMs } = this.#options;
    const { clock, random } = tools;
    const down = [...this.#legs.down.values()].sort((a, b) => Number(!a.carrier) - Number(!b.carrier));
    this.#answerTimer?.cancel();
    this.#answerTimer = clock.after(answerMs, () => this.#onSilence(down[0]!.relay));
    return new OpeningInitiator({ crypto, random }, {
      local,
      central,
      request: {
        sentAtMs: clock.wallNow(),
        secret: encodeSecret(this.#secret),
        up: placesOf(this.#legs.up.values()),
        down: placesOf(down),
        coding,
        ...(member && { member }),
      },
    });
  }

  /** It may be the central's doing, or that of a relay the opening or its answer went by: all are suspects. */
  #onSilence(answering: Relay): void {
    const { central, answerMs, onFailed } = this.#options;
    for (const leg of this.#openedBy) {
      const relay = this.#legs.relayOf(leg);
      if (relay) onFailed("up", relay);
    }
    onFailed("down", answering);
    this.#fail(new DialError("timeout", `The central ${central.id} has not answered within ${answerMs} ms`));
  }

  #onOpened(rest: Uint8Array): void {
    if (this.#link || !this.#opening) return;
    const finished = this.#opening.finish(rest);
    if (!finished) return; // anyone at the relay may say something false
    const { reply, keys } = finished;
    if (!reply.ok) return this.#fail(new OpeningRefused(this.#options.central.id, reply));
    this.#answerTimer?.cancel();
    this.#opening[Symbol.dispose]();
    this.#refusing.clear();
    this.#link = this.#makeLink(keys);
    this.#tellLegs();
    for (const { leg, carrier } of this.#legs.up.values()) {
      if (carrier) this.#link.setSendLeg(leg, carrier);
      else this.#link.failSendLeg(leg);
    }
    this.#opened.resolve(this.#link);
    this.#watch(new SessionWatch(this.#options.tools.clock.now()));
  }

  /** Looks again and again at how the legs do. */
  #watch(watch: SessionWatch): void {
    const { clock } = this.#options.tools;
    this.#watchTimer = clock.after(LOOK_EVERY_MS, () => {
      const { session } = this.#link!;
      const { badLegs, isDead } = watch.look(session.stats(), session.isIdle, clock.now());
      if (isDead) {
        const message = `The central ${this.#options.central.id} does not answer any more`;
        return this.#fail(new DialError("path_down", message));
      }
      for (const leg of badLegs) this.#legs.replace(leg);
      this.#askForMissing();
      this.#watch(watch);
    });
  }

  #makeLink(keys: DirectionKeys): FragmentLink<FragmentSession> {
    const { tools, crypto, coding, reedSolomon, batch, scratch, memory } = this.#options;
    const place = (leg: number) => ({ leg, relayId: this.#legs.relayOf(leg)!.relayId });
    return new FragmentLink({
      clock: tools.clock,
      batch,
      session: (events, nowMs) =>
        new FragmentSession(
          {
            role: "client",
            coding: { ...coding, isAdaptive: true },
            sealer: (leg) => new LegSealer(crypto, legKey(keys.up, place(leg))),
            opener: (leg) => new LegOpener(crypto, legKey(keys.down, place(leg))),
            reedSolomon,
            random: tools.random,
            scratch,
            memory,
          },
          { ...events, onLegs: () => {} },
          nowMs,
        ),
      onEnd: (error) => this.#end(() => this.#legs.close(), error),
    });
  }

  #askForMissing(): void {
    const nowMs = this.#options.tools.clock.now();
    if (this.#legs.isComplete || nowMs < this.#askNextMs) return;
    this.complete(); // what came to be known while it was opened
    if (this.#legs.isComplete) return;
    this.#askWaitMs = Math.min(2 * this.#askWaitMs, MAX_ASK_MS);
    this.#askNextMs = nowMs + this.#askWaitMs;
    this.#options.onIncomplete?.();
  }

  #onData(leg: number, rest: Uint8Array): void {
    if (!this.#link) return;
    this.#refusing.clear();
    this.#link.receive(leg, rest);
  }

  #onRefused(leg: number, code: UpstreamRefusal): void {
    if (!HARD_REFUSALS.includes(code) || this.#isEnded) return;
    this.#refusing.set(leg, code);
    const up = [...this.#legs.up.values()].filter(({ carrier }) => carrier);
    const isOver = up.every(({ leg }) => this.#refusing.has(leg));
    if (!isOver) return this.#link ? this.#legs.replace(leg) : this.#sendOpening();
    const { id } = this.#options.central;
    this.#fail(new DialError("path_down", `The central ${id} is not to be reached: ${code.replaceAll("_", " ")}`));
  }

  /** One that lies stops nobody: before it opens, a session gives up when no relay of a direction is to be reached. */
  #onUnreachable(leg: number, error: unknown): void {
    if (this.#link) return;
    this.#unreachable.add(leg);
    const { up, down } = this.#legs;
    const isLost = [up, down].some((legs) =>
      legs.size > 0 && legs.values().every(({ leg, carrier }) => !carrier && this.#unreachable.has(leg))
    );
    if (isLost) this.#fail(new RelaysUnreachable(error));
  }

  #fail(error: CulvertError): void {
    this.#opened.reject(error);
    if (this.#link) this.#link.fail(error);
    else this.#end(() => this.#legs[Symbol.dispose](), error);
  }

  /** The request is under way: the central will know the legs it names, and no others. */
  get #isOpening(): boolean {
    return this.#opening !== undefined && !this.#link;
  }

  /** Of new legs the central is told by those it knows of already: one of them must stay. */
  #mayReplace(leg: number): boolean {
    if (!this.#link) return !this.#isOpening;
    const { session } = this.#link;
    return [...this.#legs.up.values()].some((up) => up.leg !== leg && up.carrier && session.isHeard(up.leg));
  }

  #tellLegs(): void {
    const { up, down } = this.#legs;
    const relays = new Map([...placesOf(up.values()), ...placesOf(down.values())].map((at) => [at.leg, at.relayId]));
    this.#link?.session.setLegs({ send: [...up.keys()], receive: [...down.keys()] }, relays);
  }
}

function placesOf(legs: Iterable<{ readonly leg: number; readonly relay: { readonly relayId: string } }>) {
  return Array.from(legs, ({ leg, relay }) => ({ leg, relayId: relay.relayId }));
}
