/**
 * What the client's legs have in common: what they are made of, where a relay answers, and the order of carriers.
 *
 *   WebSocket ── the handshake is refused, or hangs ──▶ HTTP requests, for that relay for a while
 *
 * A relay that cannot be reached at all is not asked twice: what no TCP connection gets to, no request gets to either.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import type { RelayRecord } from "../../protocol/directory.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { BufferPool } from "../buffer_pool.ts";
import { MessageSocket } from "../message_socket.ts";
import type { Fetch } from "../signed_http.ts";
import { dialWebsocket, websocketAddress } from "../websocket_dial.ts";

/** A relay as far as reaching it goes. */
export type Relay = Pick<RelayRecord, "relayId" | "url">;

export interface LegTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly primitives: Pick<Primitives, "sha256">;
  readonly pool: BufferPool;
  /** For requests, where WebSocket does not get through. */
  readonly fetch: Fetch;
  /** Which relays no WebSocket gets through to. */
  readonly blocked: BlockedSockets;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** What relays want to hear. */
  readonly token?: string | undefined;
}

/** How long a WebSocket may take, from the TCP connection on, before requests are tried instead. */
const HANDSHAKE_MS = 2500;
const BLOCKED_MS = 5 * 60_000;
const MAX_BLOCKED = 256;

/** Relays that WebSocket has not got through to: they are asked by requests for a while. Bounded, the oldest goes. */
export class BlockedSockets {
  readonly #clock: Clock;
  readonly #isAlways: boolean;
  readonly #untilMs = new Map<string, number>();

  /** `always`: no WebSocket is tried at all. */
  constructor(clock: Clock, always = false) {
    this.#clock = clock;
    this.#isAlways = always;
  }

  has(relayId: string): boolean {
    return this.#isAlways || this.#clock.now() < (this.#untilMs.get(relayId) ?? -Infinity);
  }

  /** It was not that: requests do not get through either. */
  remove(relayId: string): void {
    this.#untilMs.delete(relayId);
  }

  add(relayId: string): void {
    this.#untilMs.delete(relayId);
    if (this.#untilMs.size >= MAX_BLOCKED) this.#untilMs.delete(this.#untilMs.keys().next().value!);
    this.#untilMs.set(relayId, this.#clock.now() + BLOCKED_MS);
  }
}

/** Where below a relay's URL something answers. */
export function relayUrl(relay: Relay, path: string): URL {
  const base = new URL(relay.url);
  base.pathname = base.pathname.replace(/\/*$/, "/") + path;
  return base;
}

export function headersFor({ token }: LegTools): Record<string, string> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/** A WebSocket to a relay; undefined when requests should be tried instead. Rejects when it cannot be reached. */
export async function openSocket(
  relay: Relay,
  path: string,
  tools: LegTools,
  signal: AbortSignal,
): Promise<MessageSocket | undefined> {
  if (tools.blocked.has(relay.relayId)) return undefined;
  const { clock, random, caCerts, pool } = tools;
  using limit = deadline(clock, HANDSHAKE_MS, "open a WebSocket", signal);
  try {
    const address = websocketAddress(relayUrl(relay, path));
    const dialled = await dialWebsocket(address, { headers: headersFor(tools), random, caCerts, signal: limit.signal });
    return new MessageSocket(dialled.stream, { clock, random, pool, first: dialled.first });
  } catch (error) {
    signal.throwIfAborted();
    if (!isOnlyWebsocket(error)) throw error;
    tools.blocked.add(relay.relayId);
    return undefined;
  }
}

/** Whether it may be something between us and the relay that lets no WebSocket pass. */
function isOnlyWebsocket(error: unknown): boolean {
  if (error instanceof DialError) return error.code === "failed";
  return error instanceof CulvertError && error.code === "timeout";
}
