/**
 * A relay that remembers nothing: a UDP port at which every datagram says where it is to go, in a ticket that only the relay
 * could have made. The maker, and the main thread's end of it.
 *
 *   counts ─▶ message + eventfd ─▶ Worker: main_relay_packets.ts ─▶ engine.ts (epoll loop) ⇄ UDP
 *
 *   await using relay = await openPacketRelay({ relayKey, clients: ["alice"], listen: { address, port: 7000 } });
 *
 * Datagrams never touch the main thread. Needs no root. Any number of them with the same key are one relay: killed, started
 * again, or side by side on one port (`sharesPort`). What a ticket is: `protocol/sealed_route/ticket.ts`.
 */

import { formatIp, parseIp } from "../../protocol/ip.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { KEY_BYTES } from "../../protocol/primitives.ts";
import { isClientName } from "../../protocol/sealed_route/access.ts";
import { DEFAULT_LIFETIME_MS } from "../../protocol/sealed_route/desk.ts";
import type { RouteRule } from "../../protocol/sealed_route/policy.ts";
import { MAX_LIFETIME_MS, type RoutePlace } from "../../protocol/sealed_route/ticket.ts";
import type { Key } from "../../protocol/wireguard/settings.ts";
import { EngineWorker } from "../engine_worker.ts";
import type { PacketRelayCounts, PacketRelayTalk } from "./messages.ts";

export { DROP_REASONS, type PacketRelayCounts, QUESTION_OUTCOMES } from "./messages.ts";

export interface PacketRelayOptions {
  readonly relayKey: Key;
  /** Those who may ask for tickets, whose secrets are made of the key and their names. */
  readonly clients: readonly string[];
  readonly listen: RoutePlace;
  /** Where tickets may lead; none: public addresses. */
  readonly rules?: readonly RouteRule[];
  /** Others may listen on the same port, and share what comes with this one. */
  readonly sharesPort?: boolean;
  /** Default ten minutes, at most an hour. */
  readonly ticketLifetimeMs?: number;
  /** What a client may send a second; no limit when left out. */
  readonly accountBytesPerS?: number;
  /** What may go by the tickets of one hour a second; no limit when left out. */
  readonly epochBytesPerS?: number;
  readonly log?: Log;
}

export interface PacketRelay extends AsyncDisposable {
  readonly port: number;
  counts(): Promise<PacketRelayCounts>;
  /** Settles when the relay has ended: undefined after `close`, otherwise what ended it. */
  readonly ended: Promise<Error | undefined>;
  /** The second time harmless. */
  close(): Promise<void>;
}

/** Starts the engine; rejects with the reason when it cannot be. */
export async function openPacketRelay(options: PacketRelayOptions): Promise<PacketRelay> {
  checkOptions(options);
  const { log = silentLog, rules = [], sharesPort = false, ticketLifetimeMs = DEFAULT_LIFETIME_MS, ...more } = options;
  const engine = new EngineWorker<PacketRelayTalk>({
    module: new URL("./main_relay_packets.ts", import.meta.url),
    name: "relay-packets",
    title: () => "packet relay",
    start: { ...more, rules, sharesPort, ticketLifetimeMs, ownAddresses: ownAddresses() },
    log,
  });
  try {
    const { port } = await engine.started;
    return {
      port,
      ended: engine.ended,
      counts: () => engine.ask("counts"),
      close: () => engine.close(),
      [Symbol.asyncDispose]: () => engine.close(),
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function ownAddresses(): readonly string[] {
  return Deno.networkInterfaces().map(({ address }) => {
    const ip = parseIp(address);
    return ip ? formatIp(ip) : address;
  });
}

function checkOptions({ relayKey, clients, ticketLifetimeMs = DEFAULT_LIFETIME_MS }: PacketRelayOptions): void {
  if (relayKey.length !== KEY_BYTES) {
    throw new RangeError(`Cannot open a packet relay: its key must be ${KEY_BYTES} bytes, got ${relayKey.length}`);
  }
  const wrong = clients.find((name) => !isClientName(name));
  if (wrong !== undefined) {
    const rule = "a client's name must be lower-case letters, digits, dots and dashes";
    throw new RangeError(`Cannot open a packet relay: ${rule}, got ${JSON.stringify(wrong)}`);
  }
  if (!(ticketLifetimeMs >= 1000 && ticketLifetimeMs <= MAX_LIFETIME_MS)) {
    const rule = `tickets must live 1000 to ${MAX_LIFETIME_MS} ms`;
    throw new RangeError(`Cannot open a packet relay: ${rule}, got ${ticketLifetimeMs}`);
  }
}
