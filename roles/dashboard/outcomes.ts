/**
 * How what was done at an administrator's wish is told on the dashboard.
 */

import type { DeedOutcome } from "../../edge/dashboard/inventory.ts";
import { Problem } from "../../edge/problem.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Done } from "../admin_api/audited.ts";

export type FailureCode = Extract<DeedOutcome, { readonly ok: false }>["code"];

export function succeeded(text: string): DeedOutcome {
  return { ok: true, text };
}

export function failed(code: FailureCode, text: string): DeedOutcome {
  return { ok: false, code, text };
}

/** Of a deed done here. */
export function outcomeOf<Answer extends object>(done: Done<Answer>, textOf: (answer: Answer) => string): DeedOutcome {
  if (done instanceof Problem) return failed(failureCodeOf(done.code), done.detail);
  const { answer, detail = "it came to nothing", hasFailed } = done;
  return hasFailed ? failed("failed", detail) : succeeded(textOf(answer));
}

/** The outcome, or what was thrown on the way to it. */
export async function attempt(does: () => Promise<DeedOutcome>): Promise<DeedOutcome> {
  try {
    return await does();
  } catch (error) {
    return failed(error instanceof CulvertError ? failureCodeOf(error.code) : "failed", messageOf(error));
  }
}

/** What of another supernode's deed is told. */
function failureCodeOf(code: string): FailureCode {
  switch (code) {
    case "not_found":
    case "bad_request":
    case "unavailable":
      return code;
    case "unreachable":
      return "unavailable";
    default:
      return "failed";
  }
}
