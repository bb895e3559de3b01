/**
 * Reads the messages at the start of a stream (`protocol/tunnel_frame.ts`, `protocol/request_mode.ts`), and no byte of
 * what follows them: the first four bytes tell how long the whole is.
 */

import { CulvertError, DialError } from "../protocol/errors.ts";
import type { Parsed } from "../protocol/parse.ts";
import { parseRelayHeader, type RelayHeader } from "../protocol/relay.ts";
import {
  parseRequestHead,
  parseResponseHead,
  requestHeadBytes,
  type RequestModeHead,
  type ResponseModeHead,
} from "../protocol/request_mode.ts";
import type { Stream } from "../protocol/stream.ts";
import { parseTunnelReply, type TunnelReply } from "../protocol/tunnel.ts";
import { FRAME_HEAD_BYTES, frameBytes } from "../protocol/tunnel_frame.ts";

/** The header of a relayed stream. Rejects with `protocol` when there is none, or none that makes sense. */
export function readRelayHeader(stream: Pick<Stream, "read">): Promise<RelayHeader> {
  return readFrame(stream, parseRelayHeader, "header");
}

/** Settles when the far side says that it is open; its refusal is a DialError. `what` was asked for. */
export function readReply(stream: Pick<Stream, "read">, what: string): Promise<TunnelReply> {
  // Checked within the one loop: every dial waits here, and a second async function would cost it 4 %.
  return readFrame(stream, (bytes) => refusalThrown(parseTunnelReply(bytes), what), "answer");
}

/** What a client of request mode asks for. Rejects with `protocol` when it makes no sense. */
export function readRequestHead(stream: Pick<Stream, "read">): Promise<RequestModeHead> {
  return readFrame(stream, parseRequestHead, "request", requestHeadBytes);
}

/** What it is answered. */
export function readResponseHead(stream: Pick<Stream, "read">): Promise<ResponseModeHead> {
  return readFrame(stream, parseResponseHead, "response", requestHeadBytes);
}

function refusalThrown(parsed: Parsed<TunnelReply>, what: string): Parsed<TunnelReply> {
  if (parsed.status !== "done" || parsed.value.failure === undefined) return parsed;
  const { failure, message } = parsed.value;
  throw new DialError(failure, message || `Cannot dial ${what}: ${failure}`);
}

/** The message that `parse` knows. Rejects with `protocol` when none comes, or none that makes sense. */
export async function readFrame<T>(
  stream: Pick<Stream, "read">,
  parse: (bytes: Uint8Array) => Parsed<T>,
  what: string,
  wholeBytes = frameBytes,
): Promise<T> {
  let held = new Uint8Array(256);
  for (let filled = 0, wanted = FRAME_HEAD_BYTES;;) {
    const count = await stream.read(held.subarray(filled, wanted));
    if (count === null) throw new CulvertError("protocol", `the far side ended the stream without an ${what}`);
    filled += count;
    const parsed = parse(held.subarray(0, filled));
    if (parsed.status === "bad") {
      throw new CulvertError("protocol", `the far side's ${what} is malformed: ${parsed.reason}`);
    }
    if (parsed.status === "done") return parsed.value;
    // The parser has refused a length beyond its limit, so this is bounded.
    if (filled === FRAME_HEAD_BYTES) wanted = wholeBytes(held);
    if (wanted > held.length) held = larger(held, wanted);
  }
}

function larger(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(length);
  copy.set(bytes);
  return copy;
}
