/**
 * A leg from a downstream to the client: whatever central has posted for the claim comes here.
 *
 *   GET  …/v1/mailbox   a WebSocket whose first message is the claim
 *   POST …/v1/mailbox   a poll, answered when there is something or after a while, where WebSocket does not get through
 *
 * A poll says which answer came last, so that one which was lost on its way is given again.
 */

import { Backoff } from "../../protocol/backoff.ts";
import { deadline, delay } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { encodePoll, MessageKind, parseDelivery, parsePollAnswer } from "../../protocol/fragment/messages.ts";
import { readBytes } from "../../protocol/read_bytes.ts";
import type { MessageSocket } from "../message_socket.ts";
import { headersFor, type LegTools, openSocket, type Relay, relayUrl } from "./legs.ts";

export interface DownstreamLeg extends Disposable {
  /** Says goodbye. Disposing closes at once. */
  close(): void;
}

export interface DownstreamLegOptions {
  readonly relay: Relay;
  readonly claim: Uint8Array;
  readonly tools: LegTools;
  /** What comes, each a view that is valid only during the call. */
  onOpened(rest: Uint8Array): void;
  onData(rest: Uint8Array): void;
  /** It has ended, by failure or by either side. */
  onClose(error?: unknown): void;
}

const PATH = "v1/mailbox";
/** Above what a downstream keeps for one mailbox with what frames it. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Above what a downstream holds a poll. */
const POLL_MS = 60_000;
/** An answer without messages that comes sooner counts as if the poll had been held for so long. */
export const IDLE_MS = 100;
/** Polls that fail one after the other before the leg counts as lost. */
const MAX_FAILURES = 3;

/** Connects to a downstream and listens there. */
export async function openDownstreamLeg(options: DownstreamLegOptions, signal: AbortSignal): Promise<DownstreamLeg> {
  const socket = await openSocket(options.relay, PATH, options.tools, signal);
  if (!socket) return new PollLeg(options);
  startSocket(socket, options);
  return socket;
}

function startSocket(socket: MessageSocket, options: DownstreamLegOptions): void {
  socket.start({
    onMessage: (message) => deliver(message, options),
    onClose: (error, code) => options.onClose(error ?? (code === undefined ? undefined : closedWith(code))),
  });
  socket.send(options.claim);
}

function closedWith(code: number): CulvertError {
  return new CulvertError("closed", `The relay closed with the code ${code}`);
}

function deliver(message: Uint8Array, options: DownstreamLegOptions): void {
  const delivery = parseDelivery(message);
  if (!delivery) return;
  if (delivery.kind === MessageKind.OPENED) options.onOpened(delivery.rest);
  else options.onData(delivery.rest);
}

class PollLeg implements DownstreamLeg {
  readonly #options: DownstreamLegOptions;
  readonly #url: URL;
  readonly #stop = new AbortController();

  constructor(options: DownstreamLegOptions) {
    this.#options = options;
    this.#url = relayUrl(options.relay, PATH);
    this.#pollOn().catch((error) => this.#stop.signal.aborted ? undefined : error).then(options.onClose);
  }

  close(): void {
    this.#stop.abort(new CulvertError("closed", "The leg was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #pollOn(): Promise<void> {
    const { clock, random } = this.#options.tools;
    const { signal } = this.#stop;
    const backoff = new Backoff(random, { baseMs: 200, maxMs: 2000 });
    let acknowledged = 0;
    for (let failures = 0; !signal.aborted;) {
      try {
        acknowledged = await this.#poll(acknowledged);
        failures = 0;
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        if (++failures === MAX_FAILURES || isFinal(error)) {
          this.#options.tools.blocked.remove(this.#options.relay.relayId);
          throw error;
        }
        await delay(clock, backoff.nextMs(), signal);
      }
    }
  }

  /** Gives the number of the answer that came. */
  async #poll(acknowledged: number): Promise<number> {
    const { tools, claim } = this.#options;
    using limit = deadline(tools.clock, POLL_MS, "poll a mailbox", this.#stop.signal);
    const startedMs = tools.clock.now();
    const response = await tools.fetch(
      new Request(this.#url, {
        method: "POST",
        headers: { ...headersFor(tools), "Content-Type": "application/octet-stream" },
        body: encodePoll({ claim, acknowledged }),
        redirect: "error",
        signal: limit.signal,
      }),
    );
    const bytes = await readBytes(response.body, MAX_ANSWER_BYTES);
    const rest = () => delay(tools.clock, startedMs + IDLE_MS - tools.clock.now(), this.#stop.signal);
    if (response.status === 204) {
      await rest();
      return acknowledged;
    }
    const isFinal = response.status >= 400 && response.status < 500 && response.status !== 429;
    if (!response.ok) {
      throw new CulvertError(isFinal ? "http_refused" : "http_failed", `The relay answered ${response.status}`);
    }
    const answer = bytes && parsePollAnswer(bytes);
    if (!answer) throw new CulvertError("http_failed", "The relay's answer makes no sense");
    if (answer.messages.length === 0) await rest();
    for (const message of answer.messages) if (!this.#stop.signal.aborted) deliver(message, this.#options);
    return answer.number;
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "http_refused";
}
