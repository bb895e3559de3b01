/**
 * Endpoints given by a host's name: looked up before the device is made, and for as long as it takes afterwards, so that
 * a machine that boots before its network still gets its tunnel. An endpoint that has an address is left to roaming.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Random } from "../../protocol/random.ts";
import type { QuickPeer } from "../../protocol/wireguard/quick_config.ts";
import type { Endpoint, Key } from "../../protocol/wireguard/settings.ts";

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

/** A peer whose endpoint is a name. */
export interface NamedEndpoint {
  readonly publicKey: Key;
  readonly host: string;
  readonly port: number;
}

export interface ResolvedEndpoints {
  readonly found: ReadonlyMap<NamedEndpoint, Endpoint>;
  readonly missing: readonly NamedEndpoint[];
}

/** The peers whose endpoint is a name. */
export function namedEndpoints(peers: readonly QuickPeer[]): NamedEndpoint[] {
  return peers.flatMap(({ publicKey, endpoint }) =>
    endpoint && "host" in endpoint ? [{ publicKey, host: endpoint.host, port: endpoint.port }] : []
  );
}

/** Looks all of them up once, at the same time, for no longer than a few seconds. */
export async function resolveOnce(named: readonly NamedEndpoint[], tools: EndpointTools): Promise<ResolvedEndpoints> {
  const found = new Map<NamedEndpoint, Endpoint>();
  const lookups = Promise.all(named.map(async (endpoint) => {
    const resolved = await resolve(endpoint, tools);
    if (resolved) found.set(endpoint, resolved);
  }));
  const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
  using _timer = tools.clock.after(FIRST_WAIT_MS, giveUp);
  tools.signal.addEventListener("abort", () => giveUp(), { once: true });
  await Promise.race([lookups, late]);
  tools.signal.throwIfAborted();
  // A copy: what comes in late is looked up again.
  return { found: new Map(found), missing: named.filter((endpoint) => !found.has(endpoint)) };
}

/** Keeps looking one up, ever more rarely, and hands its address over once there is one. */
export async function resolveEventually(
  named: NamedEndpoint,
  tools: EndpointTools,
  found: (endpoint: Endpoint) => Promise<void>,
): Promise<void> {
  const { clock, random, log, signal } = tools;
  const backoff = new Backoff(random, { baseMs: 2_000, maxMs: 60_000 });
  log.warn("An endpoint's name has no address; it is tried again and again", { port: named.port });
  try {
    for (;;) {
      await delay(clock, backoff.nextMs(), signal);
      const endpoint = await resolve(named, tools);
      signal.throwIfAborted();
      if (!endpoint) continue;
      await found(endpoint);
      log.info("An endpoint's name has an address now", { port: named.port });
      return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function resolve({ host, port }: NamedEndpoint, { lookup, log }: EndpointTools): Promise<Endpoint | undefined> {
  try {
    // The system sorts them by preference (RFC 6724).
    const [address] = await lookup(host);
    return address && { address, port };
  } catch (error) {
    log.debug("A name could not be looked up", { host, error: messageOf(error) });
    return undefined;
  }
}
