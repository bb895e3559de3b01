/**
 * Closing what may be closed already. A Stream's `close` may be repeated, but Deno's own sockets throw BadResource the
 * second time; this makes them keep the promise.
 */
export function closeQuietly(handle: { close(): void }): void {
  try {
    handle.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
