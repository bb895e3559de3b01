/**
 * `culvert exit`: lets clients of the network out here, under its own policy. It needs no port that others can reach.
 *
 *   supernode ◀─ control stream, data link ─ exit ─▶ --path (direct: by default) ─▶ …
 *   relay     ◀─ WireGuard ───────────────── exit ─▶ this machine's routes      ─▶ …     with --tun
 *
 * What clients say goes through supernodes sealed, and is opened here.
 */

import { z } from "zod";
import { createKvServedSessions } from "../kv/served_sessions.ts";
import { systemLookup } from "../net/resolve.ts";
import { SessionServer, type SessionServerOptions } from "../net/session_server.ts";
import { aborted } from "../protocol/abort.ts";
import type { PolicySource } from "../protocol/egress_policy.ts";
import { ExitPackets } from "./exit/packets/exit_packets.ts";
import { requirePacketRights } from "./exit/packets/exit_interface.ts";
import { type PacketFlags, packetFlags } from "./exit/packets/settings.ts";
import { exitHandlers, restoreSessions } from "./exit/sessions.ts";
import { SessionReports } from "./exit/session_reports.ts";
import { ExitTelemetry } from "./exit/telemetry.ts";
import { requireDenoRight } from "./machine/deno_rights.ts";
import { hostDevices } from "./machine/devices.ts";
import { openPeer, openPeerParts, type PeerParts } from "./peer/open_peer.ts";
import { peerSettings, regionName } from "./peer/settings.ts";
import { TrafficRates } from "./peer/traffic_rates.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";
import { openWayOut, wayOut } from "./way_out.ts";

const config = z.object({
  ...peerSettings,
  region: regionName().describe("Where this exit is, such as eu-west."),
  ...wayOut,
  bandwidth: z.number().positive().max(1_000_000).default(100)
    .describe("What clients may expect of this exit together, in Mbit/s.").meta({ placeholder: "mbps" }),
  maxSessions: z.number().int().min(1).max(100_000).default(1024).describe("Clients served at once."),
  ...packetFlags,
});

export const role: Role<typeof config> = defineRole({
  name: "exit",
  summary: "Lets clients of the network out to the internet here, under a policy.",
  config,
  examples: [
    "culvert exit --supernode https://PEERID@sn.example:8443/ --region eu-west",
    "culvert exit --config exit.toml --egress-policy policy.toml",
    "sudo culvert exit --config exit.toml --tun --client-rate 100",
  ],
  async run(config, context) {
    const { signal, hardSignal, clock, log, metrics } = context;
    if (config.tun) {
      requireDenoRight({ role: "exit", what: "--tun", right: "all" });
      await requirePacketRights();
    }
    const fault = Promise.withResolvers<never>();
    fault.promise.catch(() => {}); // heard below, unless the start fails first
    await using parts = await openPeerParts({ role: "exit", region: config.region }, config, context);
    await using onward = await openWayOut(config, "start exit", context);
    const { identity, primitives, network, kv, guard } = parts;
    await using packets = config.tun ? await openPackets(config, { ...parts, ...onward }, context) : undefined;
    packets?.failure().catch(fault.reject);
    await using serving = serve({
      ...parts,
      onward: onward.path,
      at: identity.peerId,
      region: config.region,
      log,
      metrics,
      limits: { maxSessions: config.maxSessions },
      problem: () => telemetry.problem,
      onExpired: (sessionId) => {
        packets?.service.drop(sessionId);
        reports.ended(sessionId, "expired");
      },
    });
    const { server } = serving;
    const store = createKvServedSessions(kv, clock, { space: "exit", guard });
    const control = () => peer.connection.control;
    const supernodeId = () => control().supernode.supernodeId;
    // Before there are sessions, whose time may come at any moment.
    await using reports = new SessionReports({ server: withPackets(server, packets), store, control, clock, log });
    const unserved = await restoreSessions({ server, store, packets: packets?.service });
    const isDraining = () => signal.aborted;
    await using peer = await openPeer({
      role: "exit",
      region: config.region,
      settings: config,
      parts,
      handlers: exitHandlers({
        ...{ server, store, primitives, network, clock, log, supernodeId, isDraining },
        packets: packets?.service,
        endpoint: config.endpoint,
      }),
      onStream: (stream) => server.serve(stream),
      telemetry: () => telemetry.take(),
      onOpen: () => {
        context.ready({ addresses: {}, note: `peer ${identity.peerId}` });
        reports.opened();
        control().pingNow(); // so that the supernode knows what may be expected of this exit before it gives it to anybody
      },
      onFault: fault.reject,
    }, context);
    for (const sessionId of unserved) reports.ended(sessionId, "shutdown");
    const telemetry = new ExitTelemetry({
      rates: new TrafficRates(peer.connection.traffic, clock),
      bandwidthMbps: config.bandwidth,
      maxSessions: config.maxSessions,
      sessionCount: () => server.sessionCount,
      isDraining,
      packets: () => packets?.telemetry(),
      onChange: () => control().pingNow(),
      clock,
      metrics,
    });
    packets?.answerClients({ isOk: () => telemetry.problem === undefined });
    using stopProbes = stopper();
    const probing = telemetry.watch(onward.path, stopProbes.signal);
    await Promise.race([aborted(signal), fault.promise]);
    control().pingNow(); // so that the supernode moves the sessions, while their streams end
    await Promise.all([server.shutdown(hardSignal), packets?.service.drained(hardSignal)]);
    stopProbes[Symbol.dispose]();
    await probing;
  },
});

/** Disposing closes the server and waits for its streams, which use what is closed after it. */
function serve(options: SessionServerOptions): { readonly server: SessionServer } & AsyncDisposable {
  const server = new SessionServer(options);
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.close();
      await server.closed();
    },
  };
}

function openPackets(
  config: PacketFlags,
  { local: { privateKey }, policy }: Pick<PeerParts, "local"> & { readonly policy: PolicySource },
  context: RoleContext,
): Promise<ExitPackets> {
  const ofThisMachine = { devices: hostDevices, lookup: systemLookup };
  return ExitPackets.open(config, { ...context, ...ofThisMachine, privateKey, policy });
}

/** The server's sessions, of which some have packets that end with them. */
function withPackets(
  server: SessionServer,
  packets: ExitPackets | undefined,
): Pick<SessionServer, "expiryOf" | "remove"> {
  return {
    expiryOf: (sessionId) => server.expiryOf(sessionId),
    remove(sessionId) {
      packets?.service.drop(sessionId);
      return server.remove(sessionId);
    },
  };
}

function stopper(): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  return { signal: controller.signal, [Symbol.dispose]: () => controller.abort() };
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
