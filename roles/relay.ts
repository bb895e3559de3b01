/**
 * `culvert relay`: passes circuits on, between clients, other relays and the gateways that have a link to it. It learns who
 * its neighbours are and how much goes through, and neither where to nor what.
 *
 *   clients, relays, gateways ─ links ─▶ --listen ─ links ─▶ relays of the directory, and those gateways
 *   peers with files ────────── links ─▶ --listen ─ links ─▶ peers with files, when it is listed at a --tracker
 *
 * It dials nobody whom a client names, but relays of the directory alone; what leaves to the internet does so at gateways.
 */

import { z } from "zod";
import { RelayServer } from "../net/circuit/relay.ts";
import type { MeetingRelay } from "../net/peers/meeting_relay.ts";
import { aborted } from "../protocol/abort.ts";
import { CELL_BYTES } from "../protocol/circuit/cell.ts";
import type { Clock } from "../protocol/clock.ts";
import { peerIdSchema, urlSchema } from "../protocol/fields.ts";
import { formatTarget } from "../protocol/stream.ts";
import { listenOn } from "./listening.ts";
import { listMeetings, meetingFlags, openMeetings } from "./relay/meetings.ts";
import { runMeetingsAlone } from "./relay/meetings_alone.ts";
import { openRelayParts, relayFlags, type RelayParts } from "./relay_settings.ts";
import { listenAddress } from "./fields.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { followTls } from "./tls_files.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:8470").describe("Where clients, other relays, gateways and peers connect."),
  ...relayFlags,
  base: z.array(urlSchema.meta({ placeholder: "url" })).max(8).default([])
    .describe("A base, where relays are listed; several are tried in turn.")
    .meta({ defaultText: "no circuits: only peers meet here" }),
  ...meetingFlags,
  maxCircuits: z.number().int().min(1).max(1_000_000).default(8192).describe("Circuits at once."),
  maxCircuitsPerAddress: z.number().int().min(1).max(1_000_000).optional()
    .describe("Circuits from one address, of clients and relays alike.").meta({
      defaultText: "half of --max-circuits",
    }),
  maxCircuitsPerLink: z.number().int().min(1).max(100_000).default(64).describe("Of one client's link."),
  maxLinks: z.number().int().min(1).max(1_000_000).default(4096).describe("Links of clients at once."),
  maxLinksPerAddress: z.number().int().min(1).max(1_000_000).default(256)
    .describe("Links from one address, of clients, relays and gateways alike."),
  bandwidth: z.number().positive().max(1_000_000).optional()
    .describe("What may be expected of this relay, in Mbit/s; fewer circuits are led here the more of it is in use.")
    .meta({ placeholder: "mbps" }),
  block: z.array(peerIdSchema.meta({ placeholder: "peer" })).default([]).describe("A peer that is turned away."),
}).superRefine(({ base, tracker }, context) => {
  if (base.length > 0 || tracker.length > 0) return;
  context.addIssue({ code: "custom", path: ["base"], message: "given at least once, or --tracker instead" });
});

type Settings = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "relay",
  summary: "Passes circuits on between clients, other relays and gateways, reading none.",
  config,
  examples: [
    "culvert relay --base https://base.example --advertise https://r1.example/",
    "culvert relay --base https://base.example --bandwidth 500",
    "culvert relay --listen :8470 --tracker https://tracker.example",
  ],
  async run(config, context) {
    if (config.base.length === 0) return await runMeetingsAlone(config, context);
    const { signal, hardSignal, clock, log } = context;
    await using parts = await openRelayParts(config, {
      ...{ kind: "relay", action: "start relay", others: ["relay"] },
    }, context);
    const { membership } = parts;
    const meetingParts = {
      ...parts,
      ...(membership && { network: membership.network, certificate: () => membership.certificate() }),
    };
    await using meetings = config.tracker.length > 0 ? openMeetings(config, meetingParts, context) : undefined;
    await using serving = serve(config, { ...parts, meetings }, context);
    const { server } = serving;
    using _following = parts.tls &&
      followTls(config, { clock, log, current: parts.tls, onChange: (pair) => server.renewTls(pair) });
    const { hostname, port } = server.address;
    const listening = formatTarget({ host: hostname, port });
    const url = parts.urlOf(listening);
    const load = loadOf(server, config, clock);
    await using registrar = parts.register({
      url,
      current: () => ({
        // Who is told that it is full leads no new circuit here.
        load: signal.aborted ? 1 : load(),
        gateways: server.gateways(),
        ...(config.bandwidth !== undefined && { bandwidthMbps: config.bandwidth }),
      }),
    });
    server.onGateways = () => registrar.hurry();
    context.check("base", () => registrar.problem);
    await using _listed = meetings && await listMeetings(config, { ...meetingParts, url, relay: meetings }, context);
    context.ready({ addresses: { listen: listening }, note: `peer ${parts.identity.peerId}` });
    await aborted(signal);
    registrar.hurry();
    await Promise.all([server.shutdown(hardSignal), meetings?.shutdown(hardSignal)]);
  },
});

/** Disposing closes the server and waits for what runs of it, which uses what is closed after it. */
function serve(
  config: Settings,
  { identity, primitives, crypto, membership, relays, tls, caCerts, locate, meetings }: RelayParts & {
    readonly meetings: MeetingRelay | undefined;
  },
  { clock, random, log, metrics }: RoleContext,
): { readonly server: RelayServer } & AsyncDisposable {
  const blocked = new Set(config.block);
  const { maxCircuits, maxCircuitsPerLink, maxLinks, maxLinksPerAddress } = config;
  const server = listenOn(config.listen, (listen) =>
    new RelayServer({
      ...{ listen, tls, identity, directory: relays, primitives, clock, log, metrics, caCerts, locate, meetings },
      tools: { crypto, random },
      network: membership?.network,
      certificate: membership?.certificate,
      limits: {
        ...{ maxCircuits, maxLinksPerAddress },
        ...(config.maxCircuitsPerAddress !== undefined && { maxCircuitsPerAddress: config.maxCircuitsPerAddress }),
        maxCircuitsPerClientLink: maxCircuitsPerLink,
        maxClientLinks: maxLinks,
        isBlocked: (peerId) => blocked.has(peerId),
      },
    }));
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.close();
      await server.closed();
    },
  };
}

/** How full the relay is: of circuits and links or, if it is known what it can carry, of traffic since the last time. */
function loadOf(server: RelayServer, { bandwidth }: Settings, clock: Clock): () => number {
  let last = { cells: server.cellCount, atMs: clock.now() };
  return () => {
    if (bandwidth === undefined) return server.load;
    const now = { cells: server.cellCount, atMs: clock.now() };
    const seconds = Math.max(0.001, (now.atMs - last.atMs) / 1000);
    const megabits = (now.cells - last.cells) * CELL_BYTES * 8 / 1e6;
    last = now;
    return Math.min(1, Math.max(server.load, megabits / seconds / bandwidth));
  };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
