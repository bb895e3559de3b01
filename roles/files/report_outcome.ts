/**
 * Tells trackers how a peer has served us, which is a hint to others: through the peer that runs here and is listed, or, when
 * somebody has lied and none runs, by being listed for a moment.
 */

import { TrackerClient } from "../../net/tracker_client.ts";
import { deadline, delay } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import { makeCard } from "../../protocol/peers/card.ts";
import type { Report } from "../../protocol/tracker/messages.ts";
import { askControlSocket } from "../control_socket.ts";
import type { RoleContext } from "../role.ts";
import type { OpenNetwork } from "./open_network.ts";
import { peerSocketPath, peerWords } from "./peer_control.ts";

const LOOK_MS = 50;
/** Nobody waits longer for trackers to have heard it. */
const TELL_WITHIN_MS = 5000;

/** Never rejects. */
export async function reportOutcome(report: Report, network: OpenNetwork, context: RoleContext): Promise<void> {
  const { clock, log, signal } = context;
  try {
    using limit = deadline(clock, TELL_WITHIN_MS, "report on a peer", signal);
    const ask = { path: peerSocketPath(context.stateDir), words: peerWords };
    const isTold = await askControlSocket(ask, { do: "report", report }, { clock, signal: limit.signal });
    if (!isTold && report.outcome === "lied") await tellAsGuest(report, network, limit.signal);
  } catch (error) {
    log.debug("A report on a peer was not made", { error: messageOf(error) });
  }
}

/** Trackers hear only those whom they list. */
async function tellAsGuest(
  report: Report,
  { trackers, parts, caller }: OpenNetwork,
  signal: AbortSignal,
): Promise<void> {
  if (!trackers) return;
  const { identity, clock, random, primitives, log } = parts;
  const claims = { label: identity.peerId, addresses: [], relays: [], capabilities: [], issuedAtMs: clock.wallNow() };
  const card = makeCard(identity, claims);
  await using client = new TrackerClient({
    ...{ signer: identity, clock, random, primitives, log, fetch: caller?.fetch },
    trackers: trackers.trackers.map(({ url }) => new URL(url)),
    describe: () => card,
  });
  while (!client.trackers.some(({ isListed }) => isListed)) await delay(clock, LOOK_MS, signal);
  await client.report(report);
}
