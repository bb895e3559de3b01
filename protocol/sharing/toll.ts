/**
 * What a stream of a paying client pays as it goes: the seam between whoever carries bytes and whoever counts money.
 *
 *   toll.allow(n) ─▶ carry at most that much ─▶ toll.passed("down", n) …        0: await toll.refill(), false: cut
 *
 * `allow` and `passed` are called for every read and do no more than arithmetic. Bytes count once they were delivered: down,
 * when the client's socket has taken them; up, when the node's tunnel has. Money is nobody's business but the booth's.
 */

import type { Micros } from "./money.ts";

/** One stream's, or one datagram association's. Dispose it when that ends. */
export interface Toll extends Disposable {
  /** How many of so many bytes may pass now: 0 to `wantedBytes`. They are set aside until `passed` tells what became of them. */
  allow(wantedBytes: number): number;
  /** So many bytes were delivered, of the `allowed` that were set aside. */
  passed(direction: "up" | "down", deliveredBytes: number, allowedBytes: number): void;
  /** Waits for more to be allowed; false when the account's money has come to its end. */
  refill(): Promise<boolean>;
  /** Aborts when the stream must end now: the account was closed or the booth was. The reason is a DialError. */
  readonly cut: AbortSignal;
}

/** What is charged, to whom, for whom. */
export interface Fare {
  readonly userId: string;
  readonly sessionId: string;
  readonly nodeId: string;
  /** Who is credited. */
  readonly ownerId: string;
  readonly region: string;
}

/** Where tolls are taken. */
export interface TollBooth {
  /** Rejects with a DialError: `unpaid` when there is no money, `path_down` when the ledger cannot be reached. */
  open(fare: Fare): Promise<Toll>;
}

/** A price in a region and tier. */
export interface Price {
  readonly microsPerGib: Micros;
  /** Of that, in ten-thousandths, what the house keeps. */
  readonly feeBasisPoints: number;
}
