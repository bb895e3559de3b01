/**
 * The processes of a control group of systemd's, wherever that hierarchy is mounted.
 */

import { join } from "@std/path";

/** Alone, beside the old hierarchies, or the old one that systemd has for itself. */
const MOUNTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/** Of the group and of those below it; none when it is gone. */
export function cgroupPids(group: string): number[] {
  return [...new Set(MOUNTS.flatMap((mount) => pidsBelow(join(mount, group))))];
}

function pidsBelow(folder: string): number[] {
  try {
    const here = Deno.readTextFileSync(join(folder, "cgroup.procs")).split("\n").map(Number).filter((pid) => pid > 0);
    const folders = [...Deno.readDirSync(folder)].filter(({ isDirectory }) => isDirectory);
    return [...here, ...folders.flatMap(({ name }) => pidsBelow(join(folder, name)))];
  } catch (error) {
    // ENODEV from a read: it was removed meanwhile.
    if (error instanceof Deno.errors.NotFound || error instanceof Error && /os error 19/.test(error.message)) return [];
    throw error;
  }
}
