/** Where streams to one far end come from: connections of QUIC, or a mux over KCP. */

import type { Stream } from "../../protocol/stream.ts";

export interface StreamSource {
  /** Settles when it gives no streams any more: with why, unless it was closed. Absent: it never ends by itself. */
  readonly ended?: Promise<Error | undefined>;
  /** Opens one, on a connection that is up or about to be. Rejects with a DialError, or with the signal's reason. */
  open(signal?: AbortSignal): Promise<Stream>;
  /** Ends every stream with it. */
  close(): void;
  /** Settles when nothing runs any more. Call `close` first. */
  closed(): Promise<void>;
}
