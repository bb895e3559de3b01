/** What an operator's tools may ask of any role at `--metrics-listen`, as data. `openapi.json` and its page are made from it. */

import { z } from "zod";
import type { ApiDescription, Operation } from "./openapi.ts";

const readinessSchema = z.object({
  ready: z.boolean(),
  failing: z.record(z.string(), z.string()).describe("What is missing, and a sentence about it."),
});

const metrics: Operation = {
  id: "metrics",
  method: "get",
  path: "/metrics",
  summary: "What is counted",
  description: "The text format of Prometheus. docs/observability.md has a table of all there is.",
  answer: { status: 200, type: "text/plain", schema: z.string(), description: "As of now." },
  problems: [],
};

const health: Operation = {
  id: "health",
  method: "get",
  path: "/healthz",
  summary: "Whether the process lives",
  description: "Answers while the event loop turns.",
  answer: {
    status: 200,
    schema: z.object({ status: z.literal("ok"), version: z.string() }),
    description: "It does.",
  },
  problems: [],
};

const ready: Operation = {
  id: "ready",
  method: "get",
  path: "/readyz",
  summary: "Whether the role can do its work",
  description: "Says what is missing if it cannot.",
  answer: { status: 200, schema: readinessSchema, description: "It can." },
  others: [{ status: 503, schema: readinessSchema, description: "It cannot, and this is why." }],
  problems: [],
};

export function healthApi(version: string): ApiDescription {
  return {
    title: "Culvert health",
    version,
    description: "What a role counts, whether it lives, and whether it can do its work.",
    operations: [metrics, health, ready],
    schemas: [{ name: "Readiness", schema: readinessSchema }],
  };
}
