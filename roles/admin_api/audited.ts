/**
 * What administrators do, written down: whoever asks, by request or from the dashboard, it is in the audit log, also when it
 * came to nothing.
 */

import { Problem } from "../../edge/problem.ts";
import type { AuditStore } from "../../kv/audit.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";

/** Whose name deeds are under: whoever has the token. */
export const ACTOR = "admin";

/** What is to be written down about a deed before it is done. */
export type Subject = Pick<AuditEvent, "action" | "subject">;

/** How a deed ended: something to answer with, or the problem it met. */
export type Done<Answer extends object = object> =
  | { readonly answer: Answer; readonly detail?: string; readonly hasFailed?: boolean }
  | Problem;

/** Does it, and writes down how it ended. Rejects as the deed does. */
export async function audited<Answer extends object>(
  audit: Pick<AuditStore, "append">,
  subject: Subject,
  does: () => Promise<Done<Answer>>,
): Promise<Done<Answer>> {
  const entry = { actor: ACTOR, ...subject };
  let done: Done<Answer>;
  try {
    done = await does();
  } catch (error) {
    await audit.append({ ...entry, outcome: "failed", detail: messageOf(error).slice(0, 1024) });
    throw error;
  }
  if (done instanceof Problem) {
    await audit.append({ ...entry, outcome: "failed", detail: done.code });
    return done;
  }
  const { detail, hasFailed } = done;
  await audit.append({ ...entry, outcome: hasFailed ? "failed" : "done", ...(detail !== undefined && { detail }) });
  return done;
}
