/**
 * One tunnel of a node, as the orchestrator has it, from its first byte to its end.
 *
 *   greeting ── hello ──→ admitting ── admitted ──→ up ── drain ──→ draining
 *       └──────────────────────┴── refused, or gone ──┴────────────────┴──→ ended
 *
 * Questions are asked in the order of their cost: form, signature, how often, and only then whether the node may. On a
 * tunnel that is up every heartbeat has a ping, of which three in a row may go without their pong, and now and then a
 * challenge. What it does not do: say which nodes there are, which is the host's affair (`node_tunnels.ts`).
 */

import { messageOf } from "../../protocol/errors.ts";
import type { Identity } from "../../protocol/identity.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { MuxOptions } from "../../protocol/mux.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import { faultOfHello, isAnswerGenuine, makeChallenge, welcomeProof } from "../../protocol/sharing/node_auth.ts";
import {
  type Challenge,
  type FromNode,
  type Hello,
  MAX_HELLO_BYTES,
  MAX_NODE_MESSAGE_BYTES,
  type NodePrice,
  type NodeRefusal,
  parseFromNode,
  type Pong,
  type StandingNote,
  type Welcome,
} from "../../protocol/sharing/node_messages.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { BufferPool } from "../buffer_pool.ts";
import type { Traffic } from "../counted_link.ts";
import { MuxConnection } from "../mux.ts";
import { NodeLink } from "./node_link.ts";

/** What whoever knows the nodes says of one that wants in. */
export interface Admission {
  readonly ownerId: string;
  readonly region: string;
  readonly country?: string | undefined;
  readonly city?: string | undefined;
  readonly standing: StandingNote;
  readonly prices: readonly NodePrice[];
}

/** Why a node is not let in, or a tunnel is ended. */
export interface NodeRefused {
  readonly code: NodeRefusal;
  readonly reason: string;
  readonly retryAfterMs?: number;
}

/** The node that a tunnel has joined, as the tunnel needs it. */
export interface JoinedNode {
  readonly sessionId: string;
  readonly virtualAddress: string;
}

/** What the tunnels of one orchestrator have in common. */
export interface TunnelHost {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly clock: Clock;
  /** The same, with every wait as long as `MUX_TICK_MS`. */
  readonly muxClock: Clock;
  readonly random: Random;
  readonly pool: BufferPool;
  readonly heartbeatMs: number;
  /** Between challenges, on average. */
  readonly livenessMs: number;
  readonly limits: Welcome["limits"];
  readonly mux: Omit<MuxOptions, "role">;
  /** Asked once it is sure which node has come: 0, or the milliseconds it has to wait. */
  allowNode(nodeId: string): number;
  admit(
    hello: Hello,
    from: { readonly address: string; readonly signal: AbortSignal },
  ): Promise<Admission | NodeRefused>;
  /** Takes the tunnel among those of its node, or says why not. */
  join(tunnel: NodeTunnel, hello: Hello, admission: Admission): JoinedNode | NodeRefused;
  /** The tunnel is up. */
  onUp(tunnel: NodeTunnel): void;
  /** What has come on a tunnel that is up, and is not for the tunnel itself. */
  onMessage(tunnel: NodeTunnel, message: FromNode): void;
  onPong(tunnel: NodeTunnel, pong: Pong): void;
  /** It was refused or ended by us. */
  onRefused(tunnel: NodeTunnel, refused: NodeRefused): void;
  /** It is no tunnel any more, though its socket may still be saying goodbye. */
  onLeft(tunnel: NodeTunnel): void;
  /** Nothing of it is left. */
  onEnd(tunnel: NodeTunnel): void;
}

export interface NodeTunnelOptions {
  readonly first: Uint8Array;
  readonly remoteAddress: string;
  /** Hellos are numbered, so that of two the newer is known. */
  readonly serial: number;
  /** Called once it is known whose the socket is, or it is gone. */
  settled(): void;
}

/** So many pings in a row may go without a pong. */
const MAX_UNANSWERED = 3;
/** So many heartbeats may a challenge wait for its answer. */
const ANSWER_HEARTBEATS = 3;
/** Heartbeats show who lives; the mux itself is only to measure the round trip now and then. */
const MUX_QUIET = { keepAliveIntervalMs: 120_000, keepAliveTimeoutMs: 3_600_000 };
/** Plain smux gives a silent peer up after 30 s. */
const MUX_PLAIN = { keepAliveIntervalMs: 10_000, keepAliveTimeoutMs: 3_600_000 };
/** How often the muxes are looked at, all by one timer: a quarter of the shorter interval. */
export const MUX_TICK_MS = MUX_PLAIN.keepAliveIntervalMs / 4;

export class NodeTunnel {
  readonly remoteAddress: string;
  readonly serial: number;
  readonly #host: TunnelHost;
  readonly #link: NodeLink<FromNode>;
  /** Let go of once it was called: it holds on to the whole request. */
  #settled: (() => void) | undefined;
  #state: "greeting" | "admitting" | "up" | "draining" | "ended" = "greeting";
  #hello: Pick<Hello, "nodeId" | "publicKey" | "tunnel"> | undefined;
  #sessionId = "";
  #mux: MuxConnection | undefined;
  /** Ends the question whether it may, when the tunnel ends before the answer. */
  #asking: AbortController | undefined;
  #challenge: Challenge | undefined;
  #challengeAge = 0;
  #nextChallengeMs = Infinity;
  #sequence = 0;
  #answered = 0;
  #pingedMs = 0;
  #rttMs: number | undefined;
  #endedBecause: string | undefined;

  constructor(stream: Stream, host: TunnelHost, options: NodeTunnelOptions) {
    this.#host = host;
    this.remoteAddress = options.remoteAddress;
    this.serial = options.serial;
    this.#settled = options.settled;
    const { pool, clock } = host;
    this.#link = new NodeLink<FromNode>(stream, {
      first: options.first,
      pool,
      clock,
      maxTextBytes: MAX_HELLO_BYTES,
      parse: parseFromNode,
      onMessage: (message) => this.#receive(message),
      onFault: (fault) => this.refuse({ code: fault, reason: FAULTS[fault] }),
      onEnd: (error) => this.#end(error),
    });
  }

  /** Sends the challenge. */
  begin(): void {
    const { identity, clock, random } = this.#host;
    this.#challenge = makeChallenge(identity.peerId, clock.wallNow(), random);
    this.#link.open();
    this.#link.send(this.#challenge);
  }

  /** Known once it has shown who it is. */
  get nodeId(): string | undefined {
    return this.#hello?.nodeId;
  }

  /** Its place among the node's tunnels. */
  get index(): number {
    return this.#hello?.tunnel.index ?? 0;
  }

  get traffic(): Traffic {
    return this.#link.traffic;
  }

  get streamCount(): number {
    return this.#mux?.streamCount ?? 0;
  }

  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  get endedBecause(): string | undefined {
    return this.#endedBecause;
  }

  /** There is a mux to open streams on. */
  takesStreams(): this is { readonly mux: MuxConnection } {
    return this.#state === "up" && !this.#mux!.closed;
  }

  get mux(): MuxConnection | undefined {
    return this.#mux;
  }

  send(message: Parameters<NodeLink<FromNode>["send"]>[0]): void {
    if (this.#state === "up" || this.#state === "draining") this.#link.send(message);
  }

  /** Takes no more streams; the node ends it with the last one. */
  drain(): void {
    if (this.#state === "up") this.#state = "draining";
  }

  /** Ends the tunnel and says why. */
  refuse(refused: NodeRefused): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#endedBecause = `${refused.code}: ${refused.reason}`;
    this.#link.endWith({ type: "refused", ...refused });
    this.#letGo();
    this.#host.onRefused(this, refused);
    this.#host.onLeft(this);
  }

  /** Ends the tunnel without a word. */
  close(): void {
    this.#link[Symbol.dispose]();
  }

  /** To be called every heartbeat, on a tunnel that is up. */
  beat(): void {
    const { clock, livenessMs, random } = this.#host;
    if (this.#sequence - this.#answered >= MAX_UNANSWERED) {
      return this.refuse({ code: "timeout", reason: "No answer to the last pings" });
    }
    const nowMs = clock.now();
    this.#pingedMs = nowMs;
    this.#link.send({ type: "ping", sequence: ++this.#sequence });
    if (this.#challenge) {
      if (++this.#challengeAge < ANSWER_HEARTBEATS) return;
      return this.refuse({ code: "liveness", reason: "No answer to a challenge" });
    }
    if (nowMs < this.#nextChallengeMs) return;
    this.#planChallenge(livenessMs * (0.5 + random.next()));
    this.#challenge = makeChallenge(this.#host.identity.peerId, clock.wallNow(), random);
    this.#challengeAge = 0;
    this.#link.send(this.#challenge);
  }

  #planChallenge(inMs: number): void {
    this.#nextChallengeMs = this.#host.clock.now() + inMs;
  }

  #receive(message: FromNode): void {
    if (this.#state === "greeting") {
      if (message.type === "hello") return void this.#admit(message);
      return this.refuse({ code: "unexpected", reason: "The first message must be a hello" });
    }
    if (this.#state === "admitting" || message.type === "hello") {
      return this.refuse({ code: "unexpected", reason: `A ${message.type} is not expected now` });
    }
    if (message.type === "ping") return this.#link.send({ type: "pong", sequence: message.sequence });
    if (message.type === "pong") return this.#receivePong(message);
    if (message.type !== "answer") return this.#host.onMessage(this, message);
    const challenge = this.#challenge;
    this.#challenge = undefined;
    const expected = challenge && { challenge, node: this.#hello!, sessionId: this.#sessionId };
    if (!expected || !isAnswerGenuine(message, expected, this.#host.primitives)) {
      this.refuse({ code: "liveness", reason: "The answer to the challenge is wrong" });
    }
  }

  /** A pong that was not asked for, or comes twice, says nothing. */
  #receivePong(pong: Pong): void {
    const { sequence } = pong;
    if (sequence <= this.#answered || sequence > this.#sequence) return;
    this.#answered = sequence;
    if (sequence === this.#sequence) {
      const rttMs = this.#host.clock.now() - this.#pingedMs;
      this.#rttMs = this.#rttMs === undefined ? rttMs : this.#rttMs + (rttMs - this.#rttMs) / 8;
    }
    this.#host.onPong(this, pong);
  }

  async #admit(hello: Hello): Promise<void> {
    this.#state = "admitting";
    const { primitives } = this.#host;
    const fault = faultOfHello(hello, this.#challenge!, primitives);
    if (fault) return this.refuse({ code: fault, reason: `The hello is not good: ${fault}` });
    const { nodeId, publicKey, tunnel: { index, count } } = hello;
    this.#hello = { nodeId, publicKey, tunnel: { index, count } }; // what a parser has made is larger
    this.#challenge = undefined;
    const waitMs = this.#host.allowNode(hello.nodeId);
    if (waitMs > 0) {
      return this.refuse({ code: "rate_limited", reason: "The node comes too often", retryAfterMs: Math.ceil(waitMs) });
    }
    this.#settle();
    this.#asking = new AbortController();
    try {
      const admission = await this.#host.admit(hello, { address: this.remoteAddress, signal: this.#asking.signal });
      if (this.#state !== "admitting") return;
      if ("code" in admission) return this.refuse(admission);
      this.#welcome(hello, admission);
    } catch (error) {
      this.refuse({ code: "unavailable", reason: "The node cannot be looked up at present", retryAfterMs: 10_000 });
      this.#endedBecause = messageOf(error);
    } finally {
      this.#asking = undefined;
    }
  }

  #welcome(hello: Hello, admission: Admission): void {
    const { identity, clock, heartbeatMs, limits, livenessMs, random } = this.#host;
    const joined = this.#host.join(this, hello, admission);
    if ("code" in joined) return this.refuse(joined);
    this.#sessionId = joined.sessionId;
    this.#state = "up";
    this.#link.maxTextBytes = MAX_NODE_MESSAGE_BYTES;
    this.#link.send({
      type: "welcome",
      sessionId: joined.sessionId,
      virtualAddress: joined.virtualAddress,
      address: this.remoteAddress,
      region: admission.region,
      ...(admission.country !== undefined && { country: admission.country }),
      heartbeatMs,
      limits,
      prices: [...admission.prices],
      standing: admission.standing,
      timeMs: clock.wallNow(),
      ...welcomeProof(identity, hello, joined.sessionId),
    });
    this.#openMux(hello.muxExtensions ?? false);
    this.#planChallenge(livenessMs * random.next());
    this.#host.onUp(this);
  }

  /** Streams are ours to open; a node that opens one has misunderstood something, or wants to. */
  #openMux(extensions: boolean): void {
    const { muxClock, mux, limits } = this.#host;
    const connection = new MuxConnection(this.#link, muxClock, {
      ...(extensions ? MUX_QUIET : MUX_PLAIN),
      maxStreams: limits.maxStreams,
      ...mux,
      role: "server",
      extensions,
    });
    connection.onStream = (stream) => {
      stream.abort();
      // Not at once: the mux is in the middle of what has come.
      queueMicrotask(() => this.refuse({ code: "unexpected", reason: "A node opens no streams" }));
    };
    connection.start();
    this.#mux = connection;
  }

  #end(error: unknown): void {
    const wasEnded = this.#state === "ended";
    this.#state = "ended";
    this.#endedBecause ??= this.#mux?.failure ?? (error === undefined ? "closed by the node" : messageOf(error));
    this.#letGo();
    if (!wasEnded) {
      this.#blame();
      this.#host.onLeft(this);
    }
    this.#host.onEnd(this);
  }

  /** An end that came of a broken rule of the mux, such as more bytes than a stream was granted, has somebody to blame. */
  #blame(): void {
    const fault = this.#mux?.failure;
    if (fault === undefined || fault === "timeout") return;
    const reason = fault === "window_exceeded" ? "More bytes came than were granted" : `The mux was broken: ${fault}`;
    this.#host.onRefused(this, { code: "flooded", reason });
  }

  #settle(): void {
    this.#settled?.();
    this.#settled = undefined;
  }

  #letGo(): void {
    this.#settle();
    this.#asking?.abort();
    this.#mux?.close();
  }
}

const FAULTS = {
  malformed: "A message is not as it should be",
  too_large: "A message is too long",
  unexpected: "Bytes came before the welcome",
  flooded: "Too many messages",
} as const;
