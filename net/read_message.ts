/**
 * Reading one message off a stream that goes on with something else: byte by byte, so that nothing of what follows is taken.
 * For messages that are short and come once: a dial's.
 */

import { DialError } from "../protocol/errors.ts";
import type { Parsed } from "../protocol/parse.ts";
import type { Stream } from "../protocol/stream.ts";

export interface MessageKind {
  /** As in "The far end does not speak SOCKS5". */
  readonly language: string;
  readonly maxBytes: number;
}

export async function readMessage<T>(
  stream: Pick<Stream, "read">,
  parse: (bytes: Uint8Array) => Parsed<T>,
  { language, maxBytes }: MessageKind,
): Promise<T> {
  const held = new Uint8Array(maxBytes);
  for (let filled = 0; filled < held.length;) {
    const count = await stream.read(held.subarray(filled, filled + 1));
    if (count === null) throw new DialError("failed", `The stream ended in the middle of ${language}`);
    filled += count;
    const parsed = parse(held.subarray(0, filled));
    if (parsed.status === "done") return parsed.value;
    if (parsed.status === "bad") {
      throw new DialError("failed", `The far end does not speak ${language}: ${parsed.reason}`);
    }
  }
  throw new DialError("failed", `The far end does not speak ${language}: its message does not end`);
}
