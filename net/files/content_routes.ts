/**
 * Files over HTTP, RFC 9110: whole or in ranges, under conditions, to be shown or to be kept.
 *
 *   path ─▶ SharedRoot ─▶ what state is it in? ─▶ conditions ─▶ ranges ─▶ 200, 206, 304, 412, 416
 */

import type { Sent as SentToGuest } from "../../protocol/files/owner_api.ts";
import { contentRange, rangesWanted } from "../../protocol/files/byte_ranges.ts";
import { isMarkdown } from "../../protocol/files/media_type.ts";
import { multipartRanges } from "../../protocol/files/multipart_ranges.ts";
import { rangeApplies } from "../../protocol/files/preconditions.ts";
import { joinPath, nameOf, parseUrlPath } from "../../protocol/files/safe_path.ts";
import type { Random } from "../../protocol/random.ts";
import { answerEarly, contentHeaders, validatorsOf } from "./content_headers.ts";
import { type BodyPart, FileBody } from "./file_body.ts";
import type { FileServerParts } from "./file_server.ts";
import { FOLDER_PAGE } from "./folder_page.ts";
import { sendMarkdownPage, wantsPage } from "./markdown_page.ts";
import { MAX_MARKDOWN_BYTES } from "./markdown.ts";
import type { OpenFile } from "./open_file.ts";
import { badPath, notFound, problem } from "./problem.ts";
import { FileAnswer } from "./file_answer.ts";
import type { Asked, AskedHead } from "./routes.ts";
import type { Opened } from "./shared_root.ts";
import { WholeAnswer } from "./small_files.ts";

/** Read as one, without a stream. */
const SMALL_BYTES = 64 * 1024;

interface Sent {
  /** From the shared folder. */
  readonly path: string;
  readonly opened: Opened;
  readonly isAttachment: boolean;
}

/** Files to be shown; markdown as a page to browsers. */
export function serveContent(asked: Asked<AskedHead>, parts: FileServerParts): Response | Promise<Response> {
  return serve(asked, parts, { isAttachment: false, mayRender: true });
}

/** Files to be kept, unless the query says `inline`. Never rendered. */
export function serveDownload(asked: Asked<AskedHead>, parts: FileServerParts): Response | Promise<Response> {
  return serve(asked, parts, { isAttachment: !asked.query.has("inline"), mayRender: false });
}

interface Manner {
  readonly isAttachment: boolean;
  readonly mayRender: boolean;
}

function serve(asked: Asked<AskedHead>, parts: FileServerParts, manner: Manner): Response | Promise<Response> {
  const target = parseUrlPath(asked.rest);
  if (!target) return badPath();
  if (asked.rest === "") return withSlash(asked, manner.mayRender ? "content" : "download");
  // What is markdown may have to be a page instead, and a file is no folder.
  const mayBeKnown = !target.isFolder && !(manner.mayRender && isMarkdown(target.path));
  const known = mayBeKnown ? knownAnswer(asked, parts, { path: target.path, manner }) : undefined;
  if (known) return known;
  const found = parts.root.open(target.path, asked.scope);
  if (!found) return notFound();
  if (found.file.state.kind === "folder") {
    found.file[Symbol.dispose]();
    if (!target.isFolder) return withSlash(asked, nameOf(target.path));
    return serveFolderPage(asked, parts, { ...manner, folder: target.path });
  }
  if (target.isFolder) {
    found.file[Symbol.dispose]();
    return notFound();
  }
  return serveFile(asked, parts, { path: target.path, opened: found, ...manner });
}

function serveFolderPage(
  asked: Asked<AskedHead>,
  parts: FileServerParts,
  { folder, ...manner }: Manner & { readonly folder: string },
): Response | Promise<Response> {
  const path = joinPath(folder, FOLDER_PAGE);
  const opened = parts.root.open(path, asked.scope);
  if (!opened) return notFound();
  if (opened.file.state.kind === "file") return serveFile(asked, parts, { path, opened, ...manner });
  opened.file[Symbol.dispose]();
  return notFound();
}

/** Owns what is open. */
function serveFile(asked: Asked<AskedHead>, parts: FileServerParts, sent: Sent & Manner): Response | Promise<Response> {
  const { file } = sent.opened;
  const mayRender = sent.mayRender && isMarkdown(sent.path) && file.state.size <= MAX_MARKDOWN_BYTES;
  try {
    if (mayRender && wantsPage(asked)) return sendMarkdownPage(asked, parts, sent);
    return send(asked, parts, { ...sent, varies: mayRender });
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

function send(asked: Asked<AskedHead>, parts: FileServerParts, sent: Sent & { readonly varies: boolean }): Response {
  const { file } = sent.opened;
  const { clock, random } = parts.options;
  const { headers: given } = asked.request;
  const validators = validatorsOf(sent.opened, parts);
  const headers = contentHeaders(sent, validators);
  if (sent.varies) headers.vary = "accept";
  const nowMs = clock.wallNow();
  const early = answerEarly(asked.request, validators, headers, nowMs);
  if (early) return closing(file, early);
  const { size } = file.state;
  const isRanged = asked.request.method === "GET" && rangeApplies(given.get("if-range"), validators, nowMs);
  const wanted = rangesWanted(isRanged ? given.get("range") : null, size);
  switch (wanted.kind) {
    case "unsatisfiable":
      return closing(file, unsatisfiable(size, headers));
    case "all":
      headers["content-length"] = String(size);
      if (asked.request.method === "HEAD") return closing(file, new Response(null, { headers }));
      if (size <= SMALL_BYTES && !parts.limits.isPaced(asked.guest)) {
        return sendSmall(asked, parts, { ...sent, headers });
      }
      return stream(asked, parts, sent, { parts: [{ start: 0, end: size }], status: 200, headers });
    case "some": {
      const [first] = wanted.ranges;
      if (wanted.ranges.length === 1) {
        headers["content-range"] = contentRange(first!, size);
        headers["content-length"] = String(first!.end - first!.start);
        return stream(asked, parts, sent, { parts: wanted.ranges, status: 206, headers });
      }
      const type = headers["content-type"]!;
      const multipart = multipartRanges(wanted.ranges, { size, type, boundary: boundaryOf(random) });
      headers["content-type"] = multipart.contentType;
      headers["content-length"] = String(multipart.length);
      return stream(asked, parts, sent, { parts: multipart.parts, status: 206, headers });
    }
  }
}

interface Streamed {
  readonly parts: readonly BodyPart[];
  readonly status: number;
  readonly headers: Record<string, string>;
}

function stream(asked: Asked<AskedHead>, parts: FileServerParts, { opened, path }: Sent, streamed: Streamed): Response {
  const { guest } = asked;
  const transfer = parts.limits.begin(guest, () => body.fail("nobody reads it"));
  if (!transfer) {
    return closing(
      opened.file,
      problem("busy", "Cannot send it: too many answers are under way", { retryAfterMs: 1000 }),
    );
  }
  const { size } = opened.file.state;
  const body = new FileBody(opened.file, streamed.parts, {
    clock: parts.options.clock,
    transfer,
    onEnd: (bytes, isWhole) => noteSent(asked, parts, { path, size, bytes, isWhole }),
  });
  const { status, headers } = streamed;
  return asked.isDirect ? new FileAnswer(body, { status, headers }) : new Response(body.stream, { status, headers });
}

function noteSent(
  { guest }: Asked<AskedHead>,
  { count, events, options: { clock, onSent } }: FileServerParts,
  what: Pick<SentToGuest, "path" | "size" | "bytes" | "isWhole">,
): void {
  count("sentBytes", what.bytes);
  if (!what.isWhole) count("brokenOff");
  if (!guest) return;
  const { peerId, way } = guest;
  const sent: SentToGuest = { peerId, way, ...what, atMs: clock.wallNow() };
  onSent?.(sent);
  events.emit("transfer", sent);
}

/** What the same question was answered with a moment ago, where it may be answered so again. */
function knownAnswer(
  asked: Asked<AskedHead>,
  parts: FileServerParts,
  { path, manner }: { readonly path: string; readonly manner: Manner },
): WholeAnswer | undefined {
  if (!mayBeKept(asked, parts)) return undefined;
  const known = parts.small.find(keyOf(asked, path, manner.isAttachment), parts.root.fullPath(path));
  if (known) noteSent(asked, parts, { path, size: known.size, bytes: known.size, isWhole: true });
  return known;
}

function mayBeKept({ request, guest, isDirect }: Asked<AskedHead>, parts: FileServerParts): boolean {
  return isDirect === true && request.isPlain === true && !parts.limits.isPaced(guest);
}

function keyOf({ scope }: Asked<AskedHead>, path: string, isAttachment: boolean): string {
  return `${scope}\0${path}\0${isAttachment}`;
}

/** One state of the file, read at once. */
function sendSmall(
  asked: Asked<AskedHead>,
  parts: FileServerParts,
  { path, opened, isAttachment, varies, headers }: Sent & {
    readonly varies: boolean;
    readonly headers: Record<string, string>;
  },
): Response {
  using file = opened.file;
  const bytes = new Uint8Array(file.state.size);
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at), at);
    if (count === 0) return changing();
    at += count;
  }
  if (!file.isUnchanged()) return changing();
  noteSent(asked, parts, { path, size: bytes.length, bytes: bytes.length, isWhole: true });
  // One with a date has been left alone for seconds.
  if (varies || !mayBeKept(asked, parts) || headers["last-modified"] === undefined) {
    return new Response(bytes, { headers });
  }
  const answer = new WholeAnswer({ date: parts.date.text, ...headers }, bytes);
  parts.small.keep(keyOf(asked, path, isAttachment), file.state, answer);
  return answer;
}

function closing(file: OpenFile, response: Response): Response {
  file[Symbol.dispose]();
  return response;
}

function unsatisfiable(size: number, headers: Readonly<Record<string, string>>): Response {
  const { etag } = headers;
  return problem("unsatisfiable", `Cannot send these bytes: there are ${size}`, {
    headers: { "content-range": `bytes */${size}`, "accept-ranges": "bytes", ...etag !== undefined && { etag } },
  });
}

function changing(): Response {
  return problem("changing", "Cannot send the file: it was written to meanwhile", { retryAfterMs: 1000 });
}

/** Relative, because the server may be seen through another's. */
function withSlash({ request }: Asked<AskedHead>, name: string): Response {
  const query = /\?[^#]*/.exec(request.url)?.[0] ?? "";
  return new Response(null, {
    status: 308,
    headers: { location: `./${encodeURIComponent(name)}/${query}`, "cache-control": "no-cache" },
  });
}

/** 128 bits: no content has it in it. */
function boundaryOf(random: Random): string {
  return `culvert-${random.fill(new Uint8Array(16)).toHex()}`;
}
