/**
 * Asking the other end of a data link whether streams get through, and how long that takes: not whether the connection
 * lives, which mux sees to, but whether a stream that is opened on it is read and answered as relayed streams are.
 *
 *   stream ─ header `probe` ─→ other end ─ reply ─→ it works; or `path_down`: nothing comes out beyond it
 */

import { CulvertError, DialError } from "../protocol/errors.ts";
import { encodeRelayHeader } from "../protocol/relay.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { encodeTunnelReply } from "../protocol/tunnel.ts";
import { closeQuietly } from "./close.ts";
import type { MuxConnection, MuxStream } from "./mux.ts";
import { readReply } from "./read_frame.ts";

const HEADER = encodeRelayHeader({ kind: "probe", sessionId: "-", trail: [] })!;

/** Settles when the other end has answered. Gives up, and rejects with its reason, when the signal aborts. */
export async function probeLink(link: Pick<MuxConnection, "open">, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await ask(link.open(), signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!isAnswer(error)) throw error;
  }
}

async function ask(stream: MuxStream, signal: AbortSignal): Promise<void> {
  const onAbort = () => stream.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await writeAll(stream, HEADER);
    await readReply(stream, "the other end of the link");
  } finally {
    signal.removeEventListener("abort", onAbort);
    closeQuietly(stream);
  }
}

/**
 * Any other refusal is an answer, and so is an end of the stream: it has been there, and come back. That a link is full
 * is none against it either: so many streams use it.
 */
function isAnswer(error: unknown): boolean {
  return error instanceof CulvertError &&
    (error instanceof DialError ? error.code !== "path_down" : error.code === "protocol");
}

/** Answers a probe whose header has been read; `problem` says why nothing comes out here, if so. Never rejects. */
export async function answerProbe(stream: Stream, problem?: string): Promise<void> {
  try {
    const refusal = problem === undefined ? { message: "" } : { failure: "path_down" as const, message: problem };
    await writeAll(stream, encodeTunnelReply(refusal));
  } catch {
    // Whoever asked does not wait any more.
  } finally {
    closeQuietly(stream);
  }
}
