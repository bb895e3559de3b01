/**
 * Where another supernode says that its port for a session is, and whether datagrams may go there.
 *
 * It is a supernode's word alone, and whatever it names is sent datagrams by this machine. So that nobody reaches through
 * it into networks it is in, or has it shoot at others:
 *
 *   - an address is public, or one that the supernode itself has, as base knows it: machines of one private network that
 *     are supernodes to each other may name themselves, and nothing else in there;
 *   - the port is none of the system's (below 1024), and none of ours, or datagrams could go round in circles;
 *   - what goes there before anything valid has come back is a peer's handshake initiations, which its WireGuard sends
 *     every five seconds and the relay limits: 148 bytes each, in answer to nothing, so that nothing is amplified;
 *   - the supernode has signed its request, and has but a share of the ports.
 */

import type { Resolver } from "../../net/resolve.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { formatIp, type IpAddress, parseIp } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import { splitHostAndPort } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";

const LOOK_UP_WITHIN_MS = 2_000;
const FIRST_PORT = 1024;

export interface FarRelaysOptions {
  readonly resolver: Resolver;
  /** The host in a supernode's URL, as base knows it. */
  hostOf(supernodeId: string): Promise<string>;
  readonly clock: Clock;
}

/** What a supernode says, and which ports are not to be named. */
export interface FarRelay {
  readonly supernodeId: string;
  /** `host:port`. */
  readonly at: string;
  /** The host under which this supernode's own ports are known, and which of them are open. */
  readonly own: { readonly host: string; has(port: number): boolean };
}

export class FarRelays {
  readonly #options: FarRelaysOptions;

  constructor(options: FarRelaysOptions) {
    this.#options = options;
  }

  /** Rejects with a CulvertError `bad_relay` when nothing may be sent there. */
  async find({ supernodeId, at, own }: FarRelay): Promise<Endpoint> {
    const target = splitHostAndPort(at);
    if (!target || target.port < FIRST_PORT) throw refused(`${at} is no port of a relay`);
    using limit = deadline(this.#options.clock, LOOK_UP_WITHIN_MS, "look a relay up");
    const addresses = await this.#addressesOf(target.host, limit.signal);
    for (const address of addresses) {
      if (!await this.#mayBe(address, supernodeId, limit.signal)) continue;
      if (own.has(target.port) && includes(await this.#addressesOf(own.host, limit.signal), address)) continue;
      return { address, port: target.port };
    }
    throw refused(`${at} is not where supernode ${supernodeId} may have one`);
  }

  async #mayBe(address: IpAddress, supernodeId: string, signal: AbortSignal): Promise<boolean> {
    if (classify(address) === "public") return true;
    try {
      const host = await this.#options.hostOf(supernodeId);
      return includes(await this.#addressesOf(host, signal), address);
    } catch {
      return false; // nobody knows where it is
    }
  }

  async #addressesOf(host: string, signal: AbortSignal): Promise<readonly IpAddress[]> {
    const given = parseIp(host);
    if (given) return [given];
    try {
      return await this.#options.resolver.resolve(host, signal);
    } catch (error) {
      throw refused(`${host} cannot be looked up: ${messageOf(error)}`);
    }
  }
}

function refused(reason: string): CulvertError {
  return new CulvertError("bad_relay", `Cannot relay to another supernode: ${reason}`);
}

function includes(addresses: readonly IpAddress[], wanted: IpAddress): boolean {
  const text = formatIp(wanted);
  return addresses.some((address) => formatIp(address) === text);
}
