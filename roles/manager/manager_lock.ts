/**
 * One manager for each run directory: `<run dir>/manager.lock`, locked by the kernel for as long as its process lives, so that
 * one that was killed is in nobody's way. It holds the pid of who has it, for whoever comes second.
 */

import { join } from "@std/path";
import { CulvertError } from "../../protocol/errors.ts";

/** Until disposed. Throws `exists` where another manager has it. */
export async function lockRunDirectory(run: string): Promise<Disposable> {
  const path = join(run, "manager.lock");
  for (;;) {
    using guard = new DisposableStack();
    const file = guard.use(await Deno.open(path, { read: true, write: true, create: true, mode: 0o644 }));
    if (!await file.tryLock(true)) throw new CulvertError("exists", await whoHas(run, path));
    // Whoever had it may have taken the file away after it was opened here.
    const { ino } = await file.stat();
    if (ino !== inodeOf(path)) continue;
    await writePid(file);
    guard.defer(() => inodeOf(path) === ino && Deno.removeSync(path));
    return guard.move();
  }
}

/** The lock is the kernel's; on a full disk it only has no name. */
async function writePid(file: Deno.FsFile): Promise<void> {
  try {
    await file.truncate(0);
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch {
    // Whoever comes second is told of somebody who has just started.
  }
}

async function whoHas(run: string, path: string): Promise<string> {
  const pid = (await Deno.readTextFile(path).catch(() => "")).trim();
  const who = /^\d+$/.test(pid) ? `process ${pid}` : "one that has just started";
  return `Cannot manage the services of ${run}: no other manager may be at it, and ${who} is`;
}

function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
