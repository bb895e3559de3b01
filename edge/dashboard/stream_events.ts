/** An event for those who watch as it goes over the wire: named by its type, its data the rest. */

import type { StreamEvent } from "../../protocol/event_stream.ts";
import type { ServerEvent } from "./api.ts";

export function streamEventOf({ type, ...data }: ServerEvent): StreamEvent {
  return { event: type, data: JSON.stringify(data) };
}
