/** Reads the header of a paqet stream, and no byte of what follows it; writes one. */

import { CulvertError, DialError } from "../../protocol/errors.ts";
import {
  encodePaqetHeader,
  PAQET_HEAD_BYTES,
  type PaqetHeader,
  paqetHeaderBytes,
  parsePaqetHeader,
} from "../../protocol/paqet/stream_header.ts";
import { readFull } from "../../protocol/stream.ts";
import type { MuxStream } from "../mux.ts";

/** Rejects with `protocol` when there is none, or none that makes sense. */
export async function readPaqetHeader(stream: MuxStream): Promise<PaqetHeader> {
  const head = new Uint8Array(PAQET_HEAD_BYTES);
  if (!await readFull(stream, head)) throw notPaqet("the stream ended before it");
  const length = paqetHeaderBytes(head);
  if (length === undefined) throw notPaqet("not paqet");
  const whole = new Uint8Array(length);
  whole.set(head);
  if (!await readFull(stream, whole.subarray(PAQET_HEAD_BYTES))) throw notPaqet("the stream ended in it");
  const parsed = parsePaqetHeader(whole);
  if (parsed.status !== "done") throw notPaqet(parsed.status === "bad" ? parsed.reason : "too short");
  return parsed.value;
}

/** Rejects with a DialError when it cannot be said. As a frame of its own, so that datagrams may follow. */
export async function writePaqetHeader(stream: MuxStream, header: PaqetHeader): Promise<void> {
  const bytes = encodePaqetHeader(header);
  if (!bytes) throw new DialError("unresolved", "Cannot dial: the host name must be 1 to 253 bytes");
  await stream.writeFrame(bytes);
}

function notPaqet(reason: string): CulvertError {
  return new CulvertError("protocol", `the far side's header is malformed: ${reason}`);
}
