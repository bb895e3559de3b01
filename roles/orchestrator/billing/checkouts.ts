/** Where paying in begins: an order at one of the payment providers, and the page to pay it at. */

import { type Clock, deadline } from "../../../protocol/clock.ts";
import { encodeBase32 } from "../../../protocol/encoding.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import { formatMicros, type Micros } from "../../../protocol/sharing/money.ts";
import type { PaymentProvider } from "../../../protocol/sharing/payments/provider.ts";

export interface CheckoutsDeps {
  readonly providers: readonly PaymentProvider[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface CheckoutsOptions {
  readonly smallest: Micros;
  readonly largest: Micros;
  /** Where people come back to. */
  readonly returnUrl: string;
}

export interface CheckoutRefusal {
  readonly refusal: "bad_request" | "not_found" | "conflict";
  readonly reason: string;
}

/** People wait for it. */
const PROVIDER_TIMEOUT_MS = 15_000;

export class Checkouts {
  readonly #deps: CheckoutsDeps;
  readonly #options: CheckoutsOptions;
  readonly providers: readonly string[];

  constructor(deps: CheckoutsDeps, options: CheckoutsOptions) {
    this.#deps = deps;
    this.#options = options;
    this.providers = deps.providers.map(({ name }) => name);
  }

  async begin(
    { userId, provider: name, amount }: { readonly userId: string; readonly provider: string; readonly amount: Micros },
  ): Promise<{ readonly url: string } | CheckoutRefusal> {
    const { providers, clock, random, log } = this.#deps;
    const { smallest, largest, returnUrl } = this.#options;
    const provider = providers.find((one) => one.name === name);
    if (!provider) return { refusal: "not_found", reason: `the provider must be one of ${this.providers.join(", ")}` };
    if (amount < smallest || amount > largest) {
      const reason = `the amount must be from ${formatMicros(smallest)} to ${formatMicros(largest)}`;
      return { refusal: "bad_request", reason };
    }
    const orderId = encodeBase32(random.fill(new Uint8Array(16)));
    using limit = deadline(clock, PROVIDER_TIMEOUT_MS, "begin a payment");
    try {
      return { url: await provider.checkout({ userId, amount, orderId, returnUrl }, limit.signal) };
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      log.warn("A payment could not begin", { provider: name, user_id: userId, error: messageOf(error) });
      return { refusal: "conflict", reason: `${name} does not take payments at present; try again later` };
    }
  }
}
