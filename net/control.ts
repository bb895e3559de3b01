/**
 * A peer's control stream over a socket of its own: carries out what the machine in `protocol/control/stream_client.ts`
 * decides, and matches questions to their answers.
 *
 *   machine ── connect ──→ WebSocket ── texts ──→ machine ── command, open, down ──→ whoever owns this
 *   request() ── info.request ──→ supernode ── info.response ──→ its promise
 *
 * Not here: applying commands, the data link.
 */

import { type Clock, deadline, type Timer } from "../protocol/clock.ts";
import { type ClientEnd, hintOf } from "../protocol/control/client_end.ts";
import type { Command, CommandResult, SupernodeAddress } from "../protocol/control/commands.ts";
import { CONTROL_PATH, supernodeEndpoint } from "../protocol/control/endpoints.ts";
import {
  type AuthAccepted,
  encodeControl,
  type InfoFailure,
  type InfoRequest,
  type InfoResponse,
} from "../protocol/control/messages.ts";
import { StreamClient, type StreamClientAction, type StreamClientOptions } from "../protocol/control/stream_client.ts";
import { encodeBase64Url } from "../protocol/encoding.ts";
import { DialError, type DialFailure, messageOf } from "../protocol/errors.ts";
import type { Log } from "../protocol/log.ts";
import type { Metrics } from "../protocol/metrics.ts";
import { type TextChannel, TextSocket } from "./text_socket.ts";
import { dialWebsocket, type Locate } from "./websocket_dial.ts";

export interface ControlOptions extends Omit<StreamClientOptions, "wallNow"> {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** PEM certificates to trust beside the usual ones. */
  readonly caCerts?: readonly string[] | undefined;
  /** Where a supernode's host is. Default: where the system finds it. */
  readonly locate?: Locate | undefined;
  /** Opens the carrier, not yet started. Default: a WebSocket at the supernode's URL. */
  dial?(supernode: SupernodeAddress, signal: AbortSignal): Promise<TextChannel>;
  /** It is open, for the first time or again. */
  onOpen?(supernode: SupernodeAddress, answer: AuthAccepted): void;
  onDown?(reason: ClientEnd): void;
  /** A command has come from that supernode, whose clock says `serverTimeMs`. */
  onCommand?(command: Command, from: { readonly supernodeId: string; readonly serverTimeMs: number }): void;
}

type OmitId<T> = T extends unknown ? Omit<T, "type" | "requestId"> : never;
/** What can be asked of the supernode. */
export type Question = OmitId<InfoRequest>;
type Answer<What extends Question["what"]> = Extract<InfoResponse, { what: What }>;

interface Waiting {
  resolve(response: InfoResponse): void;
  reject(error: unknown): void;
}

/** For an answer, with the wait for the stream to be open. Choosing an exit may take several of the supernode's tries. */
const ANSWER_WITHIN_MS = 15_000;
const MAX_WAITING = 64;
const REQUEST_ID_BYTES = 16;
const RTT_BUCKETS_S = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5];

export class ControlStream implements Disposable {
  readonly #options: ControlOptions;
  readonly #machine: StreamClient;
  readonly #waiting = new Map<string, Waiting>();
  readonly #whenOpen = new Set<() => void>();
  #connecting: AbortController | undefined;
  #socket: TextChannel | undefined;
  /** Which supernode could not be connected to, and why. */
  #unreached: string | undefined;
  #timer: Timer | undefined;
  /** Sockets and attempts that have not ended yet. */
  readonly #tasks = new Set<Promise<void>>();
  readonly #metrics;

  /** Begins to connect. */
  constructor(options: ControlOptions) {
    this.#options = options;
    const { clock, metrics } = options;
    this.#machine = new StreamClient({ ...options, wallNow: () => clock.wallNow() });
    this.#metrics = {
      up: metrics.gauge("control_stream_up", "Whether the control stream is open"),
      downs: metrics.counter("control_stream_downs_total", "Ends of the control stream, by reason", ["reason"]),
      rejected: metrics.counter("control_messages_rejected_total", "Messages not understood, by reason", ["reason"]),
      rtt: metrics.histogram("control_stream_rtt_seconds", "From ping to pong", RTT_BUCKETS_S),
    };
    this.#do(this.#machine.start(clock.now()));
  }

  get isOpen(): boolean {
    return this.#machine.state === "open";
  }

  /** The supernode it is connected to or tries. */
  get supernode(): SupernodeAddress {
    return this.#machine.supernode;
  }

  /** Settles when the stream is open. */
  opened(signal: AbortSignal): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#machine.state === "stopped") return reject(closedError());
      const finish = () => {
        this.#whenOpen.delete(finish);
        signal.removeEventListener("abort", finish);
        if (signal.aborted) reject(signal.reason);
        else if (this.isOpen) resolve();
        else reject(closedError());
      };
      this.#whenOpen.add(finish);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  /** Asks, as soon as the stream is open. A refusal is a DialError. */
  async request<Q extends Question>(question: Q, signal?: AbortSignal): Promise<Answer<Q["what"]>> {
    using limit = deadline(this.#options.clock, ANSWER_WITHIN_MS, "ask the supernode", signal);
    await this.opened(limit.signal);
    const response = await this.#ask(question, limit.signal);
    if (response.what === "failed") throw failureOf(response);
    if (response.what === question.what) return response as Answer<Q["what"]>;
    throw new DialError("failed", "Cannot ask the supernode: it answered something else");
  }

  /** Tells the outcome of a command; without a stream it is told when the command comes again. */
  answer(result: CommandResult): void {
    if (this.isOpen) this.#socket?.send(encodeControl(result));
  }

  /** Tells the supernode at once how we are, rather than with the next ping. */
  pingNow(): void {
    this.#do(this.#machine.pingNow(this.#options.clock.now()));
  }

  /** Other supernodes from now on, best first; see `StreamClient.moveTo`. */
  moveTo(supernodes: readonly SupernodeAddress[], withinMs = 0): void {
    this.#do(this.#machine.moveTo(supernodes, this.#options.clock.now(), withinMs));
  }

  /** The supernode is of no use: goes on to the next of the list. False if there is none to go to now. */
  moveOn(): boolean {
    const actions = this.#machine.moveOn(this.#options.clock.now());
    this.#do(actions);
    return actions.length > 0;
  }

  /** What is said at the beginning of a stream has changed: it is said again, at once. */
  renew(): void {
    this.#do(this.#machine.renew(this.#options.clock.now()));
  }

  close(): void {
    this.#do(this.#machine.stop());
    this.#timer?.cancel();
    this.#metrics.up.set(0);
    this.#failWaiting();
    for (const wake of [...this.#whenOpen]) wake();
  }

  /** Settles when no socket is left. Call `close` first. */
  async closed(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #do(actions: readonly StreamClientAction[]): void {
    for (const action of actions) this.#doOne(action);
    this.#timer?.cancel();
    const { clock } = this.#options;
    const dueMs = this.#machine.nextWakeAtMs;
    if (dueMs === Infinity) return;
    this.#timer = clock.after(Math.max(0, dueMs - clock.now()), () => this.#do(this.#machine.wake(clock.now())));
  }

  #doOne(action: StreamClientAction): void {
    const { log } = this.#options;
    switch (action.kind) {
      case "connect":
        return this.#spawn(this.#connect(action.supernode));
      case "send":
        return this.#socket?.send(encodeControl(action.message));
      case "disconnect":
        return this.#disconnect();
      case "open":
        return this.#open(action.supernode, action.answer);
      case "down":
        return this.#down(action.reason, action.retryInMs);
      case "clock_skew":
        return log.warn("This machine's clock is not the supernode's", { offset_ms: Math.round(action.offsetMs) });
      case "bad_certificate": {
        const who = action.whose === "ours"
          ? "The supernode does not take our certificate"
          : "The supernode's certificate is no good";
        return log.warn(who, { refusal: action.refusal });
      }
      case "command": {
        const { supernodeId, command } = action;
        return this.#options.onCommand?.(command, { supernodeId, serverTimeMs: this.#machine.serverTimeMs });
      }
      case "response":
        this.#waiting.get(action.response.requestId)?.resolve(action.response);
        return;
      case "pong":
        return this.#metrics.rtt.observe(action.rttMs / 1000);
      case "rejected":
        return this.#metrics.rejected.add(1, { reason: action.reason });
    }
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #connect(supernode: SupernodeAddress): Promise<void> {
    const { clock } = this.#options;
    const dial = this.#options.dial ?? ((at, signal) => dialTextSocket(at, { ...this.#options, signal }));
    const connecting = this.#connecting = new AbortController();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    let socket: TextChannel | undefined;
    try {
      socket = await dial(supernode, connecting.signal);
    } catch (error) {
      if (this.#connecting === connecting) this.#unreached = `${supernode.url}: ${messageOf(error)}`;
    }
    if (this.#connecting !== connecting) return socket?.[Symbol.dispose]();
    this.#connecting = undefined;
    if (!socket) return this.#do(this.#machine.closed(clock.now()));
    this.#socket = socket;
    socket.start({
      onText: (text) => this.#socket === socket && this.#do(this.#machine.receive(text, clock.now())),
      onBinary: () => this.#metrics.rejected.add(1, { reason: "unexpected" }),
      onClose: () => resolve(),
    });
    this.#do(this.#machine.connected(clock.now()));
    await ended;
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#do(this.#machine.closed(clock.now()));
  }

  #disconnect(): void {
    this.#connecting?.abort(new DialError("path_down", "The attempt was given up"));
    this.#connecting = undefined;
    this.#socket?.close();
    this.#socket = undefined;
  }

  #open(supernode: SupernodeAddress, answer: AuthAccepted): void {
    const { log, onOpen } = this.#options;
    this.#metrics.up.set(1);
    log.info("The control stream is open", { supernode_id: supernode.supernodeId, region: answer.region });
    onOpen?.(supernode, answer);
    for (const wake of [...this.#whenOpen]) wake();
  }

  #down(reason: ClientEnd, retryInMs: number): void {
    const { log, onDown } = this.#options;
    this.#metrics.up.set(0);
    this.#metrics.downs.add(1, { reason });
    if (reason === "moved") log.info("Moving to another supernode");
    else if (reason === "renewed") log.info("Introducing ourselves anew");
    else {
      const error = reason === "unreachable" ? this.#unreached : hintOf(reason);
      log.warn("There is no control stream", {
        reason,
        ...(error !== undefined && { error }),
        retry_in_ms: Math.round(retryInMs),
      });
    }
    this.#unreached = undefined;
    this.#failWaiting();
    onDown?.(reason);
  }

  #failWaiting(): void {
    const lost = new DialError("path_down", "Cannot ask the supernode: the control stream was lost");
    for (const { reject } of this.#waiting.values()) reject(lost);
  }

  async #ask(question: Question, signal: AbortSignal): Promise<InfoResponse> {
    if (this.#waiting.size >= MAX_WAITING) {
      throw new DialError("busy", "Cannot ask the supernode: it owes many answers");
    }
    const requestId = encodeBase64Url(this.#options.random.fill(new Uint8Array(REQUEST_ID_BYTES)));
    const { promise, resolve, reject } = Promise.withResolvers<InfoResponse>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.set(requestId, { resolve, reject });
    try {
      this.#socket?.send(encodeControl({ type: "info.request", requestId, ...question } as InfoRequest));
      return await promise;
    } finally {
      this.#waiting.delete(requestId);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

async function dialTextSocket(
  supernode: SupernodeAddress,
  options: Pick<ControlOptions, "clock" | "random" | "caCerts" | "locate"> & { readonly signal: AbortSignal },
): Promise<TextSocket> {
  const { clock, random } = options;
  const address = supernodeEndpoint(supernode.url, CONTROL_PATH);
  const { stream, first } = await dialWebsocket(address, options);
  return new TextSocket(stream, { clock, random, first });
}

function closedError(): DialError {
  return new DialError("path_down", "Cannot ask the supernode: the control stream is closed");
}

const FAILURES: Readonly<Record<InfoFailure, DialFailure>> = {
  no_exit: "host_unreachable",
  busy: "busy",
  unknown_session: "unauthorized",
  forbidden: "denied",
  timeout: "timeout",
  unavailable: "path_down",
};

function failureOf({ reason, remark }: Extract<InfoResponse, { what: "failed" }>): DialError {
  return new DialError(FAILURES[reason], remark ?? `The supernode answered: ${reason}`);
}
