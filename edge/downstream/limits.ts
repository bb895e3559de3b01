/**
 * How much a downstream keeps and for how long, unless it is told otherwise, and how it ends channels that go beyond.
 */

import { MAX_HOP_MESSAGE_BYTES } from "../../protocol/fragment/hop_seal.ts";
import type { ChannelBounds } from "../../protocol/message_channel.ts";
import type { ClientLimitOptions } from "../client_limits.ts";

export interface DownstreamLimits {
  readonly address?: ClientLimitOptions;
  /** Mailboxes at once, listened to or not. Default 16,384. */
  readonly maxMailboxes?: number;
  /** Of a mailbox without a listener. Default 64 KiB. */
  readonly unheardBytes?: number;
  /** Of all mailboxes, without what sockets have in hand. Default 64 MiB. */
  readonly allBytes?: number;
  /** What sockets of listeners may have in hand altogether: each has its share, of 64 to 256 KiB. Default 64 MiB. */
  readonly listenerBytes?: number;
  /** How long a mailbox is kept without a listener. Default 30 s. */
  readonly unheardMs?: number;
  /** How long a poll waits for something. Default 8 s. */
  readonly pollMs?: number;
}

const KIB = 1024;

export function withDefaults(limits: DownstreamLimits = {}): Required<Omit<DownstreamLimits, "address">> {
  return {
    maxMailboxes: limits.maxMailboxes ?? 16_384,
    unheardBytes: limits.unheardBytes ?? 64 * KIB,
    allBytes: limits.allBytes ?? 64 * KIB * KIB,
    listenerBytes: limits.listenerBytes ?? 64 * KIB * KIB,
    unheardMs: limits.unheardMs ?? 30_000,
    pollMs: limits.pollMs ?? 8000,
  };
}

/** What channels may hold: a listener says its claim and nothing else, and nothing of a hop may be dropped. */
export const LISTENER_BOUNDS: ChannelBounds = { maxMessageBytes: 1024, maxQueuedBytes: 512 * KIB };
export const HOP_BOUNDS: ChannelBounds = { maxMessageBytes: MAX_HOP_MESSAGE_BYTES, maxQueuedBytes: Infinity };

/** Of a mailbox that is polled: what came while an answer was on its way. */
export const POLLED_BYTES = 256 * KIB;
/** What the socket of one listener may have in hand, at the least and at the most. */
export const MIN_LISTENER_BYTES = 64 * KIB;
export const MAX_LISTENER_BYTES = 256 * KIB;

/** Status codes with which a channel is closed. */
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_MALFORMED = 4400;
export const CLOSE_UNKNOWN_RELAY = 4403;
export const CLOSE_SLOW = 4408;
export const CLOSE_REPLACED = 4409;
export const CLOSE_BUSY = 4429;
