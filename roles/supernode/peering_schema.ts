/**
 * What supernodes ask each other for, by path (`protocol/directory.ts` has the bodies). All are POST, JSON and signed.
 */

import { z } from "zod";
import { secretSchema } from "../../protocol/fields.ts";

export const PEERING_PATHS = {
  exits: "/v1/exit-peers",
  setups: "/v1/exit-setups",
  ends: "/v1/exit-ends",
  notices: "/v1/exit-notices",
  checks: "/v1/session-checks",
  tokens: "/v1/relay-tokens",
} as const;

/** The caller's certificate, in closed networks. It proves itself, so the signature need not cover it. */
export const CERTIFICATE_HEADER = "culvert-certificate";

export const nothingSchema = z.object({});
export const doneSchema = z.object({ ok: z.literal(true) });
export const relayTokenSchema = z.object({ relayToken: secretSchema });
