/**
 * How a circuit begins at a hop: what comes first on a new stream is a CREATE, and is answered.
 *
 *   stream ─▶ CREATE, within a deadline ─▶ handshake ─▶ CREATED ─▶ CircuitHop        or CREATED with why not, and the end
 *
 * Nothing is said to whoever does not begin with a CREATE.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import {
  CircuitStatus,
  CREATE_BYTES,
  CREATE_HEADER_BYTES,
  CREATED_BYTES,
  encodeCreate,
  encodeCreated,
  type HopAnswer,
  type HopKind,
  parseCreate,
  parseCreated,
} from "../../protocol/circuit/cell.ts";
import type { Filler } from "../../protocol/circuit/filler.ts";
import { answerHop } from "../../protocol/circuit/handshake.ts";
import { CircuitHop, type HopEvents, isPosition } from "../../protocol/circuit/hop.ts";
import { DialError } from "../../protocol/errors.ts";
import type { NoiseKeyPair } from "../../protocol/noise_ik.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { SealTools } from "../../protocol/sealed_handshake.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { MuxStream } from "../mux.ts";

/** Who a hop is, and with what it answers. */
export interface HopSelf {
  readonly kind: HopKind;
  /** The 16 bytes of its peer id. */
  readonly id: Bytes;
  readonly sealing: NoiseKeyPair;
  readonly tools: SealTools;
  readonly filler: Filler;
}

export interface BeginOptions {
  readonly self: HopSelf;
  readonly events: HopEvents;
  /** Why no circuit is begun now; asked once a CREATE has come. */
  refusal(): number | undefined;
  readonly clock: Clock;
  /** For the CREATE to come. */
  readonly timeoutMs: number;
}

/** What came of it: a hop, or the status that was answered; undefined when no CREATE has come. */
export type Begun = { readonly hop: CircuitHop } | { readonly status: number } | undefined;

export async function beginCircuit(stream: MuxStream, options: BeginOptions): Promise<Begun> {
  const { self: { kind, id, sealing, tools, filler }, events, clock, timeoutMs } = options;
  const first = await readCreate(stream, clock, timeoutMs);
  if (!first) return void stream.abort();
  const refused = options.refusal();
  if (refused !== undefined) return await refuse(stream, refused);
  const accepted = answerHop(tools, { id, sealing }, first);
  if (!accepted) return await refuse(stream, CircuitStatus.REFUSED);
  const { keys, position, second } = accepted;
  if (!isPosition(kind, position)) {
    keys.send.fill(0);
    keys.receive.fill(0);
    return await refuse(stream, CircuitStatus.REFUSED);
  }
  const hop = new CircuitHop({ kind, crypto: tools.crypto, filler, keys, position }, events);
  try {
    await writeAll(stream, encodeCreated({ status: CircuitStatus.OK, second }));
    return { hop };
  } catch (error) {
    hop[Symbol.dispose]();
    throw error;
  }
}

/** One of few words, fit for a metric. */
export function statusName(status: number): string {
  const name = Object.entries(CircuitStatus).find(([, value]) => value === status)?.[0];
  return name?.toLowerCase() ?? "other";
}

async function refuse(stream: MuxStream, status: number): Promise<Begun> {
  await writeAll(stream, encodeCreated({ status }));
  stream.close();
  return { status };
}

async function readCreate(stream: MuxStream, clock: Clock, timeoutMs: number): Promise<Bytes | undefined> {
  const timer = clock.after(timeoutMs, () => stream.abort());
  try {
    if (!await stream.readable(CREATE_BYTES)) return undefined;
  } catch {
    return undefined; // too late, or gone
  } finally {
    timer.cancel();
  }
  const bytes = new Uint8Array(CREATE_BYTES);
  stream.readNow(bytes);
  const parsed = parseCreate(bytes);
  return parsed.status === "done" ? parsed.value : undefined;
}

/**
 * Asks the next hop, at the other end of a new stream, to be one, and gives its answer. Rejects with a DialError or the
 * signal's reason; what is to become of the stream is for the caller to say.
 */
export async function askNextHop(
  stream: MuxStream,
  first: Bytes,
  { clock, timeoutMs, signal }: { clock: Clock; timeoutMs: number; signal: AbortSignal },
): Promise<HopAnswer> {
  using limit = deadline(clock, timeoutMs, "extend a circuit", signal);
  const onAbort = () => stream.abort();
  limit.signal.addEventListener("abort", onAbort, { once: true });
  try {
    limit.signal.throwIfAborted();
    await writeAll(stream, encodeCreate(first));
    const answer = await readCreated(stream);
    if (!answer) throw new DialError("failed", "Cannot extend: the next hop's answer must be a CREATED");
    return answer;
  } catch (error) {
    if (limit.signal.aborted) throw limit.signal.reason;
    throw error;
  } finally {
    limit.signal.removeEventListener("abort", onAbort);
  }
}

async function readCreated(stream: MuxStream): Promise<HopAnswer | undefined> {
  const bytes = new Uint8Array(CREATED_BYTES);
  let filled = 0;
  for (const wanted of [CREATE_HEADER_BYTES, CREATED_BYTES]) {
    if (!await stream.readable(wanted - filled)) return undefined;
    filled += stream.readNow(bytes.subarray(filled, wanted));
    const parsed = parseCreated(bytes.subarray(0, filled));
    if (parsed.status !== "more") return parsed.status === "done" ? parsed.value : undefined;
  }
  return undefined;
}
