/**
 * Conditional requests, RFC 9110 §13: whether what is asked for is to be sent, has not changed, or is not what whoever asked
 * takes it for; and whether a range may be sent of it.
 *
 *   If-Match ▸ If-Unmodified-Since ▸ If-None-Match ▸ If-Modified-Since ▸ If-Range      (§13.2.2: the first that decides)
 *
 * A date is only as good as whoever gives it makes it: `lastModifiedMs` is left out of a representation that may still change
 * within the second it names.
 */

import { parseHttpDate } from "./http_date.ts";

/** Tells one state of a content from another. */
export interface Validators {
  /** As the header has it: `"…"`, or `W/"…"`. */
  readonly etag?: string | undefined;
  readonly lastModifiedMs?: number | undefined;
}

export interface Conditions {
  /** GET and HEAD are told "not modified", everybody else "failed". */
  readonly isRead: boolean;
  readonly ifMatch: string | null;
  readonly ifUnmodifiedSince: string | null;
  readonly ifNoneMatch: string | null;
  readonly ifModifiedSince: string | null;
}

/** 200 or 206; 304; 412. */
export type Verdict = "proceed" | "not_modified" | "failed";

/** What is there now, or undefined when there is nothing. */
export function judge(asked: Conditions, current: Validators | undefined, nowMs: number): Verdict {
  const { ifMatch, ifUnmodifiedSince, ifNoneMatch, ifModifiedSince, isRead } = asked;
  if (ifMatch !== null) {
    if (!matches(ifMatch, current, "strong")) return "failed";
  } else if (ifUnmodifiedSince !== null && isNewer(current, ifUnmodifiedSince, nowMs) === true) {
    return "failed";
  }
  if (ifNoneMatch !== null) {
    if (matches(ifNoneMatch, current, "weak")) return isRead ? "not_modified" : "failed";
  } else if (ifModifiedSince !== null && isRead && isNewer(current, ifModifiedSince, nowMs) === false) {
    return "not_modified";
  }
  return "proceed";
}

/** Whether a range may be sent: the content is the one that whoever asks has the rest of. */
export function rangeApplies(ifRange: string | null, current: Validators, nowMs: number): boolean {
  if (ifRange === null) return true;
  const text = ifRange.trim();
  if (text.startsWith('"') || text.startsWith("W/")) return isStrong(text) && text === current.etag;
  const ms = parseHttpDate(text, nowMs);
  return ms !== undefined && current.lastModifiedMs !== undefined && ms === wholeSeconds(current.lastModifiedMs);
}

function isStrong(etag: string): boolean {
  return etag.startsWith('"');
}

/** An opaque tag may hold commas; so the list is read tag by tag. */
const TAG = /[ \t,]*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)/y;

/** Undefined for what is no list of tags. */
export function parseTags(header: string): string[] | undefined {
  const tags: string[] = [];
  const pattern = new RegExp(TAG);
  while (pattern.lastIndex < header.length) {
    const from = pattern.lastIndex;
    const match = pattern.exec(header);
    if (!match) return /^[ \t,]*$/.test(header.slice(from)) && tags.length > 0 ? tags : undefined;
    tags.push(match[1]!);
  }
  return tags.length > 0 ? tags : undefined;
}

function matches(header: string, current: Validators | undefined, how: "strong" | "weak"): boolean {
  if (!current) return false;
  if (header.trim() === "*") return true;
  const { etag } = current;
  if (etag === undefined) return false;
  const tags = parseTags(header) ?? [];
  return how === "strong"
    ? isStrong(etag) && tags.includes(etag)
    : tags.some((tag) => opaqueOf(tag) === opaqueOf(etag));
}

function opaqueOf(etag: string): string {
  return isStrong(etag) ? etag : etag.slice(2);
}

/** Undefined when there is nothing to compare. */
function isNewer(current: Validators | undefined, header: string, nowMs: number): boolean | undefined {
  const ms = parseHttpDate(header.trim(), nowMs);
  if (ms === undefined || current?.lastModifiedMs === undefined) return undefined;
  return wholeSeconds(current.lastModifiedMs) > ms;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
