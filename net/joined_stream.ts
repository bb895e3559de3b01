/**
 * Streams of a mux that are joined to another's by whoever is in between: opened, or refused with a reply of the tunnel protocol.
 */

import { DialError, dialFailureOf, messageOf } from "../protocol/errors.ts";
import { writeAll } from "../protocol/stream.ts";
import { encodeTunnelReply } from "../protocol/tunnel.ts";
import type { MuxConnection, MuxStream } from "./mux.ts";

/** Opens a stream on a link; throws a DialError when that has gone or is full. */
export function openOn(link: Pick<MuxConnection, "open">): MuxStream {
  try {
    return link.open();
  } catch (error) {
    throw error instanceof DialError ? error : new DialError("path_down", messageOf(error));
  }
}

/** Tells whoever asked for the stream why there is none, and ends it. Never rejects. */
export async function refuseStream(stream: MuxStream, error: unknown): Promise<void> {
  try {
    await writeAll(stream, encodeTunnelReply({ failure: dialFailureOf(error), message: messageOf(error) }));
    stream.close();
  } catch {
    stream.abort(); // whoever asked has gone
  }
}
