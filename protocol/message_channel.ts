/**
 * Whole binary messages to and from somebody, whatever carries them: our own frames over a socket
 * (`net/message_socket.ts`), or a WebSocket object of the runtime (`edge/socket_channel.ts`).
 */

export interface MessageHandlers {
  /** A message has come. A view, valid only during the call; it may be changed. */
  onMessage(message: Uint8Array): void;
  /** The channel has ended, by failure or by either side, with the status of the other's goodbye if it said one. Last. */
  onClose(error?: unknown, code?: number): void;
}

export interface MessageChannel extends Disposable {
  /** Begins to read. */
  start(handlers: MessageHandlers): void;
  /** There is room again, after `isWritable` was false. */
  onWritable: () => void;
  /** False while enough is queued; `onWritable` follows. */
  readonly isWritable: boolean;
  /** What waits to be written. */
  readonly queuedBytes: number;
  /** Sends a message made of a head and a body; false when it was dropped, for want of room or because it closes. */
  send(head: Uint8Array, body?: Uint8Array): boolean;
  /** Says goodbye behind what was sent, with a status code (RFC 6455 §7.4), and closes. Disposing closes at once. */
  close(code?: number, reason?: string): void;
}

/** How much one may hold, where a channel is made for somebody else. */
export interface ChannelBounds {
  /** A longer message ends the channel. */
  readonly maxMessageBytes: number;
  /** What would queue more is dropped. */
  readonly maxQueuedBytes: number;
}
