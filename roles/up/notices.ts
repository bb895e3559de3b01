/**
 * What has happened to a network that `culvert up` runs, for the event log of its dashboard: who begins to listen hears the newest
 * of the past first.
 */

import type { SourceEvent } from "../../edge/dashboard/inventory.ts";

const PAST = 100;

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
