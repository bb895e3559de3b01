/**
 * What a downstream counts.
 */

import type { Counter, Gauge, Metrics } from "../../protocol/metrics.ts";

export interface DownstreamMetrics {
  readonly mailboxes: Gauge;
  readonly listeners: Gauge;
  readonly hops: Gauge;
  readonly kept: Gauge;
  readonly messages: Counter;
  readonly bytes: Counter;
  readonly dropped: Counter;
  readonly refused: Counter;
}

export function downstreamMetrics(metrics: Metrics): DownstreamMetrics {
  return {
    mailboxes: metrics.gauge("downstream_mailboxes_active", "Mailboxes, listened to or not"),
    listeners: metrics.gauge("downstream_listeners_active", "Clients connected by WebSocket"),
    hops: metrics.gauge("downstream_hops_active", "Hops open from centrals"),
    kept: metrics.gauge("downstream_kept_bytes", "What waits in mailboxes"),
    messages: metrics.counter("downstream_messages_total", "Messages handed to listeners"),
    bytes: metrics.counter("downstream_bytes_total", "Bytes handed to listeners"),
    dropped: metrics.counter(
      "downstream_dropped_bytes_total",
      "Bytes for which there was no room, or no listener in time",
    ),
    refused: metrics.counter("downstream_refused_total", "What was not taken, by reason", ["reason"]),
  };
}
