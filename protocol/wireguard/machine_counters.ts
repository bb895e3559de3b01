/**
 * What a machine counts about the whole device: mostly why something was dropped. All of it may be caused by strangers.
 */

export interface MachineCounters {
  /** Transport messages: of no session, of one that is too old, not authentic, seen before, wrong inside. */
  unknownIndex: number;
  expired: number;
  unauthentic: number;
  replayed: number;
  refusedInner: number;
  /** Handshake messages: no such message, no room in the queue, wrong mac1, over the limit of their source. */
  malformed: number;
  queueFull: number;
  wrongMac: number;
  limited: number;
  /** Well-formed ones that turned out wrong, old or from nobody we know. */
  refusedHandshakes: number;
  initiationsReceived: number;
  responsesReceived: number;
  cookieRepliesReceived: number;
  initiationsSent: number;
  responsesSent: number;
  cookieRepliesSent: number;
  /** Staged packets that were given up. */
  stagedDropped: number;
}

export function newMachineCounters(): MachineCounters {
  return {
    unknownIndex: 0,
    expired: 0,
    unauthentic: 0,
    replayed: 0,
    refusedInner: 0,
    malformed: 0,
    queueFull: 0,
    wrongMac: 0,
    limited: 0,
    refusedHandshakes: 0,
    initiationsReceived: 0,
    responsesReceived: 0,
    cookieRepliesReceived: 0,
    initiationsSent: 0,
    responsesSent: 0,
    cookieRepliesSent: 0,
    stagedDropped: 0,
  };
}
