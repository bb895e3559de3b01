/**
 * The signature of Stripe's webhooks (docs.stripe.com/webhooks, "Verify webhook signatures manually"):
 *
 *   Stripe-Signature: t=1767225600,v1=<64 hex>[,v1=<64 hex>][,v0=…]
 *   v1 = HMAC-SHA256(secret of the endpoint, "<t>.<body as it came>")
 *
 * While a secret is being rotated there are several v1, and any that fits counts; other schemes never do.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { equalInConstantTime } from "../../constant_time.ts";

/** What Stripe's own libraries allow. */
export const STRIPE_TOLERANCE_MS = 300_000;
const MAX_HEADER_LENGTH = 4096;
const MAX_SIGNATURES = 16;

export interface StripeSignature {
  /** As it stands there: what was signed is the text. */
  readonly timestamp: string;
  readonly signatures: readonly Uint8Array[];
}

/** Reads the header; undefined when it has no time, or two, or nothing of v1. */
export function parseStripeSignature(header: string): StripeSignature | undefined {
  if (header.length > MAX_HEADER_LENGTH) return undefined;
  let timestamp: string | undefined;
  const signatures: Uint8Array[] = [];
  for (const item of header.split(",")) {
    const [, scheme, value] = /^\s*(\w{1,16})=([^\s,]*)\s*$/.exec(item) ?? [];
    if (scheme === "t") {
      if (timestamp !== undefined || !/^\d{1,12}$/.test(value!)) return undefined;
      timestamp = value!;
    } else if (scheme === "v1" && /^[0-9a-f]{64}$/.test(value!) && signatures.length < MAX_SIGNATURES) {
      signatures.push(Uint8Array.fromHex(value!));
    }
  }
  return timestamp === undefined || signatures.length === 0 ? undefined : { timestamp, signatures };
}

export interface StripeSecrets {
  /** One, or during a rotation of our own two: `whsec_…`, all of it. */
  readonly secrets: readonly string[];
  readonly nowMs: number;
}

/** Why the webhook is not Stripe's, or undefined. */
export function faultOfStripeSignature(
  header: string | null,
  body: Uint8Array,
  { secrets, nowMs }: StripeSecrets,
): string | undefined {
  const signature = parseStripeSignature(header ?? "");
  if (!signature) return "Stripe-Signature must be t=<time>,v1=<hex>";
  const expected = secrets.map((secret) => signatureOf(secret, signature.timestamp, body));
  let fits = false;
  for (const given of signature.signatures) {
    for (const one of expected) if (equalInConstantTime(given, one)) fits = true;
  }
  if (!fits) return "the signature must be over this body, by the endpoint's secret";
  const awayMs = Math.abs(nowMs - Number(signature.timestamp) * 1000);
  return awayMs > STRIPE_TOLERANCE_MS ? "the signature must be at most 300 s old; is the clock set?" : undefined;
}

function signatureOf(secret: string, timestamp: string, body: Uint8Array): Uint8Array {
  const utf8 = new TextEncoder();
  return hmac.create(sha256, utf8.encode(secret)).update(utf8.encode(`${timestamp}.`)).update(body).digest();
}
