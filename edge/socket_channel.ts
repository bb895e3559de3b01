/**
 * A MessageChannel over a WebSocket object of the runtime, for places that hand out nothing else: an app behind
 * `Deno.upgradeWebSocket`. Where we own the socket, `net/message_socket.ts` is the better one.
 *
 * Such an object queues without bound whatever it is given and says only how much it has queued, so what would go beyond
 * the bound is dropped here, and a timer looks whether there is room again while somebody waits for that.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import { CulvertError } from "../protocol/errors.ts";
import type { ChannelBounds, MessageChannel, MessageHandlers } from "../protocol/message_channel.ts";

/** From here on `isWritable` is false. */
const FULL_BYTES = 128 * 1024;
const LOOK_MS = 2;
/** How long the other end may take to answer our goodbye before the channel counts as ended without it. */
const LINGER_MS = 2000;

export class SocketChannel implements MessageChannel {
  onWritable: () => void = () => {};
  readonly #socket: WebSocket;
  readonly #clock: Pick<Clock, "after">;
  readonly #bounds: ChannelBounds;
  #handlers: MessageHandlers | undefined;
  #looking: Timer | undefined;
  #linger: Timer | undefined;
  #error: unknown;
  #isClosing = false;

  /** The socket must be open, or opening. */
  constructor(socket: WebSocket, clock: Pick<Clock, "after">, bounds: ChannelBounds) {
    this.#socket = socket;
    this.#clock = clock;
    this.#bounds = bounds;
    socket.binaryType = "arraybuffer";
  }

  start(handlers: MessageHandlers): void {
    this.#handlers = handlers;
    const socket = this.#socket;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onerror = () => this.#error ??= new CulvertError("link_lost", "The WebSocket failed");
    socket.onclose = ({ code }) => this.#end(code);
  }

  get isWritable(): boolean {
    const isWritable = this.#socket.readyState === WebSocket.OPEN && this.queuedBytes < FULL_BYTES;
    if (!isWritable && !this.#isClosing) this.#looking ??= this.#clock.after(LOOK_MS, () => this.#look());
    return isWritable;
  }

  get queuedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(head: Uint8Array, body?: Uint8Array): boolean {
    if (this.#isClosing || this.#socket.readyState !== WebSocket.OPEN) return false;
    const bytes = head.length + (body?.length ?? 0);
    const queued = this.queuedBytes;
    if (queued > 0 && queued + bytes > this.#bounds.maxQueuedBytes) return false;
    const whole = new Uint8Array(bytes);
    whole.set(head);
    if (body) whole.set(body, head.length);
    this.#socket.send(whole);
    return true;
  }

  close(code = 1000, reason = ""): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#looking?.cancel();
    // Codes below 3000 other than 1000 are the protocol's own, and a program may not send them.
    this.#socket.close(code === 1000 || code >= 3000 ? code : 1000, reason);
    this.#linger = this.#clock.after(LINGER_MS, () => this.#end(undefined));
  }

  /** A WebSocket object cannot be cut off: it is told to close, and nobody hears of what still comes. */
  [Symbol.dispose](): void {
    if (this.#isClosing && !this.#handlers) return;
    this.close();
    queueMicrotask(() => this.#end(undefined));
  }

  #receive(data: unknown): void {
    if (this.#isClosing) return;
    if (!(data instanceof ArrayBuffer)) return this.#breakOff("sent a message that is not binary");
    if (data.byteLength > this.#bounds.maxMessageBytes) return this.#breakOff("sent a message that is too large");
    this.#handlers?.onMessage(new Uint8Array(data));
  }

  #breakOff(what: string): void {
    this.#error ??= new CulvertError("protocol", `The peer ${what}`);
    this.close();
  }

  #look(): void {
    this.#looking = undefined;
    if (!this.#isClosing && this.isWritable) this.onWritable();
  }

  #end(code: number | undefined): void {
    this.#isClosing = true;
    this.#looking?.cancel();
    this.#linger?.cancel();
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose(this.#error, code);
  }
}
