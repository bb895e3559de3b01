/**
 * Carries the body of one HTTP message from an Inbox to a Stream, a buffer at a time, changing its framing on the way
 * when the two sides differ. Nothing is gathered: what has arrived goes on at once.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { ChunkedDecoder, frameChunk, type Framing } from "../../protocol/http_body.ts";
import { encodeFieldLines, type Field } from "../../protocol/http_head.ts";
import { forwardTrailers } from "../../protocol/http_proxy.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import type { Inbox } from "./inbox.ts";

/** The sender's fault: the body ended too soon, or makes no sense. What was sent on so far must not look complete. */
export class BodyError extends CulvertError {
  override readonly name = "BodyError";
}

export interface BodySink {
  readonly stream: Pick<Stream, "write">;
  /** Whether to send in chunks; otherwise as it is. */
  readonly chunked: boolean;
}

/** Rejects with a BodyError for the sender's faults and with the sink's own error for the sink's. Gives the bytes carried. */
export async function carryBody(inbox: Inbox, framing: Framing, sink: BodySink): Promise<number> {
  let trailers: readonly Field[] = [];
  let carriedBytes = 0;
  switch (framing.kind) {
    case "length":
      for (let remaining = framing.bytes; remaining > 0;) {
        await need(inbox);
        const count = Math.min(remaining, inbox.length);
        await send(inbox, count, sink);
        inbox.consume(count);
        remaining -= count;
      }
      carriedBytes = framing.bytes;
      break;
    case "chunked": {
      const decoder = new ChunkedDecoder();
      while (!decoder.finished) {
        await need(inbox);
        if (!decoder.decode(inbox.buffer, inbox.start, inbox.end)) {
          throw new BodyError("malformed_chunk", "Cannot carry the body: its chunks make no sense");
        }
        // What follows the body, if anything, starts at `next`; until it is sent the data still lies before it.
        const count = decoder.dataEnd - inbox.start;
        if (count > 0) await send(inbox, count, sink);
        carriedBytes += count;
        inbox.consume(decoder.next - inbox.start);
      }
      trailers = decoder.trailers;
      break;
    }
    case "close":
      while (inbox.length > 0 || await fill(inbox)) {
        await send(inbox, inbox.length, sink);
        carriedBytes += inbox.length;
        inbox.consume(inbox.length);
      }
      break;
    default:
      return 0;
  }
  if (sink.chunked) await writeAll(sink.stream, lastChunk(trailers));
  return carriedBytes;
}

async function send(inbox: Inbox, count: number, sink: BodySink): Promise<void> {
  const { buffer, start } = inbox;
  const end = start + count;
  inbox.lent = true;
  try {
    if (!sink.chunked) return await writeOn(inbox, buffer.subarray(start, end), sink);
    // The CRLF after the chunk may fall on bytes that belong to the next message: they are put back afterwards.
    const first = buffer[end]!;
    const second = buffer[end + 1]!;
    await writeOn(inbox, frameChunk(buffer, start, end), sink);
    buffer[end] = first;
    buffer[end + 1] = second;
  } finally {
    inbox.lent = false;
  }
}

/** Of a write that stops in the middle, what has been written counts. */
async function writeOn(inbox: Inbox, bytes: Uint8Array, { stream }: BodySink): Promise<void> {
  for (let at = 0;;) {
    const count = await stream.write(at === 0 ? bytes : bytes.subarray(at));
    at += count;
    if (at === bytes.length) return;
    inbox.taken(count);
  }
}

/** Makes sure there is at least one byte. */
async function need(inbox: Inbox): Promise<void> {
  if (inbox.length === 0 && !await fill(inbox)) {
    throw new BodyError("cut_short", "Cannot carry the body: it ended too soon");
  }
}

async function fill(inbox: Inbox): Promise<boolean> {
  try {
    return await inbox.fill();
  } catch (error) {
    throw new BodyError("cut_short", "Cannot carry the body: the connection was lost", { cause: error });
  }
}

function lastChunk(trailers: readonly Field[]): Uint8Array {
  const lines = encodeFieldLines(forwardTrailers(trailers));
  const out = new Uint8Array(5 + lines.length);
  out.set([0x30, 13, 10]);
  out.set(lines, 3);
  out.set([13, 10], 3 + lines.length);
  return out;
}
