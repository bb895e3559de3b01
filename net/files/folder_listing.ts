/**
 * Pages of folders, however large.
 *
 *   open folder ─▶ Snapshot: names and kinds ─▶ the few that come next after the cursor ─▶ sizes and times of those alone
 *
 * A cursor holds the place of the last entry shown, so that nothing is kept between two pages, and what is added or taken away
 * meanwhile neither repeats an entry nor hides one. Snapshots are kept while their folder does not change, up to a number of
 * entries in all. Sorting by size or time needs to look at every entry; that is done a few at a time, with turns for others.
 * Folders are read one after the other, and each once for all who ask meanwhile; when too many wait, who comes is refused.
 */

import { setImmediate } from "node:timers";
import type { Clock } from "../../protocol/clock.ts";
import { decodeBase64Url, encodeBase64Url } from "../../protocol/encoding.ts";
import type { Entry, FolderPage, FolderQuery } from "../../protocol/files/listing.ts";
import { mediaTypeOf } from "../../protocol/files/media_type.ts";
import { isHidden, isName, isWithin, joinPath, leadsTo } from "../../protocol/files/safe_path.ts";
import type { ContentIndex, FileStamp } from "./content_index.ts";
import type { FileState } from "./open_file.ts";
import type { Opened, SharedRoot } from "./shared_root.ts";

export interface FolderListingOptions {
  readonly root: SharedRoot;
  readonly index: ContentIndex;
  readonly clock: Clock;
}

export interface FolderWanted {
  /** As it was asked for. */
  readonly path: string;
  readonly opened: Opened;
  readonly scope: string;
  readonly query: FolderQuery;
}

type Kind = Entry["kind"];
type Sort = FolderQuery["sort"];

/** Together, in all snapshots that are kept: about 30 MiB. */
const MAX_KEPT_ENTRIES = 300_000;
/** Before so long a second change might not show in the folder's time. */
const SETTLED_MS = 3000;
const STATS_FRESH_MS = 3000;
const STATS_PER_TURN = 512;
/** A folder of 100,000 entries takes some tenths of a second. */
const MAX_READS = 32;

/** What is in a folder, as it was at one moment. */
interface Snapshot {
  readonly names: readonly string[];
  readonly kinds: readonly Kind[];
  /** What is compared: large and small letters are alike. */
  readonly keys: readonly string[];
  /** Sizes and times of all, where they were asked for. */
  stats?: { readonly atMs: number; readonly sizes: Float64Array; readonly times: Float64Array };
  /** They are being asked for. */
  looking?: Promise<void> | undefined;
}

interface Kept {
  readonly state: FileState;
  readonly snapshot: Snapshot;
}

/** The place of an entry in a sorted folder. */
interface Place {
  readonly kind: Kind;
  /** Size or time, when sorted by that. */
  readonly figure: number;
  readonly name: string;
}

export class FolderListing {
  readonly #options: FolderListingOptions;
  readonly #kept = new Map<string, Kept>();
  #keptEntries = 0;
  /** One large folder is read at a time. */
  #reading: Promise<unknown> = Promise.resolve();
  /** That one, and those that wait. */
  #reads = 0;

  constructor(options: FolderListingOptions) {
    this.#options = options;
  }

  /** `bad_cursor` for one that is none of ours. The folder stays open. */
  async page(wanted: FolderWanted): Promise<FolderPage | "bad_cursor" | "busy"> {
    const { path, query, scope } = wanted;
    const after = query.after === undefined ? undefined : decodePlace(query.after);
    if (query.after !== undefined && !after) return "bad_cursor";
    const snapshot = leadsTo(scope, path) ? this.#wayTo(scope, path) : await this.#snapshotOf(wanted);
    if (!snapshot || query.sort !== "name" && !await this.#lookAtAll(snapshot, wanted)) return "busy";
    const shown = firstAfter(snapshot, after, query);
    const folder = this.#options.root.pathOf(wanted.opened);
    const entries = shown.slice(0, query.limit).map((at) => this.#entryOf(folder, wanted, snapshot, at));
    const last = shown.length > query.limit ? shown[query.limit - 1] : undefined;
    return {
      path,
      entries: entries.filter((entry) => entry !== undefined),
      total: snapshot.names.length,
      ...last !== undefined && { next: encodePlace(placeOf(snapshot, last, query.sort)) },
    };
  }

  /** Of a folder above what a guest may see it sees the way there alone. */
  #wayTo(scope: string, path: string): Snapshot {
    const rest = path === "" ? scope : scope.slice(path.length + 1);
    const [name = ""] = rest.split("/");
    const real = this.#options.root.resolve(joinPath(path, name));
    if (real === undefined) return snapshotOf([], []);
    const stat = tryStat(() => Deno.statSync(this.#options.root.fullPath(real)));
    return stat ? snapshotOf([name], [stat.isDirectory ? "folder" : "file"]) : snapshotOf([], []);
  }

  /** Undefined when too many wait. */
  async #snapshotOf(wanted: FolderWanted): Promise<Snapshot | undefined> {
    const { opened, scope } = wanted;
    const key = `${scope}\0${opened.realPath}`;
    const { state } = opened.file;
    const known = this.#keptOf(key, state);
    if (known) return known;
    const isSettled = state.changedMs < this.#options.clock.wallNow() - SETTLED_MS;
    return await this.#inTurn(async () => {
      // Whoever was before may have asked for the same.
      const known = this.#keptOf(key, state);
      if (known) return known;
      const snapshot = await this.#read(wanted);
      if (isSettled) this.#keep(key, { state, snapshot });
      return snapshot;
    });
  }

  /** One after the other; undefined when too many wait. */
  #inTurn<Result>(read: () => Promise<Result>): Promise<Result> | undefined {
    if (this.#reads >= MAX_READS) return undefined;
    this.#reads++;
    const reading = this.#reading.then(read).finally(() => this.#reads--);
    this.#reading = reading.catch(() => {});
    return reading;
  }

  #keptOf(key: string, state: FileState): Snapshot | undefined {
    const kept = this.#kept.get(key);
    if (!kept || !isSame(kept.state, state)) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.snapshot;
  }

  #keep(key: string, kept: Kept): void {
    this.#forget(key);
    if (kept.snapshot.names.length > MAX_KEPT_ENTRIES) return;
    this.#kept.set(key, kept);
    this.#keptEntries += kept.snapshot.names.length + 1;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptEntries <= MAX_KEPT_ENTRIES) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    const kept = this.#kept.get(key);
    if (!kept) return;
    this.#kept.delete(key);
    this.#keptEntries -= kept.snapshot.names.length + 1;
  }

  async #read(wanted: FolderWanted): Promise<Snapshot> {
    const { root } = this.#options;
    const names: string[] = [];
    const kinds: Kind[] = [];
    let seen = 0;
    for await (const { name, isFile, isDirectory, isSymlink } of Deno.readDir(root.pathOf(wanted.opened))) {
      if (++seen % (8 * STATS_PER_TURN) === 0) await turn();
      if (!isName(name) || isHidden(name, root.showsHidden)) continue;
      const kind = isFile ? "file" : isDirectory ? "folder" : isSymlink ? this.#kindOfLink(name, wanted) : undefined;
      if (kind === undefined) continue;
      names.push(name);
      kinds.push(kind);
    }
    return snapshotOf(names, kinds);
  }

  #kindOfLink(name: string, wanted: FolderWanted): Kind | undefined {
    const info = this.#infoOfLink(name, wanted);
    return info?.isDirectory ? "folder" : info?.isFile ? "file" : undefined;
  }

  /** Undefined for one that leads to nowhere, out of the folder, or out of what a guest may see. */
  #infoOfLink(name: string, { opened, scope }: FolderWanted): Deno.FileInfo | undefined {
    const { root } = this.#options;
    const real = root.resolve(joinPath(opened.realPath, name));
    if (real === undefined || isHidden(real, root.showsHidden)) return undefined;
    const realScope = root.resolve(scope);
    if (!isWithin(scope, real) && (realScope === undefined || !isWithin(realScope, real))) return undefined;
    return tryStat(() => Deno.statSync(root.fullPath(real)));
  }

  /** As it is now: what was a file may have become a link since. */
  #infoOf(folder: string, name: string, wanted: FolderWanted): Deno.FileInfo | undefined {
    const info = tryStat(() => Deno.lstatSync(`${folder}/${name}`));
    return info?.isSymlink ? this.#infoOfLink(name, wanted) : info;
  }

  /** False when too many wait. */
  async #lookAtAll(snapshot: Snapshot, wanted: FolderWanted): Promise<boolean> {
    const { stats } = snapshot;
    if (stats && this.#options.clock.now() - stats.atMs < STATS_FRESH_MS) return true;
    snapshot.looking ??= this.#inTurn(() => this.#lookAtEach(snapshot, wanted))
      ?.finally(() => snapshot.looking = undefined);
    if (!snapshot.looking) return false;
    await snapshot.looking;
    return true;
  }

  async #lookAtEach(snapshot: Snapshot, wanted: FolderWanted): Promise<void> {
    const { clock, root } = this.#options;
    const { names, kinds } = snapshot;
    const sizes = new Float64Array(names.length);
    const times = new Float64Array(names.length);
    const folder = root.pathOf(wanted.opened);
    for (let at = 0; at < names.length; at++) {
      if (at % STATS_PER_TURN === STATS_PER_TURN - 1) await turn();
      const stat = this.#infoOf(folder, names[at]!, wanted);
      sizes[at] = stat && kinds[at] === "file" ? stat.size : 0;
      times[at] = stat?.mtime?.getTime() ?? 0;
    }
    snapshot.stats = { atMs: clock.now(), sizes, times };
  }

  /** Undefined for what has gone since. */
  #entryOf(folder: string, wanted: FolderWanted, { names, kinds }: Snapshot, at: number): Entry | undefined {
    const [name, kind] = [names[at]!, kinds[at]!];
    const stat = this.#infoOf(folder, name, wanted);
    if (!stat || stat.isDirectory !== (kind === "folder")) return undefined;
    const modifiedMs = Math.max(0, Math.floor(stat.mtime?.getTime() ?? 0));
    if (kind === "folder") return { name, kind, size: 0, modifiedMs };
    const stamp: FileStamp = { size: stat.size, modifiedMs: stat.mtime?.getTime() ?? 0 };
    const root = this.#options.index.rootOf(joinPath(wanted.opened.realPath, name), stamp);
    return { name, kind, size: stat.size, modifiedMs, type: mediaTypeOf(name), ...root !== undefined && { root } };
  }
}

function snapshotOf(names: readonly string[], kinds: readonly Kind[]): Snapshot {
  const keys = names.map((name) => {
    const key = name.toLowerCase();
    return key === name ? name : key;
  });
  return { names, kinds, keys };
}

/** The places in the snapshot of those that come next, one more than a page holds. */
function firstAfter(snapshot: Snapshot, after: Place | undefined, query: FolderQuery): number[] {
  const { names, kinds, keys } = snapshot;
  const figures = figuresOf(snapshot, query.sort);
  const sign = query.order === "up" ? 1 : -1;
  const compare = (a: number, b: number) =>
    compareKinds(kinds[a]!, kinds[b]!) ||
    sign * ((figures ? figures[a]! - figures[b]! : 0) || compareTexts(keys[a]!, keys[b]!) ||
        compareTexts(names[a]!, names[b]!));
  const afterKey = after?.name.toLowerCase() ?? "";
  const isAfter = (at: number) =>
    after === undefined ||
    (compareKinds(kinds[at]!, after.kind) ||
        sign * ((figures ? figures[at]! - after.figure : 0) || compareTexts(keys[at]!, afterKey) ||
            compareTexts(names[at]!, after.name))) > 0;
  const count = query.limit + 1;
  const best: number[] = [];
  let bound: number | undefined;
  for (let at = 0; at < names.length; at++) {
    if (!isAfter(at) || bound !== undefined && compare(at, bound) > 0) continue;
    best.push(at);
    if (best.length < 2 * count) continue;
    best.sort(compare).length = count;
    bound = best[count - 1];
  }
  return best.sort(compare).slice(0, count);
}

function figuresOf({ stats }: Snapshot, sort: Sort): Float64Array | undefined {
  return sort === "size" ? stats?.sizes : sort === "modified" ? stats?.times : undefined;
}

function compareKinds(a: Kind, b: Kind): number {
  return a === b ? 0 : a === "folder" ? -1 : 1;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function placeOf(snapshot: Snapshot, at: number, sort: Sort): Place {
  const { names, kinds } = snapshot;
  return { kind: kinds[at]!, figure: figuresOf(snapshot, sort)?.[at] ?? 0, name: names[at]! };
}

function encodePlace({ kind, figure, name }: Place): string {
  return encodeBase64Url(new TextEncoder().encode(`${kind === "folder" ? "d" : "f"}${figure}/${name}`));
}

function decodePlace(cursor: string): Place | undefined {
  const bytes = decodeBase64Url(cursor);
  const [, kind, figure, name] = /^([df])(\d{1,20}(?:\.\d{1,20})?)\/(.*)$/s.exec(new TextDecoder().decode(bytes)) ?? [];
  if (name === undefined) return undefined;
  return { kind: kind === "d" ? "folder" : "file", figure: Number(figure), name };
}

function isSame(a: FileState, b: FileState): boolean {
  return a.inode === b.inode && a.device === b.device && a.modifiedMs === b.modifiedMs && a.changedMs === b.changedMs;
}

function tryStat(stat: () => Deno.FileInfo): Deno.FileInfo | undefined {
  try {
    return stat();
  } catch {
    return undefined;
  }
}

/** Lets everybody else have a turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
