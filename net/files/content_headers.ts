/**
 * What an answer says of a file beside its bytes, and the answers that need none of them.
 *
 * A file's tag is the root of its content where the index knows it, the same on every peer; else it is made of what the file
 * system says. A file that has only just changed could change again and look the same: its tag is weak and never the same
 * twice, and it has no date, so that nobody goes on with the rest of another state.
 */

import { contentDisposition } from "../../protocol/files/content_disposition.ts";
import { formatHttpDate } from "../../protocol/files/http_date.ts";
import { contentPolicyOf, contentTypeOf, mediaTypeOf } from "../../protocol/files/media_type.ts";
import { judge, type Validators } from "../../protocol/files/preconditions.ts";
import { nameOf } from "../../protocol/files/safe_path.ts";
import type { FileServerParts } from "./file_server.ts";
import type { FileState } from "./open_file.ts";
import { problem } from "./problem.ts";
import type { AskedHead } from "./routes.ts";
import type { Opened } from "./shared_root.ts";

/** After two seconds the clock of every file system in use has gone on, and we hear of some times in whole seconds. */
const SETTLED_MS = 3000;

export function validatorsOf({ file, realPath }: Opened, { index, options }: FileServerParts): Validators {
  const { state } = file;
  const nowMs = options.clock.wallNow();
  const isSettled = Math.max(state.modifiedMs, state.changedMs) < nowMs - SETTLED_MS;
  const root = index.rootOf(realPath, state);
  // A time that has not come yet says nothing either.
  const dated = isSettled && { lastModifiedMs: state.modifiedMs };
  if (root !== undefined) return { etag: `"${root}"`, ...dated };
  return { etag: isSettled ? `"${stampOf(state)}"` : `W/"${stampOf(state)}-${options.random.next()}"`, ...dated };
}

/** In hexadecimal, times in thousandths of a millisecond. */
function stampOf({ size, modifiedMs, changedMs, inode }: FileState): string {
  return [size, modifiedMs * 1000, changedMs * 1000, inode].map((part) => Math.floor(part).toString(16)).join("-");
}

export function contentHeaders(
  { path, isAttachment }: { readonly path: string; readonly isAttachment: boolean },
  { etag, lastModifiedMs }: Validators,
): Record<string, string> {
  return {
    "content-type": contentTypeOf(path),
    "accept-ranges": "bytes",
    // Asked for each time, and answered with 304 while it is the same.
    "cache-control": "private, no-cache",
    ...etag !== undefined && { etag },
    ...lastModifiedMs !== undefined && { "last-modified": formatHttpDate(lastModifiedMs) },
    ...isAttachment && { "content-disposition": contentDisposition("attachment", nameOf(path)) },
    ...safetyHeaders(contentPolicyOf(mediaTypeOf(path))),
  };
}

/** What every answer with something of somebody's carries. */
export function safetyHeaders(policy: string): Record<string, string> {
  return {
    "content-security-policy": policy,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
}

/** 304 and 412. */
export function answerEarly(
  { method, headers: given }: AskedHead,
  /** Undefined when there is nothing. */
  validators: Validators | undefined,
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): Response | undefined {
  const asked = {
    isRead: method === "GET" || method === "HEAD",
    ifMatch: given.get("if-match"),
    ifUnmodifiedSince: given.get("if-unmodified-since"),
    ifNoneMatch: given.get("if-none-match"),
    ifModifiedSince: given.get("if-modified-since"),
  };
  switch (judge(asked, validators, nowMs)) {
    case "proceed":
      return undefined;
    case "not_modified": {
      const { "content-type": _type, "content-disposition": _disposition, ...kept } = headers;
      return new Response(null, { status: 304, headers: kept });
    }
    case "failed": {
      const etag = validators?.etag;
      return problem("changed", "Cannot do it: what is there now is not what was meant", {
        headers: { ...etag !== undefined && { etag } },
      });
    }
  }
}
