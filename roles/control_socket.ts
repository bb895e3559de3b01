/**
 * How a command such as `culvert client status` reaches the role that runs: a Unix socket that only its owner may use.
 *
 *   one connection: {"do":"status"}⏎ ──→      ←── {"ok":true,"status":{…}}⏎ or {"ok":false,"code":"…","message":"…"}⏎
 *
 * It goes with the role; one that a killed role has left answers nobody and is replaced. What may be asked and what is
 * answered is the role's own: `ControlWords`.
 */

import { z } from "zod";
import { removeIfThere } from "../native/remove_if_there.ts";
import { removeStaleSocket } from "../native/wireguard/uapi_socket.ts";
import { aborted, orAborted } from "../protocol/abort.ts";
import { type Clock, deadline } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import { writeAll } from "../protocol/stream.ts";

/** What a role is asked and what it answers. */
export interface ControlWords<Request, Answer> {
  /** What runs there, as in "another client answers there". */
  readonly role: string;
  readonly request: z.ZodType<Request>;
  readonly answer: z.ZodType<Answer>;
  /** What is longer is refused. Default: 4 KiB of a question, 1 MiB of an answer. */
  readonly maxRequestBytes?: number;
  readonly maxAnswerBytes?: number;
}

const refusalSchema = z.object({ ok: z.literal(false), code: z.string(), message: z.string() });
const successSchema = z.object({ ok: z.literal(true), status: z.unknown() });

const MAX_REQUEST_BYTES = 4096;
/** Far above a report of a hundred guests, each with a path of the longest. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Above what the longest deed takes. */
const ANSWER_WITHIN_MS = 30_000;
const REQUEST_WITHIN_MS = 5_000;
const MAX_CONNECTIONS = 16;

export interface ControlServerOptions<Request, Answer> {
  readonly path: string;
  readonly words: ControlWords<Request, Answer>;
  /** Does what is asked; what it throws is told. */
  answer(request: Request, signal: AbortSignal): Promise<Answer>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Serves until it is disposed. Rejects with `exists` when another of the role answers there. */
export async function serveControlSocket<Request, Answer>(
  options: ControlServerOptions<Request, Answer>,
): Promise<AsyncDisposable> {
  const { path, words: { role } } = options;
  if (!await removeStaleSocket(path)) {
    throw new CulvertError("exists", `Cannot listen at ${path}: another ${role} answers there`);
  }
  const listener = listenPrivately(path);
  const stop = new AbortController();
  const serving = serve(listener, options, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new CulvertError("stopped", `The ${role} ends`));
      listener.close();
      await serving;
      await removeIfThere(path);
    },
  };
}

function listenPrivately(path: string): Deno.UnixListener {
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(before);
  }
}

async function serve<Request, Answer>(
  listener: Deno.UnixListener,
  options: ControlServerOptions<Request, Answer>,
  signal: AbortSignal,
): Promise<void> {
  const running = new Set<Promise<void>>();
  try {
    for await (const conn of listener) {
      if (running.size >= MAX_CONNECTIONS) {
        conn.close();
        continue;
      }
      const one = answerOne(conn, options, signal).finally(() => running.delete(one));
      running.add(one);
    }
  } catch (error) {
    if (!signal.aborted) {
      options.log.warn(`The ${options.words.role} cannot be asked any more`, { error: messageOf(error) });
    }
  }
  await Promise.all(running);
}

/** Never rejects. */
async function answerOne<Request, Answer>(
  conn: Deno.UnixConn,
  options: ControlServerOptions<Request, Answer>,
  parent: AbortSignal,
): Promise<void> {
  using _conn = conn;
  const { words, clock, log } = options;
  try {
    const request = await readRequest(conn, options, parent);
    let said;
    try {
      using limit = deadline(clock, ANSWER_WITHIN_MS - 1_000, "answer", parent);
      said = { ok: true, status: await orAborted(options.answer(request, limit.signal), limit.signal) };
    } catch (error) {
      said = { ok: false, code: error instanceof CulvertError ? error.code : "failed", message: messageOf(error) };
    }
    await writeAll(conn, new TextEncoder().encode(JSON.stringify(said) + "\n"));
  } catch (error) {
    log.debug(`A question to the ${words.role} was not understood`, { error: messageOf(error) });
  }
}

async function readRequest<Request, Answer>(
  conn: Deno.UnixConn,
  { words, clock }: ControlServerOptions<Request, Answer>,
  parent: AbortSignal,
): Promise<Request> {
  using limit = deadline(clock, REQUEST_WITHIN_MS, "hear the question", parent);
  return words.request.parse(
    JSON.parse(await readLine(conn, { words, maxBytes: words.maxRequestBytes ?? MAX_REQUEST_BYTES }, limit.signal)),
  );
}

/** Asks the role that answers there; undefined when none does. */
export async function askControlSocket<Request, Answer>(
  { path, words }: { readonly path: string; readonly words: ControlWords<Request, Answer> },
  request: Request,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Answer | undefined> {
  const conn = await connect(path, words.role);
  if (!conn) return undefined;
  using _conn = conn;
  using limit = deadline(clock, ANSWER_WITHIN_MS, `ask the ${words.role}`, signal);
  await writeAll(conn, new TextEncoder().encode(JSON.stringify(request) + "\n"));
  const said = parseJson(
    await readLine(conn, { words, maxBytes: words.maxAnswerBytes ?? MAX_ANSWER_BYTES }, limit.signal),
  );
  const refusal = refusalSchema.safeParse(said).data;
  if (refusal) throw new CulvertError(refusal.code, refusal.message);
  const answer = words.answer.safeParse(successSchema.safeParse(said).data?.status);
  if (answer.success) return answer.data;
  throw new CulvertError("bad_answer", `Cannot ask the ${words.role}: what answers at ${path} is none of this version`);
}

async function connect(path: string, role: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CulvertError("denied", `Cannot ask the ${role} at ${path}: another user runs it; use sudo`, {
      cause: error,
    });
  }
}

/** Up to the first line's end; a connection that ends or a signal that aborts before is an error. */
async function readLine(
  conn: Deno.UnixConn,
  { words: { role }, maxBytes }: { readonly words: { readonly role: string }; readonly maxBytes: number },
  signal: AbortSignal,
): Promise<string> {
  const buffer = new Uint8Array(maxBytes);
  for (let filled = 0;;) {
    const count = await Promise.race([conn.read(buffer.subarray(filled)), aborted(signal)]);
    if (signal.aborted) throw signal.reason;
    if (typeof count !== "number") throw new CulvertError("closed", `Cannot ask the ${role}: it has ended`);
    const end = buffer.subarray(0, filled + count).indexOf(0x0a, filled);
    if (end >= 0) return new TextDecoder().decode(buffer.subarray(0, end));
    filled += count;
    if (filled === maxBytes) throw new CulvertError("too_large", `Cannot ask the ${role}: it says too much`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
