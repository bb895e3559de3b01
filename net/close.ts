/**
 * Closing what may be closed already. A Stream's `close` may be repeated, but Deno's own sockets throw BadResource the
 * second time; this makes them keep the promise.
 */

import { isClosedError } from "./runtime.ts";

/** Closes it, whether or not it is closed already. */
export function closeQuietly(handle: { close(): void }): void {
  try {
    handle.close();
  } catch (error) {
    if (!isClosedError(error)) throw error;
  }
}
