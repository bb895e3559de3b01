/**
 * What IPQualityScore's proxy detection API answers, as far as it is used; `net/sharing/ip_quality/ipqs.ts` asks it.
 */

import { z } from "zod";

const answerSchema = z.discriminatedUnion("success", [
  z.object({
    success: z.literal(true),
    fraud_score: z.number().min(0).max(100),
    connection_type: z.string().optional(),
  }),
  z.object({ success: z.literal(false), message: z.string().optional() }),
]);

export type IpqsAnswer = z.infer<typeof answerSchema>;

/** Undefined when it is no answer. Never throws. */
export function readIpqsAnswer(text: string): IpqsAnswer | undefined {
  try {
    return answerSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
