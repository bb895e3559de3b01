/** How much is kept of what the server tells, as `edge/dashboard/api.ts` has it: a browser cannot import that. */

export const HISTORY_POINTS = 300;
export const HISTORY_STEP_MS = 2000;
export const LOG_LINES = 500;
