/**
 * The server's side of all sessions of sealed packets, as a machine: finds out whose a datagram is, answers hellos, and lets
 * sessions follow their clients from place to place.
 *
 *   receive(…) → the session whose body lies there, opened; undefined when that was all
 *
 *   hello, true → an answer, and keys that wait to be used → the first packet under them → a session, or new keys for one
 *   packet of a session, newer than all before → the session is now where that came from
 *   anything else → nothing at all
 *
 * A datagram that is neither costs one ChaCha20 block and one keyed hash. Bounded: sessions, those of one client, and keys that
 * wait, of which the oldest go. Nothing is kept for a hello that has not proven a client's secret but that it was seen.
 */

import { Blake2s } from "../blake2s.ts";
import type { PacketCarrier, PacketPlace } from "../packet_carrier.ts";
import type { Slab } from "../slab.ts";
import type { KnownClient } from "./clients.ts";
import { derivedKey } from "./hello_frame.ts";
import { type HelloTools, type ResponderOptions, SealedHelloResponder, type Welcome } from "./hello.ts";
import { LEAST_PACKET_BYTES, PACKET_HEAD_BYTES, PacketEpoch, readCounter, readIndex } from "./packet_epoch.ts";
import { PacketMask } from "./packet_mask.ts";
import { SessionKeys } from "./session.ts";
import {
  AnswerKind,
  decodeHelloWords,
  drawIndex,
  encodeAnswerWords,
  HelloKind,
  LEAST_BODY_BYTES,
  SESSION_PURPOSE,
  Word,
} from "./session_words.ts";

export interface SealedServerLimits {
  /** Sessions at once. Default 8,192. */
  readonly maxSessions?: number;
  /** Sessions of one client at once. Default 256. */
  readonly maxClientSessions?: number;
}

export interface SealedServerOptions extends Omit<ResponderOptions, "purpose"> {
  readonly tools: HelloTools;
  readonly limits?: SealedServerLimits;
}

/** What became of a datagram that was no packet of a session, for counting. */
export type HelloOutcome = "welcome" | "unauthorized" | "clock" | "busy" | "ignored";

export interface SealedServerEvents {
  /** To be sent there. */
  answer(bytes: Uint8Array, carrier: PacketCarrier, to: PacketPlace): void;
  /** A client has proven that it is there. What it sent with that follows. */
  onSession(session: ServerSession): void;
  /** The client has closed it, or is to be closed. `close` has been called. */
  onClosed(session: ServerSession): void;
  /** A hello, or what was taken for one, was judged. */
  onHello(outcome: HelloOutcome): void;
}

/** Keys that wait to be used are forgotten after so long. */
const WAIT_MS = 10_000;
const MOST_WAITING = 4096;
const MOST_WAITING_OF_A_CLIENT = 512;

export class ServerSession {
  readonly client: KnownClient;
  /** What its client calls it, whatever its keys are: our index of the first. */
  readonly name: number;
  readonly keys: SessionKeys;
  /** Where the client is. */
  carrier: PacketCarrier;
  place: PacketPlace;
  /** What whoever carries it hangs here. */
  owner: unknown = undefined;
  isClosed = false;

  constructor(client: KnownClient, epoch: PacketEpoch, carrier: PacketCarrier, place: PacketPlace) {
    this.client = client;
    this.name = epoch.localIndex;
    this.keys = new SessionKeys(epoch);
    this.carrier = carrier;
    this.place = place;
  }
}

/** An index of ours. */
interface Entry {
  readonly epoch: PacketEpoch;
  readonly client: KnownClient;
  /** Undefined: keys that wait for a new session's first packet. */
  session: ServerSession | undefined;
  isWaiting: boolean;
  readonly untilMs: number;
}

export class SealedServer implements Disposable {
  readonly #options: SealedServerOptions;
  readonly #events: SealedServerEvents;
  readonly #responder: SealedHelloResponder;
  readonly #mask: PacketMask;
  readonly #entries = new Map<number, Entry>();
  /** The indices whose keys wait, oldest first. */
  readonly #waiting = new Map<number, Entry>();
  readonly #sessions = new Set<ServerSession>();
  readonly #byName = new Map<number, ServerSession>();
  /** Sessions, and keys that wait, of each client. */
  readonly #counts = new Map<KnownClient, { sessions: number; waiting: number }>();
  #isClosed = false;
  /** False: those who would begin a session are told that there is no room. */
  takesSessions = true;

  constructor(options: SealedServerOptions, events: SealedServerEvents) {
    this.#options = options;
    this.#events = events;
    this.#responder = new SealedHelloResponder(options.tools, { ...options, purpose: SESSION_PURPOSE });
    using hasher = new Blake2s();
    this.#mask = new PacketMask(derivedKey(hasher, "packets", options.server.publicKey));
  }

  get sessions(): ReadonlySet<ServerSession> {
    return this.#sessions;
  }

  /** Everything that is kept for hellos and sessions, in entries. */
  get heldCount(): number {
    return this.#entries.size + this.#responder.rememberedCount;
  }

  /** Takes a datagram. Gives the session whose body it holds, from `PACKET_HEAD_BYTES` on, opened. */
  receive(
    carrier: PacketCarrier,
    slab: Slab,
    start: number,
    end: number,
    from: PacketPlace,
  ): ServerSession | undefined {
    if (end - start < LEAST_PACKET_BYTES || this.#isClosed) return undefined;
    const entry = this.#entries.get(readIndex(this.#mask, slab, start, end));
    if (!entry || !entry.epoch.open(slab, start, end, readCounter(this.#mask, slab, start))) {
      if (this.#responder.isHello(slab.bytes, start, end)) this.#answer(carrier, slab.bytes.slice(start, end), from);
      return undefined;
    }
    if (entry.isWaiting) this.#use(entry, carrier, from);
    const session = entry.session;
    if (!session || session.isClosed) return undefined;
    if (entry.epoch === session.keys.current && entry.epoch.isNewest) {
      session.carrier = carrier;
      session.place = from;
    }
    const bodyBytes = end - start - LEAST_PACKET_BYTES;
    if (bodyBytes >= LEAST_BODY_BYTES) return session;
    if (bodyBytes > 0 && slab.bytes[start + PACKET_HEAD_BYTES] === Word.CLOSED) this.close(session);
    return undefined;
  }

  /** Forgets keys whose time is over. To be called every few seconds. */
  tick(nowMs: number): void {
    for (const [index, { untilMs }] of this.#waiting) {
      if (untilMs > nowMs) break;
      this.#forgetWaiting(index);
    }
    for (const { keys } of this.#sessions) {
      const old = keys.retire(nowMs);
      if (old) this.#entries.delete(old.localIndex);
    }
  }

  /** Ends a session; `onClosed` follows. Say so to the client before, if it is to know. */
  close(session: ServerSession): void {
    if (session.isClosed) return;
    session.isClosed = true;
    this.#sessions.delete(session);
    this.#byName.delete(session.name);
    this.#countOf(session.client).sessions--;
    this.#forgetCount(session.client);
    const { current, previous } = session.keys;
    this.#entries.delete(current.localIndex);
    if (previous) this.#entries.delete(previous.localIndex);
    for (const [index, entry] of this.#waiting) if (entry.session === session) this.#forgetWaiting(index);
    session.keys[Symbol.dispose]();
    this.#events.onClosed(session);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const session of [...this.#sessions]) this.close(session);
    for (const index of [...this.#waiting.keys()]) this.#forgetWaiting(index);
    this.#responder[Symbol.dispose]();
  }

  #answer(carrier: PacketCarrier, hello: Uint8Array, from: PacketPlace): void {
    const verdict = this.#responder.receive(hello, from.host);
    if (verdict.kind === "ignored") return this.#events.onHello("ignored");
    if (verdict.kind === "refused") {
      this.#events.onHello(verdict.reason);
      return this.#events.answer(verdict.answer, carrier, from);
    }
    const answer = this.#welcome(verdict);
    this.#events.onHello(answer ? "welcome" : "busy");
    this.#events.answer(answer ?? verdict.refuse(), carrier, from);
  }

  /** The answer; undefined when there is no room for one more. */
  #welcome(welcome: Welcome): Uint8Array | undefined {
    const words = decodeHelloWords(welcome.payload);
    if (!words) return undefined;
    const { client } = welcome;
    const known = words.kind === HelloKind.GO_ON ? this.#byName.get(words.ofServer) : undefined;
    const session = known?.client === client ? known : undefined;
    if (words.kind === HelloKind.GO_ON && !session) {
      return welcome.answer(encodeAnswerWords({ kind: AnswerKind.GONE, index: 0 })).answer;
    }
    const { maxSessions = 8192, maxClientSessions = 256 } = this.#options.limits ?? {};
    const count = this.#countOf(client);
    const isFull = this.#sessions.size >= maxSessions || count.sessions >= maxClientSessions;
    if (!session && (isFull || !this.takesSessions)) {
      this.#forgetCount(client);
      return undefined;
    }
    const localIndex = drawIndex(this.#options.tools.random, (index) => this.#isTaken(index));
    const kind = session ? AnswerKind.GOES_ON : AnswerKind.BEGUN;
    const { answer, keys } = welcome.answer(encodeAnswerWords({ kind, index: localIndex }));
    const { crypto: suite } = this.#options.tools;
    const epoch = new PacketEpoch({ crypto: suite, mask: this.#mask, keys, localIndex, remoteIndex: words.index });
    const untilMs = this.#options.clock.now() + WAIT_MS;
    const entry: Entry = { epoch, client, session, isWaiting: true, untilMs };
    if (count.waiting >= MOST_WAITING_OF_A_CLIENT) this.#forgetWaiting(this.#oldestOf(client));
    else if (this.#waiting.size >= MOST_WAITING) this.#forgetWaiting(this.#waiting.keys().next().value!);
    this.#entries.set(localIndex, entry);
    this.#waiting.set(localIndex, entry);
    this.#countOf(client).waiting++;
    return answer;
  }

  #isTaken(index: number): boolean {
    return this.#entries.has(index) || this.#byName.has(index);
  }

  #oldestOf(client: KnownClient): number {
    for (const [index, entry] of this.#waiting) if (entry.client === client) return index;
    return this.#waiting.keys().next().value!;
  }

  /** The client has used keys that waited. */
  #use(entry: Entry, carrier: PacketCarrier, from: PacketPlace): void {
    this.#waiting.delete(entry.epoch.localIndex);
    entry.isWaiting = false;
    const count = this.#countOf(entry.client);
    count.waiting--;
    if (entry.session) {
      const old = entry.session.keys.install(entry.epoch, this.#options.clock.now());
      if (old) this.#entries.delete(old.localIndex);
      return;
    }
    if (entry.client.isRevoked) return this.#dropEntry(entry);
    const session = entry.session = new ServerSession(entry.client, entry.epoch, carrier, from);
    count.sessions++;
    this.#sessions.add(session);
    this.#byName.set(session.name, session);
    this.#events.onSession(session);
  }

  #dropEntry({ epoch, client }: Entry): void {
    this.#entries.delete(epoch.localIndex);
    epoch[Symbol.dispose]();
    this.#forgetCount(client);
  }

  #forgetWaiting(index: number): void {
    const entry = this.#waiting.get(index);
    if (!entry) return;
    this.#waiting.delete(index);
    this.#countOf(entry.client).waiting--;
    this.#dropEntry(entry);
  }

  #countOf(client: KnownClient): { sessions: number; waiting: number } {
    let count = this.#counts.get(client);
    if (!count) this.#counts.set(client, count = { sessions: 0, waiting: 0 });
    return count;
  }

  #forgetCount(client: KnownClient): void {
    const count = this.#counts.get(client);
    if (count && count.sessions === 0 && count.waiting === 0) this.#counts.delete(client);
  }
}
