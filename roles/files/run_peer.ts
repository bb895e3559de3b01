/**
 * A peer from its start to its end: shares a folder with those who may see it, and shows its owner what others share.
 *
 *   trackers ◀─ card ─ OwnCard ◀─ where it listens, relays
 *   guests ─▶ PeerHost (port, relays; rules) ─▶ a door for each ─┐
 *   owner ─▶ the owner's door ────────────────────────────────────┴▶ file server ─▶ folder, index
 *                 └▶ /peers/ID/… ─▶ gateway ─▶ other peers
 */

import { relative } from "@std/path";
import deno from "../../deno.json" with { type: "json" };
import { createPeerPages } from "../../edge/peer_pages.ts";
import { createKvKnownContents } from "../../kv/files/known_contents.ts";
import { type Door, openDoor } from "../../net/files/doors.ts";
import { type FileServer, serveFiles } from "../../net/files/file_server.ts";
import { FolderIndex } from "../../net/files/index/folder_index.ts";
import { ExpectedCalls } from "../../net/peers/expected_calls.ts";
import { GuestDoors } from "../../net/peers/guest_doors.ts";
import { PeerGateway } from "../../net/peers/peer_gateway.ts";
import { PeerHost } from "../../net/peers/peer_host.ts";
import type { PeerParts } from "../../net/peers/peer_parts.ts";
import { aborted } from "../../protocol/abort.ts";
import { delay } from "../../protocol/clock.ts";
import { isHidden } from "../../protocol/files/safe_path.ts";
import type { Identity } from "../../protocol/identity.ts";
import { parseIp } from "../../protocol/ip.ts";
import { classify } from "../../protocol/ip_class.ts";
import { formatTarget, parseTarget, type Target } from "../../protocol/stream.ts";
import { ConfigError } from "../config.ts";
import { serveControlSocket } from "../control_socket.ts";
import { openRoleKv } from "../kv_store.ts";
import { readJoinToken } from "../join_token.ts";
import { listenOn } from "../listening.ts";
import type { RoleContext } from "../role.ts";
import { ChosenRelays } from "./chosen_relays.ts";
import { followRules } from "./guest_lists.ts";
import { type OpenNetwork, openNetwork } from "./open_network.ts";
import { OwnCard } from "./own_card.ts";
import { type OwnerRoutes, ownerRoutes } from "./owner_routes.ts";
import { type PeerReport, peerSocketPath, peerWords } from "./peer_control.ts";
import type { PeerSettings } from "./peer_settings.ts";
import { SentLog } from "./sent_log.ts";

const ACTION = "start peer";
const MAX_GUESTS_TOLD = 100;
const DRAIN_LOOK_MS = 50;

/** What is known while it starts: the card is asked for before all of it is. */
interface Places {
  areKnown: boolean;
  listening: Target | undefined;
  relays: ChosenRelays | undefined;
}

export async function runPeer(settings: PeerSettings, context: RoleContext): Promise<void> {
  const { clock, random, log, signal } = context;
  const places: Places = { areKnown: false, listening: undefined, relays: undefined };
  const folder = await sharedFolder(settings.folder);
  const joinToken = await readJoinToken(settings.joinTokenFile, ACTION);
  let own: OwnCard | undefined;
  const cardOf = (identity: Identity) => own ??= ownCard(settings, places, { identity, clock });
  await using network = await openNetwork(settings, {
    action: ACTION,
    describe: (identity) => places.areKnown ? cardOf(identity).current : undefined,
    ...joinToken !== undefined && { joinToken },
    near: settings.relay.map(({ url }) => url),
  }, context);
  await refuseSharedSecrets(folder, { ...settings, stateDir: network.state.path });
  const { identity, primitives } = network.parts;
  const card = cardOf(identity);
  await using following = await followRules(settings, { context, primitives });
  using kv = await openRoleKv({}, { role: "peer", stateDir: context.stateDir });
  const known = createKvKnownContents(kv, clock, { space: identity.peerId });
  await using index = await FolderIndex.open({ folder, clock, log, known, hidden: settings.hidden });
  const sent = new SentLog();
  await using gateway = new PeerGateway({
    ...{ network: network.peers, clock, random, log },
    find: (peerId) => network.find(peerId, signal).catch(() => undefined),
  });
  const routes = ownerRoutes({ network, gateway, sent: () => sent.transfers, signal });
  await using server = fileServerOf(settings, { folder, card, index, routes, sent, context });
  await using door = listenOn({ host: "127.0.0.1", port: settings.port }, ({ port }) => openDoor(server, { port }));
  await using doors = new GuestDoors({ clock, log, open: (guest) => openDoor(server, { guest }) });
  const { onGuest, onLeave, onStream } = doors;
  const calls = network.peers.calls = new ExpectedCalls(context.random, () => calledAt(card, places, network));
  await using host = new PeerHost({
    ...{ ...network.parts, rules: following.rules, calls, onGuest, onLeave, onStream },
    card: () => card.seenAt(observedAddresses(network)),
  });
  if (settings.direct) places.listening = listenOn(settings.listen, (at) => targetOf(host.listen(at)));
  using relays = new ChosenRelays({
    ...{ ...context, given: settings.relay, trackers: settings.relays ? network.trackers : undefined },
    keep: (place) => host.meetAt(network.links, [place])[0]!,
    onChange: () => network.trackers?.refresh(),
  });
  places.relays = relays;
  await using _control = await serveCommands({ folder, network, card, host, relays, index, sent, door }, context);
  places.areKnown = true;
  network.trackers?.refresh();
  void relays.begin(signal);
  context.check("tracker", () => {
    const states = network.trackers?.trackers ?? [];
    return states.length > 0 && !states.some(({ isListed }) => isListed) ? "No tracker lists this peer" : undefined;
  });
  const addresses = {
    files: `${door.origin}/`,
    ...places.listening && { peers: formatTarget(places.listening) },
  };
  context.ready({ addresses, note: `peer ${identity.peerId}` });
  await aborted(signal);
  await drained(server, context);
}

function ownCard(settings: PeerSettings, places: Places, parts: Pick<PeerParts, "identity" | "clock">): OwnCard {
  return new OwnCard({
    ...{ ...parts, label: settings.label ?? shortHostname(), region: settings.region },
    capabilities: ["files", ...settings.upload ? ["upload"] : []],
    places: () => ({
      advertised: settings.advertise,
      listening: places.listening,
      relays: [...places.relays?.places ?? []],
    }),
  });
}

interface ServerParts {
  readonly folder: string;
  readonly card: OwnCard;
  readonly index: FolderIndex;
  readonly routes: OwnerRoutes;
  readonly sent: SentLog;
  readonly context: RoleContext;
}

function fileServerOf(settings: PeerSettings, { folder, card, index, routes, sent, context }: ServerParts): FileServer {
  const { clock, random, log, metrics } = context;
  const { hidden, readOnly, upload, maxUpload, limitRate, guestRate } = settings;
  const { peerId, label, capabilities } = card.current;
  const pages = createPeerPages(deno.version);
  return serveFiles({
    ...{ folder, index, clock, random, log, metrics },
    self: { peerId, label, capabilities, version: deno.version },
    ...upload && { upload: { maxBytes: maxUpload } },
    showsHidden: hidden,
    makesFolderPage: !readOnly,
    limits: { bytesPerS: limitRate, guestBytesPerS: guestRate },
    pages: async (request) => {
      const answer = await pages.fetch(request);
      return answer.status === 404 ? undefined : answer;
    },
    ownerRoutes: routes,
    onSent: (one) => sent.add(one),
  });
}

interface Reported {
  readonly folder: string;
  readonly network: OpenNetwork;
  readonly card: OwnCard;
  readonly host: PeerHost;
  readonly relays: ChosenRelays;
  readonly index: FolderIndex;
  readonly sent: SentLog;
  readonly door: Door;
}

/** For those of this machine's commands that want something of a peer that runs. */
function serveCommands(reported: Reported, { stateDir, clock, log }: RoleContext): Promise<AsyncDisposable> {
  return serveControlSocket({
    ...{ path: peerSocketPath(stateDir), words: peerWords, clock, log },
    answer: async (request) => {
      if (request.do === "report") await reported.network.trackers?.report(request.report);
      return reportOf(reported);
    },
  });
}

function reportOf({ folder, network, card, host, relays, index, sent, door }: Reported): PeerReport {
  const { guests } = host;
  return {
    card: card.seenAt(observedAddresses(network)),
    folder,
    url: `${door.origin}/`,
    trackers: network.trackers?.trackers.map(({ url, isListed, problem }) => ({
      url,
      isListed,
      ...problem !== undefined && { problem },
    })) ?? [],
    relays: relays.links.map(({ place: { url }, isUp }) => ({ url, isUp })),
    guests: guests.slice(0, MAX_GUESTS_TOLD).map((guest) => ({ ...guest })),
    guestCount: guests.length,
    index: index.status,
    sentBytes: sent.bytes,
  };
}

/** Where trackers have seen us come from. */
function observedAddresses({ trackers }: OpenNetwork): string[] {
  return (trackers?.trackers ?? []).flatMap(({ observedAddress }) => observedAddress ?? []);
}

/** Lets what is being sent end, as long as that may take. */
async function drained(server: FileServer, { clock, hardSignal }: RoleContext): Promise<void> {
  while (server.sending > 0 && !hardSignal.aborted) await delay(clock, DRAIN_LOOK_MS, hardSignal).catch(() => {});
}

/** Where those may dial us whom we reach by a relay alone: they dial public addresses only. */
function calledAt(card: OwnCard, { listening }: Places, network: OpenNetwork): string[] {
  const addresses = listening ? card.seenAt(observedAddresses(network)).addresses : [];
  return addresses.filter((address) => {
    const ip = parseIp(parseTarget(address)?.host ?? "");
    return ip !== undefined && classify(ip) === "public";
  });
}

function targetOf({ hostname, port }: Deno.NetAddr): Target {
  return { host: hostname, port };
}

function shortHostname(): string {
  return Deno.hostname().split(".", 1)[0] || "peer";
}

/** By its real path: a link that leads elsewhere later changes nothing. */
async function sharedFolder(path: string): Promise<string> {
  try {
    const real = await Deno.realPath(path);
    if ((await Deno.stat(real)).isDirectory) return real;
  } catch {
    // What is not there is no folder either.
  }
  throw new ConfigError(ACTION, [`the folder must be one that is there and can be read, got ${path}`]);
}

/** The identity's secrets are in the state directory: shared, anybody who is let in could be this peer. */
async function refuseSharedSecrets(
  folder: string,
  { stateDir, hidden }: Pick<PeerSettings, "hidden"> & { readonly stateDir: string },
): Promise<void> {
  const path = relative(folder, await Deno.realPath(stateDir));
  const isInside = path !== ".." && !path.startsWith("../");
  if (!isInside || isHidden(path, hidden)) return;
  throw new ConfigError(ACTION, [`the folder must not hold the state directory, which has secrets, got ${folder}`]);
}
