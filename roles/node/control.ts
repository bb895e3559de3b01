/**
 * What `culvert node status`, `pause`, `resume` and `consent --withdraw` ask the node that runs with the same state directory.
 */

import { z } from "zod";
import type { ControlWords } from "../control_socket.ts";
import { type NodeReport, nodeReportSchema } from "./status.ts";

const requestSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("status") }),
  z.object({ do: z.literal("pause"), forMs: z.number().positive().optional() }),
  z.object({ do: z.literal("resume") }),
  /** The owner's consent is no more: share nothing from now on, and end. */
  z.object({ do: z.literal("withdraw") }),
]);
export type NodeRequest = z.infer<typeof requestSchema>;

/** The answer is how the node is afterwards. */
export const nodeWords: ControlWords<NodeRequest, NodeReport> = {
  role: "node",
  request: requestSchema,
  answer: nodeReportSchema,
};

export function nodeSocketPath(stateDir: string): string {
  return `${stateDir}/node.sock`;
}
