/**
 * How much a central takes on.
 */

export interface CentralLimits {
  /** Sessions at once. Default 1,024. */
  readonly maxSessions?: number;
  /** Of one client, where clients are known. Default 16. */
  readonly maxSessionsPerClient?: number;
  /** Streams of one session at once. Default 4,096. */
  readonly maxStreamsPerSession?: number;
  /** Upstreams at once. Default 256. */
  readonly maxUpstreams?: number;
  /** Openings of one upstream. Default 200 a second, 400 at once. */
  readonly openings?: { readonly perSecond: number; readonly burst: number };
  /** A session without a stream for so long is ended. Default 10 min. */
  readonly idleTimeoutMs?: number;
}

export const DEFAULT_CENTRAL_LIMITS: Required<CentralLimits> = {
  maxSessions: 1024,
  maxSessionsPerClient: 16,
  maxStreamsPerSession: 4096,
  maxUpstreams: 256,
  openings: { perSecond: 200, burst: 400 },
  idleTimeoutMs: 600_000,
};
