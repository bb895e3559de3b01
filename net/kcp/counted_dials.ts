/**
 * A Path whose dials are counted by how they ended, and how long they took: how many connections succeed.
 */

import type { Clock } from "../../protocol/clock.ts";
import { dialFailureOf } from "../../protocol/errors.ts";
import type { Path } from "../../protocol/stream.ts";

/** Closing it does nothing: the Path is not its own. `tell` is given "ok" or why a dial failed. */
export function countedDials(path: Path, clock: Clock, tell: (outcome: string, seconds: number) => void): Path {
  const counted = async <T>(dial: Promise<T>): Promise<T> => {
    const beganMs = clock.now();
    const tellNow = (outcome: string) => tell(outcome, (clock.now() - beganMs) / 1000);
    try {
      const made = await dial;
      tellNow("ok");
      return made;
    } catch (error) {
      tellNow(dialFailureOf(error));
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
