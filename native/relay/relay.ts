/**
 * A blind relay for WireGuard sessions: a UDP port for each, on which the datagrams of its two sides are passed on to each
 * other by somebody who cannot read them. The maker, and the main thread's end of it.
 *
 *   open, place, end, counts ─▶ message + eventfd ─▶ Worker: main_relay.ts ─▶ engine.ts (epoll loop) ⇄ UDP
 *
 *   await using relay = await openRelay({ firstPort: 40_000, lastPort: 49_999 });
 *   const port = await relay.open({ sessionId, clientKey, exitKey });
 *
 * Datagrams never touch the main thread. Needs no root. How a side's place is learned, and why nobody else can take it:
 * `protocol/wireguard/relay_session.ts`.
 */

import { type Log, silentLog } from "../../protocol/log.ts";
import { KEY_BYTES } from "../../protocol/primitives.ts";
import { equalKeys } from "../../protocol/wireguard/keys.ts";
import type { RelaySide } from "../../protocol/wireguard/relay_session.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";
import { EngineWorker } from "../engine_worker.ts";
import type { RelayCounts, RelaySession, RelayTalk } from "./relay_messages.ts";

export type { RelayCounts, RelaySession } from "./relay_messages.ts";
export type { RelaySide } from "../../protocol/wireguard/relay_session.ts";

export interface RelayOptions {
  /** The range of ports, both ends included; 0 and 0 let the system choose each. */
  readonly firstPort: number;
  readonly lastPort: number;
  /** Default: as many as there are ports. */
  readonly maxSessions?: number;
  readonly log?: Log;
  /** A handshake has shown that a side is at another place than before. */
  onLearned?(sessionId: string, side: RelaySide, at: Endpoint): void;
}

export interface Relay extends AsyncDisposable {
  /** Gives the port; rejects with `in_use` (the session or the port), `no_port` or `busy` (too many sessions). */
  open(session: RelaySession): Promise<number>;
  /** That side is there. Rejects with `no_session`. */
  place(sessionId: string, side: RelaySide, at: Endpoint): Promise<void>;
  /** Closes the session's port; harmless when there is none. */
  end(sessionId: string): Promise<void>;
  counts(): Promise<RelayCounts[]>;
  /** Settles when the relay has ended: undefined after `close`, otherwise what ended it. */
  readonly ended: Promise<Error | undefined>;
  /** Closes every port. The second time harmless. */
  close(): Promise<void>;
}

const MAX_PORT = 65_535;

/** Starts the engine; rejects with the reason when it cannot be. */
export async function openRelay(options: RelayOptions): Promise<Relay> {
  checkOptions(options);
  const relay = new WorkerRelay(options);
  try {
    await relay.started;
    return relay;
  } catch (error) {
    await relay.close();
    throw error;
  }
}

class WorkerRelay implements Relay {
  readonly #engine: EngineWorker<RelayTalk>;

  constructor({ firstPort, lastPort, log = silentLog, onLearned, ...more }: RelayOptions) {
    const maxSessions = more.maxSessions ?? (firstPort === 0 ? MAX_PORT : lastPort - firstPort + 1);
    this.#engine = new EngineWorker({
      module: new URL("./main_relay.ts", import.meta.url),
      name: "relay",
      title: () => "relay",
      start: { firstPort, lastPort, maxSessions },
      log,
      onNews: ({ sessionId, side, at }) => onLearned?.(sessionId, side, at),
    });
  }

  get started(): Promise<void> {
    return this.#engine.started;
  }

  get ended(): Promise<Error | undefined> {
    return this.#engine.ended;
  }

  async open(session: RelaySession): Promise<number> {
    checkSession(session);
    return await this.#engine.ask({ type: "open", session }) as number;
  }

  async place(sessionId: string, side: RelaySide, at: Endpoint): Promise<void> {
    checkPlace(at);
    await this.#engine.ask({ type: "place", sessionId, side, at });
  }

  async end(sessionId: string): Promise<void> {
    await this.#engine.ask({ type: "end", sessionId });
  }

  async counts(): Promise<RelayCounts[]> {
    return await this.#engine.ask({ type: "counts" }) as RelayCounts[];
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function checkOptions({ firstPort, lastPort, maxSessions = 1 }: RelayOptions): void {
  const isPort = (port: number) => Number.isInteger(port) && port >= 1 && port <= MAX_PORT;
  const isAny = firstPort === 0 && lastPort === 0;
  if (!isAny && !(isPort(firstPort) && isPort(lastPort) && firstPort <= lastPort)) {
    const rule = `its ports must be a range of 1 to ${MAX_PORT}`;
    throw new RangeError(`Cannot open a relay: ${rule}, got ${firstPort} to ${lastPort}`);
  }
  if (!Number.isInteger(maxSessions) || maxSessions < 1) {
    throw new RangeError(`Cannot open a relay: maxSessions must be a whole number from 1 on, got ${maxSessions}`);
  }
}

function checkSession({ port, clientKey, exitKey, clientAt, exitAt }: RelaySession): void {
  for (const [what, key] of [["clientKey", clientKey], ["exitKey", exitKey]] as [string, Key][]) {
    if (key.length !== KEY_BYTES) {
      throw new RangeError(`Cannot relay a session: ${what} must be ${KEY_BYTES} bytes, got ${key.length}`);
    }
  }
  if (equalKeys(clientKey, exitKey)) {
    throw new RangeError("Cannot relay a session: the client's key must be another than the exit's, got the same");
  }
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= MAX_PORT)) {
    throw new RangeError(`Cannot relay a session: the port must be 1 to ${MAX_PORT}, got ${port}`);
  }
  for (const at of [clientAt, exitAt]) if (at) checkPlace(at);
}

function checkPlace({ address, port }: Endpoint): void {
  const isAddress = address.length === 4 || address.length === 16;
  if (isAddress && Number.isInteger(port) && port >= 1 && port <= MAX_PORT) return;
  const got = `${address.length} bytes and port ${port}`;
  throw new RangeError(`Cannot place a side: it must have an address and a port of 1 to ${MAX_PORT}, got ${got}`);
}
