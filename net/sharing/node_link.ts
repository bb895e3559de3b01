/**
 * One tunnel of a node, at either end: a WebSocket whose texts are the messages of `node_messages.ts` and whose binary
 * messages carry the mux.
 *
 *   WebSocket ─┬─ texts → parsed → onMessage
 *              └─ bytes → the mux, once one has been started on this link
 *
 * Messages come first: bytes before there is a mux are a fault, unless the link was told to keep them. A peer that sends
 * more or longer texts than anyone needs is at fault too; what becomes of it is up to the owner, who is told.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Random } from "../../protocol/random.ts";
import {
  encodeNodeMessage,
  type FromNode,
  type FromOrchestrator,
  type NodeRefusal,
  type ParsedNodeMessage,
} from "../../protocol/sharing/node_messages.ts";
import type { Stream } from "../../protocol/stream.ts";
import { TokenBucket } from "../../protocol/token_bucket.ts";
import type { BufferPool } from "../buffer_pool.ts";
import type { Traffic } from "../counted_link.ts";
import type { Link, LinkHandlers } from "../link.ts";
import { type LinkTexts, WebsocketLink } from "../websocket.ts";

/** What the texts of one tunnel may amount to, counted with so much more for each. */
const TEXT_RATE = { perSecond: 16 * 1024, burst: 192 * 1024 };
const TEXT_COST_BYTES = 512;
/** There are thousands of these, and most are quiet. */
const QUIET_BYTES = 2048;
/** How long the peer may take to answer our goodbye. */
const LINGER_MS = 2000;

export type NodeLinkFault = Extract<NodeRefusal, "malformed" | "too_large" | "unexpected" | "flooded">;

export interface NodeLinkOptions<Incoming> {
  /** Bytes that came with the handshake. */
  readonly first: Uint8Array;
  /** Makes the masking keys of a client; a server has none. */
  readonly random?: Random | undefined;
  readonly pool: BufferPool;
  readonly clock: Clock;
  /** Until `maxTextBytes` is set anew. */
  readonly maxTextBytes: number;
  readonly parse: (text: string) => ParsedNodeMessage<Incoming>;
  onMessage(message: Incoming): void;
  /** The peer is at fault. Nothing more is heard of it if the link is ended now. */
  onFault(fault: NodeLinkFault): void;
  /** The link has ended. Called once, last of all. */
  onEnd(error?: unknown): void;
}

export class NodeLink<Incoming> implements Link {
  /** Bytes of the mux. */
  readonly traffic: Traffic = { rxBytes: 0, txBytes: 0 };
  /** When anything came last. */
  heardMs: number;
  readonly #options: Omit<NodeLinkOptions<Incoming>, "first">;
  readonly #websocket: WebsocketLink;
  readonly #texts: LinkTexts & { maxBytes: number };
  readonly #textRate: TokenBucket;
  #mux: LinkHandlers | undefined;
  /** Bytes that came before the mux did. */
  #early: Uint8Array[] | undefined;
  #state: "open" | "ending" | "ended" = "open";
  #linger: Timer | undefined;
  #error: unknown;

  constructor(stream: Stream, { first, ...options }: NodeLinkOptions<Incoming>) {
    this.#options = options;
    this.heardMs = options.clock.now();
    this.#textRate = new TokenBucket(options.clock, TEXT_RATE);
    this.#texts = {
      maxBytes: options.maxTextBytes,
      onText: (text) => void (this.#state === "open" && this.#read(text)),
      onTooLarge: () => void (this.#state === "open" && this.#options.onFault("too_large")),
    };
    this.#websocket = new WebsocketLink(stream, options.pool, {
      first,
      ...(options.random && { random: options.random }),
      texts: this.#texts,
      quietBytes: QUIET_BYTES,
    });
  }

  set maxTextBytes(bytes: number) {
    this.#texts.maxBytes = bytes;
  }

  /** Begins to read and write messages. */
  open(): void {
    this.#websocket.start({
      onBytes: (bytes) => this.#receive(bytes),
      fill: (into) => this.#fill(into),
      wantsBytes: () => this.#mux?.wantsBytes() ?? this.#early === undefined,
      onClose: (error) => this.#end(error),
    });
  }

  /** From now on the peer may use its mux: what comes before ours is there is kept, and no more is read. */
  keepEarly(): void {
    this.#early ??= [];
  }

  /** A mux takes the bytes over. */
  start(handlers: LinkHandlers): void {
    this.#mux = handlers;
    if (this.#state === "ended") return handlers.onClose(this.#error);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const bytes of early) handlers.onBytes(bytes);
    this.#websocket.resume();
    this.#websocket.wake();
  }

  /** It has ended. */
  get isOver(): boolean {
    return this.#state === "ended";
  }

  /** Sends a message ahead of whatever bytes wait; nothing once the link ends. */
  send(message: FromNode | FromOrchestrator): void {
    if (this.#state === "open") this.#websocket.sendText(encodeNodeMessage(message));
  }

  /** Sends a last message and ends the link when it has gone, or after a moment. */
  endWith(message: FromNode | FromOrchestrator): void {
    if (this.#state !== "open") return;
    this.send(message);
    this.#state = "ending";
    this.#websocket.sayGoodbye();
    this.#linger = this.#options.clock.after(LINGER_MS, () => this.#websocket.close());
  }

  wake(): void {
    this.#websocket.wake();
  }

  get idle(): boolean {
    return this.#websocket.idle;
  }

  resume(): void {
    this.#websocket.resume();
  }

  /** Ends the link, at once unless it is saying goodbye. */
  close(): void {
    if (this.#state === "open") this.#websocket.close();
  }

  [Symbol.dispose](): void {
    this.#linger?.cancel();
    this.#websocket.close();
  }

  #read(text: string): void {
    const { clock, parse, onMessage, onFault } = this.#options;
    this.heardMs = clock.now();
    if (!this.#textRate.tryTake(TEXT_COST_BYTES + text.length)) return onFault.call(this.#options, "flooded");
    const parsed = parse(text);
    if (parsed.ok) onMessage.call(this.#options, parsed.message);
    else if (parsed.reason === "malformed") onFault.call(this.#options, "malformed");
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    this.heardMs = this.#options.clock.now();
    this.traffic.rxBytes += bytes.length;
    if (this.#mux) this.#mux.onBytes(bytes);
    else if (this.#early) this.#early.push(bytes.slice());
    else this.#options.onFault("unexpected");
  }

  #fill(into: Uint8Array): number {
    const count = this.#state === "open" && this.#mux?.fill(into) || 0;
    this.traffic.txBytes += count;
    return count;
  }

  #end(error: unknown): void {
    this.#state = "ended";
    this.#error = error;
    this.#linger?.cancel();
    this.#mux?.onClose(error);
    this.#options.onEnd(error);
  }
}
