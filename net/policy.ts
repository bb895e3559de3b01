/**
 * The policy file: read once, or watched so that a running egress takes a new one without losing a connection.
 *
 *   directory changes ─▶ wait a moment ─▶ text differs? ─▶ read ─▶ good: current = new, subscribers told
 *   every few seconds ─▶                                           └▶ broken: logged, the old one stays
 *
 * The directory is watched, not the file: editors and deployment tools put a new file in its place by rename, and a
 * watch on the old one would see nothing more. Nor does the watch see a directory that is replaced as a whole, a
 * symbolic link's file elsewhere, or a network file system: so the file is read every few seconds as well.
 */

import { closestString } from "@std/text/closest-string";
import { parse as parseToml } from "@std/toml";
import { type Clock, clockOf, delay } from "../protocol/clock.ts";
import { EgressPolicy, type PolicyProblem, type PolicySource, readPolicy } from "../protocol/egress_policy.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type DirectoryWatch, readFileStart, watchDirectory } from "./runtime.ts";

/** A policy of a hundred thousand rules would be a mistake; so is a device or a log given as the file. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Editors write in several steps. */
const SETTLE_MS = 100;
const POLL_MS = 5_000;

/** Reads a policy file. Throws a CulvertError `bad_policy` that names every problem, its line and the nearest key. */
export async function loadPolicy(path: string): Promise<EgressPolicy> {
  return parsePolicy(await readText(path), path);
}

/** Reads the text of a policy file; `name` is what to call it in an error. */
export function parsePolicy(text: string, name: string): EgressPolicy {
  let file: unknown;
  try {
    file = parseToml(text);
  } catch (cause) {
    throw new CulvertError("bad_policy", `Cannot read policy ${name}: ${messageOf(cause)}`, { cause });
  }
  const policy = readPolicy(file);
  if (policy instanceof EgressPolicy) return policy;
  const problems = policy.map((problem) => sentence(problem, text)).join("; ");
  throw new CulvertError("bad_policy", `Cannot read policy ${name}: ${problems}`);
}

function sentence(problem: PolicyProblem, text: string): string {
  const line = lineOf(problem.path, text);
  const key = problem.path.at(-1);
  const hint = problem.knownKeys && key !== undefined
    ? `, did you mean ${closestString(String(key), problem.knownKeys)}?`
    : "";
  return `${line === undefined ? "" : `line ${line}: `}${problem.message}${hint}`;
}

/**
 * The line that sets a key. TOML has several ways to write a table and the parser keeps no positions; this finds the
 * usual ones (`[table]` then `key =`, `table.key =`, or the line of the table) and otherwise says nothing.
 */
function lineOf(path: readonly (string | number)[], text: string): number | undefined {
  const [outer, inner] = path.filter((step) => typeof step === "string");
  if (outer === undefined) return undefined;
  const lines = text.split("\n");
  const headerAt = lines.findIndex((line) => line.match(/^\s*\[\[?\s*"?([\w-]+)"?\s*\]/)?.[1] === outer);
  const outerAt = headerAt >= 0 ? headerAt : lines.findIndex((line) => keyOf(line)[0] === outer);
  if (inner === undefined) return outerAt >= 0 ? outerAt + 1 : undefined;
  const dottedAt = lines.findIndex((line) => keyOf(line)[0] === outer && keyOf(line)[1] === inner);
  const innerAt = headerAt >= 0 ? lines.findIndex((line, at) => at > headerAt && keyOf(line)[0] === inner) : dottedAt;
  const at = innerAt >= 0 ? innerAt : outerAt;
  return at >= 0 ? at + 1 : undefined;
}

/** The bare or quoted keys before an equals sign. */
function keyOf(line: string): readonly string[] {
  const keys = /^\s*((?:"?[\w-]+"?\s*\.?\s*)+)=/.exec(line)?.[1];
  return keys?.split(".").map((key) => key.trim().replaceAll('"', "")) ?? [];
}

async function readText(path: string): Promise<string> {
  try {
    const bytes = await readFileStart(path, MAX_FILE_BYTES + 1);
    if (bytes.length > MAX_FILE_BYTES) throw new Error(`the file must be at most ${MAX_FILE_BYTES} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CulvertError("bad_policy", `Cannot read policy ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** How a policy file is followed. */
export interface WatchOptions {
  /** Ends the watch; the last policy stays. */
  readonly signal?: AbortSignal;
  /** Where time comes from. Default: the host's. */
  readonly clock?: Clock;
  /** Where it writes what happens. Default: nowhere. */
  readonly log?: Log;
  /**
   * Watches a directory; by default the runtime does.
   *
   * @internal
   */
  readonly watch?: (directory: string) => DirectoryWatch;
}

/** Reads a policy file and follows its changes. Throws if the file is broken to begin with. */
export async function watchPolicy(path: string, options: WatchOptions = {}): Promise<WatchedPolicy> {
  const text = await readText(path);
  return new WatchedPolicy(path, text, options);
}

/** A policy that follows its file. Dispose it to stop. */
export class WatchedPolicy implements PolicySource, Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #onParentAbort = () => this[Symbol.dispose]();
  readonly #listeners = new Set<() => void>();
  readonly #done: Promise<void>;
  #reloading: Promise<void> = Promise.resolve();
  #watcher: DirectoryWatch | undefined;
  #text: string;
  #current: EgressPolicy;
  /** What was last said about a broken file: a file that stays broken is complained of once. */
  #complaint: string | undefined;

  /**
   * Takes the text that was read; `watchPolicy` does that.
   *
   * @internal
   */
  constructor(path: string, text: string, options: WatchOptions) {
    this.#path = path;
    this.#clock = options.clock ?? clockOf(globalThis);
    this.#log = options.log ?? silentLog;
    this.#text = text;
    this.#current = parsePolicy(text, path);
    this.#parent = options.signal;
    this.#done = this.#follow(options.watch ?? watchDirectory);
    if (options.signal?.aborted) this[Symbol.dispose]();
    else options.signal?.addEventListener("abort", this.#onParentAbort, { once: true });
  }

  /** The policy that the file last held and that was whole. */
  get current(): EgressPolicy {
    return this.#current;
  }

  /** Settles when the watch has ended. */
  get done(): Promise<void> {
    return this.#done;
  }

  subscribe(listener: () => void): Disposable {
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Ends the watch; the last policy stays. */
  [Symbol.dispose](): void {
    if (this.#stop.signal.aborted) return;
    this.#parent?.removeEventListener("abort", this.#onParentAbort);
    this.#stop.abort();
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #follow(watch: (directory: string) => DirectoryWatch): Promise<void> {
    const watching = this.#followEvents(watch).then(() => "the watch ended", messageOf).then((why) => {
      if (this.#stop.signal.aborted) return;
      this.#log.warn("The policy file can no longer be watched; reading it every few seconds", { error: why });
    });
    // First what changed between the first read and the watch; a write may be under way, so not at once.
    for (let waitMs = SETTLE_MS; !this.#stop.signal.aborted; waitMs = POLL_MS) {
      await this.#rest(waitMs);
      await this.#reloadNext();
    }
    await watching;
  }

  async #followEvents(watch: (directory: string) => DirectoryWatch): Promise<void> {
    this.#watcher = watch(directoryOf(this.#path));
    let settling: Promise<void> | undefined;
    for await (const event of this.#watcher) {
      if (this.#stop.signal.aborted) break;
      if (event.kind === "access") continue; // our own reading among them
      settling ??= this.#rest(SETTLE_MS).then(() => {
        settling = undefined;
        return this.#reloadNext();
      });
    }
    await settling;
  }

  /** One after the other: an older text never comes last. */
  #reloadNext(): Promise<void> {
    return this.#reloading = this.#reloading.then(() => this.#reload());
  }

  /** Takes the file as it is now, if it differs from what was read last. */
  async #reload(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    try {
      const text = await readText(this.#path);
      if (text === this.#text || this.#stop.signal.aborted) return;
      // A file that is being written anew is empty for a moment, and an empty policy would be the default one.
      if (text.length === 0) throw new CulvertError("bad_policy", `Cannot read policy ${this.#path}: it is empty`);
      this.#text = text;
      this.#current = parsePolicy(text, this.#path);
    } catch (error) {
      const complaint = messageOf(error);
      if (complaint !== this.#complaint) {
        this.#log.error("The new policy is broken; the old one stays", { error: complaint });
      }
      this.#complaint = complaint;
      return;
    }
    this.#complaint = undefined;
    this.#log.info("The policy has been reloaded");
    for (const listener of this.#listeners) listener();
  }

  /** Waits, or less if the watch is stopped. */
  async #rest(waitMs: number): Promise<void> {
    await delay(this.#clock, waitMs, this.#stop.signal).catch(() => {});
  }
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}
