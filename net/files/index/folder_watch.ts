/**
 * Tells what changes in a folder, by the file system's own notices. They may be too few (the kernel's queue ran over), or not
 * to be had (Linux allows a user so many watched folders, `fs.inotify.max_user_watches`, and network file systems have none):
 * then it says so.
 */

import { messageOf } from "../../../protocol/errors.ts";
import { isHidden } from "../../../protocol/files/safe_path.ts";
import type { FolderNews, FolderSettings } from "./folder_reader.ts";

/** The part of `Deno.FsWatcher` that is used. */
export interface Watcher extends AsyncIterable<Pick<Deno.FsEvent, "kind" | "paths" | "flag">> {
  close(): void;
}

export type WatchFolder = (folder: string) => Watcher;

export function watchFolder(
  settings: FolderSettings,
  news: FolderNews,
  open: WatchFolder = watchRecursively,
): Disposable {
  let watcher: Watcher;
  try {
    watcher = open(settings.folder);
  } catch (error) {
    news.lost(messageOf(error));
    return { [Symbol.dispose]() {} };
  }
  let isClosed = false;
  void follow(watcher, settings, news).then((reason) => {
    if (!isClosed) news.lost(reason);
  });
  return {
    [Symbol.dispose]() {
      if (isClosed) return;
      isClosed = true;
      watcher.close();
    },
  };
}

function watchRecursively(folder: string): Watcher {
  return Deno.watchFs(folder, { recursive: true });
}

/** Until there is nothing more; gives the reason. */
async function follow(watcher: Watcher, { folder, hidden }: FolderSettings, news: FolderNews): Promise<string> {
  const inside = folder === "/" ? "/" : `${folder}/`;
  try {
    for await (const { kind, paths, flag } of watcher) {
      if (kind === "access") continue;
      if (flag === "rescan" || paths.length === 0) {
        news.overflowed();
        continue;
      }
      const told = paths.filter((path) => path.startsWith(inside)).map((path) => path.slice(inside.length));
      const shown = told.filter((path) => !isHidden(path, hidden));
      if (shown.length > 0) news.changed(shown);
    }
    return "there are no notices any more";
  } catch (error) {
    return messageOf(error);
  }
}
