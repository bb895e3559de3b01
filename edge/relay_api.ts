/** What the APIs of upstreams and downstreams have in common, as data. */

import { z } from "zod";
import type { Operation } from "./openapi.ts";
import type { ProblemCode } from "./problem.ts";

export const TOKEN_OF_RELAY =
  "Authorization: Bearer <token> (RFC 6750): the relay's token, where it has one. Otherwise anyone may come.";

/** What whoever comes can meet with. */
export const TAKEN_PROBLEMS: readonly ProblemCode[] = ["unauthorized", "rate_limited", "busy", "draining"];

export const relayHealth: Operation = {
  id: "health",
  method: "get",
  path: "/healthz",
  summary: "Whether the relay is up",
  description: "Answers while the event loop turns.",
  answer: {
    status: 200,
    schema: z.object({ status: z.literal("ok"), version: z.string() }),
    description: "It is.",
  },
  problems: [],
};
