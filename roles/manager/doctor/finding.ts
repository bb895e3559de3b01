/**
 * What the doctor has found: each check as a verdict, a sentence, and what to do about it.
 */

import type { Paint, Style } from "../styles.ts";

export type Verdict = "ok" | "warn" | "fail";

export interface Finding {
  /** One or two words: what was looked at. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly says: string;
  readonly advice?: string;
}

export function ok(check: string, says: string): Finding {
  return { check, verdict: "ok", says };
}

/** It works for now, or it may not be meant so. */
export function warn(check: string, says: string, advice: string): Finding {
  return { check, verdict: "warn", says, advice };
}

/** Something does not work, or will not. */
export function fail(check: string, says: string, advice: string): Finding {
  return { check, verdict: "fail", says, advice };
}

const STYLES: Readonly<Record<Verdict, Style>> = { ok: "good", warn: "waiting", fail: "bad" };

export function findingLines({ check, verdict, says, advice }: Finding, paint: Paint): string[] {
  const line = `${paint(verdict.padEnd(4), STYLES[verdict])}  ${check}: ${says}`;
  return advice === undefined ? [line] : [line, `      ${advice}`];
}
