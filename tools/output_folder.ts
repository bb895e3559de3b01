/** The folder that a task's files go to: made, and seen to be writable, before the work whose results are to lie there. */

import { CulvertError, messageOf } from "../protocol/errors.ts";

/** Rejects with `unwritable`. */
export async function makeOutputFolder(path: string): Promise<void> {
  await writing(path, async () => {
    await Deno.mkdir(path, { recursive: true });
    await Deno.remove(await Deno.makeTempFile({ dir: path }));
  });
}

/** What goes wrong while a file or folder is written is told of it. Rejects with `unwritable`. */
export async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof CulvertError) throw error;
    throw new CulvertError("unwritable", `Cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
