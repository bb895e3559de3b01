/**
 * What a shared folder shows of itself: `index.md`, made when there is none, for its owner to write in.
 */

import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { joinPath } from "../../protocol/files/safe_path.ts";

/** In every folder. */
export const FOLDER_PAGE = "index.md";

/** Leaves alone what is there, and a folder that cannot be written to. */
export function makeFolderPage(folder: string, label: string, log: Log): void {
  const text = `# ${plain(label)}

These are the files that ${
    plain(label)
  } shares. This page is the file \`${FOLDER_PAGE}\` in the shared folder: write in it
what visitors should know, and [link](./) to what they should look at.
`;
  try {
    Deno.writeTextFileSync(joinPath(folder, FOLDER_PAGE), text, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    log.info("The shared folder has no page of its own and takes none", { error: messageOf(error) });
  }
}

/** What would be markup is text. */
function plain(label: string): string {
  return label.replace(/[\\`*_{}[\]()#+!<>|~&-]/g, "\\$&");
}
