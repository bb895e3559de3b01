/**
 * The trackers that were given the last time, in the state directory, so that they need not be given to every command.
 *
 *   peer-trackers.json
 */

import { z } from "zod";
import { urlSchema } from "../../protocol/fields.ts";
import type { RoleContext } from "../role.ts";
import type { StateDirectory } from "../state.ts";

const FILE = "peer-trackers.json";

const fileSchema = z.object({ trackers: z.array(urlSchema).max(8) });

/** None when none were given yet, or what was kept makes no sense. */
export async function rememberedTrackers(state: StateDirectory): Promise<readonly URL[]> {
  const bytes = await state.read(FILE);
  if (!bytes) return [];
  try {
    return fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).trackers.map((url) => new URL(url));
  } catch {
    return [];
  }
}

export async function rememberTrackers(
  state: StateDirectory,
  trackers: readonly URL[],
  context: Pick<RoleContext, "clock" | "signal">,
): Promise<void> {
  const hrefs = trackers.map(({ href }) => href);
  const before = (await rememberedTrackers(state)).map(({ href }) => href);
  if (JSON.stringify(before) === JSON.stringify(hrefs)) return;
  using lock = await state.lock(context);
  await lock.replace(FILE, new TextEncoder().encode(JSON.stringify({ trackers: hrefs }) + "\n"));
}
