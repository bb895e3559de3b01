/**
 * `culvert client`: a local proxy whose traffic leaves through an exit somewhere else.
 *
 *   program ─▶ --listen ─▶ sealed session ─▶ supernodes ─▶ exit ─▶ …
 *
 * It asks its supernode for an exit that meets the wish, watches the way through it, and goes to another when it fails.
 */

import { z } from "zod";
import type { ControlStream } from "../net/control.ts";
import { serveProxy } from "../net/proxy.ts";
import { openSessionPath } from "../net/session_path.ts";
import { SessionSwitch } from "../net/session_switch.ts";
import { aborted } from "../protocol/abort.ts";
import { messageOf } from "../protocol/errors.ts";
import { formatTarget, type Hop } from "../protocol/stream.ts";
import { searchExits } from "./client/exit_search.ts";
import { ClientSessions, UNKNOWN_REGION } from "./client/sessions.ts";
import { clientTelemetry } from "./client/telemetry.ts";
import { durationMs, listenAddress } from "./fields.ts";
import { isLoopback, listenOn } from "./listening.ts";
import { openPeer, openPeerParts } from "./peer/open_peer.ts";
import { peerSettings, regionName } from "./peer/settings.ts";
import { TrafficRates } from "./peer/traffic_rates.ts";
import { ConfigError } from "./config.ts";
import { defineRole, type Role, type RoleContext, runRole } from "./role.ts";

const config = z.object({
  listen: listenAddress("127.0.0.1:1080").describe("Where programs find the proxy."),
  ...peerSettings,
  home: regionName().default(UNKNOWN_REGION).describe("The region that this client is in."),
  region: regionName().optional().describe("The region that traffic should leave in; anywhere unless given."),
  minBandwidth: z.number().positive().max(1_000_000).optional()
    .describe("What the exit must still be able to carry, in Mbit/s.").meta({ placeholder: "mbps" }),
  maxLatency: durationMs(undefined, { minMs: 1, maxMs: 86_400_000 }).optional()
    .describe("How far away the exit may be."),
  probeEvery: durationMs("5s", { minMs: 100 }).describe("How often the way through the exit is tried."),
  probeTimeout: durationMs("3s", { minMs: 50 }).describe("How long such a try may take."),
  open: z.boolean().default(false).describe("Allow a port that others can reach."),
});

type ClientConfig = z.output<typeof config>;

export const role: Role<typeof config> = defineRole({
  name: "client",
  summary: "A local proxy whose traffic leaves through an exit of the network.",
  config,
  examples: [
    "culvert client --supernode https://PEERID@sn.example:8443/",
    "culvert client --region eu-west --max-latency 80ms --config client.toml",
  ],
  async run(config, context) {
    const { signal, hardSignal, clock, log, metrics } = context;
    if (!isLoopback(config.listen) && !config.open) {
      throw new ConfigError("start client", [`others can reach ${formatTarget(config.listen)}, so give --open`]);
    }
    const fault = Promise.withResolvers<never>();
    fault.promise.catch(() => {}); // heard below, unless the start fails first
    await using parts = await openPeerParts({ role: "client", region: config.home }, config, context);
    const sessions = new ClientSessions({
      ...parts,
      region: config.region,
      control: () => peer.connection.control,
      way: () => peer.connection,
      openWay: (session) =>
        openSessionPath({
          ...parts,
          log,
          metrics,
          session,
          open: (signal) => peer.connection.open(signal),
          at: parts.identity.peerId,
          about: () => aboutClient(config.home, peer.connection.linkRttMs),
        }),
    });
    await using exits = switchOf(config, sessions, context);
    await using peer = await openPeer({
      role: "client",
      region: config.home,
      settings: config,
      parts,
      handlers: sessions.handlers(() => exits.path),
      telemetry: () => clientTelemetry(exits.path, rates),
      onOpen: () => void settle(sessions, exits.path, context),
      onFault: fault.reject,
    }, context);
    const rates = new TrafficRates(peer.connection.traffic, clock);
    using proxy = listenOn(config.listen, (listen) => serveProxy({ listen, path: exits.path, clock, log, metrics }));
    const { hostname, port } = proxy.address;
    await using _search = searchFor(exits.path, { control: peer.connection.control, config, context });
    context.check("exit", () => exits.path.present ? undefined : "There is no session with an exit");
    context.ready({ addresses: { listen: formatTarget({ host: hostname, port }) } });
    await Promise.race([aborted(signal), fault.promise]);
    await proxy.shutdown(hardSignal);
    await exits[Symbol.asyncDispose](); // while the supernode can still be told
  },
});

/** What the page `hello.culvert` tells of this client. */
function aboutClient(home: string, rttMs: number | undefined): Pick<Hop, "region" | "rttMs"> {
  return { ...(home !== UNKNOWN_REGION && { region: home }), ...(rttMs !== undefined && { rttMs }) };
}

function switchOf(
  { region, minBandwidth, maxLatency, probeEvery, probeTimeout }: ClientConfig,
  sessions: ClientSessions,
  { clock, random, log, metrics }: RoleContext,
): { readonly path: SessionSwitch } & AsyncDisposable {
  const path = new SessionSwitch({
    acquire: (exclude, signal) =>
      sessions.request({
        ...(region !== undefined && { region }),
        ...(minBandwidth !== undefined && { minBandwidthMbps: minBandwidth }),
        ...(maxLatency !== undefined && { maxLatencyMs: maxLatency }),
        ...(exclude.length > 0 && { exclude: [...exclude] }),
      }, signal),
    renew: (sessionId, signal) => sessions.renew(sessionId, signal),
    release: (sessionId) => sessions.release(sessionId),
    supernode: {
      get isUp() {
        return sessions.way.isUp;
      },
      get losses() {
        return sessions.way.losses;
      },
      up: (signal) => sessions.way.up(signal),
    },
    probeEveryMs: probeEvery,
    probeTimeoutMs: probeTimeout,
    clock,
    random,
    log,
    metrics,
  });
  return {
    path,
    async [Symbol.asyncDispose]() {
      path.close();
      await path.closed();
    },
  };
}

interface Searching {
  readonly control: ControlStream;
  readonly config: ClientConfig;
  readonly context: RoleContext;
}

/** Until it is disposed. */
function searchFor(exits: SessionSwitch, { control, config, context }: Searching): AsyncDisposable {
  const stop = new AbortController();
  const { clock, random, log } = context;
  const options = { exits, control, supernodes: config.supernode.length, clock, random, log };
  const searching = searchExits(options, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await searching;
    },
  };
}

/** The control stream is open, for the first time or again. */
async function settle(sessions: ClientSessions, exits: SessionSwitch, { log, signal }: RoleContext): Promise<void> {
  try {
    await sessions.reconcile(exits);
    if (signal.aborted) return;
    if (sessions.hasMoved(exits)) await exits.replace("moved", signal);
    else await exits.warm(signal);
  } catch (error) {
    if (!signal.aborted) log.warn("There is no exit yet", { error: messageOf(error) });
  }
}

if (import.meta.main) Deno.exit(await runRole(role, Deno.args));
