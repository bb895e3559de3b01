/**
 * How a supernode is emptied: base is told that nobody else should come, the peers are told where to go, and there is a
 * time to wait for them.
 */

import type { DirectoryClient } from "../../net/directory_client.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import type { BaseMembership } from "./base_membership.ts";
import type { Supernode } from "./supernode.ts";

const LOOK_MS = 50;

export interface Leaving {
  readonly supernode: Supernode;
  readonly directory: DirectoryClient | undefined;
  readonly membership: BaseMembership | undefined;
  readonly region: string;
  readonly leaveWithinMs: number;
  /** Aborts when base is not waited for any longer. */
  readonly signal?: AbortSignal | undefined;
}

/** Sends all peers to other supernodes, of this region if there are any, and tells base that nobody else should come. */
export async function leave(
  { supernode, directory, membership, region, leaveWithinMs, signal }: Leaving,
): Promise<void> {
  const { supernodeId } = supernode;
  // When base cannot be asked, the peers know where else to go or stay until the end.
  const known = await directory?.candidates({ which: "open", exclude: [supernodeId], signal }).catch(() => []) ?? [];
  const near = known.filter((one) => one.region === region);
  const others = (near.length > 0 ? near : known).map(({ url, supernodeId }) => ({ url, supernodeId }));
  supernode.drain(others, leaveWithinMs);
  await membership?.report(signal).catch(() => {}); // base finds out by itself before long
}

/** Takes peers again, and tells base so. */
export async function comeBack({ supernode, membership }: Pick<Leaving, "supernode" | "membership">): Promise<void> {
  supernode.streams.drain(false);
  await membership?.report().catch(() => {}); // base finds out by itself before long
}

/** Settles when the last peer has gone and the last stream that was relayed has ended, or it has taken too long. */
export async function emptied(
  supernode: Supernode,
  { clock, withinMs, hardSignal }: {
    readonly clock: Clock;
    readonly withinMs: number;
    readonly hardSignal: AbortSignal;
  },
): Promise<void> {
  const untilMs = clock.now() + withinMs;
  const isEmpty = () => supernode.streams.size === 0 && supernode.links.streamCount === 0;
  while (!isEmpty() && clock.now() < untilMs && !hardSignal.aborted) {
    await delay(clock, LOOK_MS, hardSignal).catch(() => {});
  }
}
