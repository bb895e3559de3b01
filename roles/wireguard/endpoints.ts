/**
 * Endpoints given by a host's name: looked up before the device is made, and for as long as it takes afterwards, so that
 * a machine that boots before its network still gets its tunnel. An endpoint that has an address is left to roaming.
 */

import { systemScopes } from "../../native/wireguard/uapi_socket.ts";
import { orAborted } from "../../protocol/abort.ts";
import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { Target } from "../../protocol/stream.ts";
import { endpointOf } from "../../protocol/wireguard/endpoint.ts";
import type { QuickPeer } from "../../protocol/wireguard/quick_config.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

/** How long bringing up waits for names before it goes on without. */
const FIRST_WAIT_MS = 5_000;

export type Lookup = (name: string) => Promise<readonly IpAddress[]>;

export interface EndpointTools {
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A peer whose endpoint is given. */
export type NamedPeer = QuickPeer & { readonly endpoint: Target };

export interface ResolvedEndpoints {
  /** Those given as addresses among them. */
  readonly found: ReadonlyMap<QuickPeer, Endpoint>;
  readonly missing: readonly NamedPeer[];
}

/** Looks all names up once, at the same time, for no longer than a few seconds. */
export async function resolveOnce(peers: readonly QuickPeer[], tools: EndpointTools): Promise<ResolvedEndpoints> {
  tools.signal.throwIfAborted();
  const found = new Map<QuickPeer, Endpoint>();
  const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
  using _timer = tools.clock.after(FIRST_WAIT_MS, giveUp);
  const named = peers.filter((peer): peer is NamedPeer => peer.endpoint !== undefined);
  const lookups = Promise.all(named.map(async (peer) => {
    const endpoint = await resolve(peer.endpoint, tools);
    if (endpoint) found.set(peer, endpoint);
  }));
  await orAborted(Promise.race([lookups, late]), tools.signal);
  // A copy: what comes in late is looked up again.
  return { found: new Map(found), missing: named.filter((peer) => !found.has(peer)) };
}

/** Keeps looking one up, ever more rarely, and hands its address over once there is one. Ends with the signal. */
export async function resolveEventually(
  peer: NamedPeer,
  tools: EndpointTools,
  found: (endpoint: Endpoint) => Promise<void>,
): Promise<void> {
  const { clock, random, log, signal } = tools;
  const backoff = new Backoff(random, { baseMs: 2_000, maxMs: 60_000 });
  log.warn("An endpoint's name has no address; it is tried again and again");
  try {
    for (;;) {
      await delay(clock, backoff.nextMs(), signal);
      const endpoint = await orAborted(resolve(peer.endpoint, tools), signal);
      if (!endpoint) continue;
      await found(endpoint);
      log.info("An endpoint's name has an address now");
      return;
    }
  } catch (error) {
    if (!signal.aborted) log.error("An endpoint could not be set", { error: messageOf(error) });
  }
}

async function resolve(target: Target, { lookup, log }: EndpointTools): Promise<Endpoint | undefined> {
  const given = endpointOf(target, systemScopes);
  if (given) return given;
  try {
    // The system sorts them by preference (RFC 6724).
    const [address] = await lookup(target.host);
    return address && { address, port: target.port };
  } catch (error) {
    log.debug("A name could not be looked up", { host: target.host, error: messageOf(error) });
    return undefined;
  }
}
