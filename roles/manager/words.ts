/**
 * What the manager is asked over its socket (`manager.sock` beside the pid files) and what it answers; the commands
 * `culvert manager status`, `start` and so on ask it.
 */

import { z } from "zod";
import { managerReportSchema, serviceStatsSchema } from "../../protocol/manager/report.ts";
import type { ControlWords } from "../control_socket.ts";

const names = z.array(z.string().max(64)).max(1000);
/** A thousand names, and a thousand services with all that can be told of each. */
const MAX_REQUEST_BYTES = 128 * 1024;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export const managerRequestSchema = z.discriminatedUnion("do", [
  /** Of these services, or of all. */
  z.object({ do: z.literal("report"), names: names.optional() }),
  z.object({ do: z.literal("stats"), names: names.optional() }),
  /** Answered at once with a report; how it goes is asked by more reports. What is not there is refused: `unknown_service`. */
  z.object({ do: z.enum(["start", "stop", "restart"]), names }),
  /** Reads the service files and settings again, as SIGHUP does. */
  z.object({ do: z.literal("reload") }),
]);
export type ManagerRequest = z.infer<typeof managerRequestSchema>;

export const managerAnswerSchema = z.union([
  managerReportSchema,
  z.object({ nowMs: z.number(), stats: z.array(serviceStatsSchema) }),
]);
export type ManagerAnswer = z.infer<typeof managerAnswerSchema>;

export const managerWords: ControlWords<ManagerRequest, ManagerAnswer> = {
  role: "manager",
  request: managerRequestSchema,
  answer: managerAnswerSchema,
  maxRequestBytes: MAX_REQUEST_BYTES,
  maxAnswerBytes: MAX_ANSWER_BYTES,
};
