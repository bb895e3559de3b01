/**
 * A Link over a WebSocket object of the runtime, for places that hand out nothing else: an edge app behind
 * `Deno.upgradeWebSocket`, a browser. Where we own the socket, `WebsocketLink` is the better one.
 *
 * Such an object queues without bound whatever it is given and says only how much it has queued. So it is given bytes
 * while `bufferedAmount` is under a limit, and asked again after a short time. The limit follows the connection: it
 * doubles when the queue ran dry between two looks, and halves when a slow connection has not drained half of it in
 * `SLOW_MS`, so that control frames do not wait behind seconds of data.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { Link, LinkHandlers } from "./link.ts";

const MIN_LIMIT_BYTES = 64 * 1024;
const MAX_LIMIT_BYTES = 4 * 1024 * 1024;
const FIRST_LIMIT_BYTES = 512 * 1024;
/** Each message. Larger ones only make the peer wait longer for the first byte. */
const MESSAGE_BYTES = 64 * 1024;
const POLL_MS = 2;
const SLOW_MS = 100;
/** How long the peer may take to answer our close before the link counts as ended without it. */
const CLOSE_MS = 2000;

export class SocketLink implements Link {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #buffer = new Uint8Array(MESSAGE_BYTES);
  #handlers: LinkHandlers | undefined;
  #limitBytes = FIRST_LIMIT_BYTES;
  #blockedSinceMs: number | undefined;
  #timer: Timer | undefined;
  #woken = false;
  #error: unknown;

  /** The socket must be open, or opening. */
  constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.binaryType = "arraybuffer";
  }

  /** How much may be queued in the socket at present. */
  get limitBytes(): number {
    return this.#limitBytes;
  }

  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    const socket = this.#socket;
    socket.onopen = () => this.wake();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onerror = (event) => {
      this.#error ??= new CulvertError("link_lost", `The WebSocket failed: ${(event as ErrorEvent).message ?? ""}`);
    };
    socket.onclose = () => this.#end();
    this.wake();
  }

  wake(): void {
    if (this.#woken || this.#blockedSinceMs !== undefined || !this.#handlers) return;
    this.#woken = true;
    queueMicrotask(() => {
      this.#woken = false;
      if (this.#blockedSinceMs === undefined) this.#pump();
    });
  }

  get idle(): boolean {
    return !this.#woken && this.#blockedSinceMs === undefined && this.#socket.bufferedAmount === 0;
  }

  /** A WebSocket object cannot be told to stop: the mux must be one that bounds what it is sent, as smux v2 does. */
  resume(): void {}

  close(): void {
    if (this.#socket.readyState >= WebSocket.CLOSING) return;
    this.#timer?.cancel();
    this.#socket.close();
    if (this.#handlers) this.#timer = this.#clock.after(CLOSE_MS, () => this.#end());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #end(): void {
    this.#timer?.cancel();
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose(this.#error);
  }

  #receive(data: unknown): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (!(data instanceof ArrayBuffer)) {
      this.#error ??= new CulvertError("protocol", "The peer sent a text message where only binary ones make sense");
      return this.close();
    }
    this.#handlers!.onBytes(new Uint8Array(data));
    // News of the peer often means that the queue has moved.
    if (this.#blockedSinceMs !== undefined) this.#look();
  }

  #pump(): void {
    const socket = this.#socket;
    while (socket.readyState === WebSocket.OPEN) {
      if (socket.bufferedAmount >= this.#limitBytes) return this.#block();
      const count = this.#handlers!.fill(this.#buffer);
      if (count === 0) return;
      socket.send(this.#buffer.subarray(0, count));
    }
  }

  #block(): void {
    this.#blockedSinceMs = this.#clock.now();
    this.#timer = this.#clock.after(POLL_MS, () => this.#look());
  }

  #look(): void {
    this.#timer?.cancel();
    const queued = this.#socket.bufferedAmount;
    const nowMs = this.#clock.now();
    if (queued > this.#limitBytes / 2 && this.#socket.readyState === WebSocket.OPEN) {
      if (nowMs - this.#blockedSinceMs! >= SLOW_MS) {
        this.#limitBytes = Math.max(MIN_LIMIT_BYTES, this.#limitBytes / 2);
        this.#blockedSinceMs = nowMs;
      }
      this.#timer = this.#clock.after(POLL_MS, () => this.#look());
      return;
    }
    if (queued === 0) this.#limitBytes = Math.min(MAX_LIMIT_BYTES, this.#limitBytes * 2);
    this.#blockedSinceMs = undefined;
    this.#pump();
  }
}
