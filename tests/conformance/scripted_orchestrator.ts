/**
 * An orchestrator that does nothing by itself: it takes the connections of a node and hands them to a check, which says
 * every message. Not for use: it lets in whoever comes.
 */

import { type Clock, clockOf, delay } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { randomOf } from "../../protocol/random.ts";
import { makeChallenge, newNodeToken, welcomeProof } from "../../protocol/sharing/node_auth.ts";
import {
  type Challenge,
  type FromNode,
  type Hello,
  MAX_NODE_MESSAGE_BYTES,
  NODE_PATH,
  parseFromNode,
  type Refused,
  type Welcome,
} from "../../protocol/sharing/node_messages.ts";
import { virtualAddressOf } from "../../protocol/sharing/virtual_address.ts";
import type { Stream } from "../../protocol/stream.ts";
import { Changes } from "../../testing/waiting.ts";
import { BufferPool } from "../../net/buffer_pool.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { MuxConnection } from "../../net/mux.ts";
import { NodeLink } from "../../net/sharing/node_link.ts";
import { WebPort } from "../../net/web_port.ts";

export const primitives = hostPrimitives();
export const clock: Clock = clockOf(globalThis);
export const random = randomOf(crypto);
const pool = new BufferPool();
/** Nothing is pinged between checks, and three of these may pass before a node gives up. */
export const HEARTBEAT_MS = 20_000;
/** The heartbeats of a check are the check's affair: the mux itself gives nobody up. */
const MUX_PATIENT = { keepAliveIntervalMs: 10_000, keepAliveTimeoutMs: 3_600_000 };

export class ScriptedOrchestrator implements AsyncDisposable {
  readonly identity = new Identity(generateSecrets(random), primitives);
  readonly connections: NodeConnection[] = [];
  readonly changes = new Changes();
  readonly #port: WebPort;

  constructor() {
    this.#port = new WebPort({
      listen: { hostname: "127.0.0.1", port: 0 },
      clock,
      log: silentLog,
      fetch: () => new Response("Nothing is here", { status: 404 }),
      onWebsocket: ({ path }) => {
        if (path !== NODE_PATH) return { status: 404 };
        return {
          take: (stream, first, settled) => {
            settled();
            this.connections.push(new NodeConnection(stream, first, this));
            this.changes.tell();
          },
        };
      },
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port.address.port}/`;
  }

  /** The next connection after the first `count`; rejects when none comes in time. */
  async connection(count: number, limitMs: number): Promise<NodeConnection> {
    await until(this.changes, () => this.connections.length > count, "a connection", limitMs);
    return this.connections[count]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#port.close();
    for (const connection of this.connections) connection.close();
    await Promise.all(this.connections.map(({ ended }) => ended));
    await this.#port.closed();
  }
}

export class NodeConnection {
  readonly arrivedMs = clock.now();
  readonly heard: FromNode[] = [];
  /** What the node did that no node may. */
  readonly faults: string[] = [];
  readonly changes = new Changes();
  readonly ended: Promise<void>;
  isOver = false;
  endedMs = Infinity;
  challenge: Challenge;
  sessionId = newNodeToken(random);
  mux: MuxConnection | undefined;
  readonly #orchestrator: ScriptedOrchestrator;
  readonly #link: NodeLink<FromNode>;

  constructor(stream: Stream, first: Uint8Array, orchestrator: ScriptedOrchestrator) {
    this.#orchestrator = orchestrator;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.challenge = makeChallenge(orchestrator.identity.peerId, clock.wallNow(), random);
    this.#link = new NodeLink<FromNode>(stream, {
      first,
      pool,
      clock,
      maxTextBytes: MAX_NODE_MESSAGE_BYTES,
      parse: parseFromNode,
      onMessage: (message) => {
        this.heard.push(message);
        this.changes.tell();
      },
      onFault: (fault) => {
        this.faults.push(fault);
        this.changes.tell();
      },
      onEnd: (error) => {
        if (error !== undefined) this.faults.push(messageOf(error));
        this.isOver = true;
        this.endedMs = clock.now();
        this.changes.tell();
        resolve();
      },
    });
    this.#link.open();
  }

  get hello(): Hello | undefined {
    return this.heard.find((message) => message.type === "hello");
  }

  /** Sends anything at all. */
  say(message: unknown): void {
    this.#link.send(message as never);
  }

  /** Begins as an orchestrator does, and gives the node's hello. */
  async greet(change: Partial<Challenge> = {}): Promise<Hello> {
    this.challenge = { ...this.challenge, ...change };
    this.say(this.challenge);
    await this.until(() => this.hello !== undefined, "a hello");
    return this.hello!;
  }

  /** Lets the node in. */
  welcome(change: Partial<Welcome> = {}): void {
    const hello = this.hello!;
    this.say({
      type: "welcome",
      sessionId: this.sessionId,
      virtualAddress: virtualAddressOf(hello.nodeId)!,
      address: "127.0.0.1",
      region: "test",
      heartbeatMs: HEARTBEAT_MS,
      limits: { maxTunnels: 1, maxStreams: 256 },
      prices: [{ tier: "standard", microsPerGib: "2000000", feeBasisPoints: 2000 }],
      standing: { standing: "probation" },
      timeMs: clock.wallNow(),
      ...welcomeProof(this.#orchestrator.identity, hello, this.sessionId),
      ...change,
    });
    this.mux = new MuxConnection(this.#link, clock, {
      ...MUX_PATIENT,
      role: "server",
      extensions: hello.muxExtensions ?? false,
    });
    this.mux.onStream = (stream) => {
      this.faults.push("it opened a stream");
      stream.abort();
    };
    this.mux.start();
  }

  /** Pings, and waits for the pong. */
  async ping(
    sequence: number,
    limitMs = 5000,
    extra: Record<string, unknown> = {},
  ): Promise<FromNode & { type: "pong" }> {
    this.say({ type: "ping", sequence, ...extra });
    const isIt = (message: FromNode) => message.type === "pong" && message.sequence === sequence;
    await this.until(() => this.heard.some(isIt), `a pong to ping ${sequence}`, limitMs);
    return this.heard.find(isIt) as FromNode & { type: "pong" };
  }

  refuse(refused: Omit<Refused, "type">): void {
    this.isOver = true;
    this.#link.endWith({ type: "refused", ...refused });
  }

  close(): void {
    this.isOver = true;
    this.mux?.close();
    this.#link[Symbol.dispose]();
  }

  /** Waits until it holds; rejects when the node ends the connection first, does what no node may, or takes too long. */
  async until(holds: () => boolean, what: string, limitMs = 5000): Promise<void> {
    const isOver = () => this.isOver || this.faults.length > 0;
    await until(this.changes, () => holds() || isOver(), what, limitMs);
    if (!holds()) {
      throw new CulvertError("nonconformant", `instead of ${what}: ${this.faults[0] ?? "it ended the connection"}`);
    }
  }
}

/** Like `Changes.until`, with a limit and a short word on what did not come. */
export async function until(changes: Changes, holds: () => boolean, what: string, limitMs: number): Promise<void> {
  const isDone = new AbortController();
  const late = delay(clock, limitMs, isDone.signal).then(() => {
    throw new CulvertError("nonconformant", `there was not ${what} within ${limitMs} ms`);
  });
  const settled = changes.until(() => holds() || isDone.signal.aborted, what, undefined, 2 * limitMs);
  try {
    await Promise.race([settled, late]);
  } finally {
    isDone.abort();
    changes.tell();
    await settled.catch(() => {});
    await late.catch(() => {});
  }
}
