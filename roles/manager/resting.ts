/**
 * Which services are to stay stopped, beyond the manager's own end: those that an operator has stopped, and those that were
 * given up. One small file each in the run directory, `NAME.stopped`:
 *
 *   stopped b2f76aed-b2cf-4af6-b848-7cd847301bc6⏎       or gave-up; and the machine's boot, after which all begins afresh
 *   It ended by itself: exit code 3⏎                    why, where that is known
 *
 * What cannot be written is told, and forgotten with the manager as it would be without this.
 */

import { join } from "@std/path";
import { readBootId } from "../../native/proc_files.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";

export interface Resting {
  readonly gaveUp: boolean;
  readonly reason?: string;
}

export interface RestingServices {
  /** Undefined for one that is to run. */
  read(name: string): Resting | undefined;
  write(name: string, resting: Resting): void;
  /** It is to run again, or is no more. */
  clear(name: string): void;
}

const MAX_BYTES = 4096;
const MAX_REASON = 1000;

export function restingServices(directory: string, log: Log): RestingServices {
  const bootId = readBootId();
  const path = (name: string) => join(directory, `${name}.stopped`);
  return {
    read(name) {
      try {
        if (Deno.statSync(path(name)).size > MAX_BYTES) return undefined;
        const [, how, boot, reason = ""] =
          /^(stopped|gave-up) (\S+)\n(.*)\n$/.exec(Deno.readTextFileSync(path(name))) ?? [];
        return boot === bootId ? { gaveUp: how === "gave-up", ...reason !== "" && { reason } } : undefined;
      } catch {
        return undefined;
      }
    },
    write(name, { gaveUp, reason = "" }) {
      const temp = join(directory, `.${name}.stopped.tmp`);
      const line = reason.replace(/\s+/g, " ").slice(0, MAX_REASON);
      try {
        Deno.writeTextFileSync(temp, `${gaveUp ? "gave-up" : "stopped"} ${bootId}\n${line}\n`);
        Deno.renameSync(temp, path(name));
      } catch (error) {
        log.warn("That it is stopped cannot be kept for the next manager", { service: name, error: messageOf(error) });
      }
    },
    clear(name) {
      try {
        Deno.removeSync(path(name));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return;
        log.warn("That it was stopped cannot be forgotten", { service: name, error: messageOf(error) });
      }
    },
  };
}
