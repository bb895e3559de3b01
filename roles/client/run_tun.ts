/**
 * A client that routes the machine: sessions that carry packets, each through a device of its own, and the machine's
 * traffic through whichever is in use.
 *
 *   probe through the tunnel every half second ── no answer within 1.2 s, or the exit says that it has no way out ──→
 *   another session ── handshake, probe ──→ everything goes there
 *
 * Until then nothing leaves by another way: the old interface is there, and so is the kill switch.
 */

import type { ControlStream } from "../../net/control.ts";
import { systemLookup } from "../../net/resolve.ts";
import type { SessionSwitch } from "../../net/session_switch.ts";
import type { SupernodeWay } from "../../net/watched_session.ts";
import { aborted } from "../../protocol/abort.ts";
import { deadline } from "../../protocol/clock.ts";
import { RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { Path } from "../../protocol/stream.ts";
import type { Key } from "../../protocol/wireguard/settings.ts";
import { hostDevices } from "../machine/devices.ts";
import { DirectUpgrade } from "../packets/direct_upgrade.ts";
import { openPeer, openPeerParts, type PeerParts } from "../peer/open_peer.ts";
import { TrafficRates } from "../peer/traffic_rates.ts";
import type { RoleContext } from "../role.ts";
import { searchExits } from "./exit_search.ts";
import { keepWanted, openExits, settle, untilDisposed } from "./exits.ts";
import { ClientSessions } from "./sessions.ts";
import type { UpConfig } from "./settings.ts";
import { clientTelemetry } from "./telemetry.ts";
import { offerControl } from "./tun/control.ts";
import { ControlWay } from "./tun/control_way.ts";
import { PacketMode } from "./tun/packet_mode.ts";
import { PacketWay, type StartDirect } from "./tun/packet_way.ts";
import { watchSleeps } from "./tun/sleeps.ts";
import { TunnelStats } from "./tun/stats.ts";
import { wishOf } from "./wish.ts";

const PROBE_EVERY_MS = 500;
const PROBE_TIMEOUT_MS = 1_200;
/** A new session must carry a probe within so long; its handshake is over by then. */
const PROVE_WITHIN_MS = 3_000;

/** How soon an exit answers at the least, or is taken for lost where there is a reason to. */
const LEAST_ANSWER_MS = 400;

/** Until the context's signal, or until it is asked to end. */
export async function runTun(config: UpConfig, given: RoleContext): Promise<void> {
  const ending = new AbortController();
  // Being asked to end by `down` is a stop like any other.
  const context = { ...given, signal: AbortSignal.any([given.signal, ending.signal]) };
  const { clock, signal } = context;
  const fault = Promise.withResolvers<never>();
  fault.promise.catch(() => {}); // heard below, unless the start fails first
  await using parts = await openPeerParts({ role: "client", region: config.home }, config, context);
  await using mode = await openMode(config, parts, context);
  const sessions = new ClientSessions({
    ...parts,
    region: config.region,
    carries: "packets",
    relay: config.relay,
    control: () => peer.connection.control,
    way: () => peer.connection,
    openWay: (session) => mode.openWay(session),
  });
  const supernode = new ControlWay(() => peer.connection);
  await using exits = openTunnels(config, { mode, sessions, supernode }, context);
  const stats = new TunnelStats(() => mode.present, clock);
  const rates = new TrafficRates(stats.traffic, clock);
  await using peer = await openPeer({
    role: "client",
    region: config.home,
    settings: config,
    parts,
    handlers: sessions.handlers(() => exits.path),
    telemetry: (): Telemetry => ({ ...clientTelemetry(exits.path, rates), ...stats.telemetry }),
    locate: mode.locate,
    onOpen: () => {
      supernode.opened();
      void settle(sessions, exits.path, context);
      void greetIfLost({ mode, exits: exits.path }, context);
    },
    onFault: fault.reject,
  }, context);
  const running = { exits: exits.path, control: peer.connection.control, mode, stats };
  await using _work = keepAtIt(running, config, context);
  await using _control = await offerControl({
    ...running,
    interfacePrefix: config.interface,
    context,
    end: () => ending.abort(),
  });
  context.check("exit", () => exits.path.present ? undefined : "There is no session with an exit");
  await Promise.race([aborted(signal), fault.promise]);
  await exits[Symbol.asyncDispose](); // while the supernode can still be told
}

function openMode(config: UpConfig, { local }: Pick<PeerParts, "local">, context: RoleContext): Promise<PacketMode> {
  return PacketMode.open({
    settings: { ...config, interfacePrefix: config.interface },
    supernodes: config.supernode.map(({ url }) => supernodeEndpoint(url, RELAY_PATH).target),
    privateKey: local.privateKey as Key,
    context,
    devices: hostDevices,
    lookup: systemLookup,
    startDirect: config.direct ? directStarter(context) : undefined,
  });
}

interface TunnelParts {
  readonly mode: PacketMode;
  readonly sessions: ClientSessions;
  readonly supernode: SupernodeWay;
}

function openTunnels(
  config: UpConfig,
  { mode, sessions, supernode }: TunnelParts,
  context: RoleContext,
): ReturnType<typeof openExits> {
  return openExits({
    sessions,
    wish: () => ({ ...wishOf(config), carries: "packets", relay: config.relay, ...keptAddresses(mode) }),
    supernode,
    probe,
    probeEveryMs: config.probeEvery ?? PROBE_EVERY_MS,
    probeTimeoutMs: config.probeTimeout ?? PROBE_TIMEOUT_MS,
    failuresToDown: 1,
    proveWithinMs: PROVE_WITHIN_MS,
    onTake: (session) => {
      mode.take(session);
      sayReady(mode, session.exitPeerId, context);
    },
  }, context);
}

interface Running {
  readonly exits: SessionSwitch;
  readonly control: ControlStream;
  readonly mode: PacketMode;
  readonly stats: TunnelStats;
}

/** What goes on beside, until it is disposed. */
function keepAtIt(
  { exits, control, mode, stats }: Running,
  { supernode }: UpConfig,
  { clock, random, log }: RoleContext,
): AsyncDisposable {
  const options = { exits, control, supernodes: supernode.length, clock, random, log };
  return untilDisposed(async (signal) => {
    await Promise.all([
      searchExits(options, signal),
      keepWanted(options, signal),
      stats.run(signal),
      mode.keepLocked(signal),
      watchSleeps(clock, () => {
        log.info("The machine has slept: greeting the exit anew");
        greetAnew({ mode, exits }, log);
      }, signal),
    ]);
  });
}

function directStarter({ clock, random, log }: RoleContext): StartDirect {
  return (way, signal) => new DirectUpgrade({ ...way, clock, random, log }).run(signal);
}

/** From the first tunnel on. */
function sayReady(mode: PacketMode, exit: string, context: RoleContext): void {
  context.ready({
    addresses: { interface: mode.present?.interfaceName ?? "none" },
    words: { interface: "everything goes through" },
    note: `exit ${exit}, kill switch ${mode.isLocked ? "on" : "off"}`,
  });
}

/** The addresses of the present session, so that what is open keeps them at the next exit. */
function keptAddresses(mode: PacketMode): { addresses?: string[] } {
  const { addresses } = mode;
  return addresses.length > 0 ? { addresses } : {};
}

async function probe(path: Path, signal: AbortSignal): Promise<void> {
  if (!(path instanceof PacketWay)) throw new TypeError("The session must carry packets");
  await path.probe(signal);
}

/** The control stream is open. If it has been lost because the network is another, the relay looks for us where we were. */
async function greetIfLost(running: Pick<Running, "mode" | "exits">, context: RoleContext): Promise<void> {
  const { clock, log, signal } = context;
  const { mode, exits } = running;
  const way = mode.present;
  if (!way) return;
  try {
    const withinMs = Math.max(LEAST_ANSWER_MS, 3 * (exits.dataPath?.latencyMs ?? 0));
    using limit = deadline(clock, withinMs, "probe the exit", signal);
    await way.probe(limit.signal);
  } catch {
    if (signal.aborted || mode.present !== way) return;
    log.info("The exit does not answer, maybe because the network is another: greeting it anew");
    greetAnew(running, log);
  }
}

/** And sees soon whether that was any good. */
function greetAnew({ mode, exits }: Pick<Running, "mode" | "exits">, log: Log): void {
  mode.present?.greetAnew().catch((error) => log.debug("The exit was not greeted", { error: messageOf(error) }))
    .finally(() => exits.suspect());
}
