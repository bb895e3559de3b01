/**
 * One member after the other until one works. `failover` gives them in order of preference and `balance` in an order
 * of its own; both end here.
 */

import { DialError, dialFailureOf, messageOf } from "../protocol/errors.ts";
import { blameOf, type Watched } from "./monitor.ts";

/** A member that was tried in vain. */
export interface Failure {
  readonly member: Watched;
  readonly error: unknown;
}

/**
 * What the first member to succeed gave. An answer of the far side ends the search, since the others would get the same;
 * after the last failure the error has its code and names them all.
 */
export async function tryInTurn<T>(
  members: Iterable<Watched>,
  attempt: (member: Watched) => Promise<T>,
  options: { readonly signal: AbortSignal; readonly what: string },
): Promise<T> {
  const failures: Failure[] = [];
  for (const member of members) {
    try {
      return await attempt(member);
    } catch (error) {
      options.signal.throwIfAborted();
      if (blameOf(error) === "answer") throw error;
      failures.push({ member, error });
    }
  }
  throw everyMemberFailed(failures, options.what);
}

/**
 * The error when nothing is left to try: the far side's answer if one got that far, else the last failure; in words,
 * every member's reason.
 */
export function everyMemberFailed(failures: readonly Failure[], what: string): DialError {
  const cause = (failures.find(({ error }) => blameOf(error) === "answer") ?? failures.at(-1))?.error;
  const reasons = failures.map(({ member, error }) => `${member.name}: ${messageOf(error)}`).join("; ");
  return new DialError(dialFailureOf(cause), `Cannot ${what}: every path failed (${reasons})`, { cause });
}
