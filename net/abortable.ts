/**
 * Giving up on something that is being opened, without leaking it. Whoever waits is answered at the abort; should the
 * opener succeed all the same, later or in the same instant, what it opened is closed.
 */

export function abortable<T extends { close(): void }>(open: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    Promise.try(open).then(
      (opened) => {
        signal.removeEventListener("abort", onAbort);
        if (signal.aborted) opened.close();
        else resolve(opened);
      },
      (error) => {
        signal.removeEventListener("abort", onAbort);
        reject(error);
      },
    );
  });
}
