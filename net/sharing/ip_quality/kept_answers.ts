/**
 * Keeps what a provider has said of an address for a day or more, since looks cost money and addresses change slowly.
 *
 *   look ─▶ kept and young? ─▶ that          else ─▶ provider rests? ─▶ what is kept, however old, or reject
 *                                                     └▶ ask, one at a time for each address ─▶ keep
 *
 * IPv6 homes have a /64 and many addresses in it, so they are kept by that. After a failure, such as a quota that is used up,
 * the provider is left alone for a while, which doubles with each failure in a row. The oldest answers go when there are too
 * many.
 */

import { orAborted } from "../../../protocol/abort.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { formatIp, type IpAddress, networkOf } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { AddressRisk, IpQualityProvider } from "./ip_quality.ts";

const DAY_MS = 24 * 3_600_000;
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 3_600_000;
const HOME_BITS = 64;

export interface KeptAnswersOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** How long an answer counts, at least a day. Default a day. */
  readonly keepMs?: number;
  /** Default 50,000. */
  readonly maxKept?: number;
  /** A look that goes on although nobody waits for it any more. Default 30 s. */
  readonly lookTimeoutMs?: number;
}

interface Kept {
  readonly answer: AddressRisk;
  readonly atMs: number;
}

export class KeptAnswers implements IpQualityProvider {
  readonly name: string;
  readonly #provider: IpQualityProvider;
  readonly #options: KeptAnswersOptions;
  readonly #keepMs: number;
  readonly #kept = new Map<string, Kept>();
  readonly #looks = new Map<string, Promise<AddressRisk>>();
  #failures = 0;
  #restsUntilMs = -Infinity;

  constructor(provider: IpQualityProvider, options: KeptAnswersOptions) {
    const { keepMs = DAY_MS } = options;
    if (!(keepMs >= DAY_MS)) {
      throw new CulvertError("bad_option", `Cannot keep answers: keepMs must be at least a day, got ${keepMs}`);
    }
    this.name = provider.name;
    this.#provider = provider;
    this.#options = options;
    this.#keepMs = keepMs;
  }

  async look(address: IpAddress, signal: AbortSignal): Promise<AddressRisk> {
    const key = formatIp(address.length === 4 ? address : networkOf(address, HOME_BITS)!.address);
    const nowMs = this.#options.clock.now();
    const kept = this.#kept.get(key);
    if (kept && nowMs - kept.atMs < this.#keepMs) return kept.answer;
    if (nowMs < this.#restsUntilMs) return kept?.answer ?? Promise.reject(this.#resting());
    try {
      return await orAborted(this.#lookOnce(key, address), signal);
    } catch (error) {
      if (kept) return kept.answer; // an old answer is better than none
      throw error;
    }
  }

  /** Goes on for the next who asks, even if this one does not wait: it has been paid for. */
  #lookOnce(key: string, address: IpAddress): Promise<AddressRisk> {
    const underWay = this.#looks.get(key);
    if (underWay) return underWay;
    const look = this.#ask(key, address).finally(() => this.#looks.delete(key));
    look.catch(() => {}); // whoever waits hears of it
    this.#looks.set(key, look);
    return look;
  }

  async #ask(key: string, address: IpAddress): Promise<AddressRisk> {
    const { clock, log, lookTimeoutMs = 30_000, maxKept = 50_000 } = this.#options;
    const limit = new AbortController();
    using _timer = clock.after(lookTimeoutMs, () => limit.abort(new CulvertError("timeout", "It took too long")));
    try {
      const answer = await orAborted(this.#provider.look(address, limit.signal), limit.signal);
      this.#failures = 0;
      this.#kept.delete(key);
      this.#kept.set(key, { answer, atMs: clock.now() });
      if (this.#kept.size > maxKept) this.#kept.delete(this.#kept.keys().next().value!);
      return answer;
    } catch (error) {
      const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** this.#failures++);
      this.#restsUntilMs = clock.now() + restMs;
      log.warn("Cannot ask about addresses", { provider: this.name, error: messageOf(error), again_in_ms: restMs });
      throw error;
    }
  }

  #resting(): CulvertError {
    return new CulvertError("busy", `Cannot ask ${this.name}: it has failed just before`);
  }
}
