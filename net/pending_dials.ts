/**
 * Dials that are under way, which all fail at once when it is known that they will: a far end that has fallen silent is
 * otherwise found out by each of them in its own time.
 */

export class PendingDials {
  readonly #pending = new Set<AbortController>();

  /** What `dial` gives, whose signal is also aborted by `fail`. */
  async run<T>(dial: (signal: AbortSignal) => Promise<T>, parent?: AbortSignal): Promise<T> {
    parent?.throwIfAborted();
    const pending = new AbortController();
    const onAbort = () => pending.abort(parent!.reason);
    parent?.addEventListener("abort", onAbort, { once: true });
    this.#pending.add(pending);
    try {
      return await dial(pending.signal);
    } finally {
      this.#pending.delete(pending);
      parent?.removeEventListener("abort", onAbort);
    }
  }

  fail(reason: Error): void {
    for (const pending of [...this.#pending]) pending.abort(reason);
  }
}
