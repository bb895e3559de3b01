/**
 * The webhooks of payment providers: `POST /v1/payments/<provider>`, an app to be mounted at the root of the orchestrator's.
 *
 *   body as it came ─▶ provider: signature, time, schema ─▶ PaymentEvent ─▶ ledger ─▶ 200
 *
 * 200 says that the event need not come again: it is done, was done before, or is not ours. 503 asks for it again: the
 * ledger cannot be reached, or what it follows has not come yet. What is forged, replayed, contradictory or in the wrong
 * currency is audited with the reason; all but the first with 200, since they would be the same again.
 */

import { Hono } from "hono";
import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import { formatMicros } from "../../protocol/sharing/money.ts";
import type { Deposits } from "../../protocol/sharing/payments/deposits.ts";
import type { PaymentEvent, PaymentProvider, WebhookReading } from "../../protocol/sharing/payments/provider.ts";
import { Problem } from "../problem.ts";
import { readBody } from "../read_body.ts";
import type { AccessAudit } from "./access/audit.ts";

export interface PaymentsDeps {
  readonly providers: readonly PaymentProvider[];
  readonly deposits: Pick<Deposits, "apply">;
  /** Why an account may not be paid into, for whoever is about to pay; undefined when it may. */
  refusalOfPayer(userId: string): Promise<string | undefined>;
  readonly audit: Pick<AccessAudit, "note" | "refused">;
  readonly clock: Clock;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

export interface PaymentsEnv {
  readonly Bindings: { readonly remoteAddress?: string | undefined };
}

/** Stripe's events are a few KiB. */
const MAX_WEBHOOK_BYTES = 256 * 1024;
const RETRY_MS = 60_000;

export function paymentRoutes(deps: PaymentsDeps): Hono<PaymentsEnv> {
  const app = new Hono<PaymentsEnv>();
  const webhooks = new Webhooks(deps);
  for (const provider of deps.providers) {
    app.post(
      `/v1/payments/${provider.name}`,
      (context) => webhooks.answer(provider, context.req.raw, context.env?.remoteAddress ?? "unknown"),
    );
  }
  return app;
}

class Webhooks {
  readonly #deps: PaymentsDeps;
  readonly #log: Log;
  readonly #webhooks;

  constructor(deps: PaymentsDeps) {
    this.#deps = deps;
    this.#log = deps.log ?? silentLog;
    this.#webhooks = (deps.metrics ?? noMetrics).counter(
      "payment_webhooks_total",
      "Webhooks of payment providers by what became of them",
      ["provider", "result"],
    );
  }

  async answer(provider: PaymentProvider, request: Request, address: string): Promise<Response> {
    const body = await readBody(request, MAX_WEBHOOK_BYTES);
    if (!body) {
      this.#count(provider, "too_large");
      const detail = `Cannot take the webhook: its body must be at most ${MAX_WEBHOOK_BYTES} bytes`;
      return new Problem("too_large", detail).response();
    }
    const reading = provider.readWebhook({ headers: request.headers, body }, this.#deps.clock.wallNow());
    try {
      return await this.#answerTo(provider, reading, address);
    } catch (error) {
      this.#log.error("A webhook could not be dealt with", { provider: provider.name, error: messageOf(error) });
      return this.#again(provider, "failed", "the ledger must be reachable");
    }
  }

  async #answerTo(provider: PaymentProvider, reading: WebhookReading, address: string): Promise<Response> {
    switch (reading.kind) {
      case "event":
        return await this.#deposit(provider, reading.event);
      case "question": {
        const { userId } = reading;
        const refusal = userId === undefined ? "This invoice is out of date." : await this.#deps.refusalOfPayer(userId);
        return this.#done(provider, refusal === undefined ? "allowed" : "not_allowed", reading.answer(refusal));
      }
      case "nothing":
        return this.#done(provider, "nothing");
      case "wrong":
        return this.#suspect(provider, "wrong", reading.reason);
      case "forged": {
        this.#deps.audit.refused(address, "payment.forged", { subject: provider.name, detail: reading.reason });
        this.#count(provider, "forged");
        return new Problem("bad_signature", `Cannot take the webhook: ${reading.reason}`).response();
      }
    }
  }

  async #deposit(provider: PaymentProvider, event: PaymentEvent): Promise<Response> {
    const { name } = provider;
    const result = await this.#deps.deposits.apply(name, event);
    if (result.status === "early") return this.#again(provider, "early", "what it follows has not come yet");
    if (result.status === "conflict") return this.#suspect(provider, "conflict", result.reason);
    if (result.status === "known") {
      const detail = `${event.eventId}: ${event.kind} of ${event.paymentId} was dealt with before`;
      this.#deps.audit.refused(name, "payment.replayed", { subject: event.paymentId, detail });
    }
    if (result.status === "applied") {
      const { userId, amount, loss } = result;
      const lost = loss > 0n ? `, ${formatMicros(loss)} of it lost: the account had less` : "";
      const detail = `${event.kind} ${formatMicros(amount)} of ${event.paymentId}${lost}`;
      this.#log.info("A payment provider has told of money", { provider: name, kind: event.kind, user_id: userId });
      await this.#tell(name, `payment.${event.kind}`, { subject: userId, detail });
    }
    return this.#done(provider, result.status);
  }

  /** The money has moved, and the ledger has the event: that it cannot be audited as well must not bring it again. */
  async #tell(actor: string, action: string, about: { subject: string; detail: string }): Promise<void> {
    await this.#deps.audit.note(actor, action, about).catch((error) => {
      this.#log.error("A payment could not be audited", { action, error: messageOf(error) });
    });
  }

  #suspect(provider: PaymentProvider, result: string, detail: string): Response {
    this.#log.error("A payment needs to be looked at", { provider: provider.name, result, detail });
    this.#deps.audit.refused(provider.name, "payment.suspect", { subject: result, detail });
    return this.#done(provider, result);
  }

  #again(provider: PaymentProvider, result: string, rule: string): Response {
    this.#count(provider, result);
    return new Problem("unavailable", `Cannot take the webhook yet: ${rule}; send it again`, { retryAfterMs: RETRY_MS })
      .response();
  }

  #done(provider: PaymentProvider, result: string, answer: unknown = {}): Response {
    this.#count(provider, result);
    return Response.json(answer);
  }

  #count(provider: PaymentProvider, result: string): void {
    this.#webhooks.add(1, { provider: provider.name, result });
  }
}
