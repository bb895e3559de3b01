/**
 * A hop between a relay and central: whole messages over a WebSocket, sealed from end to end of the hop.
 *
 *   upstream → central, central → downstream        `dial`: first message → the answer → an empty message → what there is
 *                                                    `accept`: the other side of it
 *
 * An acceptor asks whose key has spoken, and closes with 4403 when it is nobody's. A message that is false ends the hop.
 * Both ends say that they are there when they have said nothing for a while, and a hop that is silent has ended: TCP by
 * itself would notice only when it has something to send.
 *
 * Not here: what the messages mean (`protocol/fragment/messages.ts`), and how the seal works (`hop_seal.ts`).
 */

import { orAborted } from "../../protocol/abort.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { hopPrologue, HopSeal, MAX_HOP_MESSAGE_BYTES } from "../../protocol/fragment/hop_seal.ts";
import type { MessageChannel } from "../../protocol/message_channel.ts";
import type { NoiseKeyPair } from "../../protocol/noise_ik.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { answerFirst, FIRST_BYTES, SealInitiator, type SealKeys } from "../../protocol/sealed_handshake.ts";
import type { Slab } from "../../protocol/slab.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { MessageSocket } from "../message_socket.ts";
import { dialWebsocket, type Locate, type WebsocketAddress } from "../websocket_dial.ts";

/** What all hops of a process share. */
export interface HopTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: WireGuardCrypto;
  /** Memory to seal and open in (`hopSlab`). */
  readonly slab: Slab;
  readonly pool: BufferPool;
  /** Our sealing key. */
  readonly local: NoiseKeyPair;
  /** Where the hosts of acceptors are. Default: where the system finds them. */
  readonly locate?: Locate | undefined;
}

export interface HopHandlers {
  /** The first message has come, which only who is there now can send. */
  onOpen?(): void;
  /** A view, valid only during the call; what is sent meanwhile overwrites it. */
  onMessage(message: Uint8Array): void;
  /** Called once, last of all. */
  onClose(error?: unknown): void;
}

export interface DialHop {
  readonly address: WebsocketAddress;
  /** Whom we mean. */
  readonly acceptorId: string;
  readonly sealingKey: Bytes;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Who hears of what comes. Asked at once when the hop is open. */
  welcome(link: HopLink): HopHandlers;
}

export interface AcceptHop<T> {
  /** Our own id. */
  readonly acceptorId: string;
  /** Whose key it is, as far as is known now. */
  identify(sealingKey: Bytes): T | undefined;
  /** Makes sure that what is known is new: asked when a key is unknown. */
  refresh(signal: AbortSignal): Promise<void>;
  /** Who hears of what comes. Asked at once when the hop is open. */
  welcome(link: HopLink, peer: T): HopHandlers;
}

/**
 * What a hop is accepted on: the socket after its handshake, and the bytes that came beyond it; or messages, of up to
 * `MAX_HOP_MESSAGE_BYTES`, none of which may be dropped.
 */
export type HopCarrier = { readonly stream: Stream; readonly first: Uint8Array } | MessageChannel;

/** Why an acceptor turns a relay away: it is not in the directory. */
export const CLOSE_UNKNOWN_RELAY = 4403;
const CLOSE_PROTOCOL = 1002;

/** Beyond this the socket counts as full, and what is sent all the same may be dropped beyond the other. */
const FULL_BYTES = 128 * 1024;
const MAX_QUEUED_BYTES = 768 * 1024;
const SAY_EVERY_MS = 15_000;
const SILENT_MS = 60_000;

export class HopLink implements Disposable {
  readonly #socket: MessageChannel;
  readonly #clock: Clock;
  readonly #slab: Slab;
  #seal: HopSeal | undefined;
  #handlers: HopHandlers | undefined;
  /** Waits for the next message of the handshake. */
  #next: PromiseWithResolvers<Bytes> | undefined;
  #timer: Timer | undefined;
  #heardAtMs: number;
  #saidAtMs: number;
  #isClosed = false;
  #error: unknown;

  private constructor(socket: MessageChannel, { clock, slab }: HopTools) {
    this.#socket = socket;
    this.#clock = clock;
    this.#slab = slab;
    this.#heardAtMs = this.#saidAtMs = clock.now();
    this.#expect();
    socket.start({
      onMessage: (message) => this.#take(message),
      onClose: (error, code) => this.#end(error ?? this.#error, code),
    });
  }

  /** Connects to an acceptor. Rejects with a DialError; leaves nothing behind then. */
  static async dial(hop: DialHop, tools: HopTools, signal: AbortSignal): Promise<HopLink> {
    const { crypto, random, local, locate } = tools;
    const prologue = hopPrologue(hop.acceptorId);
    using initiator = new SealInitiator({ crypto, random }, { local, remote: hop.sealingKey, prologue });
    if (!initiator.first) throw new DialError("failed", "Cannot open a hop: the relay's key is none");
    const { stream, first } = await dialWebsocket(hop.address, { random, caCerts: hop.caCerts, locate, signal });
    const link = HopLink.#over(stream, first, tools, random);
    try {
      link.#socket.send(initiator.first);
      const keys = initiator.finish(await link.#message(signal));
      if (!keys) throw new DialError("unauthorized", "Cannot open a hop: the answer is not the relay's");
      link.#begin(keys, crypto);
      link.#handlers = hop.welcome(link);
      link.#say();
      return link;
    } catch (error) {
      link[Symbol.dispose]();
      throw error;
    }
  }

  /** Answers whoever has connected; undefined, and it was turned away, when it is nobody. */
  static async accept<T>(
    carrier: HopCarrier,
    options: AcceptHop<T>,
    tools: HopTools,
    signal: AbortSignal,
  ): Promise<HopLink | undefined> {
    const link = "stream" in carrier
      ? HopLink.#over(carrier.stream, carrier.first, tools, undefined)
      : new HopLink(carrier, tools);
    try {
      const message = await link.#message(signal);
      const answer = await answerKnown(message, options, tools, signal);
      if (!answer) {
        link.close(CLOSE_UNKNOWN_RELAY, "unknown relay");
        return undefined;
      }
      if (link.#isClosed) return undefined;
      link.#begin(answer.keys, tools.crypto);
      link.#handlers = options.welcome(link, answer.peer);
      link.#socket.send(answer.second);
      return link;
    } catch (error) {
      link[Symbol.dispose]();
      throw error;
    }
  }

  static #over(stream: Stream, first: Uint8Array, tools: HopTools, random: Random | undefined): HopLink {
    const { clock, pool } = tools;
    const socket = new MessageSocket(stream, {
      clock,
      pool,
      first,
      random,
      maxMessageBytes: MAX_HOP_MESSAGE_BYTES,
      fullBytes: FULL_BYTES,
      // What is sealed must go, or the next message would not open: what may be dropped is dropped before.
      maxQueuedBytes: Infinity,
    });
    return new HopLink(socket, tools);
  }

  /** False while enough is queued; `onWritable` follows. */
  get isWritable(): boolean {
    return !this.#isClosed && this.#socket.isWritable;
  }

  set onWritable(tell: () => void) {
    this.#socket.onWritable = tell;
  }

  /** Sends the parts as one message; false when it was dropped, for want of room or because the hop has ended. */
  send(...parts: readonly Uint8Array[]): boolean {
    if (this.#isClosed || !this.#seal || this.#socket.queuedBytes > MAX_QUEUED_BYTES) return false;
    this.#saidAtMs = this.#clock.now();
    return this.#socket.send(this.#seal.seal(...parts));
  }

  /** Says goodbye behind what was sent. Disposing closes at once. */
  close(code = 1000, reason = ""): void {
    this.#socket.close(code, reason);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #begin(keys: SealKeys, crypto: WireGuardCrypto): void {
    this.#next = undefined;
    this.#seal = new HopSeal(crypto, keys, this.#slab);
    keys.send.fill(0);
    keys.receive.fill(0);
    this.#timer = this.#clock.after(SAY_EVERY_MS, () => this.#lookAround());
  }

  #expect(): void {
    this.#next = Promise.withResolvers();
    this.#next.promise.catch(() => {}); // nobody may be waiting when the socket ends
  }

  async #message(signal: AbortSignal): Promise<Bytes> {
    return await orAborted(this.#next!.promise, signal);
  }

  #take(message: Uint8Array): void {
    this.#heardAtMs = this.#clock.now();
    if (!this.#seal) return this.#takeFirst(message);
    const opened = this.#seal.open(message);
    if (!opened) return this.#breakOff("A message of the hop was not authentic");
    if (this.#seal.receivedCount === 1) this.#handlers?.onOpen?.();
    if (opened.length > 0) this.#handlers?.onMessage(opened);
  }

  #takeFirst(message: Uint8Array): void {
    const waiting = this.#next;
    this.#next = undefined;
    if (!waiting) return this.#breakOff("A message came before the handshake was done");
    waiting.resolve(new Uint8Array(message));
  }

  #breakOff(why: string): void {
    this.#error ??= new CulvertError("protocol", why);
    this.close(CLOSE_PROTOCOL, why);
  }

  #say(): void {
    this.send();
  }

  #lookAround(): void {
    const nowMs = this.#clock.now();
    if (nowMs - this.#heardAtMs > SILENT_MS) {
      this.#error ??= new CulvertError("timeout", "The hop has gone silent");
      return this[Symbol.dispose]();
    }
    if (nowMs - this.#saidAtMs >= SAY_EVERY_MS - 1) this.#say();
    this.#timer = this.#clock.after(SAY_EVERY_MS, () => this.#lookAround());
  }

  #end(error: unknown, code: number | undefined): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#seal?.[Symbol.dispose]();
    this.#error = error ?? closedBy(code);
    this.#next?.reject(this.#error ?? new DialError("failed", "The hop was closed during its handshake"));
    this.#handlers?.onClose(this.#error);
  }
}

function closedBy(code: number | undefined): DialError | undefined {
  if (code === undefined || code === 1000 || code === 1001 || code === 1005) return undefined;
  const failure = code === CLOSE_UNKNOWN_RELAY ? "unauthorized" : "failed";
  return new DialError(failure, `The other end closed the hop with the code ${code}`);
}

/** The answer to a first message; asks the directory anew once when the key is unknown. */
async function answerKnown<T>(
  message: Bytes,
  { acceptorId, identify, refresh }: AcceptHop<T>,
  { crypto, random, local }: HopTools,
  signal: AbortSignal,
): Promise<{ second: Bytes; keys: SealKeys; peer: T } | undefined> {
  if (message.length !== FIRST_BYTES) return undefined;
  const prologue = hopPrologue(acceptorId);
  for (let isLast = false;; isLast = true) {
    let peer: T | undefined;
    let isUnknown = false;
    const answer = answerFirst({ crypto, random }, {
      local,
      prologue,
      accept(remoteKey) {
        peer = identify(remoteKey);
        isUnknown = peer === undefined;
        return !isUnknown;
      },
    }, message);
    if (answer && peer !== undefined) return { ...answer, peer };
    if (!isUnknown || isLast) return undefined;
    await refresh(signal);
  }
}
