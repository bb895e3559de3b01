/**
 * HTTP to a peer's file server over a PeerConnection: streams are kept for the next request, a way that is lost is made anew,
 * and silence ends an exchange, as does a body that hardly moves. What comes back is parsed by a schema or read straight into the caller's buffers.
 */

import { orAborted } from "../../protocol/abort.ts";
import { type Clock, type Deadline, deadline } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Field, ResponseHead } from "../../protocol/http_head.ts";
import { httpProblemSchema } from "../../protocol/http_problem.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { BufferPool } from "../buffer_pool.ts";
import { Deadlines } from "../deadlines.ts";
import type { PeerConnection, PeerWay } from "../peers/peer_connection.ts";
import { fieldOf, type HttpRequest, HttpStream } from "./http_stream.ts";

/** Nothing for so long, and the exchange is given up. */
const SILENCE_MS = 20_000;
/** What is read whole must be there after so many times that long, and beyond that each byte takes its time. */
const WHOLE_IN_SILENCES = 3;
const SLOWEST_BYTES_PER_MS = 16;
/** A body of which less than this came in that long is given up as well. */
const SLOWEST_BODY_BYTES_PER_S = 256;
/** Streams kept between requests. */
const MAX_KEPT = 4;
const MAX_JSON_BYTES = 4 * 1024 * 1024;
const MAX_PROBLEM_BYTES = 16 * 1024;
/** So much memory is taken for a body because of what is said of it. */
const MAX_TRUSTED_BYTES = 1024 * 1024;

/** The peer understood, and answered with something other than what was asked for. */
export class HttpRefusal extends CulvertError {
  override readonly name = "HttpRefusal";
  readonly status: number;
  /** When it wants to be asked again, if it said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, answer: { readonly status: number; readonly retryAfterMs?: number }) {
    super(code, message);
    this.status = answer.status;
    this.retryAfterMs = answer.retryAfterMs;
  }
}

/** An answer whose body is still to be read. Disposing of it before its end gives up the stream. */
export interface HttpAnswer extends Disposable {
  readonly head: ResponseHead;
  /** Bytes still to come, where the length was said. */
  readonly leftBytes: number | undefined;
  /** Fills the start of `into`; null once all was read. Rejects with `timeout` after a long silence. */
  read(into: Uint8Array): Promise<number | null>;
}

export interface PeerHttpOptions {
  /** A connection to the peer, or a hold on one; it is closed here. */
  connect(signal: AbortSignal): Promise<PeerConnection>;
  readonly clock: Clock;
  readonly silenceMs?: number;
}

/** What an answer must be; a zod schema is one. */
export interface AnswerSchema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false };
}

export interface JsonQuestion<T> {
  readonly target: string;
  readonly schema: AnswerSchema<T>;
  readonly deed: string;
}

export class PeerHttp implements Disposable {
  readonly #options: PeerHttpOptions;
  readonly #pool = new BufferPool({ bufferBytes: 64 * 1024, maxBuffers: 64 });
  readonly #silenceMs: number;
  readonly #silent: Deadlines<() => void>;
  #kept: KeptStream[] = [];
  readonly #open = new Set<HttpStream>();
  readonly #stop = new AbortController();
  #connection: PeerConnection | undefined;
  #connecting: Promise<PeerConnection> | undefined;

  constructor(options: PeerHttpOptions) {
    this.#options = options;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#silent = new Deadlines(options.clock, this.#silenceMs, (giveUp) => giveUp());
  }

  /** By which way the last request went. */
  get way(): PeerWay | undefined {
    return this.#connection?.way;
  }

  get connection(): PeerConnection | undefined {
    return this.#connection;
  }

  /** Sends a request; a kept stream that turns out to be gone is replaced, once. */
  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    this.#stop.signal.throwIfAborted();
    const connection = await orAborted(this.#connected(), signal);
    const kept = this.#takeKept(connection);
    const isRepeatable = request.method === "GET" || request.method === "HEAD";
    if (kept && isRepeatable) {
      try {
        return await this.#exchange(kept, request, signal);
      } catch (error) {
        if (signal?.aborted || this.#stop.signal.aborted || isTimeout(error)) throw error;
      }
    } else kept?.http.close();
    const http = new HttpStream(await connection.open(signal), this.#pool);
    return await this.#exchange({ http, on: connection, via: connection.via }, request, signal);
  }

  /** The JSON that is there. Rejects with an HttpRefusal when something else is; `deed` completes "Cannot …". */
  async json<T>({ target, schema, deed }: JsonQuestion<T>, signal?: AbortSignal): Promise<T> {
    const accept = [{ name: "Accept", value: "application/json" }];
    using limit = this.#limit(deed, { signal });
    using answer = await this.request({ method: "GET", target, fields: accept }, limit.signal);
    if (answer.head.status !== 200) throw await refusalOf(answer, deed);
    const parsed = schema.safeParse(parseJson(await readWhole(answer, MAX_JSON_BYTES)));
    if (parsed.success) return parsed.data;
    throw new CulvertError("bad_answer", `Cannot ${deed}: the peer's answer makes no sense`);
  }

  /** The bytes that are there, exactly so many. */
  async bytes(
    { target, deed, expectedBytes }: { readonly target: string; readonly deed: string; readonly expectedBytes: number },
    signal?: AbortSignal,
  ): Promise<Bytes> {
    using limit = this.#limit(deed, { signal, expectedBytes });
    using answer = await this.request({ method: "GET", target }, limit.signal);
    if (answer.head.status !== 200) throw await refusalOf(answer, deed);
    const bytes = await readWhole(answer, expectedBytes + 1);
    if (bytes.length === expectedBytes) return bytes;
    throw new CulvertError("bad_answer", `Cannot ${deed}: it must be ${expectedBytes} bytes`);
  }

  /** For what is read whole. */
  #limit(
    deed: string,
    { signal, expectedBytes = 0 }: { readonly signal: AbortSignal | undefined; readonly expectedBytes?: number },
  ): Deadline {
    const withinMs = Math.ceil(WHOLE_IN_SILENCES * this.#silenceMs + expectedBytes / SLOWEST_BYTES_PER_MS);
    return deadline(this.#options.clock, withinMs, deed, signal);
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new CulvertError("closed", "Cannot ask a peer after close()"));
    this.#silent[Symbol.dispose]();
    for (const http of this.#open) http.close();
    for (const { http } of this.#kept) http.close();
    this.#kept = [];
    this.#connection?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The connection there is, or a new one; everybody who waits gets the same. */
  async #connected(): Promise<PeerConnection> {
    if (this.#connection && !this.#connection.isClosed) return this.#connection;
    this.#connecting ??= this.#connect().finally(() => this.#connecting = undefined);
    return await this.#connecting;
  }

  async #connect(): Promise<PeerConnection> {
    const connection = await this.#options.connect(this.#stop.signal);
    this.#connection?.close();
    this.#connection = connection;
    if (!this.#stop.signal.aborted) return connection;
    connection.close();
    throw this.#stop.signal.reason;
  }

  #takeKept(connection: PeerConnection): KeptStream | undefined {
    for (let kept = this.#kept.pop(); kept; kept = this.#kept.pop()) {
      // Once there is a better way, streams on the old one are not used again.
      if (kept.on === connection && kept.via === connection.via && !connection.isClosed) return kept;
      kept.http.close();
    }
    return undefined;
  }

  async #exchange(
    stream: KeptStream,
    request: HttpRequest,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    const { http } = stream;
    const watch = this.#watch(http, signal);
    try {
      const head = await watch.during(() => http.ask(request));
      return this.#answer(stream, head, watch);
    } catch (error) {
      watch.end();
      http.close();
      throw error;
    }
  }

  #answer(stream: KeptStream, head: ResponseHead, watch: Watch): HttpAnswer {
    const { http, on } = stream;
    const release = () => {
      watch.end();
      if (!http.isFree || this.#stop.signal.aborted || on.isClosed || this.#kept.length >= MAX_KEPT) http.close();
      else this.#kept.push(stream);
    };
    const { clock } = this.#options;
    const pace = new Pace(this.#silenceMs);
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      release();
    };
    return {
      head,
      get leftBytes() {
        return isOver ? 0 : http.leftBytes;
      },
      async read(into) {
        if (isOver) return null;
        if (http.isOver) {
          over();
          return null;
        }
        const sinceMs = clock.now();
        const count = await watch.during(() => http.read(into));
        if (!http.isOver) pace.note(count ?? 0, clock.now() - sinceMs);
        return count;
      },
      [Symbol.dispose]: over,
    };
  }

  /** Closes the stream when nothing comes for too long or the signal is aborted. */
  #watch(http: HttpStream, signal: AbortSignal | undefined): Watch {
    let failure: unknown;
    const fail = (error: unknown) => {
      failure ??= error;
      http.close();
    };
    const onAbort = () => fail(signal!.reason);
    const onSilence = () => fail(new CulvertError("timeout", "Cannot read on: the peer has gone silent"));
    this.#open.add(http);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    return {
      during: async (work) => {
        this.#silent.add(onSilence);
        try {
          return await work();
        } catch (error) {
          throw failure ?? error;
        } finally {
          this.#silent.delete(onSilence);
        }
      },
      end: () => {
        signal?.removeEventListener("abort", onAbort);
        this.#open.delete(http);
      },
    };
  }
}

interface KeptStream {
  readonly http: HttpStream;
  readonly on: PeerConnection;
  /** Which way it goes. */
  readonly via: string;
}

interface Watch {
  during<T>(work: () => Promise<T>): Promise<T>;
  end(): void;
}

/** How fast a body comes while it is waited for: not while its reader does something else. */
class Pace {
  readonly #spanMs: number;
  /** Of the span that is under way. */
  #waitedMs = 0;
  #bytes = 0;

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** Throws `timeout` when it has been too slow. */
  note(bytes: number, waitedMs: number): void {
    this.#waitedMs += waitedMs;
    this.#bytes += bytes;
    if (this.#waitedMs < this.#spanMs) return;
    if (this.#bytes * 1000 < SLOWEST_BODY_BYTES_PER_S * this.#waitedMs) {
      throw new CulvertError("timeout", "Cannot read on: the peer sends hardly anything");
    }
    this.#waitedMs = this.#bytes = 0;
  }
}

/** What a refusal says, from its problem details where there are some. `deed` completes "Cannot …". */
export async function refusalOf(answer: HttpAnswer, deed: string): Promise<HttpRefusal> {
  const { status } = answer.head;
  const body = await readWhole(answer, MAX_PROBLEM_BYTES).then(parseJson, () => undefined);
  const problem = httpProblemSchema.safeParse(body).data;
  const seconds = Number(fieldOf(answer.head, "retry-after") ?? NaN);
  const retryAfterMs = problem?.retryAfterMs ?? (Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined);
  // It begins with what cannot be done there; what cannot be done here is said already.
  const why = problem?.detail.replace(/^Cannot [^:]*: /, "") ?? wordsFor(status);
  return new HttpRefusal(problem?.code ?? `http_${status}`, `Cannot ${deed}: ${why}`, {
    status,
    ...retryAfterMs !== undefined && { retryAfterMs },
  });
}

/** The whole body. Rejects with `too_large` when there is more. Takes memory as it comes, not as it is said to be. */
export async function readWhole(answer: HttpAnswer, maxBytes: number): Promise<Bytes> {
  const said = answer.leftBytes;
  if (said !== undefined && said > maxBytes) throw tooLarge(maxBytes);
  const most = said ?? maxBytes;
  let bytes = new Uint8Array(Math.min(most, said === undefined ? 16 * 1024 : MAX_TRUSTED_BYTES));
  let filled = 0;
  for (;;) {
    if (filled === bytes.length) {
      if (answer.leftBytes === 0) break;
      if (filled >= maxBytes) throw tooLarge(maxBytes);
      const grown = new Uint8Array(Math.min(most, 2 * bytes.length));
      grown.set(bytes);
      bytes = grown;
    }
    const count = await answer.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** A field as a request carries it. */
export function field(name: string, value: string): Field {
  return { name, value };
}

function tooLarge(maxBytes: number): CulvertError {
  return new CulvertError("too_large", `Cannot read the answer: it must be at most ${maxBytes} bytes`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

function wordsFor(status: number): string {
  switch (status) {
    case 401:
    case 403:
      return "the peer does not let us see it";
    case 404:
      return "there is no such file or folder";
    case 429:
    case 503:
      return "the peer is busy";
    default:
      return `the peer answers ${status}`;
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "timeout";
}
