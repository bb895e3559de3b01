/**
 * Settings of the kernel (`/proc/sys`), changed so that they can be put back.
 */

import type { Journal } from "./journal.ts";

/** Several may need it. Each notes what was before the first, so that the last can put it back. */
export async function changeSetting(
  path: string,
  after: string,
  journal: Pick<Journal, "record" | "othersSetting">,
): Promise<void> {
  const found = (await Deno.readTextFile(path)).trim();
  const before = (await journal.othersSetting(path))?.before ?? found;
  if (before === after) return;
  await journal.record({ kind: "setting", path, before, after });
  if (found !== after) await Deno.writeTextFile(path, after);
}
