/**
 * Names to addresses, for an egress. What a resolver answers is only a proposal: the policy looks at every address.
 *
 * The system's getaddrinfo by way of `node:dns`, which honours /etc/hosts and nsswitch.conf (so mDNS, a VPN's resolver
 * or systemd-resolved) and asks for A and AAAA at the same time. `Deno.resolveDns` would ask the DNS servers of
 * resolv.conf itself, past nsswitch. A look-up in hosts takes 75 µs, so answers are kept for a few seconds, which also
 * spares the DNS server when a browser opens twenty connections at once; getaddrinfo does not tell the record's TTL.
 *
 * getaddrinfo cannot be called back: a caller leaves at its deadline, the look-up goes on until the system gives up.
 * They run on a pool of 32 threads shared with files, hence the bound on how many run at once; beyond it: `busy`.
 */

import { lookup } from "node:dns";
import { orAborted } from "../protocol/abort.ts";
import { type Clock, deadline } from "../protocol/clock.ts";
import { CulvertError, DialError } from "../protocol/errors.ts";
import { type IpAddress, parseIp } from "../protocol/ip.ts";

/** Gives every address of a name, in the order to prefer; none if it has none. Rejects with a DialError. */
export interface Resolver {
  resolve(name: string, signal?: AbortSignal): Promise<readonly IpAddress[]>;
}

/** One look-up of a name: its addresses, none if there is no such name. Rejects when it could not be found out. */
export type Lookup = (name: string) => Promise<readonly IpAddress[]>;

export interface ResolverOptions {
  readonly clock: Clock;
  readonly lookup?: Lookup;
  /** How long a caller waits. Default 5 s. */
  readonly timeoutMs?: number;
  /** How long an answer with addresses is kept. Default 10 s. */
  readonly keepMs?: number;
  /** How long "no such name" is kept. Default 2 s. */
  readonly keepMissingMs?: number;
  /** Answers kept; beyond it the oldest goes. Default 1,024. */
  readonly maxKept?: number;
  /** Look-ups at once; beyond it `busy`. Default 24. */
  readonly maxRunning?: number;
}

interface Answer {
  readonly addresses: readonly IpAddress[];
  readonly untilMs: number;
}

/** The system's resolver with a small cache; callers who ask for the same name at once share one look-up. */
export class CachingResolver implements Resolver {
  readonly #options: Required<ResolverOptions>;
  readonly #kept = new Map<string, Answer>();
  readonly #running = new Map<string, Promise<readonly IpAddress[]>>();

  constructor(options: ResolverOptions) {
    this.#options = {
      lookup: systemLookup,
      timeoutMs: 5_000,
      keepMs: 10_000,
      keepMissingMs: 2_000,
      maxKept: 1024,
      maxRunning: 24,
      ...options,
    };
  }

  async resolve(name: string, signal?: AbortSignal): Promise<readonly IpAddress[]> {
    const { clock, timeoutMs, maxRunning } = this.#options;
    const answer = this.#kept.get(name);
    if (answer && answer.untilMs > clock.now()) return answer.addresses;
    let running = this.#running.get(name);
    if (!running) {
      if (this.#running.size >= maxRunning) {
        throw new DialError("busy", "Cannot resolve: too many look-ups are running");
      }
      running = this.#lookUp(name).finally(() => this.#running.delete(name));
      this.#running.set(name, running);
    }
    using limit = deadline(clock, timeoutMs, "resolve a name", signal);
    try {
      return await orAborted(running, limit.signal);
    } catch (error) {
      throw asDialError(error);
    }
  }

  async #lookUp(name: string): Promise<readonly IpAddress[]> {
    const { clock, keepMs, keepMissingMs } = this.#options;
    try {
      const addresses = await this.#options.lookup(name);
      this.#keep(name, { addresses, untilMs: clock.now() + (addresses.length > 0 ? keepMs : keepMissingMs) });
      return addresses;
    } catch (cause) {
      // Not `unresolved`, which ends a search: from elsewhere, with a resolver that works, the name may have an address.
      throw new DialError("failed", "Cannot resolve: the resolver gave no answer", { cause });
    }
  }

  #keep(name: string, answer: Answer): void {
    this.#kept.delete(name);
    this.#kept.set(name, answer);
    if (this.#kept.size > this.#options.maxKept) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

/** The caller's own reason as it is, the deadline's as a DialError. */
function asDialError(error: unknown): unknown {
  const isTimeout = error instanceof CulvertError && error.code === "timeout";
  return isTimeout ? new DialError("timeout", error.message, { cause: error }) : error;
}

/** getaddrinfo. An address with a zone id is left out: it means something on one interface only. */
export function systemLookup(name: string): Promise<readonly IpAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(name, { all: true, order: "verbatim" }, (error, found) => {
      if (error && error.code !== "ENOTFOUND" && error.code !== "ENODATA") return reject(error);
      resolve((found ?? []).map(({ address }) => parseIp(address)).filter((address) => address !== undefined));
    });
  });
}
