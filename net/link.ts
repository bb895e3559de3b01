/**
 * A Link: one reliable connection that many Streams share, as the mux sees it. Bytes in, bytes out, no message borders.
 *
 * It pulls: the mux calls `wake` when it has something to send, and the link asks for bytes with `fill` whenever it has
 * room. So nothing queues in front of a slow connection but what the link itself has in hand, the choice of what goes next
 * is made as late as can be, and control frames overtake data.
 */

export interface LinkHandlers {
  /** Bytes have come. A view, valid only during the call. */
  onBytes(bytes: Uint8Array): void;
  /** Puts what should go next at the start of `into`; gives how many bytes, 0 for nothing now. */
  fill(into: Uint8Array): number;
  /** False while no more bytes should be read; `resume` follows. */
  wantsBytes(): boolean;
  /** The link has ended, by failure or by either side. Called once, last of all. */
  onClose(error?: unknown): void;
}

export interface Link extends Disposable {
  /** Begins to read and write. */
  start(handlers: LinkHandlers): void;
  /** There may be bytes to send. */
  wake(): void;
  /** Nothing that was asked to go is still in its hand. */
  readonly idle: boolean;
  /** `wantsBytes` may have turned true. */
  resume(): void;
  /** Ends the link; `onClose` follows. */
  close(): void;
}
