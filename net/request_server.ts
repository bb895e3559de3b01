/**
 * Request mode's far end: reads what a client asks for on a stream, makes the request with undici over a Path, and sends
 * back what it is answered (`protocol/request_mode.ts`).
 *
 *   head → checked → request ─┬─ leads elsewhere, and is to be followed → the next request
 *          body ──────────────┘─ answer's head → body, as it comes
 *
 * Fields that concern one connection stay here, and nothing is added: the origin sees what the client said, and not that
 * it was passed on. A body goes up once: where it would be needed again the answer is a failure, as in fetch. When the
 * client goes away the request is given up; when the origin's answer is cut, so is the client's stream.
 * What it does not do: caches, cookies, upgrades, or decoding of what the origin has encoded.
 */

import type { Agent } from "undici";
import { orAborted } from "../protocol/abort.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError, DialError, messageOf } from "../protocol/errors.ts";
import { endToEnd } from "../protocol/http_proxy.ts";
import type { Metrics } from "../protocol/metrics.ts";
import {
  encodeRequestModeHead,
  fieldsOf,
  type RequestFailure,
  type RequestModeHead,
  responseHeadSchema,
  type ResponseModeHead,
} from "../protocol/request_mode.ts";
import { type Stream, writeAll } from "../protocol/stream.ts";
import { openPathAgent, type PathAgentOptions } from "./path_agent.ts";
import { readRequestHead } from "./read_frame.ts";
import type { RequestService } from "./tunnel_link.ts";

export interface RequestServerOptions extends PathAgentOptions {
  readonly metrics: Metrics;
  /** Until the client's head has come, and until that of the answer has, from the last of the body on. Default 60 s. */
  readonly headTimeoutMs?: number;
  /** For an answer of whose body nothing moves, in either direction. Default 5 min. */
  readonly idleTimeoutMs?: number;
  /** Requests under way at once. Default 1,024. */
  readonly maxRequests?: number;
}

/** As many as fetch follows. */
const MAX_REDIRECTS = 20;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What says how a body is to be read. Gone with the body, when a redirect takes it away (fetch §4.4). */
const BODY_FIELDS = /^(?:content-(?:encoding|language|location|type|length))$/i;
/** A body that is told to be no longer is kept until the answer is there: a redirect may want it again. */
const KEPT_BODY_BYTES = 64 * 1024;
/** For the origin that was asked, and no other. */
const SECRET_FIELDS = /^(?:authorization|proxy-authorization|cookie|cookie2)$/i;
const READ_BYTES = 64 * 1024;
/** What a field, and what says a status in words, is made of. RFC 9110 §5.5, RFC 9112 §4. */
const WORDS = /^[\t\x20-\x7e\x80-\xff]{0,512}$/;

type Answer = Awaited<ReturnType<Agent["request"]>>;

/** What is asked for next. */
interface Step {
  readonly url: URL;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly hasBody: boolean;
  readonly isRedirected: boolean;
}

/** What ends an exchange before it is over. */
interface Limits {
  readonly watch: Watch;
  /** The client is not there any more. */
  readonly gone: AbortSignal;
}

/** Aborts when what is expected does not come, and nothing moves meanwhile, for too long. */
class Watch implements Disposable {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  #timer: Timer | undefined;
  #movedAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on this is what is told when nothing has moved for so long. */
  expect(complaint: string, limitMs: number): void {
    this.#timer?.cancel();
    this.moved();
    this.#arm(complaint, limitMs);
  }

  moved(): void {
    this.#movedAtMs = this.#clock.now();
  }

  /** One timer that looks when it may be over: what moves sets none. */
  #arm(complaint: string, limitMs: number): void {
    const leftMs = this.#movedAtMs + limitMs - this.#clock.now();
    if (leftMs <= 0) return this.#controller.abort(new CulvertError("timeout", complaint));
    this.#timer = this.#clock.after(leftMs, () => this.#arm(complaint, limitMs));
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }
}

class RequestError extends Error {
  readonly failure: RequestFailure;

  constructor(failure: RequestFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}

export class RequestServer implements RequestService, Disposable {
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #headTimeoutMs: number;
  readonly #idleTimeoutMs: number;
  readonly #maxRequests: number;
  #underWay = 0;
  readonly #metrics;

  constructor(options: RequestServerOptions) {
    this.#agent = openPathAgent(options);
    this.#clock = options.clock;
    this.#headTimeoutMs = options.headTimeoutMs ?? 60_000;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 300_000;
    this.#maxRequests = options.maxRequests ?? 1024;
    const { metrics } = options;
    this.#metrics = {
      requests: metrics.counter("central_requests_total", "Requests made for clients, by outcome", ["outcome"]),
      active: metrics.gauge("central_requests_active", "Requests under way for clients"),
      bytes: metrics.counter("central_request_bytes_total", "Bytes of bodies, by direction", ["direction"]),
    };
  }

  async serve(stream: Stream, signal: AbortSignal): Promise<void> {
    this.#metrics.active.set(++this.#underWay);
    using watch = new Watch(this.#clock);
    watch.expect("The client has not asked in time", this.#headTimeoutMs);
    try {
      const head = await orAborted(readRequestHead(stream), watch.signal);
      if (this.#underWay > this.#maxRequests) throw new RequestError("busy", "Too many requests are under way");
      await this.#exchange(head, stream, { watch, gone: signal });
    } finally {
      this.#metrics.active.set(--this.#underWay);
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy().catch(() => {});
  }

  async #exchange(head: RequestModeHead, stream: Stream, limits: Limits): Promise<void> {
    const { watch, gone } = limits;
    let answer: Answer;
    try {
      const followed = await this.#follow(head, stream, { ...limits, signal: AbortSignal.any([gone, watch.signal]) });
      answer = followed.answer;
      await this.#send(stream, headOf(answer, followed.step));
    } catch (error) {
      gone.throwIfAborted();
      const failure = failureOf(error);
      this.#metrics.requests.add(1, { outcome: failure });
      await this.#send(stream, { failure, message: messageOf(error).slice(0, 1024) });
      return await stream.closeWrite();
    }
    try {
      await this.#passBody(answer, stream, watch);
      this.#metrics.requests.add(1, { outcome: "ok" });
    } catch (error) {
      this.#metrics.requests.add(1, { outcome: "cut" });
      throw watch.signal.aborted ? watch.signal.reason : error;
    }
  }

  async #passBody(answer: Answer, stream: Stream, watch: Watch): Promise<void> {
    watch.expect("Nothing of the answer has moved for too long", this.#idleTimeoutMs);
    const cut = () => stream.abort ? stream.abort() : stream.close();
    watch.signal.addEventListener("abort", cut, { once: true });
    // A 304 may tell the length of what it stands for, which undici would take for a body that is missing.
    if (answer.statusCode === 304) {
      discard(answer);
      return await stream.closeWrite();
    }
    for await (const chunk of answer.body) {
      await writeAll(stream, chunk as Uint8Array);
      watch.moved();
      this.#metrics.bytes.add((chunk as Uint8Array).length, { direction: "down" });
    }
    await stream.closeWrite();
  }

  /** Asks until an answer is the last. */
  async #follow(
    head: RequestModeHead,
    stream: Stream,
    limits: Limits & { readonly signal: AbortSignal },
  ): Promise<{ answer: Answer; step: Step }> {
    let step: Step = {
      url: checkedUrl(head.url),
      method: head.method,
      headers: head.headers,
      hasBody: head.hasBody,
      isRedirected: false,
    };
    const kept = await this.#keptBody(head, stream, limits);
    for (let followed = 0;; followed++) {
      const body = kept ?? (followed === 0 ? this.#bodyOf(stream, limits.watch) : undefined);
      const answer = await this.#ask(step, body, limits);
      const location = REDIRECTS.has(answer.statusCode) && head.redirect !== "manual" && answer.headers.location;
      if (typeof location !== "string") return { answer, step };
      discard(answer);
      if (head.redirect === "error") throw new RequestError("redirect", "The answer leads elsewhere");
      if (followed === MAX_REDIRECTS) throw new RequestError("redirect", "The answers lead elsewhere without end");
      step = nextStep(step, answer.statusCode, { location, isBodyKept: kept !== undefined });
    }
  }

  async #ask(
    { url, method, headers, hasBody }: Step,
    body: Uint8Array | AsyncGenerator<Uint8Array> | undefined,
    { watch, signal }: Limits & { readonly signal: AbortSignal },
  ): Promise<Answer> {
    const fields = endToEnd(fieldsOf(headers)).filter(({ name }) => !/^(?:host|expect|trailer|proxy-.*)$/i.test(name));
    watch.expect("The origin has not answered in time", this.#headTimeoutMs);
    return await this.#agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: method as "GET",
      headers: [...fields, ...lengthOf(headers, hasBody)].flatMap(({ name, value }) => [name, value]),
      body: hasBody && body ? (body as never) : null,
      signal,
    });
  }

  /** The whole body, when it is told to be short. */
  async #keptBody(
    { headers, hasBody }: RequestModeHead,
    stream: Stream,
    { watch, signal }: Limits & { readonly signal: AbortSignal },
  ): Promise<Uint8Array | undefined> {
    const [length] = lengthOf(headers, hasBody);
    if (!length || Number(length.value) > KEPT_BODY_BYTES) return undefined;
    watch.expect("The request's body has not come in time", this.#headTimeoutMs);
    const body = new Uint8Array(Number(length.value));
    const source = this.#bodyOf(stream, watch);
    let filled = 0;
    for (;;) {
      const { done, value } = await orAborted(source.next(), signal);
      if (done && filled === body.length) return body;
      if (done || filled + value.length > body.length) {
        throw new RequestError("bad_request", "The request's body must be as long as it is said to be");
      }
      body.set(value, filled);
      filled += value.length;
    }
  }

  async *#bodyOf(stream: Stream, watch: Watch): AsyncGenerator<Uint8Array> {
    while (true) {
      const into = new Uint8Array(READ_BYTES);
      const count = await stream.read(into);
      if (count === null) return;
      watch.moved();
      this.#metrics.bytes.add(count, { direction: "up" });
      yield into.subarray(0, count);
    }
  }

  async #send(stream: Stream, head: ResponseModeHead): Promise<void> {
    const bytes = encodeRequestModeHead(head);
    if (!bytes) throw new RequestError("failed", "The answer's fields are longer than a client takes");
    await writeAll(stream, bytes);
  }
}

function checkedUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new RequestError("bad_request", "Cannot make the request: its URL must begin with http:// or https://");
  }
  if (url.username !== "" || url.password !== "") {
    throw new RequestError("bad_request", "Cannot make the request: its URL must be without user and password");
  }
  return url;
}

/** A length that the client has told is told on; a body without is sent in chunks. */
function lengthOf(headers: Step["headers"], hasBody: boolean): { name: string; value: string }[] {
  const [, value] = headers.find(([name]) => /^content-length$/i.test(name)) ?? [];
  return hasBody && value !== undefined && /^\d{1,15}$/.test(value) ? [{ name: "content-length", value }] : [];
}

/** Fetch, §4.4 "HTTP-redirect fetch". */
function nextStep(
  step: Step,
  status: number,
  { location, isBodyKept }: { readonly location: string; readonly isBodyKept: boolean },
): Step {
  const target = URL.parse(location, step.url);
  if (!target) throw new RequestError("redirect", "The answer leads to what is no URL");
  const url = checkedUrl(target.href);
  const { method, hasBody } = step;
  const becomesGet = status === 303 ? method !== "GET" && method !== "HEAD" : status <= 302 && method === "POST";
  if (hasBody && !becomesGet && !isBodyKept) {
    throw new RequestError("redirect", "The body would be needed again, and is gone");
  }
  const isElsewhere = url.origin !== step.url.origin;
  const headers = step.headers.filter(([name]) =>
    !(becomesGet && BODY_FIELDS.test(name)) && !(isElsewhere && SECRET_FIELDS.test(name))
  );
  return { url, method: becomesGet ? "GET" : method, headers, hasBody: hasBody && !becomesGet, isRedirected: true };
}

function headOf(answer: Answer, { url, isRedirected }: Step): ResponseModeHead {
  const headers = Object.entries(answer.headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): [string, string] => [name, each])
  );
  // A length is told again: the answer to HEAD has one without a body that has it.
  const lengths = headers.filter(([name]) => name === "content-length");
  const kept = endToEnd(fieldsOf(headers)).filter(({ name }) => name !== "trailer");
  const { statusCode: status, statusText = "" } = answer;
  const head = responseHeadSchema.safeParse({
    status,
    statusText: WORDS.test(statusText) ? statusText : "",
    headers: [...lengths, ...kept.map(({ name, value }): [string, string] => [name, value])],
    url: url.href,
    isRedirected,
  });
  if (head.success) return head.data;
  discard(answer);
  throw new RequestError("failed", "The origin's answer has a head that cannot be told");
}

/** Has nobody read its body, nor hear of that. */
function discard({ body }: Answer): void {
  body.on("error", () => {});
  body.destroy();
}

const CODES: Readonly<Record<string, RequestFailure>> = {
  timeout: "timeout",
  UND_ERR_INVALID_ARG: "bad_request",
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: "bad_request",
};

function failureOf(error: unknown): RequestFailure {
  if (error instanceof RequestError) return error.failure;
  if (error instanceof DialError) return error.code;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return CODES[code] ?? "failed";
}
