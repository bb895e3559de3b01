/**
 * How a supernode is emptied: base is told that nobody else should come, the peers are told where to go, and there is a
 * time to wait for them.
 */

import type { DirectoryClient } from "../../net/directory_client.ts";
import { type Clock, delay } from "../../protocol/clock.ts";
import type { SupernodeAddress } from "../../protocol/control/commands.ts";
import type { BaseMembership } from "./base_membership.ts";
import type { Supernode } from "./supernode.ts";

const LOOK_MS = 50;

export interface Leaving {
  readonly supernode: Supernode;
  readonly directory: DirectoryClient | undefined;
  readonly membership: BaseMembership | undefined;
  readonly region: string;
  readonly leaveWithinMs: number;
}

/** Sends all peers to other supernodes, of this region if there are any, and tells base that nobody else should come. */
export async function leave({ supernode, directory, membership, region, leaveWithinMs }: Leaving): Promise<void> {
  const { supernodeId } = supernode;
  let others: SupernodeAddress[] = [];
  try {
    const known = await directory?.candidates({ exclude: [supernodeId] }) ?? [];
    const near = known.filter((one) => one.region === region);
    others = (near.length > 0 ? near : known).map(({ url, supernodeId }) => ({ url, supernodeId }));
  } finally {
    supernode.drain(others, leaveWithinMs);
    await membership?.report().catch(() => {}); // base finds out by itself before long
  }
}

/** Settles when the last peer has gone, or it has taken too long. */
export async function emptied(
  supernode: Supernode,
  { clock, withinMs, hardSignal }: {
    readonly clock: Clock;
    readonly withinMs: number;
    readonly hardSignal: AbortSignal;
  },
): Promise<void> {
  const untilMs = clock.now() + withinMs;
  while (supernode.streams.size > 0 && clock.now() < untilMs && !hardSignal.aborted) {
    await delay(clock, LOOK_MS, hardSignal).catch(() => {});
  }
}
