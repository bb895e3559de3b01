/**
 * What an administrator is shown of a supernode: its streams, peers, sessions and links, a page at a time. Keys,
 * certificates and signatures are left out: nobody asks for them, and they are most of a record.
 */

import type { BlockList } from "../../kv/blocks.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import type { SessionRecord } from "../../protocol/session.ts";
import type { Block } from "../../protocol/stored_records.ts";
import { type Page, pageOf } from "../admin_api/page.ts";
import type { ListQuery } from "../admin_api/schema.ts";
import type { LinkView, PeerView, SessionView, StreamView } from "./admin_schema.ts";
import type { Supernode } from "./supernode.ts";

export function streamPage({ streams }: Supernode, query: ListQuery, clock: Clock): Page<StreamView> {
  const nowMs = clock.now();
  const wanted = [...streams].filter(({ machine }) => !query.peer || machine.peer!.peerId === query.peer);
  return pageOf(wanted, query, {
    idOf: ({ machine }) => machine.peer!.peerId,
    view({ machine, telemetry, sinceMs, heardMs }) {
      const { peerId, role, region, version } = machine.peer!;
      return {
        peerId,
        role,
        region,
        ...(version !== undefined && { version }),
        connectedMs: Math.round(nowMs - sinceMs),
        silentMs: Math.round(nowMs - heardMs),
        ...(telemetry?.rttMs !== undefined && { rttMs: telemetry.rttMs }),
        ...(telemetry && { telemetry }),
      };
    },
  });
}

/** Those that are connected, those that sessions are with, and those whose admission was revoked. */
export function peerPage(supernode: Supernode, query: ListQuery, blocks: BlockList): Page<PeerView> {
  const revoked = new Map([...blocks].filter(({ kind }) => kind === "peer").map((block) => [block.peerId, block]));
  const known = new Set([...supernode.streams].map(({ machine }) => machine.peer!.peerId));
  for (const { clientPeerId, exit } of supernode.sessions) {
    known.add(clientPeerId);
    if (exit) known.add(exit.exit.peerId);
  }
  for (const peerId of revoked.keys()) known.add(peerId);
  const wanted = [...known].filter((peerId) => !query.peer || peerId === query.peer);
  return pageOf(wanted, query, {
    idOf: (peerId) => peerId,
    view: (peerId) => peerViewOf(peerId, supernode, revoked.get(peerId)),
  });
}

function peerViewOf(peerId: string, { streams, sessions }: Supernode, block: Block | undefined): PeerView {
  const asClient = sessions.ofClient(peerId);
  const stream = streams.get(peerId);
  const connected = stream?.machine.peer;
  const about = connected ?? elsewhere(peerId, asClient.length > 0, sessions.ofExit(peerId)[0]);
  return {
    peerId,
    state: block ? "revoked" : stream ? "connected" : "away",
    ...about && { role: about.role, ...(about.region !== undefined && { region: about.region }) },
    ...(connected?.version !== undefined && { version: connected.version }),
    sessions: asClient.length + sessions.countOfExit(peerId),
    ...(stream?.telemetry && { telemetry: stream.telemetry }),
    ...(block && { revoked: { by: block.by, reason: block.reason, sinceMs: block.sinceMs } }),
  };
}

/** What the sessions tell of a peer that is not connected here. */
function elsewhere(peerId: string, isClient: boolean, served: SessionRecord | undefined) {
  if (served?.exit?.exit.peerId === peerId) return { role: "exit" as const, region: served.exit.region };
  return isClient ? { role: "client" as const, region: undefined } : undefined;
}

export function sessionPage({ sessions }: Supernode, query: ListQuery): Page<SessionView> {
  const { peer } = query;
  const wanted = peer === undefined ? sessions : new Set([...sessions.ofClient(peer), ...sessions.ofExit(peer)]);
  return pageOf(wanted, query, {
    idOf: ({ sessionId }) => sessionId,
    view({ sessionId, state, clientPeerId, clientSupernodeId, wish, exit, ...record }) {
      const { previousSessionId, nextSessionId, createdAtMs, expiresAtMs, isStatic } = record;
      return {
        sessionId,
        state,
        clientPeerId,
        clientSupernodeId,
        ...exit && { exitPeerId: exit.exit.peerId, exitSupernodeId: exit.supernodeId, exitRegion: exit.region },
        wish,
        ...packetsOf(wish, record),
        ...(isStatic && { isStatic }),
        ...(previousSessionId !== undefined && { previousSessionId }),
        ...(nextSessionId !== undefined && { nextSessionId }),
        createdAtMs,
        expiresAtMs,
      };
    },
  });
}

/** What it carries and how. */
function packetsOf({ carries = "streams", relay = "blind" }: ExitWish, { packets }: Pick<SessionRecord, "packets">) {
  if (carries === "streams") return { carries };
  const { relayPort, farRelay, grant, offer } = packets ?? {};
  const addresses = (offer ?? grant)?.addresses;
  return {
    carries,
    relay,
    ...(relayPort !== undefined && { relayPort }),
    ...(farRelay !== undefined && { farRelay }),
    ...(addresses && { addresses }),
  };
}

/** Whose data links are open, peers' and supernodes'. */
export function linkPage({ links }: Supernode, query: ListQuery): Page<LinkView> {
  const wanted = [...links.holders()].filter(({ id }) => !query.peer || id === query.peer);
  return pageOf(wanted, query, {
    idOf: ({ kind, id }) => `${kind} ${id}`,
    view({ kind, id, links }) {
      const rttMs = links.at(-1)!.rttMs;
      return { kind, peerId: id, links: links.length, ...(rttMs !== undefined && { rttMs }) };
    },
  });
}
