/**
 * Carriers that wait together. Each that waits by itself keeps a thread of the host waiting, of which there are few; those
 * that are opened with the same group share one. Nothing has to be done with a group: what it holds goes with the last of
 * its carriers.
 */

export class CarrierGroup {
  /** What the carriers share, and who makes them knows. */
  shared: unknown;
}
