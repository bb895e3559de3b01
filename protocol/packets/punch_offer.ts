/**
 * What a client and its exit tell each other, inside the tunnel, before they look for a way without the relay: where each may
 * be found, and half of a key each.
 *
 *   client                                   gateway
 *   punch.offer { id, secret, at }   ──────→
 *                                    ←──────  punch.answer { id, grant: { secret, at } }   or { id, retryAfterMs }
 *
 * `at` is how others see the device's own UDP port, in the order of hope; addresses only, no names. What may be done with
 * them is for `punch_candidates.ts` to say.
 */

import { z } from "zod";
import { endpointSchema, keySchema, millisecondsSchema, tokenSchema } from "../fields.ts";

/** Of one side. Each may be sent a few small datagrams by whoever is told of it. */
export const MAX_CANDIDATES = 8;

const candidatesSchema = z.array(endpointSchema).max(MAX_CANDIDATES);

export const punchOfferSchema = z.object({
  type: z.literal("punch.offer"),
  id: tokenSchema,
  /** 32 bytes of chance. */
  secret: keySchema,
  at: candidatesSchema,
});
export type PunchOffer = z.infer<typeof punchOfferSchema>;

export const punchAnswerSchema = z.object({
  type: z.literal("punch.answer"),
  id: tokenSchema,
  /** Absent: not now, or not at all. */
  grant: z.object({ secret: keySchema, at: candidatesSchema }).optional(),
  /** With a refusal that is not for ever. */
  retryAfterMs: millisecondsSchema.optional(),
});
export type PunchAnswer = z.infer<typeof punchAnswerSchema>;
