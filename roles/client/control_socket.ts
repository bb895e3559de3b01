/**
 * How `culvert client status`, `rotate` and `down` reach the client that runs: a Unix socket that only its owner may use.
 *
 *   one connection: {"do":"status"}⏎ ──→      ←── {"ok":true,"status":{…}}⏎ or {"ok":false,"code":"…","message":"…"}⏎
 *
 * A client that routes the machine has it in the run directory, by the name of its interfaces, so that it is found without
 * knowing how it was started; one that is a proxy has it in its state directory. It goes with the client; one that a
 * killed client has left answers nobody and is replaced.
 */

import { z } from "zod";
import { removeIfThere, removeStaleSocket } from "../../native/wireguard/uapi_socket.ts";
import { aborted, orAborted } from "../../protocol/abort.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { writeAll } from "../../protocol/stream.ts";
import { journalPathOf } from "../machine/journal.ts";
import { type ClientStatus, clientStatusSchema } from "./status.ts";

const requestSchema = z.object({ do: z.enum(["status", "rotate", "down"]) });
export type ControlRequest = z.infer<typeof requestSchema>;

const answerSchema = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), status: clientStatusSchema }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);
type ControlAnswer = z.infer<typeof answerSchema>;

const MAX_REQUEST_BYTES = 4096;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Above what finding another exit takes. */
const ANSWER_WITHIN_MS = 30_000;
const REQUEST_WITHIN_MS = 5_000;
const MAX_CONNECTIONS = 16;

export function proxySocketPath(stateDir: string): string {
  return `${stateDir}/client.sock`;
}

export async function tunnelSocketPath(interfacePrefix: string): Promise<string> {
  return socketPathOf(await journalPathOf(interfacePrefix));
}

/** Beside the journal. */
export function socketPathOf(journalPath: string): string {
  return `${journalPath}.sock`;
}

/** What a client does when it is asked to; what it throws is told. */
export interface ControlDeeds {
  status(): Promise<ClientStatus>;
  /** Gives how it is afterwards. */
  rotate(signal: AbortSignal): Promise<ClientStatus>;
  /** Begins to end. */
  down(): Promise<ClientStatus>;
}

export interface ControlServerOptions {
  readonly path: string;
  readonly deeds: ControlDeeds;
  readonly clock: Clock;
  readonly log: Log;
}

/** Serves until it is disposed. Rejects with `exists` when another client answers there. */
export async function serveControl(options: ControlServerOptions): Promise<AsyncDisposable> {
  const { path } = options;
  if (!await removeStaleSocket(path)) {
    throw new CulvertError("exists", `Cannot listen at ${path}: another client answers there`);
  }
  const listener = listenPrivately(path);
  const stop = new AbortController();
  const serving = serve(listener, options, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new CulvertError("stopped", "The client ends"));
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

async function serve(listener: Deno.UnixListener, options: ControlServerOptions, signal: AbortSignal): Promise<void> {
  const running = new Set<Promise<void>>();
  try {
    for await (const conn of listener) {
      if (running.size >= MAX_CONNECTIONS) {
        conn.close();
        continue;
      }
      const one = answer(conn, options, signal).finally(() => running.delete(one));
      running.add(one);
    }
  } catch (error) {
    if (!signal.aborted) options.log.warn("The client cannot be asked any more", { error: messageOf(error) });
  }
  await Promise.all(running);
}

/** Never rejects. */
async function answer(conn: Deno.UnixConn, options: ControlServerOptions, parent: AbortSignal): Promise<void> {
  using _conn = conn;
  const { deeds, clock, log } = options;
  try {
    const request = await readRequest(conn, clock, parent);
    let said: ControlAnswer;
    try {
      using limit = deadline(clock, ANSWER_WITHIN_MS - 1_000, request.do, parent);
      said = { ok: true, status: await orAborted(deeds[request.do](limit.signal), limit.signal) };
    } catch (error) {
      said = { ok: false, code: error instanceof CulvertError ? error.code : "failed", message: messageOf(error) };
    }
    await writeAll(conn, new TextEncoder().encode(JSON.stringify(said) + "\n"));
  } catch (error) {
    log.debug("A question to the client was not understood", { error: messageOf(error) });
  }
}

async function readRequest(conn: Deno.UnixConn, clock: Clock, parent: AbortSignal): Promise<ControlRequest> {
  using limit = deadline(clock, REQUEST_WITHIN_MS, "hear the question", parent);
  return requestSchema.parse(JSON.parse(await readLine(conn, MAX_REQUEST_BYTES, limit.signal)));
}

/** Asks the client that answers there; undefined when none does. */
export async function askClient(
  path: string,
  request: ControlRequest,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<ClientStatus | undefined> {
  const conn = await connect(path);
  if (!conn) return undefined;
  using _conn = conn;
  using limit = deadline(clock, ANSWER_WITHIN_MS, "ask the client", signal);
  await writeAll(conn, new TextEncoder().encode(JSON.stringify(request) + "\n"));
  const text = await readLine(conn, MAX_ANSWER_BYTES, limit.signal);
  const answer = answerSchema.safeParse(parseJson(text)).data;
  if (!answer) {
    throw new CulvertError("bad_answer", `Cannot ask the client: what answers at ${path} is none of this version`);
  }
  if (!answer.ok) throw new CulvertError(answer.code, answer.message);
  return answer.status;
}

async function connect(path: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new CulvertError("denied", `Cannot ask the client at ${path}: another user runs it; use sudo`, {
      cause: error,
    });
  }
}

/** Up to the first line's end; a connection that ends or a signal that aborts before is an error. */
async function readLine(conn: Deno.UnixConn, maxBytes: number, signal: AbortSignal): Promise<string> {
  const buffer = new Uint8Array(maxBytes);
  for (let filled = 0;;) {
    const count = await Promise.race([conn.read(buffer.subarray(filled)), aborted(signal)]);
    if (signal.aborted) throw signal.reason;
    if (typeof count !== "number") throw new CulvertError("closed", "Cannot ask the client: it has ended");
    const end = buffer.subarray(0, filled + count).indexOf(0x0a, filled);
    if (end >= 0) return new TextDecoder().decode(buffer.subarray(0, end));
    filled += count;
    if (filled === maxBytes) throw new CulvertError("too_large", "Cannot ask the client: it says too much");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
