/**
 * A Path whose dials are counted by how they ended: how many connections succeed.
 */

import { dialFailureOf } from "../../protocol/errors.ts";
import type { Path } from "../../protocol/stream.ts";

/** Closing it does nothing: the Path is not its own. `tell` is given "ok" or why a dial failed. */
export function countedDials(path: Path, tell: (outcome: string) => void): Path {
  const counted = async <T>(dial: Promise<T>): Promise<T> => {
    try {
      const made = await dial;
      tell("ok");
      return made;
    } catch (error) {
      tell(dialFailureOf(error));
      throw error;
    }
  };
  return {
    dial: (target, options) => counted(path.dial(target, options)),
    ...(path.datagrams && { datagrams: (options) => counted(path.datagrams!(options)) }),
    close() {},
    [Symbol.dispose]() {},
  };
}
