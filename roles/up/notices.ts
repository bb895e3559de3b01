/**
 * What has happened to a network that `culvert up` runs, for the event log of its dashboard: who begins to listen hears the newest
 * of the past first.
 */

import type { SourceEvent } from "../../edge/dashboard/inventory.ts";
import type { Report } from "./failures.ts";

const PAST = 100;
/** Events of which nothing good came. */
const BAD_NEWS: readonly string[] = ["killed", "lost"];

/** What people on the terminal are told of a killed part, as one line. */
export function noticeOf({ event, before, after }: Report, lines: readonly string[], atMs: number): SourceEvent {
  const way = (parts: unknown) => Array.isArray(parts) && parts.length > 0 ? parts.join(" > ") : undefined;
  const [was, now] = [way(before), way(after)];
  const said = lines.map((line) => line.trim()).filter((line) => !/^(before|now) /.test(line));
  const text = [...said, was && `Before: ${was}`, now && `Now: ${now}`].filter(Boolean).join(" ");
  return {
    atMs,
    kind: "notice",
    text,
    isBad: BAD_NEWS.includes(event),
    ...(event === "recovered" && { tone: "good" }),
  };
}

export class Notices {
  readonly #past: SourceEvent[] = [];
  readonly #listeners = new Set<(event: SourceEvent) => void>();

  post(event: SourceEvent): void {
    this.#past.push(event);
    if (this.#past.length > PAST) this.#past.shift();
    for (const hear of this.#listeners) hear(event);
  }

  listen(hear: (event: SourceEvent) => void): Disposable {
    for (const event of this.#past) hear(event);
    // The same function may listen twice.
    const listener = (event: SourceEvent) => hear(event);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
