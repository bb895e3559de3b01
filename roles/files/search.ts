/**
 * `culvert peer search`: files whose names have these words, at those who are named or at everybody who is online; without a
 * tracker that answers, at those who were met. Peers are asked several at a time; those that do not answer are counted.
 */

import { z } from "zod";
import type { Found } from "../../protocol/files/listing.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { bytesText, type Column, tableLines } from "../table.ts";
import type { FoundPeer } from "./find_peer.ts";
import { networkFlags, type OpenNetwork, openNetwork } from "./open_network.ts";

/** Peers that are asked at once, and altogether. */
const AT_A_TIME = 8;
const MAX_PEERS = 200;

const config = z.object({
  words: z.array(z.string().min(1).max(256)).min(1, "given at least once")
    .describe("What to look for: every one of these words.").meta({ positional: true, placeholder: "word" }),
  at: z.array(z.string().min(1).meta({ placeholder: "peer" })).max(64).default([])
    .describe("Whom to ask: a peer or a ticket; everybody who is online unless given."),
  limit: z.number().int().min(1).max(1000).default(50).describe("How many files of one peer.").meta({
    placeholder: "count",
  }),
  ...networkFlags,
});
type Settings = z.output<typeof config>;

interface Hit extends Found {
  readonly peerId: string;
  readonly label: string;
}

export const searchRole: Role<typeof config> = defineRole({
  name: "peer-search",
  summary: "Looks for files by the words in their names, at peers that are online.",
  config,
  examples: ["culvert peer search holiday 2025", "culvert peer search song --at alice --at bob"],
  longRunning: false,
  async run(config, context) {
    await using network = await openNetwork(config, { action: "run peer-search" }, context);
    const peers = await whomToAsk(network, config, context);
    const { hits, silent } = await askAll(peers, network, config, context);
    if (context.json) return context.print(JSON.stringify({ asked: peers.length, silent, found: hits }));
    if (hits.length > 0) { for (const line of tableLines(COLUMNS, hits)) context.print(line); }
    else {context.print(
        peers.length === 0
          ? "There is nobody to ask: name a tracker, such as --tracker https://…"
          : "Nothing was found",
      );}
    if (silent > 0) context.tell(`${silent} of ${peers.length} peers did not answer`);
  },
});

const COLUMNS: readonly Column<Hit>[] = [
  { title: "size", cell: ({ size }) => bytesText(size), align: "right" },
  { title: "peer", cell: ({ label }) => label, canBeCut: true },
  { title: "path", cell: ({ path }) => path },
];

async function whomToAsk(network: OpenNetwork, { at }: Settings, context: RoleContext): Promise<FoundPeer[]> {
  if (at.length > 0) return await Promise.all(at.map((who) => network.find(who, context.signal)));
  const known = await network.known.list();
  const online = await whoIsOnline(network, context);
  if (!online) return known.slice(0, MAX_PEERS);
  const invitations = new Map(known.map(({ card, invitation }) => [card.peerId, invitation]));
  return online.map(({ card, observedAddress }) => ({
    ...{ card, observedAddress },
    invitation: invitations.get(card.peerId),
  }));
}

/** Undefined when there is no tracker that answers. */
async function whoIsOnline(network: OpenNetwork, { signal, log }: RoleContext): Promise<ListedPeer[] | undefined> {
  if (!network.trackers) return undefined;
  const peers: ListedPeer[] = [];
  try {
    for await (const peer of network.online("files", signal)) if (peers.push(peer) === MAX_PEERS) break;
    return peers;
  } catch (error) {
    signal.throwIfAborted();
    log.warn("No tracker answers: those who were met are asked", { error: messageOf(error) });
    return undefined;
  }
}

async function askAll(
  peers: readonly FoundPeer[],
  network: OpenNetwork,
  { words, limit }: Settings,
  { signal, log }: RoleContext,
): Promise<{ readonly hits: readonly Hit[]; readonly silent: number }> {
  const hits: Hit[] = [];
  const waiting = peers.values();
  let silent = 0;
  const ask = async () => {
    for (const peer of waiting) {
      const { peerId, label } = peer.card;
      try {
        using files = network.remote(peer);
        const { found } = await files.search({ q: words.join(" "), limit }, signal);
        for (const file of found.slice(0, limit)) hits.push({ ...file, peerId, label });
      } catch (error) {
        signal.throwIfAborted();
        silent++;
        log.debug("A peer did not answer", { peer_id: peerId, error: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, ask));
  return { hits, silent };
}
