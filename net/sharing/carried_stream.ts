/**
 * What is kept of one stream of a client while it lasts: it adds to its session and its account's limits, and tells how
 * the node did. Of a stream that was asked something and never answered, though the client waited, a node is told to stall.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { DialError } from "../../protocol/errors.ts";
import type { ReportNode } from "../../protocol/sharing/node_report.ts";
import type { Target } from "../../protocol/stream.ts";
import type { AbuseLimits } from "./abuse_limits.ts";
import type { ClientSession } from "./client_sessions.ts";
import type { DatagramWatch } from "./toll_datagrams.ts";
import type { Direction, TollWatch } from "./toll_stream.ts";

/** A client that gives up sooner may have had its own reasons. */
const STALLED_MS = 10_000;

export interface CarriedStreamOptions {
  readonly session: ClientSession;
  readonly limits: AbuseLimits;
  readonly clock: Clock;
  readonly report: ReportNode;
}

export class CarriedStream implements TollWatch {
  readonly session: ClientSession;
  readonly clock: Clock;
  readonly #limits: AbuseLimits;
  readonly #report: ReportNode;
  #askedAtMs: number | undefined;
  #wasHeard = false;
  /** Whether it has ended. */
  isOver = false;
  /** Called when it ends. */
  onEnd: () => void = () => {};

  constructor({ session, limits, clock, report }: CarriedStreamOptions) {
    this.session = session;
    this.clock = clock;
    this.#limits = limits;
    this.#report = report;
  }

  carried(direction: Direction, bytes: number): DialError | undefined {
    if (direction === "up") {
      this.session.upBytes += bytes;
      this.#askedAtMs ??= this.clock.now();
    } else {
      this.session.downBytes += bytes;
      if (!this.#wasHeard) this.#heard();
    }
    return this.#limits.carried(bytes);
  }

  paceMs(bytes: number): number {
    return this.#limits.paceMs(bytes);
  }

  ended(): void {
    this.isOver = true;
    const waitedMs = this.#askedAtMs === undefined ? 0 : this.clock.now() - this.#askedAtMs;
    if (!this.#wasHeard && waitedMs >= STALLED_MS) {
      this.#report({ ...this.#whose(), tookMs: waitedMs, kind: "stalled" });
    }
    this.onEnd();
  }

  /** The same for a datagram socket, whose every destination is looked at. */
  forDatagrams(admitTarget: (to: Target) => void): DatagramWatch {
    return {
      clock: this.clock,
      carried: (direction, bytes) => this.carried(direction, bytes),
      paceMs: (bytes) => this.paceMs(bytes),
      ended: () => this.ended(),
      admitTarget,
    };
  }

  #heard(): void {
    this.#wasHeard = true;
    if (this.#askedAtMs === undefined) return;
    const tookMs = this.clock.now() - this.#askedAtMs;
    this.#report({ ...this.#whose(), tookMs, kind: "answered" });
  }

  #whose(): { readonly nodeId: string; readonly userId: string } {
    const { nodeId, userId } = this.session;
    return { nodeId, userId };
  }
}
