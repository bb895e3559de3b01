/**
 * JSON calls over HTTPS, signed by an identity (`protocol/http_signature.ts`): how supernodes and relays speak to base,
 * and supernodes to each other.
 *
 *   post(url, body) ─▶ signed request ─▶ answer of the schema, or HttpCallError
 *
 * Redirects are not followed: the signature is for one host. An answer is read up to a bound and a deadline. Calls
 * leave no connection of theirs in use, but the host keeps some alive for the next.
 */

import { type Clock, deadline } from "../protocol/clock.ts";
import { CulvertError, messageOf } from "../protocol/errors.ts";
import { type HttpProblem, httpProblemSchema } from "../protocol/http_problem.ts";
import { type RequestSigner, signRequest } from "../protocol/http_signature.ts";
import type { Primitives } from "../protocol/primitives.ts";
import type { Random } from "../protocol/random.ts";
import { readBytes } from "../protocol/read_bytes.ts";

/**
 * A call that came to nothing. `http_refused`: the other end understood and said no (4xx), so the same call will not
 * do better elsewhere. `http_failed`: it could not be reached, or gave no answer that makes sense.
 */
export class HttpCallError extends CulvertError {
  override readonly name = "HttpCallError";
  declare readonly code: "http_refused" | "http_failed";
  /** What the other end said, if it said so. */
  readonly problem: HttpProblem | undefined;
  /** The status it answered with, if it did. */
  readonly status: number | undefined;
  /** When it says to try again, in its problem or by `Retry-After` in seconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: "http_refused" | "http_failed",
    message: string,
    options: ErrorOptions & Partial<Pick<HttpCallError, "problem" | "status" | "retryAfterMs">> = {},
  ) {
    super(code, message, options);
    this.problem = options.problem;
    this.status = options.status;
    this.retryAfterMs = options.problem?.retryAfterMs ?? options.retryAfterMs;
  }
}

export type Fetch = (request: Request) => Promise<Response>;

export interface SignedHttpOptions {
  readonly signer: RequestSigner;
  readonly clock: Clock;
  readonly random: Random;
  readonly primitives: Primitives;
  /** Default: the host's. One with certificates of its own is `(request) => fetch(request, { client })`. */
  readonly fetch?: Fetch | undefined;
  /** For a whole call. Default 5 s. */
  readonly timeoutMs?: number | undefined;
}

/** What an answer must be; a zod schema is one. */
export interface AnswerSchema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false };
}

export interface Call<T> {
  readonly url: URL;
  /** What it is for, to complete "Cannot …". */
  readonly deed: string;
  /** Left out, the call is a GET without a signature. */
  readonly body?: unknown;
  /** A token that the other end has given, sent in place of a signature (RFC 6750). */
  readonly bearer?: string | undefined;
  /** The peer id of whoever is to answer, where it is known: nobody else takes the request then. */
  readonly recipient?: string | undefined;
  readonly answer: AnswerSchema<T>;
  /** Default 1 MiB. */
  readonly maxAnswerBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_MAX_ANSWER_BYTES = 1024 * 1024;

export class SignedHttp {
  readonly #options: SignedHttpOptions;
  readonly #fetch: Fetch;

  constructor(options: SignedHttpOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? ((request) => fetch(request));
  }

  /** Makes the call and gives the answer. Rejects with an HttpCallError, or with the signal's reason. */
  async call<T>(call: Call<T>): Promise<T> {
    const { clock, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const { deed, url, signal } = call;
    using limit = deadline(clock, timeoutMs, deed, signal);
    try {
      limit.signal.throwIfAborted();
      const response = await this.#fetch(this.#requestOf(call, limit.signal));
      const bytes = await readBytes(response.body, call.maxAnswerBytes ?? DEFAULT_MAX_ANSWER_BYTES);
      return answerOf(call, response, bytes);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof HttpCallError) throw error;
      const why = messageOf(limit.signal.aborted ? limit.signal.reason : error);
      throw new HttpCallError("http_failed", `Cannot ${deed} at ${url.host}: ${why}`, { cause: error });
    }
  }

  #requestOf({ url, body, bearer, recipient }: Call<unknown>, signal: AbortSignal): Request {
    const token = bearer === undefined ? undefined : { authorization: `Bearer ${bearer}` };
    if (body === undefined) return new Request(url, { redirect: "error", signal, headers: token ?? {} });
    const { clock, ...tools } = this.#options;
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const headers = token ?? signRequest({ method: "POST", url: url.href }, bytes, {
      ...tools,
      recipient,
      wallNowMs: clock.wallNow(),
    });
    return new Request(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: bytes,
      redirect: "error",
      signal,
    });
  }
}

function answerOf<T>(call: Call<T>, { status, headers }: Response, bytes: Uint8Array | undefined): T {
  const where = `${call.deed} at ${call.url.host}`;
  const json = bytes && parseJson(bytes);
  if (status >= 200 && status < 300) {
    const answer = call.answer.safeParse(json);
    if (answer.success) return answer.data;
    throw new HttpCallError("http_failed", `Cannot ${where}: its answer must be as the API says, got something else`);
  }
  const problem = httpProblemSchema.safeParse(json).data;
  const code = status >= 400 && status < 500 ? "http_refused" : "http_failed";
  const said = problem ? `${problem.code}: ${problem.detail}` : "nothing more";
  throw new HttpCallError(code, `Cannot ${where}: it answered ${status} and ${said}`, {
    problem,
    status,
    retryAfterMs: retryAfterOf(headers),
  });
}

/** RFC 9110 §10.2.3; a date is not looked at. */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
