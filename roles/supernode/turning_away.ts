/**
 * What it means at once that somebody is blocked: their streams, links and commands end, and nobody's session goes through
 * them any more. That they are not let in again is seen to where they knock.
 */

import type { SessionEnd } from "../../protocol/session.ts";
import type { Block } from "../../protocol/stored_records.ts";
import type { CommandOutbox } from "./command_outbox.ts";
import type { DataLinks } from "./data_links.ts";
import type { Rotation } from "./rotation.ts";
import type { SessionSide } from "./session_ending.ts";
import type { Sessions } from "./sessions.ts";
import type { StreamManager } from "./stream_manager.ts";

export interface TurningAwayParts {
  readonly links: Pick<DataLinks, "end">;
  readonly streams: Pick<StreamManager, "end">;
  readonly outbox: Pick<CommandOutbox, "drop">;
  readonly sessions: Sessions;
  readonly rotation: Pick<Rotation, "leave" | "move">;
  endSession(sessionId: string, reason: SessionEnd, by?: SessionSide): Promise<boolean>;
}

export async function turnAway({ kind, peerId }: Block, parts: TurningAwayParts): Promise<void> {
  parts.links.end({ kind, id: peerId });
  await (kind === "peer" ? turnAwayPeer(peerId, parts) : turnAwaySupernode(peerId, parts));
}

async function turnAwayPeer(peerId: string, parts: TurningAwayParts): Promise<void> {
  const { streams, outbox, sessions, rotation, endSession } = parts;
  streams.end(peerId, "revoked");
  // An exit may be connected elsewhere, to a supernode that has not been told.
  rotation.leave(peerId, "revoked");
  // Packets do not go by its link. The ports for clients of other supernodes are closed, whether or not those heard of it.
  for (const record of sessions.ofExit(peerId)) {
    if (record.packets && !sessions.isOwn(record)) await endSession(record.sessionId, "revoked", "client");
  }
  for (const { sessionId } of sessions.ofClient(peerId)) await endSession(sessionId, "revoked");
  await outbox.drop(peerId);
}

/** Its clients are served here no longer, and ours not there. */
async function turnAwaySupernode(supernodeId: string, parts: TurningAwayParts): Promise<void> {
  const { sessions, rotation, endSession } = parts;
  for (const record of [...sessions]) {
    if (record.clientSupernodeId === supernodeId) await endSession(record.sessionId, "revoked");
    else if (record.exit?.supernodeId === supernodeId) rotation.move(record, "revoked");
  }
}
