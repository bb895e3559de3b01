/** What other machines than people's ask of an orchestrator: its watchdog through nodes, and payment providers. */

import { z } from "zod";
import { MAX_PROBE_BYTES, PROBE_PATH } from "../../../protocol/sharing/probe_ticket.ts";
import type { Operation } from "../../openapi.ts";

export const answerProbe = {
  id: "answerProbe",
  method: "get",
  path: `${PROBE_PATH}/{ticket}`,
  summary: "What the watchdog asks through nodes",
  description:
    "The answer's headers culvert-probe-proof and culvert-probe-address show that the ticket came here, and from " +
    "where. Without a ticket of ours there is nothing here.",
  params: z.object({ ticket: z.string() }),
  query: z.object({ bytes: z.int().min(0).max(MAX_PROBE_BYTES).optional() }),
  answer: {
    status: 200,
    type: "application/octet-stream",
    schema: z.file(),
    description: "As many bytes as were asked for, by chance.",
  },
  problems: ["not_found", "bad_request"],
} as const satisfies Operation;

export const takeWebhook = {
  id: "takeWebhook",
  method: "post",
  path: "/v1/payments/{provider}",
  summary: "What a payment provider has to tell",
  description: "In the provider's own form, with its own signature. Only providers that are set up have a place.",
  params: z.object({ provider: z.enum(["stripe", "telegram"]) }),
  body: z.looseObject({}),
  answer: { status: 200, schema: z.looseObject({}), description: "It need not come again." },
  problems: ["bad_signature", "too_large", "unavailable"],
} as const satisfies Operation;
