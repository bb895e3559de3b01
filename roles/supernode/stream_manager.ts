/**
 * The control streams of a supernode: who is connected, as what, and last heard when.
 *
 *   socket → StreamServer → actions ─┬─ proven → nonce and queue from the store → accept; an older stream is replaced
 *                                    ├─ send, close → socket
 *                                    ├─ changed → kept first, then what follows
 *                                    └─ heartbeat, request, outcome → owner
 *
 * Nothing ticks per stream: one sweep a second looks at all of them. What one stream costs beside its socket is in
 * `ControlStream`. Not here: what may be asked for (`info_requests.ts`).
 */

import type { NonceStore } from "../../kv/nonces.ts";
import { type TextChannel, TextSocket } from "../../net/text_socket.ts";
import { NONCE_KEPT_MS } from "../../protocol/control/auth.ts";
import {
  type AuthRequest,
  encodeControl,
  type InfoRequest,
  type InfoResponse,
  MAX_AUTH_REQUEST_BYTES,
  MAX_MESSAGE_BYTES,
  type Telemetry,
} from "../../protocol/control/messages.ts";
import {
  type AuthenticatedPeer,
  type StreamEnd,
  StreamServer,
  type StreamServerAction,
  type StreamServerContext,
} from "../../protocol/control/stream_server.ts";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { type IpAddress, parseIp } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { Metrics } from "../../protocol/metrics.ts";
import type { Stream } from "../../protocol/stream.ts";
import type { CommandOutbox } from "./command_outbox.ts";

const SWEEP_MS = 1000;
/** Requests of one peer under way at once. */
const MAX_REQUESTS = 4;
const HEARTBEAT_BUCKETS_MS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];
const BUSY_RETRY_MS = 5_000;
const UNKNOWN_ADDRESS = new Uint8Array(4);

export interface StreamManagerOptions {
  readonly context: Omit<StreamServerContext, "isFull" | "isRevokedPeer">;
  readonly outbox: CommandOutbox;
  readonly nonces: NonceStore;
  readonly clock: Clock;
  /** One for all sockets: a Deadlines' `sharedWait`. */
  readonly lingering: Pick<Clock, "after">;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly maxStreams: number;
  /** How often all streams are looked at. Default 1 s. */
  readonly sweepEveryMs?: number | undefined;
  isRevoked(peerId: string): boolean;
  relayToken(peerId: string): string;
  /** The peer is connected, or no longer; of a stream that is replaced the end is told before the new one's beginning. */
  onJoined(stream: ControlStream): void;
  onLeft(stream: ControlStream, reason?: StreamEnd): void;
  onHeartbeat(stream: ControlStream, telemetry: Telemetry | undefined): void;
  answer(stream: ControlStream, request: InfoRequest): Promise<InfoResponse>;
}

/** One control stream. */
export interface ControlStream {
  readonly machine: StreamServer;
  readonly socket: TextChannel;
  readonly sinceMs: number;
  heardMs: number;
  telemetry: Telemetry | undefined;
  requests: number;
  /** What is being carried out; what comes meanwhile goes after it. */
  tail: Promise<void> | undefined;
  deliver: ((actions: readonly StreamServerAction[]) => void) | undefined;
  readonly settled: () => void;
}

/** How a socket has come on which a peer is to say who it is. */
export interface Arrival {
  readonly remoteAddress: string;
  /** To be called once it is known whose it is, or it is gone. */
  readonly settled: () => void;
}

export class StreamManager implements Disposable {
  readonly #options: StreamManagerOptions;
  readonly #context: StreamServerContext;
  /** Those that are open, by peer. */
  readonly #streams = new Map<string, ControlStream>();
  /** Those that have not been let in. */
  readonly #strangers = new Set<ControlStream>();
  readonly #metrics;
  #sweeper: Timer;
  #isDraining = false;
  #isClosed = false;
  readonly #ended = new Set<Promise<void>>();

  constructor(options: StreamManagerOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    this.#context = {
      ...options.context,
      wallNow: () => clock.wallNow(),
      isRevokedPeer: (peerId) => options.isRevoked(peerId),
      isFull: () => this.#refusal(),
    };
    this.#metrics = {
      active: metrics.gauge("active_streams_total", "Control streams that are open", ["role"]),
      refused: metrics.counter("stream_auth_failures_total", "Control streams that were not let in", ["reason"]),
      rejected: metrics.counter("control_messages_rejected_total", "Messages that were not taken", ["reason"]),
      latency: metrics.histogram("peer_heartbeat_latency_ms", "Round trips of pings, as peers tell", [
        ...HEARTBEAT_BUCKETS_MS,
      ]),
    };
    this.#sweeper = clock.after(options.sweepEveryMs ?? SWEEP_MS, () => this.#sweep());
  }

  /** Streams that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Whether one more may come to the door. When it is crowded the oldest goes who has not said who it is. */
  makeRoom(): boolean {
    if (this.#streams.size + this.#strangers.size < this.#options.maxStreams * 1.1 + 64) return true;
    for (const stream of this.#strangers) {
      if (stream.machine.state !== "unproven") continue;
      this.#run(stream, stream.machine.refuse("busy", BUSY_RETRY_MS));
      return true;
    }
    return false;
  }

  get(peerId: string): ControlStream | undefined {
    return this.#streams.get(peerId);
  }

  [Symbol.iterator](): IterableIterator<ControlStream> {
    return this.#streams.values();
  }

  /** Lets nobody in any more. */
  drain(isDraining = true): void {
    this.#isDraining = isDraining;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Takes a WebSocket that has come. */
  take(transport: Stream, { first, ...arrival }: Arrival & { readonly first: Uint8Array }): void {
    this.serve(
      new TextSocket(transport, { first, clock: this.#options.lingering, maxMessageBytes: MAX_AUTH_REQUEST_BYTES }),
      arrival,
    );
  }

  /** The same for whatever carries texts. */
  serve(socket: TextChannel, { remoteAddress, settled }: Arrival): void {
    const { clock } = this.#options;
    const nowMs = clock.now();
    const address: IpAddress = parseIp(remoteAddress) ?? UNKNOWN_ADDRESS;
    const stream: ControlStream = {
      machine: new StreamServer(this.#context, address, nowMs),
      socket,
      sinceMs: nowMs,
      heardMs: nowMs,
      telemetry: undefined,
      requests: 0,
      tail: undefined,
      deliver: undefined,
      settled,
    };
    this.#strangers.add(stream);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended.add(promise);
    stream.socket.start({
      onText: (text) => this.#run(stream, stream.machine.receive(text, clock.now())),
      onBinary: () => this.#run(stream, stream.machine.receiveBinary()),
      onTooLarge: () => this.#run(stream, stream.machine.receiveTooLarge()),
      onClose: (error) => {
        // What is too large has been counted when it came.
        if (error instanceof CulvertError && error.code !== "too_large") {
          this.#metrics.rejected.add(1, { reason: error.code });
        }
        stream.machine.closed();
        this.#forget(stream);
        settled();
        this.#ended.delete(promise);
        resolve();
      },
    });
  }

  /** Ends a peer's stream; false if there is none. */
  end(peerId: string, reason: "revoked" | "shutdown", retryAfterMs?: number): boolean {
    const stream = this.#streams.get(peerId);
    if (stream) this.#run(stream, stream.machine.end(reason, retryAfterMs));
    return stream !== undefined;
  }

  /** Ends all streams. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sweeper.cancel();
    for (const stream of [...this.#streams.values(), ...this.#strangers]) {
      this.#run(stream, stream.machine.end("shutdown"));
    }
  }

  /** Settles when the last stream is gone, at the latest when they have been waited for long enough. */
  async closed(): Promise<void> {
    await Promise.all(this.#ended);
  }

  [Symbol.dispose](): void {
    this.close();
    for (const stream of [...this.#streams.values(), ...this.#strangers]) stream.socket[Symbol.dispose]();
  }

  #refusal() {
    if (this.#isDraining) return { reason: "draining", retryAfterMs: 10_000 } as const;
    if (this.#streams.size >= this.#options.maxStreams) {
      return { reason: "busy", retryAfterMs: BUSY_RETRY_MS } as const;
    }
    return undefined;
  }

  #run(stream: ControlStream, actions: readonly StreamServerAction[]): void {
    const work = stream.tail
      ? stream.tail.then(() => this.#carryOut(stream, actions))
      : this.#carryOut(stream, actions);
    if (!work) return;
    const tail: Promise<void> = work.finally(() => {
      if (stream.tail === tail) stream.tail = undefined;
    });
    stream.tail = tail;
  }

  /** A promise only where something has to be waited for. */
  #carryOut(stream: ControlStream, actions: readonly StreamServerAction[], from = 0): Promise<void> | undefined {
    const { outbox } = this.#options;
    for (let at = from; at < actions.length; at++) {
      const action = actions[at]!;
      const peerId = stream.machine.peer?.peerId;
      if (action.kind === "changed" || this.#mustSaveFirst(stream, action)) {
        return outbox.save(peerId!).then((isKept) => {
          // What could not be kept is not sent; the queue repeats it.
          const rest = actions.slice(action.kind === "changed" ? at + 1 : at);
          return this.#carryOut(stream, isKept ? rest : rest.filter((next) => !isCommand(next)));
        });
      }
      this.#carryOutOne(stream, action);
    }
    return undefined;
  }

  #mustSaveFirst(stream: ControlStream, action: StreamServerAction): boolean {
    return isCommand(action) && this.#options.outbox.isUnsaved(stream.machine.peer!.peerId);
  }

  #carryOutOne(stream: ControlStream, action: StreamServerAction): void {
    switch (action.kind) {
      case "send":
        return stream.socket.send(encodeControl(action.message));
      case "close":
        this.#forget(stream, action.reason);
        return stream.socket.close(action.code, action.reason);
      case "proven":
        stream.settled();
        return void this.#admit(stream, action.peer, action.request);
      case "refused":
        return this.#metrics.refused.add(1, { reason: action.reason });
      case "rejected":
        return this.#metrics.rejected.add(1, { reason: action.reason });
      case "heartbeat":
        return this.#heard(stream, action.telemetry);
      case "request":
        return void this.#answer(stream, action.request);
      case "done":
      case "failed":
      case "peer_forgot":
        return this.#options.outbox.settle(stream.machine.peer!.peerId, action);
    }
  }

  /** What takes time before a peer is let in. */
  async #admit(stream: ControlStream, peer: AuthenticatedPeer, request: AuthRequest): Promise<void> {
    const { nonces, outbox, log, clock } = this.#options;
    const { machine } = stream;
    const { peerId } = peer;
    const deliver = (actions: readonly StreamServerAction[]) => this.#run(stream, actions);
    try {
      const isNew = await nonces.remember(`${peerId} ${request.nonce}`, request.timestampMs + NONCE_KEPT_MS);
      if (!isNew) return this.#run(stream, machine.refuse("replayed"));
      await outbox.load(peerId);
      if (this.#options.isRevoked(peerId)) this.#run(stream, machine.refuse("revoked"));
      if (machine.state !== "proven") return outbox.unload(peerId);
      // Before the older stream goes, or the queue would go with it.
      const queue = outbox.attach(peerId, deliver);
      this.#replace(peerId);
      if (!queue) return this.#run(stream, machine.refuse("unavailable", 1000));
      stream.deliver = deliver;
      this.#strangers.delete(stream);
      this.#streams.set(peerId, stream);
      this.#metrics.active.add(1, { role: peer.role });
      stream.heardMs = clock.now();
      stream.socket.maxMessageBytes = MAX_MESSAGE_BYTES;
      this.#run(stream, machine.accept({ queue, relayToken: this.#options.relayToken(peerId) }, clock.now()));
      this.#options.onJoined(stream);
      log.debug("A peer has come", { peer_id: peerId, role: peer.role, region: peer.region });
    } catch (error) {
      log.error("Cannot let a peer in", { peer_id: peerId, error: messageOf(error) });
      this.#run(stream, machine.refuse("unavailable", 2000));
    }
  }

  /** Of two streams of one peer the newest wins. */
  #replace(peerId: string): void {
    const old = this.#streams.get(peerId);
    if (!old) return;
    for (const action of old.machine.end("replaced")) this.#carryOutOne(old, action);
  }

  #forget(stream: ControlStream, reason?: StreamEnd): void {
    this.#strangers.delete(stream);
    const { peer } = stream.machine;
    if (!peer || this.#streams.get(peer.peerId) !== stream) return;
    this.#streams.delete(peer.peerId);
    this.#metrics.active.add(-1, { role: peer.role });
    if (stream.deliver) this.#options.outbox.detach(peer.peerId, stream.deliver);
    this.#options.onLeft(stream, reason);
  }

  #heard(stream: ControlStream, telemetry: Telemetry | undefined): void {
    stream.heardMs = this.#options.clock.now();
    if (telemetry?.rttMs !== undefined) this.#metrics.latency.observe(telemetry.rttMs);
    stream.telemetry = telemetry;
    this.#options.onHeartbeat(stream, telemetry);
  }

  async #answer(stream: ControlStream, request: InfoRequest): Promise<void> {
    const failed = (reason: "busy" | "unavailable"): InfoResponse => ({
      type: "info.response",
      requestId: request.requestId,
      what: "failed",
      reason,
      retryAfterMs: 1000,
    });
    if (stream.requests >= MAX_REQUESTS) return stream.socket.send(encodeControl(failed("busy")));
    stream.requests++;
    const response = await this.#options.answer(stream, request).catch((error) => {
      this.#options.log.error("A peer's request failed", {
        peer_id: stream.machine.peer?.peerId,
        error: messageOf(error),
      });
      return failed("unavailable");
    });
    stream.requests--;
    stream.socket.send(encodeControl(response));
  }

  #sweep(): void {
    const { clock, outbox, sweepEveryMs = SWEEP_MS } = this.#options;
    const nowMs = clock.now();
    for (const streams of [this.#strangers, this.#streams.values()]) {
      for (const stream of streams) {
        if (stream.machine.nextWakeAtMs <= nowMs) this.#run(stream, stream.machine.wake(nowMs));
      }
    }
    outbox.wake(nowMs);
    this.#sweeper = clock.after(sweepEveryMs, () => this.#sweep());
  }
}

function isCommand(action: StreamServerAction): boolean {
  return action.kind === "send" && action.message.type === "command";
}
