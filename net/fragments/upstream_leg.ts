/**
 * A leg from the client to an upstream: whatever is sent goes there with the head that says for which central and which
 * session it is.
 *
 *   GET  …/v1/fragments   a WebSocket, a message each
 *   POST …/v1/fragments   a request each, a few at once, where WebSocket does not get through
 *
 * An upstream can say that it did not pass something on. It may lie: what follows from its word is up to the session.
 */

import { deadline, type Timer } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import {
  CLIENT_HEAD_BYTES,
  MessageKind,
  parseUpstreamRefusal,
  UPSTREAM_REFUSALS,
  type UpstreamRefusal,
  writeClientHead,
} from "../../protocol/fragment/messages.ts";
import { httpProblemSchema } from "../../protocol/http_problem.ts";
import { readBytes } from "../../protocol/read_bytes.ts";
import type { MessageSocket } from "../message_socket.ts";
import type { SendLeg } from "./fragment_link.ts";
import { headersFor, type LegTools, openSocket, type Relay, relayUrl } from "./legs.ts";

export interface UpstreamLeg extends SendLeg, Disposable {
  /** Sends what opens a session. */
  sendOpening(opening: Uint8Array): void;
  /** Says goodbye behind what was sent. Disposing closes at once. */
  close(): void;
}

export interface UpstreamLegOptions {
  readonly relay: Relay;
  /** The raw bytes of its peer id. */
  readonly centralId: Uint8Array;
  readonly alias: Uint8Array;
  readonly tools: LegTools;
  /** The relay says that something was not passed on. */
  onRefused(code: UpstreamRefusal): void;
  /** It has ended, by failure or by either side. */
  onClose(error?: unknown): void;
}

const PATH = "v1/fragments";
/** Requests under way at once: the next leave while the answers to the first are on their way. */
const MAX_REQUESTS = 4;
const REQUEST_MS = 10_000;
/** How long a relay that is asked too much is left alone. */
const PAUSE_MS = 250;
const MAX_PROBLEM_BYTES = 4096;
const STATUS_REFUSALS: Readonly<Record<number, UpstreamRefusal>> = { 404: "no_such_central", 429: "too_much" };

/** Connects to an upstream. */
export async function openUpstreamLeg(options: UpstreamLegOptions, signal: AbortSignal): Promise<UpstreamLeg> {
  const socket = await openSocket(options.relay, PATH, options.tools, signal);
  return socket ? new SocketLeg(socket, options) : new RequestLeg(options);
}

class SocketLeg implements UpstreamLeg {
  readonly #socket: MessageSocket;
  readonly #openingHead: Uint8Array;
  readonly #dataHead: Uint8Array;

  constructor(socket: MessageSocket, options: UpstreamLegOptions) {
    this.#socket = socket;
    this.#openingHead = headOf(MessageKind.OPEN, options);
    this.#dataHead = headOf(MessageKind.DATA, options);
    socket.start({
      onMessage: (message) => {
        const refusal = parseUpstreamRefusal(message);
        if (refusal) options.onRefused(refusal.code);
      },
      onClose: (error) => options.onClose(error),
    });
  }

  set onWritable(tell: () => void) {
    this.#socket.onWritable = tell;
  }

  get isWritable(): boolean {
    return this.#socket.isWritable;
  }

  send(batch: Uint8Array): void {
    this.#socket.send(this.#dataHead, batch);
  }

  sendOpening(opening: Uint8Array): void {
    this.#socket.send(this.#openingHead, opening);
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

class RequestLeg implements UpstreamLeg {
  onWritable: () => void = () => {};
  readonly #options: UpstreamLegOptions;
  readonly #url: URL;
  readonly #stop = new AbortController();
  #underWay = 0;
  #pausedUntilMs = -Infinity;
  #pause: Timer | undefined;
  #isClosing = false;

  constructor(options: UpstreamLegOptions) {
    this.#options = options;
    this.#url = relayUrl(options.relay, PATH);
  }

  get isWritable(): boolean {
    if (this.#isClosing) return false;
    return this.#underWay < MAX_REQUESTS && this.#options.tools.clock.now() >= this.#pausedUntilMs;
  }

  send(batch: Uint8Array): void {
    if (!this.#isClosing) void this.#request(MessageKind.DATA, batch);
  }

  sendOpening(opening: Uint8Array): void {
    if (!this.#isClosing) void this.#request(MessageKind.OPEN, opening);
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#underWay === 0) this.#end();
  }

  [Symbol.dispose](): void {
    if (this.#stop.signal.aborted) return;
    this.#isClosing = true;
    this.#end();
  }

  #end(error?: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#pause?.cancel();
    this.#stop.abort(new CulvertError("closed", "The leg was closed"));
    queueMicrotask(() => this.#options.onClose(error));
  }

  async #request(kind: typeof MessageKind.OPEN | typeof MessageKind.DATA, rest: Uint8Array): Promise<void> {
    this.#underWay++;
    const body = new Uint8Array(CLIENT_HEAD_BYTES + rest.length);
    body.set(headOf(kind, this.#options));
    body.set(rest, CLIENT_HEAD_BYTES);
    try {
      await this.#post(body);
    } catch (error) {
      this.#options.tools.blocked.remove(this.#options.relay.relayId);
      this.#isClosing = true;
      this.#end(error);
    }
    this.#underWay--;
    if (this.#isClosing && this.#underWay === 0) return this.#end();
    const pauseMs = this.#pausedUntilMs - this.#options.tools.clock.now();
    if (pauseMs <= 0) return this.onWritable();
    this.#pause?.cancel();
    this.#pause = this.#options.tools.clock.after(pauseMs, () => this.onWritable());
  }

  async #post(body: Uint8Array<ArrayBuffer>): Promise<void> {
    const { tools } = this.#options;
    using limit = deadline(tools.clock, REQUEST_MS, "send fragments", this.#stop.signal);
    const headers = { ...headersFor(tools), "Content-Type": "application/octet-stream" };
    const request = new Request(this.#url, { method: "POST", headers, body, redirect: "error", signal: limit.signal });
    const response = await tools.fetch(request);
    const answer = await readBytes(response.body, MAX_PROBLEM_BYTES);
    if (response.ok) return;
    if (response.status === 401 || response.status === 403) {
      throw new CulvertError("unauthorized", `The relay answered ${response.status}`);
    }
    this.#pausedUntilMs = tools.clock.now() + PAUSE_MS;
    this.#options.onRefused(refusalOf(response.status, answer));
  }
}

function refusalOf(status: number, answer: Uint8Array | undefined): UpstreamRefusal {
  const problem = answer && httpProblemSchema.safeParse(parseJson(answer)).data;
  return UPSTREAM_REFUSALS.find((code) => code === problem?.code) ?? STATUS_REFUSALS[status] ?? "busy";
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

function headOf(
  kind: typeof MessageKind.OPEN | typeof MessageKind.DATA,
  { centralId, alias }: UpstreamLegOptions,
): Uint8Array {
  const head = new Uint8Array(CLIENT_HEAD_BYTES);
  writeClientHead(head, { kind, centralId, alias });
  return head;
}
