/**
 * Clients' use of nodes: one record for each account and node, from the first stream to a while after the last. It is what
 * tolls are counted under and what the table of sessions keeps.
 */

import type { Clock } from "../../protocol/clock.ts";
import { encodeBase32 } from "../../protocol/encoding.ts";
import type { Random } from "../../protocol/random.ts";
import type { SharingSession } from "../../protocol/sharing/records.ts";
import { Deadlines } from "../deadlines.ts";
import type { LiveNode } from "./live_nodes.ts";

/** How long a session goes on without a stream. */
const IDLE_MS = 60_000;
const ID_BYTES = 10;
const MAX_TIME_MS = 2 ** 48;

/** A use that goes on. */
export interface ClientSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly nodeId: string;
  readonly virtualAddress: string;
  readonly startedAtMs: number;
  upBytes: number;
  downBytes: number;
  /** So far, and now. */
  streams: number;
  openStreams: number;
}

export class ClientSessions implements Disposable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onEnd: (session: SharingSession) => void;
  readonly #sessions = new Map<string, ClientSession>();
  readonly #idle: Deadlines<ClientSession>;

  constructor(clock: Clock, random: Random, onEnd: (session: SharingSession) => void = () => {}) {
    this.#clock = clock;
    this.#random = random;
    this.#onEnd = onEnd;
    this.#idle = new Deadlines(clock, IDLE_MS, (session) => this.#end(session, "unused"));
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Those that go on. */
  all(): Iterable<ClientSession> {
    return this.#sessions.values();
  }

  /** One more stream of the account through the node; `closed` takes it away again. */
  opened(userId: string, node: Pick<LiveNode, "nodeId" | "virtualAddress">): ClientSession {
    const key = keyOf(userId, node.nodeId);
    let session = this.#sessions.get(key);
    if (!session) this.#sessions.set(key, session = this.#begin(userId, node));
    session.streams++;
    if (session.openStreams++ === 0) this.#idle.delete(session);
    return session;
  }

  closed(session: ClientSession): void {
    if (--session.openStreams === 0) this.#idle.add(session);
  }

  /** Ends them all. */
  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) this.#end(session, "the orchestrator was stopped");
    this.#idle[Symbol.dispose]();
  }

  #begin(userId: string, { nodeId, virtualAddress }: Pick<LiveNode, "nodeId" | "virtualAddress">): ClientSession {
    const startedAtMs = this.#clock.wallNow();
    const sessionId = newestFirst(startedAtMs) + encodeBase32(this.#random.fill(new Uint8Array(ID_BYTES)));
    const counts = { upBytes: 0, downBytes: 0, streams: 0, openStreams: 0 };
    return { sessionId, userId, nodeId, virtualAddress, startedAtMs, ...counts };
  }

  #end(session: ClientSession, end: string): void {
    this.#sessions.delete(keyOf(session.userId, session.nodeId));
    const { sessionId, userId, nodeId, virtualAddress, startedAtMs, upBytes, downBytes, streams } = session;
    const endedAtMs = this.#clock.wallNow();
    const counts = { upBytes, downBytes, streams };
    this.#onEnd({
      sessionId,
      kind: "client",
      userId,
      nodeId,
      virtualAddress,
      startedAtMs: Math.floor(startedAtMs),
      endedAtMs: Math.floor(endedAtMs),
      end,
      ...counts,
    });
  }
}

/** Tables list by id: the later one begins, the earlier it comes. */
function newestFirst(timeMs: number): string {
  return Math.floor(MAX_TIME_MS - timeMs).toString(16).padStart(12, "0");
}

function keyOf(userId: string, nodeId: string): string {
  return `${userId} ${nodeId}`;
}
