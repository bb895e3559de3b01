/**
 * The client's side of one session of sealed packets, as a machine: says hello until it is answered, keeps the session's keys
 * fresh, and notices when nothing comes back.
 *
 *   tick(nowMs) at nextTickMs        receive(…) for what comes        sent(nowMs) when a packet has left
 *   → hello(bytes) to be sent, hop(isSilent), onUp(), onOver(reason)
 *
 *   greeting   a hello at once and every half second, each to another port; no answer in 4 s: over
 *   up         new keys every hour; another port every so often; 2 s of silence after something was sent: another port, another
 *              source, and a hello in which the session is to go on; again every second until it does
 *   over       refused, closed by the server, or forgotten by it
 *
 * Every hello is a new one, since a server answers each once; an answer to any of the last few will do. A server that says
 * the clock is wrong says how wrong, and the next hello is right.
 */

import { Blake2s } from "../blake2s.ts";
import { CulvertError, DialError } from "../errors.ts";
import type { Bytes } from "../primitives.ts";
import { randomInt } from "../random.ts";
import type { Slab } from "../slab.ts";
import type { ClientCredential } from "./credentials.ts";
import { derivedKey } from "./hello_frame.ts";
import { type HelloAnswer, type HelloTools, SealedHelloInitiator } from "./hello.ts";
import { LEAST_PACKET_BYTES, PACKET_HEAD_BYTES, PacketEpoch, readCounter, readIndex } from "./packet_epoch.ts";
import { PacketMask } from "./packet_mask.ts";
import { SessionKeys } from "./session.ts";
import {
  AnswerKind,
  decodeAnswerWords,
  drawIndex,
  encodeHelloWords,
  HelloKind,
  LEAST_BODY_BYTES,
  SESSION_PURPOSE,
  Word,
} from "./session_words.ts";

export interface SealedClientEvents {
  /** To be sent to the server, at the port that is its turn. */
  hello(bytes: Uint8Array): void;
  /** The server's next port is to be used. `isSilent`: from another port here as well, nothing comes back. */
  hop(isSilent: boolean): void;
  /** There is a session. Send `Word.HERE`. */
  onUp(): void;
  /** Its keys are new. Send `Word.HERE`. */
  onRenewed(): void;
  /** It has ended, or never began. Called once. */
  onOver(reason: Error): void;
  /** The server says that our clock is so much behind its own. */
  onClockWrong(behindMs: number): void;
}

export interface SealedClientOptions {
  readonly tools: HelloTools;
  readonly credential: ClientCredential;
  /** What the server has been found to be ahead of our clock. */
  readonly clockBehindMs: number;
  /** Another port after about so long; 0 for never. Default 30 s. */
  readonly hopMs?: number;
  /** New keys after so long. Default an hour. */
  readonly renewMs?: number;
}

const HELLO_EVERY_MS = 500;
const RENEW_HELLO_EVERY_MS = 1_000;
const CLOCK_HELLO_MS = 50;
const GIVE_UP_MS = 4_000;
/** Something was sent, and for so long nothing has come; on long ways longer. */
const SILENCE_MS = 2_000;
const SILENT_ROUND_TRIPS = 3;
/** Hellos of which an answer may still come. */
const MOST_HELLOS = GIVE_UP_MS / HELLO_EVERY_MS;

interface SaidHello extends Disposable {
  readonly initiator: SealedHelloInitiator;
  readonly index: number;
  readonly saidMs: number;
}

export class SealedClient implements Disposable {
  readonly #options: SealedClientOptions;
  readonly #events: SealedClientEvents;
  readonly #mask: PacketMask;
  readonly #beganMs: number;
  readonly #renewMs: number;
  readonly #hopMs: number;
  #hellos: SaidHello[] = [];
  #keys: SessionKeys | undefined;
  /** The server's index of the first keys: what it calls the session. */
  #serverIndex = 0;
  #behindMs: number;
  #helloAtMs: number;
  #hopAtMs = Infinity;
  #renewAtMs = Infinity;
  /** Since when something that was sent has had no answer. */
  #unansweredMs = Infinity;
  #silenceMs = SILENCE_MS;
  /** Our clock against the one that ticks, as of the last hello. */
  #wallOffsetMs = 0;
  /** Hellos since the last answer. */
  #tries = 0;
  #isOver = false;

  constructor(options: SealedClientOptions, events: SealedClientEvents, nowMs: number) {
    this.#options = options;
    this.#events = events;
    this.#beganMs = this.#helloAtMs = nowMs;
    this.#behindMs = options.clockBehindMs;
    this.#renewMs = options.renewMs ?? 3_600_000;
    this.#hopMs = options.hopMs ?? 30_000;
    using hasher = new Blake2s();
    this.#mask = new PacketMask(derivedKey(hasher, "packets", options.credential.serverPublicKey));
  }

  /** Seals what is sent; there once it is up. */
  get keys(): SessionKeys | undefined {
    return this.#keys;
  }

  /** What the server's clock is ahead of ours, as far as it has told. */
  get clockBehindMs(): number {
    return this.#behindMs;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** When `tick` is to be called. */
  get nextTickMs(): number {
    if (this.#isOver) return Infinity;
    if (!this.#keys) return Math.min(this.#helloAtMs, this.#beganMs + GIVE_UP_MS);
    return Math.min(this.#helloAtMs, this.#hopAtMs, this.#renewAtMs, this.#unansweredMs + this.#silenceMs);
  }

  /** Does what is due. `wallMs` is our clock's. */
  tick(nowMs: number, wallMs: number): void {
    if (this.#isOver) return;
    if (!this.#keys && nowMs >= this.#beganMs + GIVE_UP_MS) return this.#end(noAnswer());
    this.#keys?.retire(nowMs);
    if (nowMs >= this.#hopAtMs) this.#hop(nowMs, false);
    if (nowMs >= this.#unansweredMs + this.#silenceMs) {
      // Silence begins anew, so that the next step is taken only when this one has not helped either.
      this.#unansweredMs = nowMs;
      this.#hop(nowMs, true);
      this.#helloAtMs = nowMs;
    }
    if (nowMs >= this.#renewAtMs || this.#keys?.current.isDue && this.#helloAtMs === Infinity) {
      this.#renewAtMs = Infinity;
      this.#helloAtMs = Math.min(this.#helloAtMs, nowMs);
    }
    if (nowMs >= this.#helloAtMs) this.#sayHello(nowMs, wallMs);
  }

  /** Something was sent, and nothing has come since. */
  get isAwaiting(): boolean {
    return this.#unansweredMs !== Infinity;
  }

  /** A packet has left that may be answered. */
  sent(nowMs: number): void {
    if (this.#unansweredMs === Infinity) this.#unansweredMs = nowMs;
  }

  /** Takes a datagram of the server's carrier. True: it holds a body of the session, from `headBytes` on, opened. */
  receive(slab: Slab, start: number, end: number, nowMs: number): boolean {
    if (this.#isOver || end - start < LEAST_PACKET_BYTES) return false;
    const epoch = this.#keys && this.#epochOf(readIndex(this.#mask, slab, start, end));
    if (!epoch) return this.#hellos.length > 0 && this.#readAnswer(slab, start, end, nowMs);
    if (!epoch.open(slab, start, end, readCounter(this.#mask, slab, start))) return false;
    this.#unansweredMs = Infinity;
    const bodyBytes = end - start - LEAST_PACKET_BYTES;
    if (bodyBytes >= LEAST_BODY_BYTES) return true;
    this.#takeWord(bodyBytes > 0 ? slab.bytes[start + PACKET_HEAD_BYTES]! : 0);
    return false;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#forgetHellos();
    this.#keys?.[Symbol.dispose]();
  }

  #epochOf(index: number): PacketEpoch | undefined {
    const { current, previous } = this.#keys!;
    if (current.localIndex === index) return current;
    return previous?.localIndex === index ? previous : undefined;
  }

  #takeWord(word: number): void {
    if (word === Word.CLOSED) this.#end(new CulvertError("link_lost", "The server has closed the session"));
    if (word === Word.REVOKED) this.#end(new DialError("unauthorized", "The server has revoked the secret"));
  }

  #sayHello(nowMs: number, wallMs: number): void {
    const { tools } = this.#options;
    const index = drawIndex(tools.random, (index) => this.#isTaken(index));
    const kind = this.#keys ? HelloKind.GO_ON : HelloKind.BEGIN;
    if (this.#hellos.length > 0 && !this.#keys) this.#events.hop(true);
    const initiator = this.#initiator(encodeHelloWords({ kind, index, ofServer: this.#serverIndex }), wallMs);
    if (!initiator) {
      return this.#end(new DialError("unauthorized", "The server's public key is none that a server can have"));
    }
    this.#hellos.push({ initiator, index, saidMs: nowMs, [Symbol.dispose]: () => initiator[Symbol.dispose]() });
    if (this.#hellos.length > MOST_HELLOS) this.#hellos.shift()![Symbol.dispose]();
    this.#helloAtMs = nowMs + (this.#keys ? RENEW_HELLO_EVERY_MS : HELLO_EVERY_MS);
    this.#wallOffsetMs = wallMs - nowMs;
    this.#events.hello(initiator.hello);
  }

  #initiator(payload: Bytes, wallMs: number): SealedHelloInitiator | undefined {
    const { tools, credential } = this.#options;
    // What the server's clock was ahead may be long ago, and then it would be silent for ever: every other goes by ours.
    const aheadMs = this.#tries++ % 2 === 0 ? this.#behindMs : 0;
    const options = { credential, purpose: SESSION_PURPOSE, payload, wallMs: wallMs + aheadMs };
    try {
      return new SealedHelloInitiator(tools, options);
    } catch (error) {
      // A public key of small order; what is said always fits.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  #isTaken(index: number): boolean {
    return this.#hellos.some((said) => said.index === index) ||
      (this.#keys !== undefined && this.#epochOf(index) !== undefined);
  }

  /** False, so that nobody takes an answer for a packet. */
  #readAnswer(slab: Slab, start: number, end: number, nowMs: number): false {
    for (const said of this.#hellos) {
      const answer = said.initiator.read(slab.bytes, start, end);
      if (!answer) continue;
      this.#setClock(answer, nowMs);
      if (answer.kind === "welcome") this.#takeWelcome(said, answer, nowMs);
      else this.#takeRefusal(answer.reason, nowMs);
      return false;
    }
    return false;
  }

  #takeWelcome({ index, saidMs }: SaidHello, answer: HelloAnswer & { kind: "welcome" }, nowMs: number): void {
    const words = decodeAnswerWords(answer.payload);
    if (!words) return this.#end(new DialError("path_down", "The server speaks another version"));
    if (words.kind === AnswerKind.GONE) {
      return this.#end(
        new CulvertError("link_lost", "The server does not know the session any more: it has begun anew"),
      );
    }
    const { tools: { crypto: suite } } = this.#options;
    const parts = { crypto: suite, mask: this.#mask, keys: answer.keys, localIndex: index, remoteIndex: words.index };
    const epoch = new PacketEpoch(parts);
    this.#forgetHellos();
    this.#helloAtMs = Infinity;
    this.#renewAtMs = nowMs + this.#renewMs;
    this.#unansweredMs = Infinity;
    this.#silenceMs = Math.max(SILENCE_MS, SILENT_ROUND_TRIPS * (nowMs - saidMs));
    if (this.#keys) {
      this.#keys.install(epoch, nowMs);
      return this.#events.onRenewed();
    }
    this.#keys = new SessionKeys(epoch);
    this.#serverIndex = words.index;
    this.#planHop(nowMs);
    this.#events.onUp();
  }

  #takeRefusal(reason: "unauthorized" | "clock" | "busy", nowMs: number): void {
    if (reason === "clock") {
      // The next one tells the server's time; soon, but not as soon as a server might say so without end.
      this.#forgetHellos();
      this.#helloAtMs = nowMs + CLOCK_HELLO_MS;
    } else if (reason === "busy") {
      this.#end(new DialError("busy", "The server takes no more sessions now"));
    } else {
      this.#end(new DialError("unauthorized", "The server does not know the secret: it is wrong, or was revoked"));
    }
  }

  #setClock(answer: HelloAnswer, nowMs: number): void {
    this.#tries = 0;
    this.#behindMs = answer.serverWallMs - (this.#wallOffsetMs + nowMs);
    if (answer.kind === "refused" && answer.reason === "clock") this.#events.onClockWrong(this.#behindMs);
  }

  #hop(nowMs: number, isSilent: boolean): void {
    this.#planHop(nowMs);
    this.#events.hop(isSilent);
  }

  #planHop(nowMs: number): void {
    if (this.#hopMs > 0) this.#hopAtMs = nowMs + this.#hopMs / 2 + randomInt(this.#options.tools.random, this.#hopMs);
  }

  #forgetHellos(): void {
    for (const said of this.#hellos) said[Symbol.dispose]();
    this.#hellos = [];
  }

  #end(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#forgetHellos();
    this.#events.onOver(reason);
  }
}

function noAnswer(): DialError {
  return new DialError(
    "path_down",
    "The server does not answer: its public key or its address is wrong, it does not run, the way to it is blocked, or " +
      "this machine's clock is wrong by very much",
  );
}
