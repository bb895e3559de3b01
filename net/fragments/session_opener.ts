/**
 * Opens sessions of a client with the centrals that the directory knows, and remembers what has failed.
 *
 *   draw a central and relays ─▶ attempt ── 400 ms ──▶ another beside it, by other relays ── … the first to open wins
 *
 * Sessions are spread over the centrals. A central or relay that has failed is left alone for a minute, as long as there
 * are others.
 */

import { delay } from "../../protocol/clock.ts";
import type { RelayKind, RelayRecord } from "../../protocol/directory.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { type CulvertError, DialError } from "../../protocol/errors.ts";
import type { PeerKeys } from "../../protocol/fields.ts";
import { BlockMemory } from "../../protocol/fragment/block_memory.ts";
import { MAX_FRAGMENT_BYTES } from "../../protocol/fragment/leg_seal.ts";
import type { ReedSolomonFactory } from "../../protocol/fragment/reed_solomon.ts";
import { race } from "../../protocol/happy_eyeballs.ts";
import { drawKeyPair, type NoiseKeyPair } from "../../protocol/noise_ik.ts";
import { KEY_BYTES, type Primitives } from "../../protocol/primitives.ts";
import { Slab } from "../../protocol/slab.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { FailedExits } from "../failed_exits.ts";
import type { RelayFinder } from "../relay_directory.ts";
import type { Direction, DrawWish } from "./client_legs.ts";
import { type CentralPlace, ClientSession, type Coding, OpeningRefused, RelaysUnreachable } from "./client_session.ts";
import { BATCH_BYTES } from "./fragment_link.ts";
import type { LegTools, Relay } from "./legs.ts";
import { drawCentral, drawRelays } from "./relay_choice.ts";

/** Who we are in a closed network. */
export interface Member {
  readonly local: NoiseKeyPair;
  keys(): PeerKeys;
}

export interface SessionOpenerOptions {
  readonly tools: LegTools;
  readonly primitives: Primitives;
  readonly crypto: WireGuardCrypto;
  readonly reedSolomon: ReedSolomonFactory;
  /** `problem`: why the directory does not answer at present. */
  readonly relays: RelayFinder & { readonly problem?: string | undefined };
  /** Relays of each direction. */
  readonly wanted: Readonly<Record<Direction, number>>;
  readonly coding: Coding;
  /** The only central to use. */
  readonly centralId?: string | undefined;
  readonly member?: Member | undefined;
}

const KINDS: Readonly<Record<Direction, RelayKind>> = { up: "upstream", down: "downstream" };
const STAGGER_MS = 400;
/** Relays that start together are known to the directory within about a second. */
const FIRST_WAITS = 2;
const FIRST_WAIT_MS = 550;
/** How long each attempt waits for the central's answer: on a slow line the later ones must be given more. */
const ANSWER_MS: readonly number[] = [1500, 1500, 3000, 6000];

export class SessionOpener implements Disposable {
  readonly #options: SessionOpenerOptions;
  readonly #sessions = new Set<ClientSession>();
  /** Sessions and attempts at each central. */
  readonly #uses = new Map<string, number>();
  readonly #failedCentrals: FailedExits;
  readonly #failedRelays: Readonly<Record<Direction, FailedExits>>;
  /** Filled and sent before anything else runs, so one does for all sessions. */
  readonly #batch = new Uint8Array(BATCH_BYTES);
  readonly #scratch = new Slab(MAX_FRAGMENT_BYTES);
  readonly #memory: BlockMemory;
  readonly #listening: Disposable;
  readonly #ending = new Set<Promise<void>>();
  #isFirst = true;

  constructor(options: SessionOpenerOptions) {
    this.#options = options;
    const { clock } = options.tools;
    this.#memory = new BlockMemory(options.reedSolomon);
    this.#failedCentrals = new FailedExits(clock);
    this.#failedRelays = { up: new FailedExits(clock), down: new FailedExits(clock) };
    this.#listening = options.relays.onChange(() => {
      for (const session of this.#sessions) session.complete();
    });
  }

  /** The sessions that are open. */
  get sessions(): ReadonlySet<ClientSession> {
    return this.#sessions;
  }

  async open(signal: AbortSignal): Promise<ClientSession> {
    await this.#learnRelays(signal);
    const lacking = this.#lacking();
    if (lacking !== undefined) {
      const { problem } = this.#options.relays;
      const why = problem === undefined ? "knows none" : `is not to be asked: ${problem}`;
      throw new DialError("path_down", `Cannot open a session: the directory must know ${lacking}, and ${why}`);
    }
    const { clock } = this.#options.tools;
    return await race(ANSWER_MS, {
      clock,
      attemptDelayMs: STAGGER_MS,
      signal,
      connect: (answerMs, signal) => this.#attempt(answerMs, signal),
    });
  }

  /** Ends every session at once. */
  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    for (const session of this.#sessions) session[Symbol.dispose]();
  }

  /** Settles when nothing of any session is left. Dispose it first. */
  async closed(): Promise<void> {
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }

  async #attempt(answerMs: number, signal: AbortSignal): Promise<ClientSession> {
    const central = this.#drawCentral();
    this.#use(central.id, 1);
    try {
      const session = await this.#open(central, answerMs, signal);
      this.#failedCentrals.remove(central.id);
      return session;
    } catch (error) {
      const isOurs = error instanceof RelaysUnreachable ||
        error instanceof OpeningRefused && error.refusal === "unauthorized";
      if (!signal.aborted && !isOurs) this.#failedCentrals.add(central.id);
      void this.#options.relays.refresh(); // what has failed may be gone, and something else come
      throw error;
    } finally {
      this.#use(central.id, -1);
    }
  }

  async #open(central: CentralPlace, answerMs: number, signal: AbortSignal): Promise<ClientSession> {
    const { crypto, tools, member } = this.#options;
    using drawn = member ? undefined : drawKeyPair(crypto, tools.random);
    const session = await ClientSession.open({
      ...this.#options,
      batch: this.#batch,
      scratch: this.#scratch,
      memory: this.#memory,
      central,
      answerMs,
      local: member?.local ?? drawn!,
      member: member?.keys(),
      draw: (direction, count, wish) => this.#drawRelays(direction, count, wish),
      onFailed: (direction, relay) => this.#failedRelays[direction].add(relay.relayId),
      onIncomplete: () => void this.#options.relays.refresh(),
      onEnd: (session, error) => this.#onEnd(session, error),
    }, signal);
    this.#sessions.add(session);
    this.#use(central.id, 1);
    return session;
  }

  #onEnd(session: ClientSession, error: CulvertError | undefined): void {
    const ending = session.closed().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    if (!this.#sessions.delete(session)) return;
    this.#use(session.central.id, -1);
    if (error) this.#failedCentrals.add(session.central.id);
  }

  #use(centralId: string, change: number): void {
    const uses = (this.#uses.get(centralId) ?? 0) + change;
    if (uses > 0) this.#uses.set(centralId, uses);
    else this.#uses.delete(centralId);
  }

  #centrals(): readonly RelayRecord[] {
    const { relays, centralId } = this.#options;
    const centrals = relays.list("central");
    return centralId === undefined ? centrals : centrals.filter(({ relayId }) => relayId === centralId);
  }

  #drawCentral(): CentralPlace {
    const failed = this.#failedCentrals.list();
    const record = drawCentral(this.#centrals(), (id) => this.#uses.get(id) ?? 0, {
      random: this.#options.tools.random,
      isAvoided: (id) => failed.includes(id),
    });
    const sealingKey = record && decodeBase64(record.sealingKey);
    if (sealingKey?.length === KEY_BYTES) return { id: record!.relayId, sealingKey };
    throw new DialError("path_down", "Cannot open a session: the directory knows no central any more");
  }

  /** Makes sure that relays are known; the first time, where too few are, waits a moment for others that start with us. */
  async #learnRelays(signal: AbortSignal): Promise<void> {
    const { relays, wanted, tools: { clock } } = this.#options;
    const isEnough = () =>
      this.#centrals().length > 0 && relays.list("upstream").length >= wanted.up &&
      relays.list("downstream").length >= wanted.down;
    if (this.#lacking() !== undefined) await relays.refresh(signal);
    for (let waits = this.#isFirst ? FIRST_WAITS : 0; waits > 0 && !isEnough(); waits--) {
      await delay(clock, FIRST_WAIT_MS, signal);
      await relays.refresh(signal);
    }
    this.#isFirst = false;
  }

  /** What of a session's parts no relay is known for. */
  #lacking(): string | undefined {
    const { centralId, relays } = this.#options;
    if (this.#centrals().length === 0) return centralId === undefined ? "a central" : `the central ${centralId}`;
    const kind = Object.values(KINDS).find((kind) => relays.list(kind).length === 0);
    return kind && `a relay of kind ${kind}`;
  }

  #drawRelays(direction: Direction, count: number, { inUse, isFirst }: DrawWish): readonly Relay[] {
    const { relays, tools: { random } } = this.#options;
    const failed = this.#failedRelays[direction].list();
    const here = new Set(inUse[direction].map(({ relayId }) => relayId));
    const elsewhere = new Set(inUse[direction === "up" ? "down" : "up"].map(({ relayId }) => relayId));
    const candidates = relays.list(KINDS[direction]).filter(({ relayId }) =>
      !here.has(relayId) && (isFirst || !failed.includes(relayId))
    );
    const isAvoided = (id: string) => elsewhere.has(id) || failed.includes(id);
    return drawRelays(candidates, count, { random, isAvoided });
  }
}
