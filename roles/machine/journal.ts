/**
 * What must be undone, on disk before it is done, so that a run that was killed can be cleaned up after by the next.
 *
 *   /run/culvert/machine/<interface>.<namespace>   one JSON object a line, only ever appended to:
 *     {"pid":4711}                  who holds it now; the last such line counts
 *     {"undo":{"kind":"rule",…}}    about to be done; undone last to first
 *
 * Whoever runs the interface holds the kernel's lock on the file, which ends with its process however that ends. So a
 * file that can be locked and has something in it was left behind. A torn last line is no loss: what it announces had not
 * been done. Undoing must be harmless when there is nothing to undo, since a step may be announced and never taken.
 */

import { dirname } from "@std/path";
import { z } from "zod";
import { type Clock, deadline, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Rule } from "../../protocol/rtnetlink/rule.ts";
import { writeAll } from "../../protocol/stream.ts";

/** What tells a rule of ours from others; where one of several is as good as another, the first of them goes. */
const ruleSchema: z.ZodType<Rule> = z.object({
  family: z.union([z.literal(4), z.literal(6)]),
  table: z.number(),
  priority: z.number().exactOptional(),
  fwmark: z.number().exactOptional(),
  not: z.boolean().exactOptional(),
  suppressPrefixLength: z.number().exactOptional(),
});

/** Something to undo. */
const undoSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("link"), name: z.string() }),
  z.object({ kind: z.literal("rule"), rule: ruleSchema }),
  /** Those of both families in a table of our own. */
  z.object({ kind: z.literal("routes"), table: z.int().min(256) }),
  z.object({ kind: z.literal("dns"), name: z.string() }),
  z.object({ kind: z.literal("setting"), path: z.string(), before: z.string(), after: z.string() }),
  z.object({ kind: z.literal("firewall"), table: z.string() }),
  z.object({ kind: z.literal("socket"), path: z.string() }),
]);

export type Undo = z.output<typeof undoSchema>;
export type SettingUndo = Undo & { readonly kind: "setting" };

const lineSchema = z.union([z.object({ pid: z.number().int().positive() }), z.object({ undo: undoSchema })]);

const LOCK_RETRY_MS = 25;
/** Far above any of ours. */
const MAX_BYTES = 1024 * 1024;

/** Where journals lie: gone after a boot, as is all they tell of. */
export const RUN_DIRECTORY = "/run/culvert/machine";

/** The journal of an interface. Namespaces may have one of the same name each. */
export async function journalPathOf(interfaceName: string, directory: string = RUN_DIRECTORY): Promise<string> {
  const namespace = /\d+/.exec(await Deno.readLink("/proc/self/ns/net"))?.[0];
  return `${directory}/${interfaceName}.${namespace}`;
}

/** Makes the directory, readable for its owner alone; rejects with `denied` and the reason it is needed. */
export async function makeRunDirectory(directory: string = RUN_DIRECTORY): Promise<void> {
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CulvertError(
      "denied",
      `Cannot make ${directory}: it keeps what must be undone should this process be killed, so it must be possible ` +
        "to write there: use root, or a service with RuntimeDirectory=culvert",
      { cause: error },
    );
  }
}

export interface Waiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class Journal implements Disposable {
  readonly path: string;
  /** Whether somebody held it before and did not finish it. */
  readonly wasLeft: boolean;
  /** What is to be undone, in the order it was done. */
  readonly #undos: Undo[];
  #file: Deno.FsFile | undefined;

  private constructor(path: string, file: Deno.FsFile, left: { pid?: number; undos: Undo[] }) {
    this.path = path;
    this.wasLeft = left.pid !== undefined;
    this.#file = file;
    this.#undos = left.undos;
  }

  /** Takes the journal, with what a dead holder left in it; undefined while somebody alive holds it. */
  static async take(path: string): Promise<Journal | undefined> {
    for (;;) {
      const file = await openOrMake(path);
      try {
        if (!await file.tryLock(true)) {
          file.close();
          return undefined;
        }
        // The holder before us may have removed the file between our opening and our locking it.
        if ((await file.stat()).nlink === 0) {
          file.close();
          continue;
        }
        const left = await read(path);
        const journal = new Journal(path, file, left);
        await journal.#append({ pid: Deno.pid }, left.torn ? "\n" : "");
        return journal;
      } catch (error) {
        file.close();
        throw error;
      }
    }
  }

  get undos(): readonly Undo[] {
    return this.#undos;
  }

  /** Notes what undoes the step that comes next. */
  async record(undo: Undo): Promise<void> {
    await this.#append({ undo });
    this.#undos.push(undo);
  }

  /** What another interface's journal in the same namespace records of a setting. */
  async othersSetting(path: string): Promise<SettingUndo | undefined> {
    for await (const { undos } of otherJournals(this.path)) {
      const setting = undos.find((undo): undo is SettingUndo => undo.kind === "setting" && undo.path === path);
      if (setting) return setting;
    }
    return undefined;
  }

  /** Everything has been undone: begins anew. */
  async clear(): Promise<void> {
    this.#undos.length = 0;
    await this.#file?.truncate(0);
    await this.#append({ pid: Deno.pid });
  }

  /** There will be nothing more: takes the file away. */
  async finish(): Promise<void> {
    await Deno.remove(this.path);
    this[Symbol.dispose]();
  }

  /** Gives the lock back; what has not been undone stays for whoever takes it next. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  async #append(line: z.output<typeof lineSchema>, before = ""): Promise<void> {
    if (!this.#file) throw new CulvertError("closed", "Cannot write to a journal: it has been closed");
    await writeAll(this.#file, new TextEncoder().encode(before + JSON.stringify(line) + "\n"));
  }
}

/** The journals of other interfaces in the same namespace, held or left behind, with what they record. */
export async function* otherJournals(path: string): AsyncGenerator<{ path: string; undos: readonly Undo[] }> {
  const [directory, namespace] = [dirname(path), path.slice(path.lastIndexOf("."))];
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) if (name.endsWith(namespace)) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const name of names) {
    const other = `${directory}/${name}`;
    if (other !== path) yield { path: other, undos: (await read(other)).undos };
  }
}

/** The process that holds a journal, or held it last; undefined when there is none. */
export async function holderOf(path: string): Promise<number | undefined> {
  return (await read(path)).pid;
}

/** Waits until the journal's holder has let go of it and takes it; undefined when the signal comes first. */
export async function takeWhenFree(path: string, { clock, signal }: Waiting): Promise<Journal | undefined> {
  while (!signal.aborted) {
    const journal = await Journal.take(path);
    if (journal) return journal;
    await delay(clock, LOCK_RETRY_MS, signal).catch(() => {});
  }
  return undefined;
}

/** Asks the holder to end (SIGTERM) and gives the journal once it has let go of it; rejects when that takes too long. */
export async function endHolder(
  path: string,
  { what, patienceMs }: { readonly what: string; readonly patienceMs: number },
  { clock, signal }: Waiting,
): Promise<Journal> {
  const pid = await holderOf(path);
  if (pid !== undefined) terminate(pid);
  using limit = deadline(clock, patienceMs, `take down ${what}`, signal);
  const journal = await takeWhenFree(path, { clock, signal: limit.signal });
  if (journal) return journal;
  signal.throwIfAborted();
  throw new CulvertError(
    "timeout",
    `Cannot take down ${what}: process ${pid ?? "unknown"} must end within ${patienceMs / 1000} s, and goes on; ` +
      "kill -9 it if need be, and take down again to remove what it leaves",
  );
}

function terminate(pid: number): void {
  try {
    Deno.kill(pid, "SIGTERM");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function openOrMake(path: string): Promise<Deno.FsFile> {
  await makeRunDirectory(dirname(path));
  return await Deno.open(path, { read: true, append: true, create: true, mode: 0o600 });
}

async function read(path: string): Promise<{ pid?: number; undos: Undo[]; torn: boolean }> {
  const undos: Undo[] = [];
  let pid: number | undefined;
  const text = await textOf(path);
  for (const line of text.split("\n")) {
    const parsed = lineSchema.safeParse(jsonOf(line));
    if (!parsed.success) continue;
    if ("pid" in parsed.data) pid = parsed.data.pid;
    else undos.push(parsed.data.undo);
  }
  return { ...(pid !== undefined && { pid }), undos, torn: text !== "" && !text.endsWith("\n") };
}

async function textOf(path: string): Promise<string> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MAX_BYTES) {
      throw new CulvertError("corrupt_file", `Cannot read ${path}: it must be below ${MAX_BYTES} bytes`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
