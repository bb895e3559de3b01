/**
 * The sealed hello: one message there and one back, after which a client and a server that knew each other's keys share new
 * ones, each having told the other something. Over packets or anything else; pure, so whoever uses it sends the bytes.
 *
 *   const near = new SealedHelloInitiator(tools, { credential, purpose: "kcp", payload, wallMs });   near.hello → server
 *   const far = responder.receive(bytes, address);        "welcome": far.answer(payload) → { answer, keys }
 *                                                         "refused": far.answer, the same for whoever it is
 *                                                         "ignored": say nothing
 *   near.read(bytes)                                      "welcome" with payload and keys, "refused" with a reason
 *
 * It is Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (revision 34, §7.5, §9) under masks (`hello_frame.ts`); the client's key and
 * the preshared key come out of its secret (`credentials.ts`). A hello counts once and only while its time is right
 * (`hello_memory.ts`). It may still have been held up on its way: the client has shown that it is there now only when
 * something sealed under the new keys has come from it.
 *
 * Who is answered: a client whose secret is known, and is told if its clock is wrong; and whoever knows the server's public
 * key, which is part of every credential, but no secret of a client: it is told so. Nobody else. What is refused is sealed
 * under keys of the first message alone.
 */

import type { Clock } from "../clock.ts";
import type { SymmetricState } from "../noise.ts";
import {
  drawKeyPair,
  type NoiseKeyPair,
  readFirst,
  readFirstPayload,
  readSecond,
  writeFirst,
  writeSecond,
} from "../noise_ik.ts";
import { startIkPsk2 } from "../noise_ikpsk2.ts";
import { type Bytes, KEY_BYTES } from "../primitives.ts";
import { type Random, randomInt } from "../random.ts";
import { SEALED_HELLO_DOMAIN, signedBytes } from "../signing.ts";
import { type Lock, NONCE_BYTES, type WireGuardCrypto } from "../wireguard/crypto.ts";
import type { ClientTable, KnownClient } from "./clients.ts";
import { type ClientCredential, type ClientKeys, clientKeys } from "./credentials.ts";
import { HelloBudget } from "./hello_budget.ts";
import {
  answerTextBytes,
  decodeText,
  encodeText,
  HELLO_VERSION,
  HelloFrames,
  helloMac,
  type HelloParts,
  HelloStatus,
  type HelloText,
  helloTextBytes,
  LEAST_HELLO_BYTES,
  MOST_HELLO_BYTES,
  MOST_HELLO_PAYLOAD_BYTES,
  payloadRoomBytes,
} from "./hello_frame.ts";
import { HelloMemory, HelloSender, MOST_OF_STRANGERS } from "./hello_memory.ts";

export interface HelloTools {
  readonly crypto: WireGuardCrypto;
  /** Must be unpredictable. */
  readonly random: Random;
}

/** The keys of one side. */
export interface HelloKeys {
  readonly send: Bytes;
  readonly receive: Bytes;
}

export type Refusal = "unauthorized" | "clock" | "busy";

export type HelloAnswer =
  | { readonly kind: "welcome"; readonly payload: Bytes; readonly keys: HelloKeys; readonly serverWallMs: number }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly serverWallMs: number };

export interface InitiatorOptions {
  readonly credential: ClientCredential;
  /** What the hello is for; the responder's must be the same. */
  readonly purpose: string;
  /** At most `MOST_HELLO_PAYLOAD_BYTES`. */
  readonly payload: Bytes;
  /** Room for the payload of the answer: the hello is made as long as it takes. */
  readonly answerPayloadBytes?: number;
  readonly wallMs: number;
}

/** Hellos differ in length by up to so much, so that it tells nothing. */
const MOST_PADDING_BYTES = 200;
const REFUSALS: Readonly<Record<number, Refusal>> = {
  [HelloStatus.UNAUTHORIZED]: "unauthorized",
  [HelloStatus.CLOCK]: "clock",
  [HelloStatus.BUSY]: "busy",
};

/** The client's side of one hello. Disposing wipes it. */
export class SealedHelloInitiator implements Disposable {
  readonly #tools: HelloTools;
  readonly #keys: ClientKeys;
  readonly #ephemeral: NoiseKeyPair & Disposable;
  readonly #state: SymmetricState;
  readonly #frames: HelloFrames;
  /** What to send. Sent twice it counts once. */
  readonly hello: Bytes;

  /** Throws a RangeError when what is to be said does not fit, or the server's key is none that anyone can have. */
  constructor(tools: HelloTools, options: InitiatorOptions) {
    const { credential: { serverPublicKey, secret }, payload } = options;
    const least = helloTextBytes(payload.length, options.answerPayloadBytes ?? 0);
    const spare = MOST_HELLO_BYTES - LEAST_HELLO_BYTES - payloadRoomBytes(least);
    if (spare < 0) {
      throw new RangeError(`Cannot say hello: it and its answer must fit ${MOST_HELLO_PAYLOAD_BYTES} bytes`);
    }
    this.#tools = tools;
    this.#keys = clientKeys(tools.crypto, secret);
    this.#ephemeral = drawKeyPair(tools.crypto, tools.random);
    this.#frames = new HelloFrames(serverPublicKey);
    this.#state = startIkPsk2(tools.crypto, prologueOf(options.purpose), serverPublicKey);
    const shared = tools.crypto.x25519(this.#keys.pair.privateKey, serverPublicKey);
    const text = { head: HELLO_VERSION, timeMs: options.wallMs, payload };
    const padding = randomInt(tools.random, Math.min(spare, MOST_PADDING_BYTES) + 1);
    const written = shared && writeFirst(tools.crypto, this.#state, {
      local: this.#keys.pair,
      ephemeral: this.#ephemeral,
      remote: { publicKey: serverPublicKey, shared },
      payload: encodeText(text, least + padding),
    });
    if (!written) throw new RangeError("Cannot say hello: the server's public key must be a key");
    const { ephemeral, sealedStatic, sealedPayload: sealedText } = written;
    this.hello = this.#frames.writeHello({ ephemeral, sealedStatic, sealedText });
  }

  /** What the bytes in [start, end) answer; undefined when they are no answer to this hello. */
  read(bytes: Uint8Array, start = 0, end: number = bytes.length): HelloAnswer | undefined {
    if (!this.#frames.isAnswer(this.hello, bytes, start, end)) return undefined;
    const { ephemeral, sealedText } = this.#frames.readAnswer(this.hello, bytes.slice(start, end) as Bytes);
    const refused = this.#tools.crypto.open(refusalLock(this.#state), sealedText);
    if (refused) return refusalOf(decodeText(refused));
    using state = this.#state.clone();
    const read = readSecond(this.#tools.crypto, state, {
      local: this.#keys.pair,
      ephemeralPrivate: this.#ephemeral.privateKey,
      presharedKey: this.#keys.presharedKey,
      message: { ephemeral, sealedPayload: sealedText },
    });
    const text = read && decodeText(read.payload);
    if (!text || text.head !== HelloStatus.WELCOME) return undefined;
    const keys = { send: read.keys.first, receive: read.keys.second };
    return { kind: "welcome", payload: text.payload, keys, serverWallMs: text.timeMs };
  }

  [Symbol.dispose](): void {
    this.#keys[Symbol.dispose]();
    this.#ephemeral[Symbol.dispose]();
    this.#state[Symbol.dispose]();
    this.#frames[Symbol.dispose]();
  }
}

/** A client has said hello. Answer it, or do not; once. */
export interface Welcome {
  readonly kind: "welcome";
  readonly client: KnownClient;
  readonly payload: Bytes;
  /** How long the payload of the answer may be. */
  readonly answerPayloadBytes: number;
  /** Throws a RangeError for a payload that is too long. */
  answer(payload: Bytes): { readonly answer: Bytes; readonly keys: HelloKeys };
  /** Says that there is no room for it. */
  refuse(): Bytes;
}

export type HelloVerdict =
  | Welcome
  /** To be answered with that, whoever sent it. `client`: whose it was, when it proved a secret. */
  | { readonly kind: "refused"; readonly reason: Refusal; readonly answer: Bytes; readonly client?: KnownClient }
  /** foreign: not for us, or random; false: changed on its way; seen and old: it may be a copy; many: too many. */
  | { readonly kind: "ignored"; readonly reason: "foreign" | "false" | "seen" | "old" | "many" };

export interface ResponderOptions {
  readonly server: NoiseKeyPair;
  readonly clients: ClientTable;
  readonly purpose: string;
  readonly clock: Pick<Clock, "now" | "wallNow">;
  /** Whether whoever knows the server's public key but no secret of a client is told so. Default true. */
  readonly tellStrangers?: boolean;
}

/** The server's side of all hellos. */
export class SealedHelloResponder implements Disposable {
  readonly #tools: HelloTools;
  readonly #options: ResponderOptions;
  readonly #frames: HelloFrames;
  readonly #start: SymmetricState;
  readonly #memory: HelloMemory;
  readonly #senders = new WeakMap<KnownClient, HelloSender>();
  readonly #strangers = new HelloSender(MOST_OF_STRANGERS);
  readonly #budget: HelloBudget;
  /** What the time told is ahead of the clock that only goes forward. */
  #aheadMs = -Infinity;

  constructor(tools: HelloTools, options: ResponderOptions) {
    this.#tools = tools;
    this.#options = options;
    this.#frames = new HelloFrames(options.server.publicKey);
    this.#start = startIkPsk2(tools.crypto, prologueOf(options.purpose), options.server.publicKey);
    this.#memory = new HelloMemory(this.#nowMs());
    this.#budget = new HelloBudget(options.clock, tools.random);
  }

  /** Hellos that are remembered. */
  get rememberedCount(): number {
    return this.#memory.size;
  }

  /** Whether the bytes in [start, end) can be a hello to us: one keyed hash, no garbage. */
  isHello(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#frames.isHello(bytes, start, end);
  }

  /** Judges the bytes in [start, end), which came from that address. */
  receive(bytes: Uint8Array, from: string, start = 0, end: number = bytes.length): HelloVerdict {
    if (!this.isHello(bytes, start, end)) return ignored("foreign");
    const hello = bytes.slice(start, end) as Bytes;
    const id = String.fromCharCode(...helloMac(hello));
    if (this.#memory.wasSeen(id)) return ignored("seen");
    if (!this.#budget.take(from)) return ignored("many");
    return this.#read(hello, id, from) ?? (this.#memory.spoil(id), ignored("false"));
  }

  [Symbol.dispose](): void {
    this.#start[Symbol.dispose]();
    this.#frames[Symbol.dispose]();
  }

  #read(hello: Bytes, id: string, from: string): HelloVerdict | undefined {
    const { crypto: suite } = this.#tools;
    const { server, clients, tellStrangers = true } = this.#options;
    const state = this.#start.clone();
    const parts = this.#frames.readHello(hello);
    const publicKey = readFirst(suite, state, { local: server, message: parts });
    if (!publicKey) return undefined;
    const client = clients.find(publicKey);
    const shared = client?.shared ?? suite.x25519(server.privateKey, publicKey);
    const plain = shared && readFirstPayload(state, shared, parts.sealedText);
    const text = plain && decodeText(plain);
    if (text?.head !== HELLO_VERSION) return undefined;
    const nowMs = this.#nowMs();
    const sender = client ? this.#senderOf(client) : this.#strangers;
    const timing = this.#memory.take(id, sender, { timeMs: text.timeMs, nowMs });
    if (timing === "old" || timing === "many") {
      // Whoever has copied it may send it as often as they like: it is to cost no more than a look from now on.
      this.#memory.spoil(id);
      return ignored(timing);
    }
    if (client && timing === "right") this.#budget.give(from);
    const heard: Heard = { hello, parts, state };
    if (!client) return tellStrangers ? this.#refused(heard, "unauthorized") : ignored("foreign");
    if (timing === "wrong") return { ...this.#refused(heard, "clock"), client };
    return this.#welcome(heard, { client, publicKey, payload: text.payload });
  }

  #welcome(
    heard: Heard,
    { client, publicKey, payload }: { client: KnownClient; publicKey: Bytes; payload: Bytes },
  ): Welcome {
    const { crypto: suite, random } = this.#tools;
    const most = answerTextBytes(heard.hello.length);
    const answer = (payload: Bytes) => {
      if (payload.length > payloadRoomBytes(most)) {
        throw new RangeError(`Cannot answer a hello: it must be at most ${payloadRoomBytes(most)} bytes`);
      }
      using ephemeral = drawKeyPair(suite, random);
      const text = { head: HelloStatus.WELCOME, timeMs: this.#nowMs(), payload };
      const written = writeSecond(suite, heard.state, {
        ephemeral,
        remoteEphemeral: heard.parts.ephemeral,
        remoteStatic: publicKey,
        presharedKey: client.presharedKey,
        payload: encodeText(text, this.#paddedTo(payload.length, most)),
      });
      if (!written) throw new RangeError("Cannot answer a hello: its keys are of small order");
      const { message: { ephemeral: shown, sealedPayload: sealedText }, keys } = written;
      return {
        answer: this.#frames.writeAnswer(heard.hello, { ephemeral: shown, sealedText }),
        keys: { send: keys.second, receive: keys.first },
      };
    };
    return {
      kind: "welcome",
      client,
      payload,
      answerPayloadBytes: payloadRoomBytes(most),
      answer,
      refuse: () => this.#refused(heard, "busy").answer,
    };
  }

  #refused({ hello, state }: Heard, reason: Refusal): { kind: "refused"; reason: Refusal; answer: Bytes } {
    const { crypto: suite, random } = this.#tools;
    const status = Object.entries(REFUSALS).find(([, name]) => name === reason)![0];
    const text = { head: Number(status), timeMs: this.#nowMs(), payload: new Uint8Array(0) };
    const plain = encodeText(text, this.#paddedTo(0, answerTextBytes(hello.length)));
    const sealedText = suite.seal(refusalLock(state), plain);
    // There is no agreement here; what stands where its key would is as random as a masked one.
    const ephemeral = random.fill(new Uint8Array(KEY_BYTES));
    return { kind: "refused", reason, answer: this.#frames.writeAnswer(hello, { ephemeral, sealedText }) };
  }

  #paddedTo(payloadBytes: number, mostTextBytes: number): number {
    const least = helloTextBytes(payloadBytes, 0);
    return least + randomInt(this.#tools.random, Math.min(MOST_PADDING_BYTES, mostTextBytes - least) + 1);
  }

  #senderOf(client: KnownClient): HelloSender {
    let sender = this.#senders.get(client);
    if (!sender) this.#senders.set(client, sender = new HelloSender());
    return sender;
  }

  /**
   * The host's time, except that it never goes back: what was forgotten must not become new. Nor does it stand still when
   * the host's is set back: what is remembered must be forgotten.
   */
  #nowMs(): number {
    const { clock } = this.#options;
    this.#aheadMs = Math.max(this.#aheadMs, clock.wallNow() - clock.now());
    return Math.round(clock.now() + this.#aheadMs);
  }
}

interface Heard {
  readonly hello: Bytes;
  readonly parts: HelloParts;
  readonly state: SymmetricState;
}

function ignored(reason: "foreign" | "false" | "seen" | "old" | "many"): HelloVerdict {
  return { kind: "ignored", reason };
}

function refusalOf(text: HelloText | undefined): HelloAnswer | undefined {
  const reason = text && REFUSALS[text.head];
  return reason && { kind: "refused", reason, serverWallMs: text.timeMs };
}

/** What a refusal is sealed under: keys of the first message, and everything said in it. */
function refusalLock(state: SymmetricState): Lock {
  return { key: state.split().second, nonce: new Uint8Array(NONCE_BYTES), associated: state.handshakeHash };
}

function prologueOf(purpose: string): Bytes {
  return signedBytes(SEALED_HELLO_DOMAIN, [purpose]);
}
