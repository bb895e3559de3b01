/**
 * Ports of 127.0.0.1 for one answer each, such as a file that is handed to another program: the port is the system's choice, the
 * URL holds a secret, and the port closes once the answer has been read whole, or nobody has read for a while.
 *
 *   offer ─▶ http://127.0.0.1:PORT/SECRET/NAME ─▶ read in parts, or broken off: still there ─▶ read whole: gone
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { nameOf } from "../../protocol/files/safe_path.ts";
import type { Random } from "../../protocol/random.ts";
import { brokenOff } from "./file_port.ts";
import { notFound, wrongMethod } from "./problem.ts";
import { refusalOf } from "./request_checks.ts";
import { splitUrl } from "./routes.ts";

export interface EphemeralStreamsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How long a port waits for somebody to read. Default 60 s. */
  readonly idleMs?: number | undefined;
  /** Ports at once. Default 64. */
  readonly max?: number | undefined;
  /** Called with each that is ready. */
  readonly onReady?: ((ready: StreamReady) => void) | undefined;
}

/** Also what the event `file-stream-ready` says. */
export interface StreamReady {
  readonly port: number;
  readonly url: string;
  readonly path: string;
  /** Unless it is read before. */
  readonly expiresAtMs: number;
}

export interface StreamOffer {
  /** What it is, for whoever hears of it; the last part is the name in the URL. */
  readonly path: string;
  /** Answers GET and HEAD. An answer of 200 that was read to its end was the last. */
  answer(request: Request): Response | Promise<Response>;
}

export class EphemeralStreams implements AsyncDisposable {
  readonly #options: EphemeralStreamsOptions;
  readonly #idleMs: number;
  readonly #open = new Set<Port>();
  readonly #ended = new Set<Promise<void>>();

  constructor(options: EphemeralStreamsOptions) {
    this.#options = options;
    this.#idleMs = options.idleMs ?? 60_000;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Undefined when there are too many. */
  offer(offer: StreamOffer): StreamReady | undefined {
    const { clock, random, max = 64, onReady } = this.#options;
    if (this.#open.size >= max) return undefined;
    const secret = encodeBase64Url(random.fill(new Uint8Array(16)));
    const port = new Port(offer, secret, clock, this.#idleMs);
    this.#open.add(port);
    const ended = port.ended.then(() => {
      this.#open.delete(port);
      this.#ended.delete(ended);
    });
    this.#ended.add(ended);
    const url = `http://127.0.0.1:${port.number}/${secret}/${encodeURIComponent(nameOf(offer.path))}`;
    const ready = { port: port.number, url, path: offer.path, expiresAtMs: clock.wallNow() + this.#idleMs };
    onReady?.(ready);
    return ready;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const port of this.#open) port.abort();
    await Promise.all(this.#ended);
  }
}

class Port {
  readonly number: number;
  readonly ended: Promise<void>;
  readonly #offer: StreamOffer;
  readonly #secret: string;
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();
  #reading = 0;
  #idle: Timer | undefined;

  constructor(offer: StreamOffer, secret: string, clock: Clock, idleMs: number) {
    this.#offer = offer;
    this.#secret = secret;
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {}, signal: this.#stop.signal, onError: brokenOff },
      (request) => this.#answer(request),
    );
    this.number = this.#server.addr.port;
    this.ended = this.#server.finished.finally(() => this.#idle?.cancel());
    this.#wait();
  }

  abort(): void {
    this.#stop.abort();
  }

  async #answer(request: Request): Promise<Response> {
    const refusal = refusalOf(request);
    if (refusal) return refusal;
    if (!splitUrl(request.url).path.startsWith(`/${this.#secret}/`)) return notFound();
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return wrongMethod("GET", "HEAD");
    this.#reading++;
    this.#idle?.cancel();
    try {
      const response = await this.#offer.answer(request);
      const isLast = method === "GET" && response.status === 200;
      return followed(response, (isWhole) => {
        // What has been handed over is sent to its end.
        if (isLast && isWhole) this.#server.shutdown();
        else this.#done();
      });
    } catch (error) {
      this.#done();
      throw error;
    }
  }

  #done(): void {
    if (--this.#reading === 0) this.#wait();
  }

  #wait(): void {
    this.#idle = this.#clock.after(this.#idleMs, () => this.abort());
  }
}

/** The same answer, of which is told once whether it was read to its end. */
function followed(response: Response, onEnd: (isWhole: boolean) => void): Response {
  const { body, status, headers } = response;
  if (!body) {
    onEnd(true);
    return response;
  }
  const reader = body.getReader();
  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    async pull(controller) {
      try {
        const { value } = await reader.read();
        if (value) return controller.enqueue(value);
        controller.close();
        onEnd(true);
      } catch (error) {
        controller.error(error);
        onEnd(false);
      }
    },
    async cancel(reason) {
      onEnd(false);
      await reader.cancel(reason);
    },
  });
  return new Response(stream, { status, headers });
}
