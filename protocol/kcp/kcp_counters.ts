/** What a session has done so far. */

export class KcpCounters {
  /** Segments with data, each time they went. */
  sent = 0;
  received = 0;
  /** Received again, or beyond the window. */
  repeated = 0;
  /** Sent again: since later ones had come, since nothing else was to be sent and some had, and since time was up. */
  fastResent = 0;
  earlyResent = 0;
  timedOut = 0;
  /** Datagrams that were no KCP, or another conversation. */
  malformed = 0;
}
