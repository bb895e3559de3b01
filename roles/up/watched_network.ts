/**
 * A network on this machine as people see it, and what they can do to it: the small one of `culvert up`, or that of a plan.
 */

import type { PartFacts } from "../../edge/dashboard/inventory.ts";
import { orAborted } from "../../protocol/abort.ts";
import type { FoundRoute, Travel } from "./route.ts";

export interface WatchedNetwork {
  /** What can be killed and started again. */
  readonly names: readonly string[];
  /** Which of them has the proxy: without it no route can be found. */
  readonly entrance: string;
  /** What runs where, for people. */
  lines(): string[];
  isRunning(name: string): boolean;
  /** Whether a page tells that it has passed it. */
  isTold(name: string): boolean;
  /** Ends it at once, without a chance to tell the others. False if it does not run. */
  kill(name: string): boolean;
  /** Starts what was killed, with the keys and state it had. False if it runs. */
  restart(name: string): Promise<boolean>;
  /** The way a stream takes now, as soon as one comes through. */
  findRoute(withinMs: number): Promise<FoundRoute | undefined>;
  /** What a stream has passed, in order, as far as it is known by name. */
  partsOf(travel: Travel): string[];
}

/** A part that has an API for administrators. */
export interface AskedPart {
  readonly name: string;
  readonly role: "supernode" | "base";
  /** Where it says how to come in. */
  readonly stateDir: string;
  readonly region?: string | undefined;
  /** Of a supernode. */
  readonly peerId?: string | undefined;
}

/** What a dashboard needs of it. */
export interface ShownNetwork extends Pick<WatchedNetwork, "names" | "isRunning" | "restart"> {
  /** What it is called, such as `culvert up`. */
  readonly title: string;
  parts(): PartFacts[];
  readonly asked: readonly AskedPart[];
  nameOf(peerId: string): string | undefined;
}

/** The same, as whoever started it sees it. */
export interface RunningNetwork extends WatchedNetwork, ShownNetwork, AsyncDisposable {
  /** Rejects when a part has ended by itself. */
  readonly fault: Promise<never>;
  /** Why a part does not run that should. */
  failureOf(name: string): string | undefined;
  /** Stops it part by part, those first that others are of use to; ends what is left when `cut` is aborted. */
  stop(cut?: AbortSignal): Promise<void>;
}

/** Gives the network once it has begun. When that fails or is given up, nothing of it is left. */
export async function onceBegun<N extends RunningNetwork>(
  network: N,
  beginning: Promise<void>,
  signal: AbortSignal,
): Promise<N> {
  try {
    await orAborted(beginning, signal);
    return network;
  } catch (error) {
    await network.stop();
    await beginning.catch(() => {}); // it may still be writing keys
    throw error;
  }
}
