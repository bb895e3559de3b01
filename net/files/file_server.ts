/**
 * A peer's file server, as a handler of requests: what the owner shares, to the owner's own programs and, through doors of
 * their own (`doors.ts`), to guests who are connected from elsewhere. `docs/peer-server.md` has the API.
 *
 *   request ─▶ whose is it? (Host, Origin) ─▶ how often? ─▶ route ─┬─ /content /download      the files
 *                                                                  ├─ /api/…                  what is there
 *                                                                  ├─ /upload                 new files
 *                                                                  └─ pages, and what only the owner may ask for: handed in
 *
 * It reads the folder and keeps little: lists of folders while they do not change, and small files for a second
 * (`small_files.ts`). What is known of contents is the index's (`content_index.ts`). Ports it opens for single files alone.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { PeerSelf } from "../../protocol/files/listing.ts";
import type { Sent } from "../../protocol/files/owner_api.ts";
import { type Log, silentLog } from "../../protocol/log.ts";
import { messageOf } from "../../protocol/errors.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import type { Random } from "../../protocol/random.ts";
import { AnswerDate } from "../answer_date.ts";
import { BufferPool } from "../buffer_pool.ts";
import type { PeerGuest } from "../peers/peer_connection.ts";
import type { ContentIndex } from "./content_index.ts";
import { serveContent, serveDownload } from "./content_routes.ts";
import { noIndex } from "./no_index.ts";
import { EphemeralStreams } from "./ephemeral_streams.ts";
import { type FileLimitOptions, FileLimits } from "./file_limits.ts";
import { FolderListing } from "./folder_listing.ts";
import { makeFolderPage } from "./folder_page.ts";
import { notFound, problem, wrongMethod } from "./problem.ts";
import { refusalOf } from "./request_checks.ts";
import { type Asked, type AskedHead, findRoute, routeTable, splitUrl } from "./routes.ts";
import { ServerEvents } from "./server_events.ts";
import { codeOf, SharedRoot } from "./shared_root.ts";
import { SmallFiles } from "./small_files.ts";
import type { UploadOptions } from "./upload.ts";

/** Answers what it knows, and leaves the rest. */
export type Handler = (
  request: Request,
  guest: PeerGuest | undefined,
) => Response | undefined | Promise<Response | undefined>;

export interface FileServerOptions {
  /** The shared folder. */
  readonly folder: string;
  /** Who this is, as `/api/self` tells. */
  readonly self: Pick<PeerSelf, "peerId" | "label" | "version" | "capabilities">;
  /** Default: nothing is known of any content. */
  readonly index?: ContentIndex | undefined;
  /** Without it nobody may put files here. Guests need leave of their own as well. */
  readonly upload?: UploadOptions | undefined;
  /** Whether files whose names begin with a dot are shared as well. */
  readonly showsHidden?: boolean | undefined;
  readonly limits?: FileLimitOptions | undefined;
  /** Whether the folder gets an `index.md` when it has none. Default: yes. */
  readonly makesFolderPage?: boolean | undefined;
  /** `/`, `/web/…`, and what describes the API. Without it `/` leads to `index.md`. */
  readonly pages?: Handler | undefined;
  /** What there is for the owner alone: `/api/peers`, `/peers/…`, `/api/transfers`. Guests do not get there. */
  readonly ownerRoutes?: Handler | undefined;
  /** Some of a file has gone out to a guest. */
  readonly onSent?: ((sent: Sent) => void) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log | undefined;
  readonly metrics?: Metrics | undefined;
}

/** Disposing it ends whatever is under way, and closes the ports it has opened for single files. */
export interface FileServer extends AsyncDisposable {
  readonly clock: Clock;
  /** Of all its doors together. */
  readonly pool: BufferPool;
  /** For answers of `handleFile`. */
  readonly date: AnswerDate;
  /** Never rejects. Without a guest it is the owner who asks. */
  handle(request: Request, guest?: PeerGuest): Promise<Response> | Response;
  /** The same for `GET` and `HEAD` of `/content` and `/download`; may give a `FileAnswer`. */
  handleFile(request: AskedHead, guest?: PeerGuest): Promise<Response> | Response;
  /** `changed`, `file-stream-ready`, `transfer`; others may be added. */
  readonly events: ServerEvents;
  /** Ports that serve one answer once. */
  readonly streams: EphemeralStreams;
  /** Answers with a file in them that are under way. */
  readonly sending: number;
}

/** What the routes work with. */
export interface FileServerParts {
  readonly options: FileServerOptions;
  readonly root: SharedRoot;
  readonly index: ContentIndex;
  readonly limits: FileLimits;
  readonly small: SmallFiles;
  readonly date: AnswerDate;
  readonly events: ServerEvents;
  readonly streams: EphemeralStreams;
  readonly folders: FolderListing;
  readonly count: (what: "requests" | "sentBytes" | "receivedBytes" | "brokenOff", amount?: number) => void;
}

export function serveFiles(options: FileServerOptions): FileServer {
  return new PeerFileServer(options);
}

/** With 256 KiB a large file is a fifth slower. */
const BUFFER_BYTES = 1024 * 1024;
/** What is not served by a route of ours belongs to whoever runs us. */
const OWNER_PATH = /^\/(?:api\/peers|peers|api\/transfers)(?:\/|$)/;
/** What is for people, and what the API says of itself. */
const PAGE_PATH = /^\/(?:web\/.*|api|api\.css|openapi\.json)?$/;
/** Running out of what the system has to give is not whoever asks' fault. */
const EXHAUSTED: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM"]);

class PeerFileServer implements FileServer {
  readonly pool = new BufferPool({ bufferBytes: BUFFER_BYTES });
  readonly date: AnswerDate;
  readonly events: ServerEvents;
  readonly streams: EphemeralStreams;
  readonly #options: FileServerOptions;
  readonly #parts: FileServerParts;
  readonly #routes = routeTable();
  readonly #log: Log;
  readonly #watch: Disposable;

  constructor(options: FileServerOptions) {
    const { clock, random, index = noIndex, metrics = noMetrics, log = silentLog } = options;
    this.#options = options;
    this.#log = log;
    this.date = new AnswerDate(clock);
    this.events = new ServerEvents(clock);
    this.streams = new EphemeralStreams({
      clock,
      random,
      onReady: (ready) => this.events.emit("file-stream-ready", ready),
    });
    const root = new SharedRoot(options.folder, { showsHidden: options.showsHidden });
    if (options.makesFolderPage ?? true) makeFolderPage(root.folder, options.self.label, log);
    const limits = new FileLimits(clock, random, options.limits);
    const folders = new FolderListing({ root, index, clock });
    const { events, streams, date } = this;
    const small = new SmallFiles(clock);
    this.#parts = { options, root, index, limits, small, date, events, streams, folders, count: counterOf(metrics) };
    this.#watch = index.subscribe(() => this.events.emit("changed", index.status, "everybody"));
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get sending(): number {
    return this.#parts.limits.transfers;
  }

  handle(request: Request, guest?: PeerGuest): Response | Promise<Response> {
    return this.#attempt(() => this.#answer(request, guest));
  }

  handleFile(request: AskedHead, guest?: PeerGuest): Response | Promise<Response> {
    return this.#attempt(() => this.#answerFile(request, guest));
  }

  #attempt(answer: () => Response | Promise<Response>): Response | Promise<Response> {
    try {
      const answered = answer();
      return answered instanceof Promise ? answered.catch((error) => this.#failure(error)) : answered;
    } catch (error) {
      return this.#failure(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.events[Symbol.dispose]();
    this.#parts.limits[Symbol.dispose]();
    await this.streams[Symbol.asyncDispose]();
  }

  #answerFile(request: AskedHead, guest: PeerGuest | undefined): Response | Promise<Response> {
    const refusal = this.#refusalOf(request, guest);
    if (refusal) return refusal;
    const { path, query } = splitUrl(request.url);
    const serve = isBelow("/content", path) ? serveContent : isBelow("/download", path) ? serveDownload : undefined;
    if (!serve) return notFound();
    const rest = path.slice(path.indexOf("/", 1) < 0 ? path.length : path.indexOf("/", 1));
    return serve({ ...askedOf(request, guest, rest, query), isDirect: true }, this.#parts);
  }

  #refusalOf(request: AskedHead, guest: PeerGuest | undefined): Response | undefined {
    this.#parts.count("requests");
    const refusal = refusalOf(request);
    if (refusal) return refusal;
    const retryAfterMs = this.#parts.limits.delayOf(guest);
    return retryAfterMs > 0
      ? problem("too_often", "Cannot answer so often: wait a little", { retryAfterMs })
      : undefined;
  }

  #answer(request: Request, guest: PeerGuest | undefined): Response | Promise<Response> {
    const refusal = this.#refusalOf(request, guest);
    if (refusal) return refusal;
    const { path, query } = splitUrl(request.url);
    const route = findRoute(this.#routes, path);
    if (!route) return this.#handOn(request, path, guest);
    if (route.isForOwner && guest) return ownerOnly();
    if (!route.methods.includes(request.method)) return wrongMethod(...route.methods);
    return route.answer(askedOf(request, guest, path.slice(route.path.length), query), this.#parts);
  }

  async #handOn(request: Request, path: string, guest: PeerGuest | undefined): Promise<Response> {
    if (OWNER_PATH.test(path)) {
      if (guest) return ownerOnly();
      return await this.#options.ownerRoutes?.(request, guest) ?? notFound();
    }
    if (!PAGE_PATH.test(path)) return notFound();
    const page = await this.#options.pages?.(request, guest);
    if (page || path !== "/") return page ?? notFound();
    return new Response(null, { status: 302, headers: { location: "./content/", "cache-control": "no-store" } });
  }

  #failure(error: unknown): Response {
    if (EXHAUSTED.has(codeOf(error))) {
      return problem("busy", "Cannot answer: too many files are open", { retryAfterMs: 1000 });
    }
    this.#log.warn("A request for files failed", { error: messageOf(error) });
    return problem("internal", "Cannot answer: something went wrong here");
  }
}

function isBelow(route: string, path: string): boolean {
  return path === route || path.startsWith(`${route}/`);
}

function askedOf<Asking extends AskedHead>(
  request: Asking,
  guest: PeerGuest | undefined,
  rest: string,
  query: string,
): Asked<Asking> {
  return { request, guest, scope: guest?.scope ?? "", rest, query: new URLSearchParams(query) };
}

function ownerOnly(): Response {
  return problem("owner_only", "Cannot answer this to guests: only who runs this server may ask for it");
}

function counterOf(metrics: Metrics): FileServerParts["count"] {
  const counters = {
    requests: metrics.counter("peer_file_requests_total", "Requests that came to the file server"),
    sentBytes: metrics.counter("peer_file_sent_bytes_total", "Bytes of contents that were sent"),
    receivedBytes: metrics.counter("peer_file_received_bytes_total", "Bytes of contents that were put here"),
    brokenOff: metrics.counter("peer_file_broken_off_total", "Answers that ended before their content"),
  };
  return (what, amount = 1) => counters[what].add(amount);
}
