/**
 * One content from several peers at once: drives the pure `TransferPlan` with ranges over HTTP and a PartFile.
 *
 *   plan.take ─▶ GET Range, If-Match ─▶ read a piece ─▶ check it ─▶ write it ─▶ plan.arrived
 *
 * A piece is checked against its hash before it is written, so a peer that lies is caught with its first wrong piece: it is
 * dropped and told of, and the piece asked of another. `If-Match` keeps versions of a file from being mixed. Where a peer's
 * index does not know the content there are no hashes: then there is that one source, and its word.
 */

import type { Clock } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { TransferPlan } from "../../protocol/files/transfer_plan.ts";
import type { Run, RunEnd } from "../../protocol/files/transfer_plan.ts";
import { isPiece, PIECE_BYTES, pieceCount, pieceLength } from "../../protocol/files/tree_hash.ts";
import type { Bytes, Primitives } from "../../protocol/primitives.ts";
import type { Random } from "../../protocol/random.ts";
import type { PeerWay } from "../peers/peer_connection.ts";
import { fieldOf } from "./http_stream.ts";
import type { PartFile } from "./part_file.ts";
import { field, type HttpAnswer, HttpRefusal, refusalOf } from "./peer_http.ts";
import { downloadTarget, LieError, type RemoteFiles } from "./remote_files.ts";

/** Requests to one source at a time: while one ends the next is under way. */
const LANES = 2;
/** An idle lane looks again whether it can help somebody who has stalled. */
const LOOK_AGAIN_MS = 500;
/** A busy source is asked again no sooner and no later. */
const MIN_REST_MS = 100;
const MAX_REST_MS = 60_000;
const DEFAULT_REST_MS = 1000;

/** What is fetched. */
export interface WantedContent {
  readonly size: number;
  /** Checked hashes of its pieces; undefined where nobody knows them. */
  readonly pieces: Bytes | undefined;
}

export interface ContentSource {
  readonly files: RemoteFiles;
  /** Where it is there. */
  readonly path: string;
  /** What it is called there. */
  readonly etag: string;
}

export interface DownloadTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly sha256: Primitives["sha256"];
  readonly signal: AbortSignal;
  /** A peer has sent a piece that is not what it said. */
  onLie?(peerId: string): void;
  /** Bytes of pieces that have come from a peer and are right. */
  onBytes?(peerId: string, bytes: number): void;
}

export interface SourceProgress {
  readonly peerId: string;
  readonly label: string;
  readonly way: PeerWay | undefined;
  readonly bytes: number;
  readonly dropped: string | undefined;
}

export class Download {
  readonly #content: WantedContent;
  readonly #part: PartFile;
  readonly #tools: DownloadTools;
  readonly #plan: TransferPlan;
  readonly #sources = new Map<string, ContentSource>();
  readonly #bytes = new Map<string, number>();
  readonly #aborts = new Map<Run, AbortController>();
  readonly #lanes = new Set<Promise<void>>();
  readonly #buffers: Bytes[] = [];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #wakes = new Set<() => void>();
  #failure: unknown;
  #liveBytes = 0;
  /** Who may yet turn out to be a source. */
  #expected = 0;

  constructor(content: WantedContent, part: PartFile, tools: DownloadTools) {
    this.#content = content;
    this.#part = part;
    this.#tools = tools;
    this.#signal = AbortSignal.any([tools.signal, this.#stop.signal]);
    const pieces = pieceCount(content.size);
    this.#plan = new TransferPlan({ pieces, had: part.had.clone(), random: tools.random });
    this.#signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** Bytes that are there, and those of pieces that are coming. */
  get doneBytes(): number {
    const { size } = this.#content;
    const { had } = this.#plan;
    const last = had.pieces - 1;
    const short = had.pieces > 0 && had.has(last) ? PIECE_BYTES - pieceLength(size, last) : 0;
    return Math.min(size, had.size * PIECE_BYTES - short + this.#liveBytes);
  }

  get sources(): readonly SourceProgress[] {
    const { dropped } = this.#plan;
    return [...this.#sources.values()].map(({ files: { peerId, label, http } }) => ({
      peerId,
      label,
      way: http.way,
      bytes: this.#bytes.get(peerId) ?? 0,
      dropped: dropped.get(peerId),
    }));
  }

  /** May be called while it runs. A peer that is a source already is not added again. */
  addSource(source: ContentSource): void {
    const { peerId } = source.files;
    if (this.#sources.has(peerId)) return;
    // What is not checked must come from one place alone.
    if (this.#content.pieces === undefined && this.#sources.size > 0) return;
    this.#sources.set(peerId, source);
    this.#plan.join(peerId);
    for (let lane = 0; lane < LANES; lane++) this.#start(source);
  }

  /** Somebody who may have it: until that is known the download is not given up. Never rejects. */
  async expect(source: Promise<ContentSource | undefined>): Promise<void> {
    this.#expected++;
    try {
      const found = await source;
      if (found && !this.#stop.signal.aborted) this.addSource(found);
    } catch {
      // It cannot be reached, or knows nothing of it.
    } finally {
      this.#expected--;
      this.#wake();
    }
  }

  /**
   * Settles when every piece is there. Rejects with `changed` when the file is another one now, with `no_source` when nobody
   * is left to ask, with `disk_full`, or with the signal's reason; what has come by then is kept.
   */
  async run(): Promise<void> {
    try {
      while (!this.#isOver) await this.#change(undefined);
    } finally {
      this.#stop.abort(new CulvertError("over", "The download is over"));
      this.#wake();
      await Promise.all(this.#lanes);
    }
    this.#tools.signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#plan.isDone) throw this.#stuck();
  }

  get #isOver(): boolean {
    if (this.#plan.isDone || this.#failure !== undefined || this.#tools.signal.aborted) return true;
    return this.#plan.isStuck && this.#expected === 0;
  }

  #start(source: ContentSource): void {
    const lane = this.#lane(source).catch((error) => {
      this.#failure ??= error instanceof OwnFault ? error.cause : error;
    }).finally(() => {
      this.#lanes.delete(lane);
      this.#wake();
    });
    this.#lanes.add(lane);
  }

  async #lane(source: ContentSource): Promise<void> {
    const { peerId } = source.files;
    const { clock } = this.#tools;
    while (!this.#isOver && !this.#stop.signal.aborted && !this.#plan.isDropped(peerId)) {
      const run = this.#plan.take(peerId, clock.now());
      if (run) await this.#carry(source, run);
      else await this.#change(this.#plan.restMs(peerId, clock.now()) || LOOK_AGAIN_MS);
    }
  }

  /** Rejects only with what ends the whole download. */
  async #carry(source: ContentSource, run: Run): Promise<void> {
    const { clock } = this.#tools;
    const abort = new AbortController();
    this.#aborts.set(run, abort);
    try {
      await this.#fetch(source, run, AbortSignal.any([this.#signal, abort.signal]));
      this.#plan.end(run, { how: "over" }, clock.now());
    } catch (error) {
      this.#plan.end(run, this.#endOf(error, abort.signal), clock.now());
      if (error instanceof LieError) this.#dropLiar(run.source);
      if (isOurs(error)) throw error;
    } finally {
      this.#aborts.delete(run);
      this.#wake();
    }
  }

  async #fetch({ files, path, etag }: ContentSource, run: Run, signal: AbortSignal): Promise<void> {
    const { size } = this.#content;
    const from = run.next * PIECE_BYTES;
    const to = Math.min(size, run.end * PIECE_BYTES);
    const fields = [field("Range", `bytes=${from}-${to - 1}`), field("If-Match", etag)];
    using answer = await files.http.request({ method: "GET", target: downloadTarget(path), fields }, signal);
    await checkRange(answer, { path, from, to, size });
    while (run.next < run.end) await this.#piece(answer, run);
  }

  async #piece(answer: HttpAnswer, run: Run): Promise<void> {
    const { clock, sha256, onBytes } = this.#tools;
    const { size, pieces } = this.#content;
    const piece = run.next;
    const buffer = this.#buffers.pop() ?? new Uint8Array(PIECE_BYTES);
    const bytes = buffer.subarray(0, pieceLength(size, piece));
    let live = 0;
    try {
      while (live < bytes.length) {
        const count = await answer.read(bytes.subarray(live));
        if (count === null) throw new CulvertError("cut_short", "Cannot read on: the answer is shorter than it said");
        live += count;
        this.#liveBytes += count;
      }
      if (pieces && !isPiece(bytes, piece, { size, pieces }, sha256)) {
        throw new LieError("a piece that is not the file's");
      }
      this.#keep(piece, bytes);
    } finally {
      this.#liveBytes -= live;
      this.#buffers.push(buffer);
    }
    const { isNew, moot } = this.#plan.arrived(run, clock.now());
    for (const other of moot) this.#aborts.get(other)?.abort(new CulvertError("moot", "Another source was sooner"));
    if (!isNew) return;
    this.#bytes.set(run.source, (this.#bytes.get(run.source) ?? 0) + bytes.length);
    onBytes?.(run.source, bytes.length);
  }

  #keep(piece: number, bytes: Uint8Array): void {
    if (this.#part.had.has(piece)) return;
    try {
      this.#part.write(piece, bytes);
    } catch (error) {
      throw new OwnFault(error);
    }
  }

  #endOf(error: unknown, aborted: AbortSignal): RunEnd {
    if (aborted.aborted || this.#signal.aborted || isOurs(error)) return { how: "over" };
    if (error instanceof LieError) return { how: "dropped", why: "it has sent wrong bytes" };
    if (!(error instanceof HttpRefusal)) return { how: "failed", why: messageOf(error) };
    const { status, retryAfterMs = DEFAULT_REST_MS } = error;
    if (status === 429 || status === 503) {
      return { how: "paused", forMs: Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, retryAfterMs)) };
    }
    if (status === 412 || status === 416) return { how: "dropped", why: CHANGED };
    return status >= 500 ? { how: "failed", why: error.message } : { how: "dropped", why: error.message };
  }

  #dropLiar(peerId: string): void {
    this.#tools.onLie?.(peerId);
    for (const run of this.#plan.runsOf(peerId)) this.#aborts.get(run)?.abort(new CulvertError("lied", "It has lied"));
  }

  #stuck(): CulvertError {
    const reasons = [...this.#plan.dropped];
    if (reasons.length > 0 && reasons.every(([, why]) => why === CHANGED)) {
      return new CulvertError("changed", "Cannot fetch the file: it was changed at its source meanwhile");
    }
    const said = reasons.map(([peerId, why]) => `${this.#sources.get(peerId)?.files.label}: ${why}`);
    return new CulvertError("no_source", `Cannot fetch the file: nobody is left to ask. ${said.join("; ")}`);
  }

  /** Settles at the next change, or after a while. */
  async #change(afterMs: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakes.add(resolve);
    const timer = afterMs === undefined ? undefined : this.#tools.clock.after(afterMs, resolve);
    await promise;
    timer?.cancel();
    this.#wakes.delete(resolve);
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
    this.#wakes.clear();
  }
}

const CHANGED = "the file was changed there";

/** What went wrong here, not at a source: it ends the download. */
class OwnFault extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

function isOurs(error: unknown): boolean {
  return error instanceof OwnFault;
}

/** Settles when the answer is exactly the bytes that were asked for. */
async function checkRange(
  answer: HttpAnswer,
  { path, from, to, size }: {
    readonly path: string;
    readonly from: number;
    readonly to: number;
    readonly size: number;
  },
): Promise<void> {
  const { head } = answer;
  if (head.status !== 206 && head.status !== 200) throw await refusalOf(answer, `read ${path}`);
  const isRange = head.status === 206 && fieldOf(head, "content-range") === `bytes ${from}-${to - 1}/${size}`;
  const isAll = head.status === 200 && from === 0 && to === size;
  const isOfLength = answer.leftBytes === undefined || answer.leftBytes === to - from;
  if ((isRange || isAll) && isOfLength) return;
  throw new CulvertError("bad_answer", `Cannot read ${path}: the peer sends another part of it than was asked for`);
}
