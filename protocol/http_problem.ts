/**
 * Problem details (RFC 9457) as our HTTP interfaces answer with them: `code` is stable and for programs, `detail` for
 * people. Unknown members are ignored, as the RFC asks.
 */

import { z } from "zod";

export const httpProblemSchema = z.object({
  type: z.string().max(256),
  title: z.string().max(256),
  status: z.int().min(400).max(599),
  code: z.string().max(64),
  detail: z.string().max(1024),
  /** Which parts of the request are wrong; only with `bad_request`. */
  errors: z.array(z.object({ at: z.string().max(128), message: z.string().max(256) })).max(8).optional(),
  /** The answering side's time, for a clock that is wrong; only with `stale`. */
  serverTimeMs: z.int().optional(),
  /** When to try again; only with `rate_limited` and `unavailable`. */
  retryAfterMs: z.int().min(0).optional(),
});
export type HttpProblem = z.infer<typeof httpProblemSchema>;
