/**
 * Where a service's log is: a file of the manager's own, or the journal for what systemd runs.
 */

import { join } from "@std/path";
import type { Clock } from "../../protocol/clock.ts";
import { journalLines } from "./journal_lines.ts";
import { fileLines } from "./log_file_lines.ts";
import type { Places } from "./places.ts";

export type LogSource =
  /** `older` has what was cut off. */
  | { readonly kind: "file"; readonly path: string; readonly older: string }
  | { readonly kind: "journal"; readonly unit: string };

export interface LogLinesOptions {
  /** The last so many to begin with. */
  readonly lines: number;
  /** Whether to go on with what is written from now on, until the signal aborts. */
  readonly follow: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function logSource(name: string, { logs, backend }: Pick<Places, "logs" | "backend">): LogSource {
  if (backend === "systemd") return { kind: "journal", unit: `culvert-${name}.service` };
  const path = join(logs, `${name}.log`);
  return { kind: "file", path, older: `${path}.1` };
}

/** Rejects with the signal's reason when it aborts. */
export function logLines(source: LogSource, options: LogLinesOptions): AsyncGenerator<string> {
  return source.kind === "file" ? fileLines(source, options) : journalLines(source.unit, options);
}
