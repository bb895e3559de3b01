/**
 * What the checks have at hand, and the few steps that most of them take.
 */

import { orAborted } from "../../protocol/abort.ts";
import { delay } from "../../protocol/clock.ts";
import { CulvertError, DialError, type DialFailure } from "../../protocol/errors.ts";
import { readFull, type Target, writeAll } from "../../protocol/stream.ts";
import type { MuxConnection, MuxStream } from "../../net/mux.ts";
import { openTunnelStream } from "../../net/tunnel_path.ts";
import { clock, type NodeConnection, type ScriptedOrchestrator } from "./scripted_orchestrator.ts";
import type { ConformanceTarget } from "./target.ts";

export interface Check {
  readonly name: string;
  run(bench: Bench): Promise<string | undefined | void>;
}

/** What the checks have at hand. */
export interface Bench {
  readonly orchestrator: ScriptedOrchestrator;
  readonly target: ConformanceTarget;
  /** A port that the node may dial and on which nothing listens. */
  readonly closedPort: number;
  readonly code: string;
  /** How long the program has to come for the first time. */
  readonly firstMs: number;
}

/** How long a node may take to come back by itself: its waits grow to 30 s. */
export const RETURN_MS = 45_000;
export const ANSWER_MS = 10_000;
/** For what must not happen, which no event tells of: a node that would do it does it at once. */
export const QUIET_MS = 1500;
export const KIB = 1024;

function nonconformant(what: string): CulvertError {
  return new CulvertError("nonconformant", what);
}

export function demand(holds: unknown, otherwise: string): asserts holds {
  if (!holds) throw nonconformant(otherwise);
}

/** A connection whose node has been let in. */
export type UpConnection = NodeConnection & { readonly mux: MuxConnection };

/** The connection that is up, or the next, let in. */
export async function connected({ orchestrator }: Bench): Promise<UpConnection> {
  const last = orchestrator.connections.at(-1);
  const isFit = last && !last.isOver && last.faults.length === 0;
  if (isFit && last.mux) return last as UpConnection;
  if (!isFit) last?.close();
  const next = isFit ? last : await orchestrator.connection(orchestrator.connections.length, RETURN_MS);
  if (!next.hello) await next.greet();
  next.welcome();
  return next as UpConnection;
}

export async function dial(bench: Bench, target: Target): Promise<MuxStream> {
  const { mux } = await connected(bench);
  return await inTime(openTunnelStream(mux, { kind: "stream", target, trail: [] }), "an answer to a dial");
}

export async function inTime<T>(promise: Promise<T>, what: string, limitMs = ANSWER_MS): Promise<T> {
  const isDone = new AbortController();
  const late = new AbortController();
  delay(clock, limitMs, isDone.signal).then(
    () => late.abort(nonconformant(`there was not ${what} within ${limitMs} ms`)),
    () => {},
  );
  try {
    return await orAborted(promise, late.signal);
  } finally {
    isDone.abort();
  }
}

export async function refusalOf(bench: Bench, target: Target): Promise<DialFailure> {
  try {
    (await dial(bench, target)).close();
  } catch (error) {
    if (error instanceof DialError) return error.code;
    throw error;
  }
  throw nonconformant(`it dialled ${target.host} port ${target.port}`);
}

export async function echoes(bench: Bench, bytes: number, options: { readonly ends?: boolean } = {}): Promise<void> {
  const stream = await dial(bench, { host: "127.0.0.1", port: bench.target.port });
  const sent = Uint8Array.from({ length: bytes }, (_, at) => at * 31 >>> 3);
  const got = new Uint8Array(bytes);
  await writeAll(stream, new TextEncoder().encode("e"));
  const writing = writeAll(stream, sent).then(() => options.ends ? stream.closeWrite() : undefined);
  demand(await inTime(readFull(stream, got), "the echo"), "a stream ended before all of it had come");
  await inTime(writing, "room to write");
  demand(got.every((byte, at) => byte === sent[at]), "bytes came out other than they went in");
  if (options.ends) demand(await inTime(stream.read(got), "the end") === null, "more came than was sent");
  stream.close();
}
