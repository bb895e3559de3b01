/**
 * What an operator is to be paid: the record beside the pending transfer in the ledger that holds the money. Whether money
 * moved is the ledger's to say; this says for whom, where to, and what became of it.
 */

import { z } from "zod";
import { remarkSchema, timeSchema } from "../fields.ts";
import { userIdSchema } from "./records.ts";

export const payoutStates = ["pending", "paid", "refused"] as const;
export type PayoutState = (typeof payoutStates)[number];

export const payoutSchema = z.object({
  payoutId: z.string().regex(/^[!-~]{1,128}$/),
  userId: userIdSchema,
  /** Micros, in whole numbers: JSON has no bigint. */
  amountMicros: z.string().regex(/^[1-9]\d{0,20}$/),
  /** In the operator's words. */
  destination: remarkSchema,
  status: z.enum(payoutStates),
  /** Of a refusal: why. Of a payment: under which number it was made. */
  note: remarkSchema.optional(),
  /** Why an admin should look twice. */
  flags: z.array(remarkSchema).max(16),
  requestedAtMs: timeSchema,
  decidedAtMs: timeSchema.optional(),
});
export type Payout = z.infer<typeof payoutSchema>;
