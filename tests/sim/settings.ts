/**
 * How large a simulation is, how fast its peers' hearts beat, and how much goes wrong in it.
 */

export interface SimSettings {
  readonly seed: number;
  /** Clients and exits together. */
  readonly peers: number;
  readonly supernodes: number;
  readonly regions: number;
  readonly hours: number;
  /** Of the peers, those that are exits. */
  readonly exitShare: number;
  /** Between pings on a control stream. */
  readonly pingEveryMs: number;
  /** A control stream that is silent for so long is dead. */
  readonly timeoutMs: number;
  /** How often a supernode looks at its streams. */
  readonly sweepEveryMs: number;
  /** How often clients try the way through their exit. */
  readonly probeEveryMs: number;
  /** How often supernodes try the data links that sessions need. */
  readonly linkProbeEveryMs: number;
  /** How often supernodes look for sessions that have been deserted or have expired. */
  readonly lookEveryMs: number;
  /** How often the invariants are looked at. */
  readonly checkEveryMs: number;
  readonly faults: FaultRates;
}

/** Mean times. */
export interface FaultRates {
  /** That a client stays, and that one that has died is away. */
  readonly clientStaysMs: number;
  /** That an exit lives, and is away after. */
  readonly exitLivesMs: number;
  readonly exitAwayMs: number;
  /** That a supernode runs, and is down after. */
  readonly supernodeRunsMs: number;
  readonly supernodeDownMs: number;
  /** That base runs, and is down after. */
  readonly baseRunsMs: number;
  readonly baseDownMs: number;
  /** Between the beginnings of cuts between two regions, and how long one lasts. */
  readonly cutEveryMs: number;
  readonly cutLastsMs: number;
  /** That a connection lasts. */
  readonly connectionLastsMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const faults: FaultRates = {
  clientStaysMs: 3 * HOUR,
  exitLivesMs: 8 * HOUR,
  exitAwayMs: 10 * MINUTE,
  supernodeRunsMs: 12 * HOUR,
  supernodeDownMs: 30 * SECOND,
  baseRunsMs: 6 * HOUR,
  baseDownMs: 2 * MINUTE,
  cutEveryMs: 90 * MINUTE,
  cutLastsMs: 4 * MINUTE,
  connectionLastsMs: 12 * HOUR,
};

/** The product's own pace. */
const realPace = {
  pingEveryMs: 10 * SECOND,
  timeoutMs: 30 * SECOND,
  sweepEveryMs: SECOND,
  probeEveryMs: 5 * SECOND,
  linkProbeEveryMs: 2 * SECOND,
  lookEveryMs: 5 * SECOND,
};

/** A day of a network of 100,000. Hearts beat more slowly, or it would be 860 million pings. */
export const fullSettings: Omit<SimSettings, "seed"> = {
  peers: 100_000,
  supernodes: 200,
  regions: 3,
  hours: 24,
  exitShare: 0.05,
  pingEveryMs: 5 * MINUTE,
  timeoutMs: 15 * MINUTE,
  sweepEveryMs: 30 * SECOND,
  probeEveryMs: 5 * MINUTE,
  linkProbeEveryMs: 5 * MINUTE,
  lookEveryMs: MINUTE,
  checkEveryMs: 2 * MINUTE,
  faults,
};

/** A few hours of a small one, in which more goes wrong, at the product's own pace. */
export const quickSettings: Omit<SimSettings, "seed"> = {
  peers: 600,
  supernodes: 9,
  regions: 3,
  hours: 3,
  exitShare: 0.1,
  ...realPace,
  checkEveryMs: 5 * SECOND,
  faults: {
    ...faults,
    clientStaysMs: HOUR,
    exitLivesMs: HOUR,
    exitAwayMs: 5 * MINUTE,
    supernodeRunsMs: 2 * HOUR,
    baseRunsMs: HOUR,
    cutEveryMs: 30 * MINUTE,
    connectionLastsMs: 3 * HOUR,
  },
};
