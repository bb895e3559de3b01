/** What requests to an orchestrator can meet with. */

import type { ProblemCode } from "../../problem.ts";

/** Any request. */
export const ANY_PROBLEMS: readonly ProblemCode[] = ["rate_limited", "internal", "unavailable"];

/** One with a body. */
export const BODY_PROBLEMS: readonly ProblemCode[] = ["bad_request", "wrong_type", "too_large", ...ANY_PROBLEMS];

/** One that takes a role. */
const ROLE_PROBLEMS: readonly ProblemCode[] = ["unauthorized", "token_expired", "not_allowed", "suspended"];

export const READ_PROBLEMS: readonly ProblemCode[] = ["bad_request", ...ROLE_PROBLEMS, ...ANY_PROBLEMS];
export const CHANGE_PROBLEMS: readonly ProblemCode[] = [...ROLE_PROBLEMS, ...BODY_PROBLEMS];
