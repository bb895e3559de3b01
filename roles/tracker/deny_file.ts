/**
 * Whom a tracker turns away: the list in a file, followed while it runs. While the file is broken the list before stays, and
 * the log says so once.
 */

import type { DenySource } from "../../edge/tracker.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { DenyList, parseDenyList } from "../../protocol/tracker/deny_list.ts";
import { ConfigError } from "../config.ts";
import { repeat } from "../repeating.ts";
import type { RoleContext } from "../role.ts";

/** How soon somebody who was put on it is turned away. */
const LOOK_MS = 1000;
/** More would be a mistake, or a device. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Reads the list and follows it until disposed. Throws a ConfigError if the file is of no use to begin with. */
export async function followDenyFile(
  path: string | undefined,
  action: string,
  { clock, log }: Pick<RoleContext, "clock" | "log">,
): Promise<DenySource & Disposable> {
  if (path === undefined) return new FollowedList();
  let text: string;
  let followed: FollowedList;
  try {
    text = await readText(path);
    followed = new FollowedList(parseDenyList(text));
  } catch (error) {
    throw new ConfigError(action, [`--deny-file is of no use. ${messageOf(error)}`]);
  }
  followed.following = repeat({
    clock,
    everyMs: LOOK_MS,
    async look(signal) {
      const now = await readText(path);
      if (signal.aborted || now === text) return;
      followed.change(parseDenyList(now));
      text = now;
      log.info("The deny list was read again", { entries: followed.current.size });
    },
    onProblem: (error) => log.warn("The deny list could not be read: the one before stays", { error }),
  });
  return followed;
}

class FollowedList implements DenySource, Disposable {
  current: DenyList;
  following: Disposable | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(current: DenyList = new DenyList()) {
    this.current = current;
  }

  subscribe(onChange: () => void): Disposable {
    this.#listeners.add(onChange);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onChange) };
  }

  change(list: DenyList): void {
    this.current = list;
    for (const listener of this.#listeners) listener();
  }

  [Symbol.dispose](): void {
    this.following?.[Symbol.dispose]();
  }
}

async function readText(path: string): Promise<string> {
  const { size, isFile } = await Deno.stat(path);
  if (!isFile || size > MAX_FILE_BYTES) {
    throw new CulvertError(
      "bad_deny_list",
      `Cannot read ${path}: it must be a file of at most ${MAX_FILE_BYTES} bytes`,
    );
  }
  return await Deno.readTextFile(path);
}
