/**
 * `culvert peer ls`: what is in a folder of a peer; without a peer, who is online.
 */

import { z } from "zod";
import { type Entry, MAX_PAGE, orderSchema, sortSchema } from "../../protocol/files/listing.ts";
import type { ListedPeer } from "../../protocol/tracker/messages.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { defineRole, type Role, type RoleContext } from "../role.ts";
import { bytesText, type Column, tableLines } from "../table.ts";
import { timeText } from "../node/words.ts";
import { networkFlags, type OpenNetwork, openNetwork } from "./open_network.ts";
import { sharedPath, whoField } from "./peer_fields.ts";

const config = z.object({
  who: whoField().optional().describe("A ticket, or whose folder it is; everybody who is online unless given."),
  path: sharedPath().optional().describe("The folder; that of the ticket, or all, unless given."),
  sort: sortSchema.default("name").describe("By what.").meta({ placeholder: "by" }),
  order: orderSchema.default("up").describe("In which order.").meta({ placeholder: "order" }),
  limit: z.number().int().min(1).max(1_000_000).default(1000).describe("How many at most.").meta({
    placeholder: "count",
  }),
  capability: z.string().min(1).max(32).optional().describe("Only peers that have it, such as files or upload.")
    .meta({ placeholder: "name" }),
  ...networkFlags,
});
type Settings = z.output<typeof config>;

export const lsRole: Role<typeof config> = defineRole({
  name: "peer-ls",
  summary: "What a peer shares; without one, which peers are online.",
  config,
  examples: [
    "culvert peer ls --tracker https://tracker.example/",
    "culvert peer ls alice",
    "culvert peer ls alice films --sort modified --order down",
    "culvert peer ls CULVERT:AEAB…",
  ],
  longRunning: false,
  async run(config, context) {
    await using network = await openNetwork(config, { action: "run peer-ls" }, context);
    if (config.who === undefined) await listPeers(network, config, context);
    else await listFolder(network, config.who, config, context);
  },
});

const PEER_COLUMNS: readonly Column<ListedPeer>[] = [
  { title: "name", cell: ({ card }) => card.label, canBeCut: true },
  { title: "peer", cell: ({ card }) => card.peerId },
  { title: "region", cell: ({ card }) => card.region ?? "", canBeCut: true },
  { title: "served", cell: ({ reliability }) => reliability === undefined ? "" : `${Math.round(reliability * 100)}%` },
  { title: "what", cell: ({ card }) => card.capabilities.join(" "), canBeCut: true },
];

async function listPeers(network: OpenNetwork, { limit, capability }: Settings, context: RoleContext): Promise<void> {
  if (!network.trackers) {
    throw new CulvertError("no_tracker", "Cannot say who is online: name a tracker, such as --tracker https://…");
  }
  const peers: ListedPeer[] = [];
  for await (const peer of network.online(capability, context.signal)) {
    if (peers.push(peer) === limit) break;
  }
  if (context.json) return context.print(JSON.stringify({ peers }));
  if (peers.length === 0) return context.print("Nobody else is online");
  for (const line of tableLines(PEER_COLUMNS, peers)) context.print(line);
}

async function listFolder(
  network: OpenNetwork,
  who: string,
  { path: wanted, sort, order, limit }: Settings,
  context: RoleContext,
): Promise<void> {
  const { signal, json, print } = context;
  const found = await network.find(who, signal);
  using files = network.remote(found);
  const path = wanted ?? found.path ?? "";
  const entries: Entry[] = [];
  let total: number;
  let after: string | undefined;
  do {
    const query = { sort, order, limit: Math.min(MAX_PAGE, limit - entries.length), ...after && { after } };
    const page = await files.folder(path, query, signal);
    entries.push(...page.entries);
    total = page.total;
    after = page.next;
  } while (after !== undefined && entries.length < limit);
  if (json) return print(JSON.stringify({ peerId: found.card.peerId, path, total, entries }));
  if (entries.length === 0) return print("There is nothing in it");
  for (const line of tableLines(entryColumns(context.clock.wallNow()), entries)) print(line);
  if (total > entries.length) print(`… and ${total - entries.length} more: --limit ${total} shows them`);
}

function entryColumns(nowMs: number): readonly Column<Entry>[] {
  return [
    { title: "size", cell: ({ kind, size }) => kind === "folder" ? "-" : bytesText(size), align: "right" },
    { title: "changed", cell: ({ modifiedMs }) => timeText(modifiedMs, nowMs) },
    { title: "name", cell: ({ kind, name }) => kind === "folder" ? `${name}/` : name },
  ];
}
