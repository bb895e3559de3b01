/**
 * Things that happened at one look, as lines of the log. Few are told one by one, many alike as one line: "214 clients came". So a
 * look gives a bounded number of lines, whatever has become of the network.
 */

import type { LogLine } from "./api.ts";
import type { NewLine } from "./event_log.ts";

/** So many alike are told one by one. */
const MAX_ALIKE = 4;

/** One thing that happened; those of one kind may be told together. */
export interface Happening {
  readonly tone: LogLine["tone"];
  readonly text: string;
  /** The same of several of them. */
  readonly together: (count: number) => string;
}

/** What there is too much of to be told one by one is told as one, in the place of its first. */
export function linesOf(happenings: Iterable<Happening>, atMs: number): NewLine[] {
  const alike = Map.groupBy(happenings, ({ together }) => together(2));
  return [...alike.values()].flatMap((each) =>
    each.length <= MAX_ALIKE
      ? each.map(({ tone, text }) => ({ atMs, tone, text }))
      : [{ atMs, tone: each[0]!.tone, text: each[0]!.together(each.length) }]
  );
}

export function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
