/** Where streams to one far end come from: connections of QUIC, or a mux over KCP. */

import type { Stream } from "../../protocol/stream.ts";

export interface StreamSource {
  /** Opens one, on a connection that is up or about to be. Rejects with a DialError, or with the signal's reason. */
  open(signal?: AbortSignal): Promise<Stream>;
  /** Ends every stream with it. */
  close(): void;
  /** Settles when nothing runs any more. Call `close` first. */
  closed(): Promise<void>;
}
