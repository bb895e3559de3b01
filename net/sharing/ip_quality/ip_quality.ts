/**
 * What is thought of the internet addresses that nodes' traffic comes out at: a few providers asked, the worst answer taken.
 *
 *   riskOf(address) ─▶ public? ─▶ each provider, 5 s at most ─▶ risk: the highest, hosting: if any says so
 *
 * It only informs: whoever cannot be asked has said nothing, and nobody waits long for it. Only public addresses are asked
 * about. Providers: `range_list.ts` (a file), `ipqs.ts` (over HTTP, kept by `kept_answers.ts`).
 */

import { type Clock, deadline } from "../../../protocol/clock.ts";
import { messageOf } from "../../../protocol/errors.ts";
import { type IpAddress, parseIp } from "../../../protocol/ip.ts";
import { classify } from "../../../protocol/ip_class.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Counter, Metrics } from "../../../protocol/metrics.ts";
import { orAborted } from "../../../protocol/abort.ts";

/** What is thought of an address. */
export interface AddressRisk {
  /** 0 clean, 1 bad; undefined: nobody knows. */
  readonly risk: number | undefined;
  /** Of a data centre, where nobody lives. */
  readonly isHosting: boolean | undefined;
}

export const UNKNOWN_RISK: AddressRisk = { risk: undefined, isHosting: undefined };

export interface IpQualityProvider {
  /** For logs and metrics. */
  readonly name: string;
  /** Rejects when it cannot say at present. */
  look(address: IpAddress, signal: AbortSignal): Promise<AddressRisk>;
}

export interface IpQualityOptions {
  readonly providers: readonly IpQualityProvider[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** For each look. Default 5 s. */
  readonly timeoutMs?: number;
}

export class IpQuality {
  readonly #options: IpQualityOptions;
  readonly #looks: Counter;

  constructor(options: IpQualityOptions) {
    this.#options = options;
    this.#looks = options.metrics.counter("ip_quality_looks_total", "Addresses asked about, by outcome", [
      "provider",
      "outcome",
    ]);
  }

  /** Never rejects. */
  async riskOf(address: string): Promise<AddressRisk> {
    const ip = parseIp(address);
    if (!ip || classify(ip) !== "public") return UNKNOWN_RISK;
    return worst(await Promise.all(this.#options.providers.map((provider) => this.#ask(provider, ip))));
  }

  async #ask(provider: IpQualityProvider, address: IpAddress): Promise<AddressRisk> {
    const { clock, log, timeoutMs = 5_000 } = this.#options;
    using limit = deadline(clock, timeoutMs, `ask ${provider.name}`);
    try {
      const risk = await orAborted(provider.look(address, limit.signal), limit.signal);
      this.#looks.add(1, { provider: provider.name, outcome: "answered" });
      return risk;
    } catch (error) {
      this.#looks.add(1, { provider: provider.name, outcome: "failed" });
      log.debug("Nothing is known of an address", { provider: provider.name, error: messageOf(error) });
      return UNKNOWN_RISK;
    }
  }
}

/** The highest risk that anybody sees; hosting if anybody says so. */
export function worst(risks: readonly AddressRisk[]): AddressRisk {
  const known = risks.flatMap(({ risk }) => risk === undefined ? [] : [risk]);
  const hosting = risks.flatMap(({ isHosting }) => isHosting === undefined ? [] : [isHosting]);
  return {
    risk: known.length === 0 ? undefined : Math.max(...known),
    isHosting: hosting.length === 0 ? undefined : hosting.includes(true),
  };
}
