/**
 * What relays of fragments need from below: hops to and from centrals, and who is in the directory. Whoever serves one of
 * them hands these in (`net/fragments/relay_hops.ts`, `net/relay_directory.ts`), since an app opens no connections itself.
 */

import type { RelayKind, RelayRecord } from "../protocol/directory.ts";
import type { MessageChannel } from "../protocol/message_channel.ts";

/** A sealed way to a central, or from one. */
export interface Hop extends Disposable {
  /** False while enough is queued. */
  readonly isWritable: boolean;
  /** Sends the parts as one message; false when it was dropped, for want of room or because the hop has ended. */
  send(...parts: readonly Uint8Array[]): boolean;
  /** Says goodbye behind what was sent. Disposing closes at once. */
  close(code?: number, reason?: string): void;
}

export interface HopHandlers {
  /** A view, valid only during the call; what is sent meanwhile overwrites it. */
  onMessage(message: Uint8Array): void;
  /** Called once, last of all. */
  onClose(error?: unknown): void;
}

/** Connects to a central. Rejects when that fails, and leaves nothing behind then. */
export type DialHop = (
  central: RelayRecord,
  welcome: (hop: Hop) => HopHandlers,
  signal: AbortSignal,
) => Promise<unknown>;

/** Answers whoever has connected; undefined, and it was turned away, when it is no central of the directory. */
export type AcceptHop = (
  channel: MessageChannel,
  welcome: (hop: Hop, central: RelayRecord) => HopHandlers,
  signal: AbortSignal,
) => Promise<unknown>;

/** Who is in the directory, as far as is known now. */
export interface KnownRelays {
  find(kind: RelayKind, relayId: string): RelayRecord | undefined;
  /** Asks base anew, unless it has been asked just before. */
  refresh(signal?: AbortSignal): Promise<void>;
  onChange(listener: () => void): Disposable;
}
