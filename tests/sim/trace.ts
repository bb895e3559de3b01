/**
 * The last things that happened, to be shown when something has gone wrong, and how often each was said.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { LogFields } from "../../protocol/log.ts";

interface Line {
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
  readonly fields: LogFields | undefined;
}

const KEPT = 200_000;

export class Trace {
  readonly #clock: Clock;
  readonly #lines: Line[] = [];
  #next = 0;
  readonly counts = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(who: string, what: string, fields?: LogFields): void {
    this.#lines[this.#next] = { atMs: this.#clock.now(), who, what, fields };
    this.#next = (this.#next + 1) % KEPT;
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** The last lines that name any of these, oldest first. */
  about(names: readonly string[], count = 60): string[] {
    const lines = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
    const isAbout = ({ who, fields }: Line) =>
      names.some((name) => who.includes(name) || Object.values(fields ?? {}).some((value) => value === name));
    return lines.filter(isAbout).slice(-count).map(formatLine);
  }
}

function formatLine({ atMs, who, what, fields }: Line): string {
  const details = Object.entries(fields ?? {}).filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${value}`).join("");
  return `${formatTime(atMs)} ${who} ${what}${details}`;
}

/** `hh:mm:ss.mmm` since the beginning. */
export function formatTime(atMs: number): string {
  const part = (value: number, digits: number) => String(Math.floor(value)).padStart(digits, "0");
  return `${part(atMs / 3_600_000, 2)}:${part(atMs / 60_000 % 60, 2)}:${part(atMs / 1000 % 60, 2)}.${
    part(atMs % 1000, 3)
  }`;
}
